"""The loader for sets that lie in shards, near or far: every worker process reads its own lanes, once, in sequence."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from topfive.crops import Crop
from topfive.datasets.shards import Shards
from topfive.lanes import LaneOrder
from topfive.loaders.batch import Batch
from topfive.loaders.torch_loader import (
    Augment,
    Sizes,
    TrainingViews,
    collate_training,
    leave_ctrl_c_to_the_trainer,
    workers,
)
from topfive.order import Share
from topfive.problems import Problem


class Pieces(IterableDataset[Batch | Problem]):
    """The pieces of a device's batches, step by step and lane by lane; a worker makes every n-th of them.

    What goes wrong is the last piece: torch would hand it on with the worker's stack trace in its message.
    """

    def __init__(
        self,
        images: Shards,
        crop: Crop,
        seed: int,
        order: LaneOrder,
        share: Share,
        steps: int,
        first: int,
        augment: Augment | None,
        sizes: Sizes | None,
    ):
        self.images, self.order, self.share = images, order, share
        self.first, self.steps, self.sizes = first, steps, sizes
        self.held: dict[int, bytes] = {}
        passing = replace(images, held=self.held)
        self.views = TrainingViews(passing, crop, seed, order.crop_purpose, augment)

    def lanes(self) -> list[int]:
        """This device's lanes, in the order in which they come in every step."""
        turns = range(self.share.accumulate)
        return [lane for turn in turns for lane in self.order.lanes_of(self.share, turn)]

    def __iter__(self) -> Iterator[Batch | Problem]:
        info = get_worker_info()
        number, count = (0, 1) if info is None else (info.id, info.num_workers)
        lanes = self.lanes()
        pieces = ((step, lane) for step in range(self.first, self.steps) for lane in lanes)
        try:
            yield from self._made(islice(pieces, number, None, count))
        except Problem as problem:
            yield problem

    def _made(self, pieces: Iterable[tuple[int, int]]) -> Iterator[Batch]:
        passages: dict[int, Iterator[bytes]] = {}
        for step, lane in pieces:
            if lane not in passages:
                windows = self.order.parts[lane].passage(self.first, self.steps)
                passages[lane] = contents(self.images, windows)
            yield self._piece(step, lane, passages[lane])

    def _piece(self, step: int, lane: int, passage: Iterator[bytes]) -> Batch:
        size = () if self.sizes is None else (self.sizes(step),)
        columns = (column.tolist() for column in self.order.piece(step, lane))
        samples = []
        for epoch, sample, crop in zip(*columns, strict=True):
            self.held.clear()
            self.held[sample % len(self.images)] = next(passage)
            samples.append(self.views[epoch, sample, crop, *size])
        return collate_training(samples)


def contents(images: Shards, windows: Iterable[np.ndarray]) -> Iterator[bytes]:
    """The bytes of the samples of all windows, in their order; the next window is read meanwhile, and no more."""

    def read(window: np.ndarray) -> tuple[np.ndarray, dict[int, bytes]]:
        index = window % len(images)
        return index, images.contents(np.unique(index))

    with ThreadPoolExecutor(1) as pool:
        ahead = None
        for window in windows:
            now, ahead = ahead, pool.submit(read, window)
            if now is not None:
                index, found = now.result()
                yield from (found[i] for i in index.tolist())
        if ahead is not None:
            index, found = ahead.result()
            yield from (found[i] for i in index.tolist())


class ShardTraining:
    """Batches of this device from step `first` on; raises Problem where it would have no whole lanes.

    As many worker processes as asked for, or fewer, so that each has the same number of lanes.
    """

    def __init__(
        self,
        images: Shards,
        crop: Crop,
        seed: int,
        order: LaneOrder,
        share: Share,
        steps: int,
        first: int,
        num_workers: int | None,
        pin_memory: bool,
        augment: Augment | None = None,
        sizes: Sizes | None = None,
    ):
        self.pieces = Pieces(images, crop, seed, order, share, steps, first, augment, sizes)
        lanes = len(self.pieces.lanes())
        asked = workers(num_workers)
        self.workers = max((n for n in range(1, asked + 1) if lanes % n == 0), default=0)
        self.together = lanes // share.accumulate
        self.rounds, self.pin_memory = steps * share.accumulate, pin_memory

    def __len__(self) -> int:
        # All rounds of the run, the ones before `first` included: Lightning counts from the run's start.
        return self.rounds

    def __iter__(self) -> Iterator[Batch]:
        pieces = iter(
            DataLoader(
                self.pieces,
                batch_size=None,
                num_workers=self.workers,
                worker_init_fn=leave_ctrl_c_to_the_trainer,
            )
        )
        while batch := [_sound(piece) for piece in islice(pieces, self.together)]:
            fields = (torch.cat(field) for field in zip(*batch, strict=True))
            yield Batch(*(field.pin_memory() if self.pin_memory else field for field in fields))


def _sound(piece: Batch | Problem) -> Batch:
    if isinstance(piece, Problem):
        raise piece
    return piece
