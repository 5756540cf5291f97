"""Where a run is logged: always to its own CSV curve, and to Weights & Biases when there is a key for it."""

import os
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from topfive.curve import Curve


def loggers(
    settings: dict[str, Any], directory: Path, config: dict[str, Any], run_id: str
) -> list[Logger]:
    """The curve, then W&B where `settings["wandb"]` allows it.

    wandb: "auto" (a key is known, or WANDB_MODE is set), true (offline where there is no key) or false.
    There is never a prompt.
    """
    found: list[Logger] = [Curve(directory / "curve.csv")]
    if settings["wandb"] is False or not _wandb_mode(settings["wandb"]):
        return found
    from pytorch_lightning.loggers import WandbLogger

    found.append(
        WandbLogger(
            project=settings["project"],
            entity=settings["entity"],
            name=f"{config['choices']['model']} seed {config['seed']}",
            id=run_id,
            resume="allow",
            save_dir=directory,
            config=config,
        )
    )
    return found


def _wandb_mode(wanted: bool | str) -> bool:
    """Whether to log to W&B; settles WANDB_MODE, which child processes inherit."""
    if rank_zero_only.rank != 0:
        return False
    mode = os.environ.get("WANDB_MODE")
    if mode is not None:
        return mode != "disabled"
    key = _key()
    if key and _server_answers():
        return True
    if not key and wanted is not True:
        return False
    os.environ["WANDB_MODE"] = "offline"
    why = "the server did not accept the key or did not answer" if key else "no key was found"
    print(f"W&B: {why}; this run is logged offline: send it later with `wandb sync`.")
    return True


def _server_answers() -> bool:
    """Whether the key is accepted; without this, wandb.init waits 100 s for a network and then ends the run."""
    import wandb

    try:
        return bool(wandb.login(prompt=False, verify=True, timeout=10))
    except Exception:
        return False


def _key() -> bool:
    """Whether W&B can log in without asking."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        import netrc

        host = (
            os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("//")[-1].split("/")[0]
        )
        return netrc.netrc().authenticators(host) is not None
    except (OSError, ImportError, SyntaxError):
        return False
