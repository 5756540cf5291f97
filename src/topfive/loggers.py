"""Where a run is logged: always to its own CSV curve, and to Weights & Biases where there is a key."""

import netrc
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from topfive.curve import Curve
from topfive.problems import Problem


def loggers(
    settings: dict[str, Any], directory: Path, config: dict[str, Any], run_id: str
) -> list[Logger]:
    """The curve, then W&B where `settings["wandb"]` allows it.

    wandb: "auto" (a key is known, or WANDB_MODE is set), true (offline where there is no key) or
    false. There is never a prompt. `run_id` and the directory's name make the id of the W&B run, so
    that a resumed run goes on in it and a repeated one gets its own.
    """
    wanted = settings["wandb"]
    if wanted not in ("auto", True, False):
        raise Problem(f"logger.wandb={wanted}: expected auto, true or false.")
    found: list[Logger] = [Curve(directory / "curve.csv")]
    if wanted is False or rank_zero_only.rank != 0:  # type: ignore[attr-defined]
        return found
    if not _wandb_mode(wanted is True):
        return found
    from pytorch_lightning.loggers import WandbLogger

    found.append(
        WandbLogger(
            project=settings["project"],
            entity=settings["entity"],
            name=f"{config['choices']['model']} seed {config['seed']}",
            id=f"{run_id}-{directory.name}",
            resume="allow",
            save_dir=directory,
            config=config,
        )
    )
    return found


def _wandb_mode(wanted: bool) -> bool:
    """Whether to log to W&B; settles WANDB_MODE, which child processes inherit."""
    mode = os.environ.get("WANDB_MODE")
    if mode not in (None, "online"):
        return mode != "disabled"
    key = _key()
    if key and _server_answers():
        return True
    if not key and not wanted and mode is None:
        return False
    os.environ["WANDB_MODE"] = "offline"
    why = "the server did not accept the key or did not answer" if key else "no key was found"
    print(f"W&B: {why}; this run is logged offline: send it later with `wandb sync`.")
    return True


def _server_answers() -> bool:
    """Whether the key is accepted.

    Without this, wandb.init waits 100 s for a network and then ends the run.
    """
    import wandb

    try:
        return wandb.login(prompt=False, verify=True, timeout=10)
    except Exception:
        return False


def _key() -> bool:
    """Whether W&B can log in without asking."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False
