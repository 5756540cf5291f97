"""Checkpoints that survive: written beside, synced, then renamed; on a schedule and when told to stop."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from topfive.batch_norm import (
    average_running_statistics,
    gathered_running_statistics,
    set_running_statistics,
)
from topfive.checkpoint_files import damage, move_up
from topfive.problems import Problem
from topfive.session import Interrupted, StopSignals


def content(
    file: Path, remedy: str, mmap: bool = False, wanted: str = "state_dict"
) -> dict[str, Any]:
    """All that a checkpoint holds; a Problem with `remedy` where it is damaged or lacks what is `wanted`."""
    try:
        wrong = damage(file)
        if wrong is None:
            found: dict[str, Any] = torch.load(
                file, weights_only=True, map_location="cpu", mmap=mmap
            )
            found[wanted]
            return found
    except Exception as error:
        wrong = type(error).__name__
    raise Problem(f"the checkpoint {file} is damaged or not one of ours ({wrong}): {remedy}")


def read(file: Path, key: str, remedy: str, mmap: bool = False) -> Any:
    """What a checkpoint holds under `key`; as `content`."""
    return content(file, remedy, mmap, key)[key]


class DurableCheckpointIO(TorchCheckpointIO):
    """A checkpoint is complete or absent: a full disk or a power cut leaves the previous one.

    kept: how many there are, 1 or more. One is verified when it is read.
    """

    def __init__(self, kept: int = 1):
        self.kept = kept

    def load_checkpoint(
        self,
        path: str | os.PathLike[str],
        map_location: Any | None = None,
        weights_only: bool | None = True,
    ) -> dict[str, Any]:
        """On the CPU, and never unpickled blindly, whatever is asked."""
        return content(Path(path), "continue from another with resume=FILE, or start anew.")

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | os.PathLike[str],
        storage_options: Any | None = None,
    ) -> None:
        """Raises Problem where the disk takes no more; the previous checkpoint is still there."""
        target = Path(path)
        # One name, not one a process: what a kill leaves behind is overwritten by the next save.
        temporary = target.with_name(f".{target.name}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(temporary, "wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            move_up(target, self.kept - 1)
            os.replace(temporary, target)
            sync_folder(target.parent)
        except (OSError, RuntimeError) as error:
            # torch's zip writer stumbles over what the disk said, and says something else.
            reason = error.__context__ if isinstance(error.__context__, OSError) else error
            raise Problem(
                f"the checkpoint {target} could not be written ({reason}). The one before it, if any, "
                f"is kept: free some space and continue with resume=auto."
            ) from error
        finally:
            with suppress(OSError):
                temporary.unlink()


def sync_folder(folder: Path) -> None:
    """What was renamed in `folder` is so after a power cut, too."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


class Checkpoint(pl.Callback):
    """Saves `path` every `minutes` or `every_n_steps`, at the end, and when told to stop.

    It saves between two steps, when the schedule has heard all that the last one had to tell. Ctrl-C
    and SIGTERM only ask: the step that is being computed is finished first, on all devices alike,
    and rank 0 alone decides. A second Ctrl-C stops at once, without a checkpoint.

    The running statistics in it are averages over the devices; each device's own lie beside them, since to
    go on from the averages would round otherwise than a run that was not stopped.
    """

    def __init__(self, path: Path, minutes: float, every_n_steps: int | None):
        self.path, self.seconds, self.every_n_steps = path, 60.0 * minutes, every_n_steps
        self.saved_at, self.saved_step = time.monotonic(), 0
        self.signals = StopSignals()
        self.running: torch.Tensor | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        # Not earlier: Lightning has set its own handler by now, which would broadcast from within a
        # collective of the step and end the run without a checkpoint.
        self.signals.listen()
        self.saved_at, self.saved_step = time.monotonic(), trainer.global_step
        # Lightning (2.6) goes on counting rounds where the checkpoint stopped: with the one batch that was
        # ready and not started, and in rounds of another length where other devices continue.
        batches = trainer.fit_loop.epoch_loop.batch_progress
        batches.reset()
        batches.increment_by(trainer.global_step * trainer.accumulate_grad_batches)
        # DDP has given all devices the statistics of the first.
        if self.running is not None and len(self.running) == trainer.world_size:
            set_running_statistics(pl_module, self.running[trainer.global_rank])

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        if batch_idx % trainer.accumulate_grad_batches:
            return
        due, number = self._decision(trainer)
        if due or number:
            self._save(trainer, pl_module)
        if number:
            raise Interrupted(number)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._save(trainer, pl_module)
        self.signals.restore()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self.signals.restore()

    def _save(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.running = gathered_running_statistics(pl_module)
        average_running_statistics(pl_module)
        trainer.save_checkpoint(self.path, weights_only=False)
        if self.running is not None:
            set_running_statistics(pl_module, self.running[trainer.global_rank])
        self.saved_at, self.saved_step = time.monotonic(), trainer.global_step

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["running_statistics"] = self.running

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        self.running = checkpoint.get("running_statistics")  # older runs kept none

    def _decision(self, trainer: pl.Trainer) -> tuple[bool, int]:
        """Whether to save, and the signal to stop for: rank 0's word, because saving is collective."""
        step = trainer.global_step
        due = step > self.saved_step and (
            step % self.every_n_steps == 0
            if self.every_n_steps is not None
            else time.monotonic() - self.saved_at > self.seconds
        )
        if trainer.world_size == 1:
            return due, self.signals.number
        word = torch.tensor([due, self.signals.number], device=trainer.strategy.root_device)
        torch.distributed.broadcast(word, src=0)
        return bool(word[0]), int(word[1])
