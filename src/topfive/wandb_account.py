"""Whether Weights & Biases would take what is sent to it; asks for nothing and never waits for long."""

from urllib.error import HTTPError
from urllib.request import urlopen

SECONDS = 10


def trouble() -> str | None:
    """What is wrong with the key, the network or the server, and what mends it; None where all is well.

    Without this, wandb.init waits 100 s for a network and then ends the run, or asks for a key.
    """
    import wandb

    try:
        if wandb.login(prompt=False, verify=True):
            return None
    except Exception as error:  # also where its service process does not start
        host = wandb.setup().settings.base_url
        if not answers(host):
            return f"{host} does not answer: check the network, or WANDB_BASE_URL"
        return (
            f"{host} does not accept the key ({first_line(error)}): wandb login --relogin, or check "
            "WANDB_BASE_URL"
        )
    return "no key was found: wandb login, or set WANDB_API_KEY"


def answers(url: str) -> bool:
    """Whether a server at `url` speaks HTTP, be it to refuse; one that is down behind a gateway does not."""
    try:
        urlopen(url, timeout=SECONDS).close()
    except HTTPError as error:
        return error.code < 500
    except OSError:
        return False
    return True


def first_line(error: Exception) -> str:
    """What an error says, on one line; its name where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
