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
from topfive.wandb_account import trouble
from topfive.wandb_run import WandbRun, end_previous

HOSTS = ("api.forge.coreweave.com", "api.wandb.ai")  # by default: of wandb 0.31, and before


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
    end_previous()
    if not _wandb_mode(wanted is True):
        return found
    found.append(
        WandbRun(
            project=settings["project"],
            entity=settings["entity"],
            name=f"{config['choices']['model']} seed {config['seed']}",
            id=f"{run_id}-{directory.name}",
            resume="allow",
            save_dir=directory,
            config={**config, "identity": run_id},  # by which the report finds the run
        )
    )
    return found


def _wandb_mode(wanted: bool) -> bool:
    """Whether to log to W&B; settles WANDB_MODE, which child processes inherit."""
    mode = os.environ.get("WANDB_MODE")
    if mode not in (None, "online"):
        return mode != "disabled"
    if mode is None and not wanted and not _key():
        return False
    why = trouble()
    if why is None:
        return True
    os.environ["WANDB_MODE"] = "offline"
    print(f"W&B: {why}. This run is logged offline: send it later with `wandb sync`.")
    return True


def _key() -> bool:
    """Whether W&B can log in without asking; wandb itself, which would know, takes a second to import."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    given = os.environ.get("WANDB_BASE_URL")
    hosts = [urlparse(given).netloc] if given else HOSTS
    try:
        known = netrc.netrc(os.environ.get("NETRC"))
    except (OSError, netrc.NetrcParseError):
        return False
    return any(known.authenticators(host) for host in hosts)
