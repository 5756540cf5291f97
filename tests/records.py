"""Records made by hand, for the tests of what is written, found and reported."""

from typing import Any

from topfive.results import Record, Score

RESNET20 = {"depth": 20, "shortcut": "A"}


def record(*scores: Score, **changes: Any) -> Record:
    """ResNet-20 on CIFAR-10 by its paper's recipe, except for `changes`."""
    fields: dict[str, Any] = {
        "identity": "0123456789ab",
        "model": "resnet20",
        "options": RESNET20,
        "recipe": "resnet_cifar",
        "data": "cifar10",
        "ablation": None,
        "seed": 0,
        "scores": scores or (Score("one_view", "test", 10000, 875, 40),),
        "departures": (),
        "trained_on": {"split": "train", "n": 50000, "held_out": 0},
        "iterations": 64000,
        "epochs": 163.84,
        "train": {"loss": 0.01, "top1_error": 0.001},
        "config": {"seed": 0},
        "command": "python train.py model=resnet20",
        "git": {"sha": None, "dirty": None},
        "world_size": 1,
        "device": "a processor",
        "versions": {"torch": "2.9.0"},
        "started": "2026-11-20T12:00:00+00:00",
        "finished": "2026-11-20T13:00:00+00:00",
        "wall_seconds": 3600.0,
        "images_per_second": 2844.4,
        "threads": 1,
    }
    return Record(**fields | changes)
