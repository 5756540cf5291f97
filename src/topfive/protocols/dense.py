"""The whole image, over which the network slides; alone, or beside crops."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import get_args

from topfive.crops import scaled
from topfive.problems import Problem
from topfive.protocols.view import Head, Protocol, View, listed


@dataclass(frozen=True)
class Dense(Protocol):
    """The whole image at each of several scales, and its mirror: the network slides over it.

    VGG: section 3.2, at one Q or the mean of three (Tables 3 and 4). ResNet: section 3.4, at 224, 256, 384, 480
    and 640 with head="sliding", the window of the released nets; that it is mirrored, too, is not stated there.
    """

    shorters: Sequence[int] = (256,)
    head: Head | None = None
    flips: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "shorters", tuple(self.shorters))
        if not self.shorters or self.head not in (None, *get_args(Head)):
            raise Problem(
                f"protocol.shorters={list(self.shorters)}, protocol.head={self.head}: expected one shorter side "
                f"or more, and a head that is {', '.join(get_args(Head))} or null."
            )

    @property
    def name(self) -> str:
        multiscale = self.shorters == (224, 256, 384, 480, 640) and self.head == "sliding"
        name = "dense_multiscale" if multiscale else f"dense_{listed(self.shorters)}"
        head = "" if self.head is None or multiscale else f"_{self.head}"
        return f"{name}{head}{'' if self.flips else '_without_mirror'}"

    @property
    def views(self) -> int:
        return len(self.shorters) * (2 if self.flips else 1)

    def lay(self, height: int, width: int) -> list[View]:
        frames = (scaled(height, width, shorter) for shorter in self.shorters)
        mirrors = (False, True) if self.flips else (False,)
        return [View(frame, 0, 0, *frame, flip, frame) for frame, flip in product(frames, mirrors)]


@dataclass(frozen=True)
class Both(Protocol):
    """The mean of the scores of several protocols, which have equal parts in it (VGG, Table 5)."""

    parts: Sequence[Protocol]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", tuple(self.parts))
        if len(self.parts) < 2 or len({part.head for part in self.parts}) > 1:
            raise Problem(
                "protocol.parts: expected two protocols or more that read the network by one head."
            )

    @property
    def head(self) -> Head | None:  # type: ignore[override]  # a field of others
        return self.parts[0].head

    @property
    def name(self) -> str:
        return "_and_".join(part.name for part in self.parts)

    @property
    def views(self) -> int:
        return sum(part.views for part in self.parts)

    def lay(self, height: int, width: int) -> list[View]:
        return [view for part in self.parts for view in part.lay(height, width)]

    def weighted(self, height: int, width: int) -> list[tuple[View, float]]:
        share = 1 / len(self.parts)
        return [
            (view, weight * share)
            for part in self.parts
            for view, weight in part.weighted(height, width)
        ]
