"""From a trained network and a split to the predictions under several protocols, on any number of devices."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from topfive.crops import Filter
from topfive.datasets import Dataset, Images, Unreadable
from topfive.evaluation.averages import Averages
from topfive.evaluation.conclusion import kept
from topfive.evaluation.cost import Cost, cost, seconds
from topfive.evaluation.evaluator import Evaluator
from topfive.evaluation.parts import Parts
from topfive.evaluation.sources import Sourced, Sources, loader
from topfive.identity import digest
from topfive.loaders.datamodule import LoaderSettings
from topfive.predictions import Predictions
from topfive.problems import Problem
from topfive.protocols import Protocol
from topfive.results import Json, Score
from topfive.trained import Trained

ROUNDING = "resized sides to the nearest pixel, half up; offsets of views down"


@dataclass(frozen=True)
class Split:
    """What is tested on. labels: int64 (n,), numbers of the network's outputs; `data` and `name` for results."""

    images: Images
    labels: np.ndarray
    classes: Sequence[str]
    data: str
    name: str

    @classmethod
    def reported(cls, dataset: Dataset, data: str) -> "Split":
        """The set that errors are reported on."""
        images = dataset.reported
        return cls(images, images.labels, dataset.classes, data, dataset.reported_name)


class Rest(pl.LightningDataModule):
    """This device's share of the images that have no answers yet."""

    def __init__(self, split: Split, sources: Sources, parts: Parts, settings: LoaderSettings):
        super().__init__()
        self.split, self.sources, self.parts, self.settings = split, sources, parts, settings

    def predict_dataloader(self) -> DataLoader[Sourced]:
        assert self.trainer is not None
        # One process looks, because another may write before the last has looked.
        done = self.trainer.strategy.broadcast(self.parts.done())
        rest = np.setdiff1d(np.arange(len(self.split.images)), done)
        if len(done) and self.trainer.is_global_zero:
            print(f"{len(done):,} images were tested before; {len(rest):,} are left", flush=True)
        self.sources.ids = rest[self.trainer.global_rank :: self.trainer.world_size]
        return loader(self.sources, self.settings.workers)

    def transfer_batch_to_device(self, batch: Any, *_: Any) -> Any:
        """As it is: images are moved one by one, and their views cut there."""
        return batch


class Announced(pl.Callback):
    """Says what the test will take, when the network is where it will run."""

    def __init__(self, found: Cost, trained: Trained, images: int):
        self.found, self.trained, self.images = found, trained, images

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero:
            return
        kind = min(self.found.kinds, key=lambda kind: self.found.each[kind])
        height, width = kind.size
        pixels = 224**2 * (32 if pl_module.device.type == "cuda" else 1)
        shape = (max(1, pixels // (height * width)), self.trained.channels, height, width)
        blank = torch.zeros(shape, dtype=torch.uint8, device=pl_module.device)
        with trainer.precision_plugin.predict_step_context():
            sample = self.trained.pipeline(blank, None, pl_module.dtype)
            spent = seconds(self.found, self.trained.net, sample)
        print(self.found.sentence(self.images, spent, trainer.world_size), flush=True)


def counts(
    trained: Trained,
    split: Split,
    protocols: Sequence[Protocol],
    averages: Averages,
    trainer: pl.Trainer,
    settings: LoaderSettings,
    folder: Path,
    about: Mapping[str, Json],
    filter: Filter | None = None,
) -> list[Score]:
    """Counts under each of `protocols`, from the first process (the others get none), and predictions on file.

    `folder` keeps both what is found meanwhile, so that a test that was killed goes on, and the files. settings:
    evaluation_batch views of the training's size go through the network at once, of larger ones fewer. filter:
    instead of the network's own, which results then say. Raises Problem where a protocol asks for views that the
    network cannot take.
    """
    asked = tuple(protocols)
    other = "" if filter in (None, trained.filter) else f"+{filter}"
    trained = trained if filter is None else replace(trained, filter=filter)
    names = {f"{averages.name(protocol)}{other}": protocol.views for protocol in asked}
    outputs = len(split.classes)
    found = cost(trained, asked, averages, _shape(split.images), outputs)
    sources = Sources(split.images, np.empty(0, np.int64), asked, averages, trained.filter)
    side: int = trained.config["recipe"]["crop"]["size"]
    parts = Parts(folder, _name(trained, split, asked, averages, trainer))
    pixels = settings.evaluation_batch * side**2
    module = Evaluator(trained, asked, averages, sources, parts, outputs, pixels)
    before: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # Lightning's list
    trainer.callbacks = [*before, Announced(found, trained, len(split.images))]  # type: ignore[attr-defined]
    rest = Rest(split, sources, parts, settings)
    try:
        trainer.predict(module, datamodule=rest, return_predictions=False)
    finally:
        trainer.callbacks = before  # type: ignore[attr-defined]
        module.signals.restore()
    if not trainer.is_global_zero:
        return []
    scores = kept(_predictions(trained, split, names, parts, about), folder)
    parts.remove()
    return scores


def _predictions(
    trained: Trained,
    split: Split,
    names: Mapping[str, int],
    parts: Parts,
    about: Mapping[str, Json],
) -> list[Predictions]:
    whole = parts.whole(len(split.images))
    images = [split.images.id(index) for index in range(len(split.images))]
    how: dict[str, Json] = {"filter": trained.filter, "rounding": ROUNDING}
    return [
        Predictions(
            images=images,
            labels=split.labels,
            readable=whole.readable,
            top5=whole.top5[:, column],
            probabilities=whole.probabilities[:, column],
            classes=split.classes,
            about={
                **about,
                "data": split.data,
                "split": split.name,
                "protocol": name,
                "views": views,
                **how,
            },
        )
        for column, (name, views) in enumerate(names.items())
    ]


def _shape(images: Images) -> tuple[int, int]:
    """Of the first image that can be read, for an estimate."""
    for index in range(min(100, len(images))):
        try:
            image = images.read(index)
        except Unreadable:
            continue
        return image.height, image.width
    raise Problem(f"not one of the first {min(100, len(images))} images can be decoded.")


def _name(
    trained: Trained,
    split: Split,
    protocols: Sequence[Protocol],
    averages: Averages,
    trainer: pl.Trainer,
) -> str:
    """A digest of all that decides the answers."""
    return digest(
        [
            _fingerprint(trained.net, trained.pipeline),
            split.images.fingerprint(),
            split.name,
            [repr(protocol) for protocol in protocols],
            repr(averages),
            trained.filter,
            str(trainer.precision),
            trained.config["model"],
        ]
    )


def _fingerprint(*modules: nn.Module) -> str:
    found = hashlib.blake2b(digest_size=8)
    for module in modules:
        for name, tensor in module.state_dict().items():
            found.update(name.encode())
            flat = tensor.detach().cpu().contiguous().flatten()
            found.update(flat.view(torch.uint8).numpy().data)
    return found.hexdigest()
