"""Runs of seconds for tests of callbacks: a residual network of 8 layers on digits."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

from topfive import build
from topfive.classifier import Classifier
from topfive.config import compose
from topfive.loaders.datamodule import DataModule
from topfive.quiet import quiet_lightning
from topfive.runs import CHECKPOINT, Run

ROOT = Path(__file__).parents[1]
# 80 images in batches of 16: an epoch, and a look at the reported set, every 5 steps.
SMALL = [
    "model=resnet20", "model.depth=8", "data=digits", "data.per_class=8", "recipe.crop.size=8",
    "recipe.crop.by=1", "recipe.batch_size=16", "recipe.bn_batch=8", "recipe.duration={iterations:12}",
    "recipe.schedule.at={iterations:[7,10]}", "trainer.accelerator=cpu", "trainer.progress=false",
    "logger=csv",
]  # fmt: skip

# Entries of recipe.callbacks, of a length in iterations and of a number of images.
AVERAGE = (
    "average:{_target_:topfive.callbacks.weight_averaging.ExponentialAverage,over:{iterations:%s}}"
)
STATISTICS = (
    "statistics:{_target_:topfive.callbacks.precise_statistics.PreciseStatistics,images:%s}"
)
# Lightning does not know that our loaders start at any step.
RESUMED = "ignore:.*your dataloader is not resumable"


def callbacks(*entries: str) -> str:
    """The override that gives a recipe these callbacks, in this order."""
    return "+recipe.callbacks={" + ",".join(entries) + "}"


class Killed(BaseException):
    """As a kill, it leaves no checkpoint behind."""


class Watch(pl.Callback):
    """Does what a test asks for before every step, and after it when its update is made."""

    def __init__(self, before: Callable[[int], None], after: Callable[[int], None]):
        self.before, self.after, self.done = before, after, 0

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        self.before(trainer.global_step)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        if trainer.global_step > self.done:
            self.done = trainer.global_step
            self.after(self.done)


def nothing(_: object) -> None:
    """What is done where a test asks for nothing."""


def fit(
    folder: Path,
    *overrides: str,
    resumed: bool = False,
    killed_at: int | None = None,
    prepare: Callable[[Classifier], None] = nothing,
    after: Callable[[Classifier, int], None] = lambda module, step: None,
) -> tuple[Classifier, DataModule]:
    """What train.py does, up to the end of training; raises Killed ahead of step `killed_at`."""
    quiet_lightning()
    config = compose([*SMALL, *overrides])
    run = Run(folder, folder / CHECKPOINT if resumed else None)
    data = build.data_module(config)
    trainer = build.trainer(config, run, data)
    module = build.classifier(config, data, trainer, trained=resumed)
    prepare(module)
    build.resume(run, data, trainer)

    def kill(step: int) -> None:
        if step == killed_at:
            raise Killed

    trainer.callbacks.append(Watch(kill, lambda step: after(module, step)))
    trainer.fit(module, data, ckpt_path=run.checkpoint, weights_only=True)
    return module, data


def killed_and_resumed(folder: Path, at: int, *overrides: str) -> tuple[Classifier, DataModule]:
    """Killed ahead of step `at`, and gone on with from the checkpoint of two steps before."""
    every = f"trainer.checkpoint_every={at - 2}"
    with pytest.raises(Killed):
        fit(folder, *overrides, every, killed_at=at)
    return fit(folder, *overrides, every, resumed=True)


def train(monkeypatch: pytest.MonkeyPatch, folder: Path, *overrides: str) -> Path:
    """train.py itself, in this process; its directory."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["train.py", *SMALL, *overrides, "hydra.run.dir=run"])
    runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
    return folder / "run"


def saved(folder: Path) -> dict[str, torch.Tensor]:
    """The weights and buffers of a run's checkpoint, as they are tested."""
    state: dict[str, torch.Tensor] = torch.load(folder / CHECKPOINT, weights_only=True)[
        "state_dict"
    ]
    return state


def equal(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    """Bit for bit."""
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in theirs)
