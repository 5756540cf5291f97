"""Which samples make up which batch where shards are read one after another: lanes, each a pass over its own.

What reads shards in sequence cannot shuffle a whole set. So every batch is made of `lanes` equal pieces, of
which each comes from a lane that owns a part of the shards and shuffles within a window of them. Lanes belong
to the data, not to the machine: whatever the number of devices and workers, step k holds the same samples, and
who has a lane reads no other lane's shards.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import numpy as np

from topfive import streams
from topfive.order import Share, TrainingOrder
from topfive.problems import Problem


@dataclass(kw_only=True)
class Lane(TrainingOrder):
    """The samples of lane `number`: `ids`, of which `batch` go into every step.

    shards: int64, of each of ids the shard that holds it. In every pass the shards come in a new order,
    `window` of them at a time, whose samples are shuffled together. Passes follow one another without a
    seam, so that each sample is seen exactly once in each.
    """

    shards: np.ndarray
    window: int
    number: int

    def windows(self, epoch: int) -> list[np.ndarray]:
        """The ids of pass `epoch` in their order, in as many pieces as there are windows."""
        when = epoch if self.reshuffle else 0
        names, shard = np.unique(self.shards, return_inverse=True)
        at = (self.seed, f"shards of lane {self.number}", when)
        window = streams.permutation(*at, len(names))[shard] // self.window
        order = streams.permutation(self.seed, f"order of lane {self.number}", when, len(self.ids))
        order = order[np.argsort(window[order], kind="stable")]
        return np.split(self.ids[order], np.flatnonzero(np.diff(window[order])) + 1)

    def shuffled(self, number: int) -> np.ndarray:
        return np.concatenate(self.windows(number))

    def passage(self, first: int, end: int) -> Iterator[np.ndarray]:
        """The ids of the steps from `first` to before `end`, window by window."""
        left = (end - first) * self.batch
        epoch, skipped = divmod(first * self.batch, len(self.ids))
        for number in count(epoch):
            for window in self.windows(number):
                part = window[skipped : skipped + left]
                skipped = max(0, skipped - len(window))
                left -= len(part)
                if len(part):
                    yield part
                if not left:
                    return


@dataclass(kw_only=True)
class LaneOrder(TrainingOrder):
    """The samples of every step, rows [i * batch / lanes : (i + 1) * batch / lanes] from lane i.

    shards: int64, of each of ids the shard that holds it. A lane owns neighboring shards and the same ones in
    all epochs; where they do not come out even, two lanes share one. Lanes differ by one sample at most, so
    their epochs end within a step of one another, and drift apart by one sample an epoch where the set does
    not divide: none is dropped, none is doubled. Raises Problem where the batch does not divide by the lanes,
    or there are fewer samples than lanes.
    """

    shards: np.ndarray
    lanes: int
    window: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lanes < 1 or self.window < 1:
            raise Problem(
                f"data.shuffle.lanes={self.lanes} data.shuffle.window={self.window}: expected 1 or more of each."
            )
        if self.batch % self.lanes:
            raise Problem(
                f"recipe.batch_size={self.batch} does not divide by data.shuffle.lanes={self.lanes}: choose "
                f"lanes that divide it."
            )
        if len(self.ids) < self.lanes:
            raise Problem(
                f"{len(self.ids)} training images cannot fill data.shuffle.lanes={self.lanes}: choose fewer lanes."
            )
        stored = np.argsort(self.shards, kind="stable")
        self.parts = [
            Lane(
                self.ids[part],
                self.batch // self.lanes,
                self.seed,
                self.reshuffle,
                self.crop_shared_by,
                shards=self.shards[part],
                window=self.window,
                number=number,
            )
            for number, part in enumerate(np.array_split(stored, self.lanes))
        ]
        self.starts = np.cumsum([0, *(len(part.ids) for part in self.parts)])

    def shuffled(self, number: int) -> np.ndarray:
        return np.concatenate([part.shuffled(number) for part in self.parts])

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        pieces = [self.piece(step, lane) for lane in range(self.lanes)]
        epochs, ids, crops = (np.concatenate(of) for of in zip(*pieces, strict=True))
        return epochs, ids, crops

    def piece(self, step: int, lane: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(epochs, ids, crops) of the rows of `step` that come from `lane`."""
        epochs, ids, crops = self.parts[lane][step]
        # Positions count within a lane: neighbors of two lanes must not meet at one draw.
        return epochs, ids, crops + self.starts[lane] if self.crop_shared_by > 1 else crops

    def lanes_of(self, share: Share, turn: int) -> range:
        """The lanes that make up round `turn` of a device; raises Problem where it has no whole lanes."""
        if self.lanes % (share.world * share.accumulate):
            raise Problem(
                f"data.shuffle.lanes={self.lanes} cannot be dealt to {share.world} devices x {share.accumulate} "
                f"accumulation rounds: choose trainer.devices and trainer.accumulate_grad_batches so that they "
                f"divide it, or start anew with other lanes."
            )
        rows = share.rows(self.lanes, turn)
        return range(rows.start, rows.stop)
