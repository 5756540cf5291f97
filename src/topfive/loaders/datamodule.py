"""Which loader serves which split: the LightningDataModule that train.py and evaluate build."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeGuard

import numpy as np
import pytorch_lightning as pl
import torch

from topfive import checkpoints, streams
from topfive.choice import MINIVAL
from topfive.crops import Crop, Shift
from topfive.datasets import Dataset, Images, Pixels
from topfive.datasets.beton import Beton
from topfive.datasets.shards import Shards
from topfive.datasets.subset import draw, hold_out
from topfive.lanes import LaneOrder
from topfive.loaders import memory_loader, torch_loader
from topfive.loaders.batch import Batch
from topfive.loaders.betons import absence
from topfive.loaders.shards_loader import ShardTraining
from topfive.order import Share, TrainingOrder
from topfive.problems import Problem
from topfive.protocols import Both, Dense, OneCrop, OneView, Protocol, SquareViews, TenCrop

Kind = Literal["auto", "torch", "memory", "ffcv", "webdataset"]


@dataclass(frozen=True)
class LoaderSettings:
    """conf/loader: which loader, how many workers, images a device evaluates at once; where shards are."""

    kind: Kind = "auto"
    workers: int | None = None
    evaluation_batch: int = 256
    shards: str | None = None
    cache: str | None = None


def watched(protocol: Protocol, size: int) -> SquareViews:
    """The one view that follows the training of a net tested by `protocol`: of many crops the central one.

    Of the whole image it is the central crop of training's `size`.
    """
    if isinstance(protocol, Both):
        return watched(protocol.parts[0], size)
    if isinstance(protocol, Dense):
        return OneCrop(size, max(size, min(protocol.shorters)))
    assert isinstance(protocol, SquareViews)
    if protocol.views == 1:
        return protocol
    shorter = protocol.shorter if isinstance(protocol, TenCrop) else min(protocol.shorters)  # type: ignore[attr-defined]
    return OneCrop(protocol.size, shorter)


class DataModule(pl.LightningDataModule):
    """Builds loaders when Lightning asks, because only then rank and world size are known.

    train_ids: the part that trains; minival_ids: the part held out from it (may be empty).
    A candidate (part["candidate"]) has the minival for its reported set, and no other; a Problem
    where nothing is held out for it.
    """

    def __init__(
        self,
        dataset: Dataset,
        part: dict[str, Any],
        held_out: int,
        crop: Crop,
        protocol: Protocol,
        batch: int,
        reshuffle: bool,
        distorted_copies: int,
        seed: int,
        settings: LoaderSettings,
        crop_shared_by: int = 1,
        augment: torch_loader.Augment | None = None,
    ):
        super().__init__()
        self.dataset, self.crop, self.protocol = dataset, crop, protocol
        self.batch, self.seed, self.settings = batch, seed, settings
        self.steps: int | None = None  # known once the recipe's lengths are laid on this set's size
        self.augment = augment
        self.sizes: torch_loader.Sizes | None = None  # known then too
        part_seed = part["subset_seed"]
        self.train_ids = draw(dataset.train, part_seed, part["fraction"], part["per_class"])
        self.minival_ids = np.empty(0, dtype=np.int64)
        if held_out:
            self.train_ids, self.minival_ids = hold_out(
                dataset.train, self.train_ids, part_seed, held_out
            )
        self.candidate = bool(part.get("candidate"))  # older runs were made without the key
        if self.candidate:
            if not held_out:
                raise Problem(
                    "data.candidate=true tests on images that are held out from train, and data.minival "
                    "holds out none: give it a number of images."
                )
            # Whatever asks for the reported set from here on cannot get it.
            minival = dataset.train.take(self.minival_ids)
            self.dataset = replace(dataset, reported=minival, reported_name=MINIVAL)
        copies = [self.train_ids + k * len(dataset.train) for k in range(1 + distorted_copies)]
        ids = np.concatenate(copies)
        self.order = self._order(ids, part, reshuffle, crop_shared_by)
        self.first = 0  # step at which training starts; a resumed run sets it
        self._check(dataset.train, crop)

    def _order(
        self, ids: np.ndarray, part: dict[str, Any], reshuffle: bool, crop_shared_by: int
    ) -> TrainingOrder:
        drawn, images = (ids, self.batch, self.seed, reshuffle, crop_shared_by), self.dataset.train
        if self.settings.kind != "webdataset":
            return TrainingOrder(*drawn)
        if "shuffle" not in part:
            raise Problem("data.shuffle is missing, which loader=webdataset brings: choose it so.")
        assert isinstance(images, Shards)
        return LaneOrder(*drawn, shards=images.shards[ids % len(images)], **part["shuffle"])

    def resume(self, checkpoint: Path | None) -> None:
        """Training starts where `checkpoint` left off; raises Problem where it is damaged."""
        if checkpoint is None:
            return
        remedy = "name another with resume=FILE, or start anew without resume."
        self.first = checkpoints.read(checkpoint, "global_step", remedy, mmap=True)

    def _check(self, images: Images, crop: Crop) -> None:
        if self.settings.kind == "memory" and not (
            isinstance(images, Pixels) and isinstance(crop, Shift)
        ):
            raise Problem(
                "loader=memory holds sets of equal small images (mnist, cifar10, cifar100, digits) and "
                "crops whole pixels; this data or recipe needs loader=torch."
            )
        if self.settings.kind == "memory" and self.augment is not None:
            raise Problem(
                "loader=memory cannot change the pixels of an image, as recipe.augment does: choose "
                "loader=torch, or '~recipe.augment'."
            )

    def in_memory(self, images: Images, geometry: Crop | Protocol) -> bool:
        """Whether the memory loader serves this split."""
        fits = isinstance(images, Pixels) and isinstance(geometry, Shift | OneView)
        if isinstance(geometry, Shift):  # which training views alone have
            fits = fits and self.augment is None and self.sizes is None
        return fits and self.settings.kind != "torch"

    def natively(self, images: Images) -> TypeGuard[Beton]:
        """Whether FFCV's loader serves this split."""
        wanted = self.settings.kind in ("auto", "ffcv") and self.augment is None
        return wanted and isinstance(images, Beton) and images.channels == 3 and not absence()

    @property
    def threads(self) -> int:
        """Threads that decode for this process."""
        assert self.trainer is not None
        if self.settings.workers is not None:
            return max(1, self.settings.workers)
        return max(1, len(os.sched_getaffinity(0)) // self.trainer.num_devices)

    @property
    def share(self) -> Share:
        assert self.trainer is not None
        return Share(
            self.trainer.global_rank, self.trainer.world_size, self.trainer.accumulate_grad_batches
        )

    @property
    def device(self) -> torch.device:
        assert self.trainer is not None
        return self.trainer.strategy.root_device

    def train_dataloader(self) -> Iterable[Batch]:
        assert self.steps is not None
        return self.training(self.first, self.steps)

    def training(self, first: int, end: int) -> Iterable[Batch]:
        """This device's batches of the steps from `first` to before `end`."""
        images, share = self.dataset.train, self.share
        settings = (self.seed, self.order, share, end, first)
        if self.in_memory(images, self.crop):
            assert isinstance(images, Pixels)
            assert isinstance(self.crop, Shift)
            return memory_loader.MemoryTraining(images, self.crop, *settings, self.device)
        if self.natively(images):
            from topfive.loaders.ffcv_loader import FFCVTraining

            return FFCVTraining(images, self.crop, *settings, self.threads, self.device, self.sizes)
        pin = self.device.type == "cuda"
        how = (self.settings.workers, pin, self.augment, self.sizes)
        if isinstance(self.order, LaneOrder):
            assert isinstance(images, Shards)
            return ShardTraining(images, self.crop, self.seed, self.order, share, end, first, *how)
        return torch_loader.training(images, self.crop, *settings, *how)

    def val_dataloader(self) -> list[Iterable[Batch]]:
        protocol = watched(self.protocol, self.crop.size)
        reported = self.dataset.reported
        loaders = [self._evaluation(reported, np.arange(len(reported)), protocol)]
        if len(self.watched_splits) > 1:
            loaders.append(self._evaluation(self.dataset.train, self.minival_ids, protocol))
        return loaders

    @property
    def watched_splits(self) -> tuple[str, ...]:
        """What each of the loaders that follow the training reads."""
        if self.candidate:
            return (MINIVAL,)
        return ("reported", MINIVAL) if len(self.minival_ids) else ("reported",)

    def _evaluation(
        self, images: Images, ids: np.ndarray, protocol: SquareViews
    ) -> Iterable[Batch]:
        batch, share = self.settings.evaluation_batch, self.share
        if self.in_memory(images, protocol):
            assert isinstance(images, Pixels)
            return memory_loader.MemoryEvaluation(
                images, ids, protocol.size, batch, share, self.device
            )
        if self.natively(images):
            from topfive.loaders.ffcv_loader import FFCVEvaluation

            return FFCVEvaluation(images, ids, protocol, batch, share, self.threads, self.device)
        pin = self.device.type == "cuda"
        return torch_loader.evaluation(
            images, ids, protocol, batch, share, self.settings.workers, pin
        )

    def sample(self, count: int, when: int) -> Batch:
        """`count` training views drawn by (seed, when), for estimates over the training set.

        Raises Problem where the set or the crop is none that the memory loader serves.
        """
        images = self.dataset.train
        if not (isinstance(images, Pixels) and isinstance(self.crop, Shift)):
            raise Problem(
                "recipe.online draws samples of a set of equal small images and crops whole pixels: choose "
                "data=mnist or data=digits, or another recipe for this data."
            )
        ids = streams.permutation(self.seed, "sample", when, len(self.train_ids))[:count]
        order = TrainingOrder(self.train_ids[np.sort(ids)], count, self.seed)
        loader = memory_loader.MemoryTraining(
            images, self.crop, self.seed, order, Share(), 1, 0, self.device
        )
        return next(iter(loader))
