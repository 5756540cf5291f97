"""How many images a run trains and is tested on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from topfive.clock import Clock
from topfive.problems import Problem
from topfive.rates import listens


@dataclass(frozen=True)
class DataSet:
    """train, test: images. shape: (height, width) of a usual one. gigabytes: on disk, as data/README.md has it."""

    train: int
    test: int
    classes: int
    shape: tuple[int, int]
    gigabytes: float


# ImageNet: 155 GB of files, and 142 GB of .beton files of lossless tiles; most of its images are 500 x 375.
SETS = {
    "mnist": DataSet(60_000, 10_000, 10, (28, 28), 0.066),
    "cifar10": DataSet(50_000, 10_000, 10, (32, 32), 0.186),
    "cifar100": DataSet(50_000, 10_000, 100, (32, 32), 0.186),
    "imagenet": DataSet(1_281_167, 50_000, 1000, (375, 500), 155 + 142),
}


def data_set(name: str) -> DataSet:
    """Of that name in conf/data; a Problem for a set whose size its configuration does not tell."""
    if name not in SETS:
        raise Problem(f"data={name}: only sets of known size are planned: {', '.join(SETS)}.")
    return SETS[name]


def images(config: Mapping[str, Any]) -> int:
    """How many a composed configuration shows in training, with repetition, laid as build.clock does.

    A schedule that listens holds a minival out.
    """
    recipe, data = config["recipe"], config["data"]
    held_out = data["minival"] if listens(recipe) or data["candidate"] else 0
    part = round(data_set(config["choices"]["data"]).train * (data["fraction"] or 1)) - held_out
    updates = recipe["online"]["block"] if recipe["online"] else 1
    whole = Clock(part * (1 + recipe["distorted_copies"]), recipe["batch_size"], updates)
    shorten = recipe["shorten"]
    if isinstance(shorten, dict):
        steps = min(whole.steps(recipe["duration"]), whole.steps(shorten))
    else:
        steps = max(1, round(whole.steps(recipe["duration"]) / shorten))
    return int(steps * updates * recipe["batch_size"])
