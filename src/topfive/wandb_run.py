"""A run as Weights & Biases sees it: no trouble there ends the run or holds it up for long."""

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.utilities import rank_zero_only

from topfive.wandb_account import first_line

INIT_SECONDS = 30
FINISH_SECONDS = 120


def end_previous() -> None:
    """Ends the run of a job of this multirun that failed: Lightning would go on in it."""
    wandb = sys.modules.get("wandb")  # a second to import
    if wandb is not None and wandb.run is not None:
        try:
            wandb.run.finish(exit_code=1)
        except Exception:
            _start_over()


def _start_over() -> None:
    """Lets go of W&B's process, which may be dead, or hold a run that was refused."""
    import wandb

    with suppress(Exception, SystemExit):
        wandb.teardown()
    wandb.run = None


class WandbRun(WandbLogger):
    """Lightning's logger, except that the first failure is told in one line and the run goes on without it.

    Takes the arguments of wandb.init.
    """

    def __init__(self, **arguments: Any):
        import wandb

        limits = wandb.Settings(init_timeout=INIT_SECONDS, finish_timeout=FINISH_SECONDS)
        super().__init__(settings=limits, **arguments)
        self.failed = False

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        log = super().log_metrics
        self._spared(lambda: log(metrics, step))

    @rank_zero_only
    def conclude(self, summary: Callable[[], Mapping[str, Any]]) -> None:
        """Adds `summary` to that of the run, and ends it."""

        def finish() -> None:
            self.experiment.summary.update(summary())
            self.experiment.finish()

        self._spared(finish)

    def _spared(self, action: Callable[[], None]) -> None:
        if self.failed:
            return
        try:
            self._start()
            action()
        except Exception as error:  # whatever its service process died of
            self.failed = True
            print(f"W&B: {first_line(error)}; the run goes on without it.", flush=True)

    def _start(self) -> None:
        """Offline where the server takes the key but not the run: another's entity, a full account."""
        import wandb

        try:
            _ = self.experiment
        except wandb.Error as error:
            _start_over()
            self._wandb_init["mode"] = "offline"
            _ = self.experiment
            print(
                f"W&B: {first_line(error)}; this run is logged offline: send it later with "
                "`wandb sync`.",
                flush=True,
            )
