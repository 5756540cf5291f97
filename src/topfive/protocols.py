"""The tests that published numbers come from: the views of an image, whose scores are averaged.

Names and definitions are those of the papers and their released code; each class says who used it.
The scores averaged are class probabilities (softmax outputs), with equal weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol as TypingProtocol

from topfive.crops import Box, Shift, one_of_ten, refuse_larger, scaled, window
from topfive.problems import Problem


class Protocol(TypingProtocol):
    """A list of boxes per image, each brought to `size` x `size`."""

    @property
    def name(self) -> str:
        """What results call it."""
        ...

    @property
    def size(self) -> int:
        """Side of every view in pixels."""
        ...

    @property
    def views(self) -> int:
        """How many views every image has."""
        ...

    @property
    def resizes(self) -> bool:
        """False where every view is made of whole source pixels."""
        ...

    def __call__(self, height: int, width: int) -> list[Box]:
        """The views of an image of `height` x `width` pixels."""
        ...


@dataclass(frozen=True)
class OneView:
    """The image as it is, centered on a square of `size`.

    MNIST: LeCun et al. 1998, section II-B; CIFAR: He et al. 2015, section 4.2.
    """

    size: int
    name: str = "one_view"
    views = 1
    resizes = False

    def __call__(self, height: int, width: int) -> list[Box]:
        return [Shift(self.size)(height, width, (0.5, 0.5, 0.5))]


@dataclass(frozen=True)
class OneCrop:
    """Shorter side to `shorter`, the central square of `size`: the ResNet readme's "1-crop"."""

    size: int = 224
    shorter: int = 256
    name: str = "one_crop"
    views = 1
    resizes = True

    def __post_init__(self) -> None:
        refuse_larger(self.size, self.shorter, "protocol.shorter")

    def __call__(self, height: int, width: int) -> list[Box]:
        resized = scaled(height, width, self.shorter)
        top, left = ((side - self.size) // 2 for side in resized)
        return [window(height, width, resized, top, left, self.size, False)]


@dataclass(frozen=True)
class WarpedCrop:
    """The image squeezed to `side` x `side`, the central square of `size`: how Caffe's models are tested.

    Their images are all made 256 x 256 by its guide to ImageNet, for training and for testing.
    """

    size: int = 224
    side: int = 256
    name: str = "one_crop_warped"
    views = 1
    resizes = True

    def __post_init__(self) -> None:
        refuse_larger(self.size, self.side, "protocol.side")

    def __call__(self, height: int, width: int) -> list[Box]:
        place = (self.side - self.size) // 2
        return [window(height, width, (self.side, self.side), place, place, self.size, False)]


@dataclass(frozen=True)
class TenCrop:
    """Four corners and center of the image at shorter side `shorter`, and their mirrors.

    square=True takes them from the central square of side `shorter` (Krizhevsky et al. 2012, section
    4.1), square=False from the whole rectangle (He et al. 2015, Tables 2 and 3, as their readme reads).
    """

    size: int = 224
    shorter: int = 256
    square: bool = False
    views = 10
    resizes = True

    def __post_init__(self) -> None:
        refuse_larger(self.size, self.shorter, "protocol.shorter")

    @property
    def name(self) -> str:
        return "ten_crop_square" if self.square else "ten_crop"

    def __call__(self, height: int, width: int) -> list[Box]:
        return [
            one_of_ten(height, width, self.shorter, self.size, self.square, k) for k in range(10)
        ]


@dataclass(frozen=True)
class SquaresOfScales:
    """Three squares of the image at each of several scales; four corners, center and whole of each; mirrors.

    GoogLeNet's 144 crops (section 7): shorter side 256, 288, 320 and 352; the left, center and right
    square, of a portrait the upper, center and lower; of each square five of 224 pixels and all of it at 224. A
    square image has the same square three times, and counts it three times.
    """

    size: int = 224
    shorters: Sequence[int] = (256, 288, 320, 352)
    name: str = "crops144"
    resizes = True

    def __post_init__(self) -> None:
        refuse_larger(self.size, min(self.shorters), "protocol.shorters")

    @property
    def views(self) -> int:
        return 36 * len(self.shorters)

    def __call__(self, height: int, width: int) -> list[Box]:
        boxes = []
        for shorter in self.shorters:
            high, wide = resized = scaled(height, width, shorter)
            spare = shorter - self.size
            corners = [(0, 0), (0, spare), (spare, 0), (spare, spare), (spare // 2, spare // 2)]
            parts = [(*corner, self.size) for corner in corners] + [(0, 0, shorter)]
            for square, flip, (down, across, side) in product(range(3), (False, True), parts):
                top = square * (high - shorter) // 2 + down
                left = square * (wide - shorter) // 2 + across
                boxes.append(window(height, width, resized, top, left, side, flip))
        return boxes


@dataclass(frozen=True)
class GridOfScales:
    """A regular grid of crops over the image at each of several scales, and their mirrors.

    VGG's multi-crop test (section 4.3, Table 5): 5 x 5 places at shorter side 256, 384 and 512, 150 crops. That
    the first and last place touch the border, and that places are rounded down, the paper does not say.
    """

    size: int = 224
    shorters: Sequence[int] = (256, 384, 512)
    places: int = 5
    name: str = "crops150"
    resizes = True

    def __post_init__(self) -> None:
        refuse_larger(self.size, min(self.shorters), "protocol.shorters")
        if self.places < 2:
            raise Problem(
                f"protocol.places={self.places}: a grid has two places or more on each side."
            )

    @property
    def views(self) -> int:
        return 2 * self.places**2 * len(self.shorters)

    def __call__(self, height: int, width: int) -> list[Box]:
        boxes = []
        for shorter in self.shorters:
            high, wide = resized = scaled(height, width, shorter)
            tops, lefts = (
                [k * (side - self.size) // (self.places - 1) for k in range(self.places)]
                for side in (high, wide)
            )
            for flip, top, left in product((False, True), tops, lefts):
                boxes.append(window(height, width, resized, top, left, self.size, flip))
        return boxes
