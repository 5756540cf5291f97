"""Views that wait for others of their shape, so that images of all shapes are tested in batches."""

from collections import defaultdict
from typing import NamedTuple

from torch import Tensor

from topfive.protocols import Head


class Kind(NamedTuple):
    """What views share that go through the network together: size (height, width) and head."""

    size: tuple[int, int]
    head: Head | None


class Waiting(NamedTuple):
    """A view, uint8 (channels, height, width) before it is mirrored; whose it is; its weight per protocol."""

    pixels: Tensor
    flip: bool
    slot: int
    weights: Tensor


class Queues:
    """A queue for every kind; a batch has `pixels` pixels, or as few more views as one."""

    def __init__(self, pixels: int):
        self.pixels, self.held = pixels, 0
        self.queues: defaultdict[Kind, list[Waiting]] = defaultdict(list)

    def add(self, kind: Kind, view: Waiting) -> None:
        self.queues[kind].append(view)
        self.held += kind.size[0] * kind.size[1]

    def full(self) -> Kind | None:
        """A kind that makes a whole batch, or the largest where too much is held in all."""
        for kind, queue in self.queues.items():
            if len(queue) >= self.batch(kind):
                return kind
        return self.longest() if self.held > 8 * self.pixels else None

    def longest(self) -> Kind | None:
        """The kind with most pixels; None where nothing waits."""
        return max(
            self.queues, key=lambda k: len(self.queues[k]) * k.size[0] * k.size[1], default=None
        )

    def take(self, kind: Kind) -> list[Waiting]:
        """A batch of `kind`, or what there is."""
        queue, count = self.queues.pop(kind), self.batch(kind)
        if queue[count:]:
            self.queues[kind] = queue[count:]
        taken = queue[:count]
        self.held -= len(taken) * kind.size[0] * kind.size[1]
        return taken

    def batch(self, kind: Kind) -> int:
        """How many views of `kind` make a batch."""
        return max(1, self.pixels // (kind.size[0] * kind.size[1]))
