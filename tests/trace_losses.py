"""Traces of trainings, on any number of processes: the loss of every step, and what each of its samples saw.

trace_losses.py FILE [key=value ...] writes one as JSON; Lightning starts the other ranks by running this
script again, as it does train.py.
"""

import hashlib
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from lightning_fabric.plugins.environments.lightning import find_free_network_port
from torch import Tensor

from topfive import build, classifier
from topfive.config import compose
from topfive.quiet import quiet_lightning
from topfive.runs import CHECKPOINT, Run

Row = tuple[int, str, str]  # of a batch: the sample, digests of its view and of its dropout masks


class Trace(pl.Callback):
    """The mean loss of each step's images, from the sums that the classifier keeps of a window of steps.

    rounds: the rows of every forward pass on this process.
    """

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.rounds: list[list[Row]] = []
        self.masks: list[Tensor] = []
        self.first: dict[str, Tensor] = {}

    def on_train_start(self, trainer, pl_module) -> None:
        self.first = {k: p.detach().clone() for k, p in pl_module.net.named_parameters()}
        self.before = self._sums(trainer, pl_module)
        for dropout in pl_module.dropouts:
            dropout.kept = self._noted(dropout.kept)

    def _noted(self, kept: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def note(x: Tensor) -> Tensor:
            self.masks.append(kept(x))
            return self.masks[-1]

        return note

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        masks = [mask.flatten(1) for mask in self.masks]
        seen = torch.cat(masks, 1) if masks else torch.empty(len(batch.index), 0)
        rows = zip(batch.index.tolist(), batch.images, seen, strict=True)
        self.rounds.append([(index, digest(view), digest(mask)) for index, view, mask in rows])
        self.masks.clear()
        if trainer.fit_loop.epoch_loop._should_accumulate():
            return
        sums = self._sums(trainer, pl_module)
        loss, _, _, images, _ = (sums - self.before).tolist()
        self.losses.append(loss / images)
        closed = trainer.global_step % classifier.WINDOW == 0
        self.before = torch.zeros_like(sums) if closed else sums

    def _sums(self, trainer, pl_module) -> Tensor:
        total: Tensor = trainer.strategy.reduce(pl_module.window.sums.clone(), reduce_op="sum")
        return total

    def still(self, net: torch.nn.Module) -> list[str]:
        """The parameters that training left as they were."""
        return [k for k, p in net.named_parameters() if torch.equal(self.first[k], p)]

    def steps(self, accumulate: int) -> list[list[Row]]:
        """The rows of the global batches: round after round, and in a round device after device."""
        devices = [self.rounds]
        if dist.is_initialized():
            devices = [[]] * dist.get_world_size()
            dist.all_gather_object(devices, self.rounds)
        rounds = [list(chain(*round)) for round in zip(*devices, strict=True)]
        starts = range(0, len(rounds), accumulate)
        return [list(chain(*rounds[k : k + accumulate])) for k in starts]


def digest(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.numpy().tobytes()).hexdigest()[:16]


class Kill(pl.Callback):
    """A power cut ahead of step `at`: this process ends as it stands."""

    def __init__(self, at: int | None):
        self.at = at

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if trainer.global_step == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def nothing() -> None:
    """What is prepared where a test asks for nothing."""


def losses(
    folder: Path,
    *overrides: str,
    resumed: bool = False,
    killed_at: int | None = None,
    prepare: Callable[[], None] = nothing,
) -> dict[str, Any]:
    """Trains in `folder`: loss and rows of every step, and the parameters that did not move."""
    quiet_lightning()
    prepare()
    folder.mkdir(parents=True, exist_ok=True)
    config = compose(
        ["trainer.check_every=1000", *overrides, "trainer.progress=false", "logger=csv"]
    )
    run = Run(folder, folder / CHECKPOINT if resumed else None)
    data = build.data_module(config)
    trainer = build.trainer(config, run, data)
    trace = Trace()
    trainer.callbacks += [trace, Kill(killed_at)]
    module = build.classifier(config, data, trainer, trained=resumed)
    build.resume(run, data, trainer)
    trainer.fit(module, data, ckpt_path=run.checkpoint, weights_only=True)
    return {
        "world_size": trainer.world_size,
        "losses": trace.losses,
        "steps": trace.steps(trainer.accumulate_grad_batches),
        "still": trace.still(module.net),
    }


def traced(
    folder: Path, *overrides: str, devices: int = 1, window: int = classifier.WINDOW, **how: Any
) -> dict[str, Any]:
    """`losses`, on `devices` processes that a launcher started, as torchrun does.

    window: how many steps a row of the curve is of. Raises what `mp.start_processes` does where a
    process fails or is killed.
    """
    # Each process is a fork of one that has imported what takes long.
    multiprocessing.set_forkserver_preload(["topfive.build", "sklearn.datasets"])
    arguments = (folder, overrides, devices, find_free_network_port(), window, how)
    processes = mp.start_processes(_process, arguments, devices, False, start_method="forkserver")
    try:
        while not processes.join():
            pass
    finally:
        for process in processes.processes:
            process.kill()
    found: dict[str, Any] = json.loads((folder / "trace.json").read_text())
    assert found["world_size"] == devices
    return found


def _process(
    rank: int,
    folder: Path,
    overrides: tuple[str, ...],
    devices: int,
    port: int,
    window: int,
    how: dict[str, Any],
) -> None:
    torch.set_num_threads(1)
    classifier.WINDOW = window
    if devices > 1:
        os.environ |= {"LOCAL_RANK": str(rank), "MASTER_PORT": str(port)}
    found = losses(folder, *overrides, f"trainer.devices={devices}", **how)
    if rank == 0:
        (folder / "trace.json").write_text(json.dumps(found))


def main(file: str, *overrides: str) -> None:
    found = losses(Path(file).parent, *overrides)
    if not dist.is_initialized() or dist.get_rank() == 0:
        Path(file).write_text(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
