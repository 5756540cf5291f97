"""The loader that works everywhere: torch's worker processes, Pillow's decoder, the papers' crops."""

import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from topfive import streams
from topfive.crops import Crop
from topfive.datasets import Images, Unreadable
from topfive.datasets.shards import Shards
from topfive.loaders.batch import UNREADABLE, Batch, still
from topfive.loaders.views import cut
from topfive.order import Share, TrainingOrder
from topfive.protocols import SquareViews

# (epoch, sample, crop's draw), a sample being image + copy x images; and the size of the view where it changes
Address = tuple[int, int, int] | tuple[int, int, int, int]
Augment = Callable[[np.ndarray, int, int, int], np.ndarray]  # (view, seed, epoch, sample) to a view
Sizes = Callable[[int], int]  # step to the size of its views
Sample = tuple[np.ndarray, int, int, int, int, int, int, bool]  # the fields of Batch
View = tuple[np.ndarray, int, int]  # view, label, index

log = logging.getLogger(__name__)


def workers(asked: int | None) -> int:
    """Worker processes: as asked, else one for every processor this process may use, at most 8."""
    return min(8, len(os.sched_getaffinity(0))) if asked is None else asked


class TrainingViews(Dataset[Sample]):
    """Sample (epoch, image + copy x images) to its view of that epoch."""

    def __init__(
        self,
        images: Images,
        crop: Crop,
        seed: int,
        crop_purpose: str,
        augment: Augment | None = None,
    ):
        self.images, self.crop, self.seed = images, crop, seed
        self.crop_purpose, self.augment = crop_purpose, augment

    def __getitem__(self, address: Address) -> Sample:
        epoch, sample, draw, *size = address
        crop: Any = self.crop
        crop = replace(crop, size=size[0]) if size else crop
        copy, index = divmod(sample, len(self.images))
        try:
            image = self.images.read(index)
        except Unreadable as error:
            log.warning("%s", error)
            black = np.zeros((self.images.channels, crop.size, crop.size), dtype=np.uint8)
            return black, UNREADABLE, index, copy, epoch, 0, 0, False
        at = (self.seed, self.crop_purpose, epoch, np.array([draw]))
        u = streams.uniform(*at, crop.draws)[0]
        box = crop(image.height, image.width, u)
        view = cut(image, box, crop.size, crop.resizes)
        if self.augment is not None:
            view = self.augment(view, self.seed, epoch, sample)
        left, top = crop.place(image.height, image.width, box)
        return view, int(self.images.labels[index]), index, copy, epoch, left, top, bool(box.flip)


def collate_training(samples: Sequence[Sample]) -> Batch:
    """A list of samples to one Batch."""
    views, *numbers = zip(*samples, strict=True)
    return Batch(torch.from_numpy(np.stack(views)), *map(torch.tensor, numbers))


class WatchedViews(Dataset[View]):
    """Sample number to the view of a protocol of one."""

    def __init__(self, images: Images, ids: np.ndarray, protocol: SquareViews):
        self.images, self.ids, self.protocol = images, ids, protocol

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> View:
        index, size = int(self.ids[row]), self.protocol.size
        try:
            image = self.images.read(index)
        except Unreadable as error:
            log.warning("%s", error)
            black = np.zeros((self.images.channels, size, size), np.uint8)
            return black, UNREADABLE, index
        (box,) = self.protocol(image.height, image.width)
        return cut(image, box, size, self.protocol.resizes), int(self.images.labels[index]), index


def collate_evaluation(samples: Sequence[View]) -> Batch:
    """A list of samples to one Batch."""
    views, labels, index = zip(*samples, strict=True)
    return still(torch.from_numpy(np.stack(views)), torch.tensor(labels), torch.tensor(index))


class Addresses(Sampler[list[Address]]):
    """This device's addresses, one list a round, from `first` to the end of step `steps`."""

    def __init__(
        self,
        order: TrainingOrder,
        share: Share,
        steps: int,
        first: int,
        sizes: Sizes | None = None,
    ):
        self.order, self.share, self.steps, self.first = order, share, steps, first
        self.sizes = sizes

    def __iter__(self) -> Iterator[list[Address]]:
        for step in range(self.first, self.steps):
            addresses = self.order[step]
            for turn in range(self.share.accumulate):
                rows = self.share.rows(self.order.batch, turn)
                size = () if self.sizes is None else (self.sizes(step),)
                columns = (a[rows].tolist() for a in addresses)
                yield [(*address, *size) for address in zip(*columns, strict=True)]

    def __len__(self) -> int:
        # All rounds of the run, the ones before `first` included: Lightning counts from the run's start.
        return self.steps * self.share.accumulate


def leave_ctrl_c_to_the_trainer(_: int) -> None:
    """What a worker process begins with: Ctrl-C is for the process that it works for, one thread is its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def _demand_any_order(images: Images) -> None:
    # Here, because what a worker process raises comes with its stack trace.
    if isinstance(images, Shards):
        images.demand_any_order()


def training(
    images: Images,
    crop: Crop,
    seed: int,
    order: TrainingOrder,
    share: Share,
    steps: int,
    first: int,
    num_workers: int | None,
    pin_memory: bool,
    augment: Augment | None = None,
    sizes: Sizes | None = None,
) -> DataLoader[Sample]:
    """Batches of this device from step `first` on."""
    _demand_any_order(images)
    count = workers(num_workers)
    return DataLoader(
        TrainingViews(images, crop, seed, order.crop_purpose, augment),
        batch_sampler=Addresses(order, share, steps, first, sizes),
        collate_fn=collate_training,
        num_workers=count,
        pin_memory=pin_memory,
        persistent_workers=False,
        worker_init_fn=leave_ctrl_c_to_the_trainer,
    )


def evaluation(
    images: Images,
    ids: np.ndarray,
    protocol: SquareViews,
    batch: int,
    share: Share,
    num_workers: int | None,
    pin_memory: bool,
) -> DataLoader[View]:
    """Every sample of `ids` exactly once over all devices, in the view of a protocol of one."""
    _demand_any_order(images)
    mine = ids[share.rank :: share.world]
    return DataLoader(
        WatchedViews(images, mine, protocol),
        batch_size=batch,
        collate_fn=collate_evaluation,
        num_workers=workers(num_workers),
        pin_memory=pin_memory,
        worker_init_fn=leave_ctrl_c_to_the_trainer,
    )
