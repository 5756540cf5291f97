"""Checkpoints that survive: written beside, synced, then renamed; on a schedule and when told to stop."""

import os
import signal
import time
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from topfive.batch_norm import average_running_statistics
from topfive.problems import Problem


class DurableCheckpointIO(TorchCheckpointIO):
    """A checkpoint is complete or absent: a full disk or a power cut leaves the previous one."""

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | os.PathLike[str],
        storage_options: Any | None = None,
    ) -> None:
        """Raises Problem where the disk takes no more; the previous checkpoint is then still there."""
        target = Path(path)
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except (OSError, RuntimeError) as error:  # torch's zip writer wraps what the disk says
            temporary.unlink(missing_ok=True)
            raise Problem(
                f"the checkpoint {target} could not be written ({error}). The one before it is kept: free some "
                f"space and continue with resume={target.parent}."
            ) from error


class Interrupted(BaseException):
    """Training was asked to stop by signal `number` and has saved its state."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


class Checkpoint(pl.Callback):
    """Saves `path` every `minutes` or `every_n_steps`, and once more when Ctrl-C or SIGTERM ask to stop.

    A signal only asks: the step that is being computed is finished first, on all devices alike, and rank 0
    alone decides. A second signal stops at once, without a checkpoint.
    """

    def __init__(self, path: Path, minutes: float, every_n_steps: int | None):
        self.path, self.seconds, self.every_n_steps = path, 60.0 * minutes, every_n_steps
        self.saved_at = time.monotonic()
        self.signal = 0

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        def ask_to_stop(number: int, frame: FrameType | None) -> None:
            if self.signal:
                raise KeyboardInterrupt
            self.signal = number

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, ask_to_stop)
        self.saved_at = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object
    ) -> None:
        if trainer.fit_loop._should_accumulate():
            return
        due, number = self._decision(trainer)
        if due or number:
            average_running_statistics(pl_module)
            trainer.save_checkpoint(self.path, weights_only=False)
            self.saved_at = time.monotonic()
        if number:
            raise Interrupted(number)

    def _decision(self, trainer: pl.Trainer) -> tuple[bool, int]:
        """Whether to save, and the signal to stop for: rank 0's word, because saving is collective."""
        step = trainer.global_step
        due = step == trainer.max_steps or (
            step % self.every_n_steps == 0
            if self.every_n_steps is not None
            else time.monotonic() - self.saved_at > self.seconds
        )
        if trainer.world_size == 1:
            return due, self.signal
        word = torch.tensor([due, self.signal], device=trainer.strategy.root_device)
        torch.distributed.broadcast(word, src=0)
        return bool(word[0]), int(word[1])
