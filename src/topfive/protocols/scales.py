"""Crops at several scales of the image."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from topfive.crops import refuse_larger, scaled
from topfive.problems import Problem
from topfive.protocols.view import SquareViews, View, listed


@dataclass(frozen=True)
class SquaresOfScales(SquareViews):
    """Three squares of the image at each of several scales; four corners, center and whole of each; mirrors.

    GoogLeNet's 144 crops (section 7): shorter side 256, 288, 320 and 352; the left, center and right
    square, of a portrait the upper, center and lower; of each square five of 224 pixels and all of it at 224. A
    square image has the same square three times, and counts it three times.
    """

    size: int = 224
    shorters: Sequence[int] = (256, 288, 320, 352)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shorters", tuple(self.shorters))  # hashable, as a plan's key
        refuse_larger(self.size, min(self.shorters), "protocol.shorters")

    @property
    def name(self) -> str:
        papers = (self.size, *self.shorters) == (224, 256, 288, 320, 352)
        return "crops144" if papers else f"crops{self.views}_{self.size}_of_{listed(self.shorters)}"

    @property
    def views(self) -> int:
        return 36 * len(self.shorters)

    def lay(self, height: int, width: int) -> list[View]:
        views = []
        for shorter in self.shorters:
            high, wide = resized = scaled(height, width, shorter)
            spare = shorter - self.size
            corners = [(0, 0), (0, spare), (spare, 0), (spare, spare), (spare // 2, spare // 2)]
            parts = [(*corner, self.size) for corner in corners] + [(0, 0, shorter)]
            for square, flip, (down, across, side) in product(range(3), (False, True), parts):
                top = square * (high - shorter) // 2 + down
                left = square * (wide - shorter) // 2 + across
                views.append(self.at(resized, top, left, flip, side))
        return views


@dataclass(frozen=True)
class GridOfScales(SquareViews):
    """A regular grid of crops over the image at each of several scales, and their mirrors.

    VGG's multi-crop test (section 4.3, Table 5): 5 x 5 places at shorter side 256, 384 and 512, 150 crops. That
    the first and last place touch the border, and that places are rounded down, the paper does not say.
    """

    size: int = 224
    shorters: Sequence[int] = (256, 384, 512)
    places: int = 5

    def __post_init__(self) -> None:
        object.__setattr__(self, "shorters", tuple(self.shorters))  # hashable, as a plan's key
        refuse_larger(self.size, min(self.shorters), "protocol.shorters")
        if self.places < 2:
            raise Problem(
                f"protocol.places={self.places}: a grid has two places or more on each side."
            )

    @property
    def name(self) -> str:
        papers = (self.size, self.places, *self.shorters) == (224, 5, 256, 384, 512)
        return "crops150" if papers else f"crops{self.views}_{self.size}_of_{listed(self.shorters)}"

    @property
    def views(self) -> int:
        return 2 * self.places**2 * len(self.shorters)

    def lay(self, height: int, width: int) -> list[View]:
        views = []
        for shorter in self.shorters:
            high, wide = resized = scaled(height, width, shorter)
            tops, lefts = (
                [k * (side - self.size) // (self.places - 1) for k in range(self.places)]
                for side in (high, wide)
            )
            for flip, top, left in product((False, True), tops, lefts):
                views.append(self.at(resized, top, left, flip))
        return views
