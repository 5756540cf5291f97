"""The crop geometry of the papers: which rectangle of an image becomes the network's input.

A crop is a pure function of the image's height and width and of uniform numbers in (0, 1), so any
loader that asks with the same address gets the same box. A box is given in pixels of the source image;
its coordinates are real numbers where the paper resizes first and crops afterwards, because cropping
that box and resizing it once is the same operation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from topfive.problems import Problem

Filter = Literal["triangle", "box", "cubic", "nearest"]
# Bilinear, area, bicubic and nearest neighbor to other libraries; all but the last antialiased.
FILTERS: tuple[Filter, ...] = ("triangle", "box", "cubic", "nearest")


class Box(NamedTuple):
    """A rectangle of the source image (pixels), mirrored or not; beyond the image lies zero.

    `filter` brings it to its size; where a crop copies whole pixels it means nothing.
    """

    left: float
    top: float
    width: float
    height: float
    flip: bool
    filter: Filter = "triangle"


class Crop(Protocol):
    """What every crop offers."""

    @property
    def size(self) -> int:
        """Side of its square output in pixels."""
        ...

    @property
    def draws(self) -> int:
        """How many uniform numbers one box takes."""
        ...

    @property
    def resizes(self) -> bool:
        """False where a box is made of whole source pixels, so that no resampling is needed."""
        ...

    @property
    def frame(self) -> int | None:
        """Side of the one square that every image becomes before it is cropped; None where none does."""
        ...

    def place(self, height: int, width: int, box: Box) -> tuple[int, int]:
        """(left, top) of its `box`, in whole pixels of the source or of the frame; (0, 0) without either."""
        ...

    def __call__(self, height: int, width: int, u: Sequence[float]) -> Box:
        """The box for an image of `height` x `width` pixels and uniform numbers `u`."""
        ...


def pick(u: float, choices: int) -> int:
    """One of 0 .. choices - 1, uniformly, from a number in (0, 1)."""
    return min(int(u * choices), choices - 1)


@dataclass(frozen=True)
class Shift:
    """The center of the image, shifted by up to `by` whole pixels each way and mirrored at random.

    With by=4 it is "pad 4, random crop, mirror" (He et al. 2015, section 4.2); with by=0 and no flip,
    plain centering, which pads a 28-pixel digit to LeNet-5's 32 (LeCun et al. 1998, section II-B).
    """

    size: int
    by: int = 0
    flip: bool = False
    draws = 3
    resizes = False
    frame = None

    def place(self, height: int, width: int, box: Box) -> tuple[int, int]:
        return int(box.left), int(box.top)

    def __call__(self, height: int, width: int, u: Sequence[float]) -> Box:
        left = (width - self.size) // 2 - self.by + pick(u[0], 2 * self.by + 1)
        top = (height - self.size) // 2 - self.by + pick(u[1], 2 * self.by + 1)
        return Box(left, top, self.size, self.size, self.flip and u[2] < 0.5)


def scaled(height: int, width: int, shorter: int) -> tuple[int, int]:
    """Height and width after an isotropic resize that brings the shorter side to `shorter`."""
    scale = shorter / min(height, width)
    high, wide = (max(shorter, math.floor(side * scale + 0.5)) for side in (height, width))
    return high, wide


def refuse_larger(size: int, shorter: int, key: str) -> None:
    """Raises Problem where no `size` square fits an image of shorter side `shorter`, set by `key`."""
    if size > shorter:
        raise Problem(
            f"a crop of {size} pixels does not fit an image whose shorter side is {shorter}: raise {key} "
            f"or lower the crop's size."
        )


def window(
    height: int, width: int, resized: tuple[int, int], top: int, left: int, size: int, flip: bool
) -> Box:
    """The box, in source pixels, of a `size` square at (top, left) of the resized image."""
    vertical, horizontal = height / resized[0], width / resized[1]
    return Box(left * horizontal, top * vertical, size * horizontal, size * vertical, flip)


@dataclass(frozen=True)
class ShorterSide:
    """Shorter side to s, uniform in [smallest, largest]; a random `size` square of that; mirrored or not.

    [256, 256] with square=True is AlexNet's (sections 2 and 4.1: the crop is taken from the central
    256 square), [256, 480] is ResNet's (section 3.4), [256, 512] VGG's (section 3.1).
    """

    smallest: int
    largest: int
    size: int
    square: bool = False
    flip: bool = True
    draws = 4
    resizes = True

    def __post_init__(self) -> None:
        refuse_larger(self.size, self.smallest, "recipe.crop.smallest")
        if self.smallest > self.largest:
            raise Problem(
                f"recipe.crop.smallest={self.smallest} is above recipe.crop.largest={self.largest}: the "
                f"shorter side is drawn between them."
            )

    @property
    def frame(self) -> int | None:
        return self.smallest if self.square and self.smallest == self.largest else None

    def place(self, height: int, width: int, box: Box) -> tuple[int, int]:
        if self.frame is None:
            return 0, 0
        high, wide = scaled(height, width, self.frame)
        left, top = box.left * self.size / box.width, box.top * self.size / box.height
        return round(left) - (wide - self.frame) // 2, round(top) - (high - self.frame) // 2

    def __call__(self, height: int, width: int, u: Sequence[float]) -> Box:
        shorter = self.smallest + pick(u[3], self.largest - self.smallest + 1)
        resized = scaled(height, width, shorter)
        field = (shorter, shorter) if self.square else resized
        top = (resized[0] - field[0]) // 2 + pick(u[1], field[0] - self.size + 1)
        left = (resized[1] - field[1]) // 2 + pick(u[0], field[1] - self.size + 1)
        return window(height, width, resized, top, left, self.size, self.flip and u[2] < 0.5)


def corner_or_center(
    height: int, width: int, shorter: int, size: int, square: bool, k: int
) -> tuple[tuple[int, int], int, int]:
    """Corner 0 to 3 or center 4 of the image at shorter side `shorter`: (its size then, top, left).

    square=True takes them from the central square of side `shorter`.
    """
    resized = scaled(height, width, shorter)
    field = (shorter, shorter) if square else resized
    bottom, right = field[0] - size, field[1] - size
    y = bottom // 2 if k == 4 else bottom * (k // 2)
    x = right // 2 if k == 4 else right * (k % 2)
    return resized, (resized[0] - field[0]) // 2 + y, (resized[1] - field[1]) // 2 + x


@dataclass(frozen=True)
class FixedTen:
    """One of ten: corners and center of the central square at shorter side `shorter`, and mirrors.

    Zeiler and Fergus 2013, section 3.1, train on these ten alone. Which is seen when is not stated: one
    is drawn for every sample and epoch.
    """

    size: int
    shorter: int
    draws = 1
    resizes = True
    frame = None

    def __post_init__(self) -> None:
        refuse_larger(self.size, self.shorter, "recipe.crop.shorter")

    def place(self, height: int, width: int, box: Box) -> tuple[int, int]:
        return 0, 0

    def __call__(self, height: int, width: int, u: Sequence[float]) -> Box:
        k = pick(u[0], 10)
        place = corner_or_center(height, width, self.shorter, self.size, True, k % 5)
        return window(height, width, *place, self.size, k >= 5)


@dataclass(frozen=True)
class Warp:
    """The image squeezed to `side` x `side`, whatever its shape; a random `size` square of that.

    Caffe's models are trained so: its guide to ImageNet resizes every image to 256 x 256.
    """

    size: int
    side: int
    flip: bool = True
    draws = 3
    resizes = True

    def __post_init__(self) -> None:
        refuse_larger(self.size, self.side, "recipe.crop.side")

    @property
    def frame(self) -> int:
        return self.side

    def place(self, height: int, width: int, box: Box) -> tuple[int, int]:
        return round(box.left * self.size / box.width), round(box.top * self.size / box.height)

    def __call__(self, height: int, width: int, u: Sequence[float]) -> Box:
        places = self.side - self.size + 1
        left, top = pick(u[0], places), pick(u[1], places)
        resized = (self.side, self.side)
        return window(height, width, resized, top, left, self.size, self.flip and u[2] < 0.5)


@dataclass(frozen=True)
class AreaAspect:
    """A box of random area, aspect (width / height) and place, brought to a square; mirrored or not.

    Szegedy et al. 2014, section 6: area uniform in [8 %, 100 %] of the image, aspect in [3/4, 4/3]. The
    paper does not say how the aspect is drawn. Here its logarithm is uniform, so that a portrait is as
    likely as a landscape, as torchvision has it; log_aspect=False draws the aspect itself, as TensorFlow,
    which however draws the height uniformly, not the area. A box that does not fit is drawn anew, ten
    times in all; then it is the largest central one of allowed aspect (both torchvision's; the paper is
    silent). `filters` names the resampling filter, or is "random": one of FILTERS, equally likely.
    """

    size: int
    min_area: float = 0.08
    max_area: float = 1.0
    min_aspect: float = 3 / 4
    max_aspect: float = 4 / 3
    log_aspect: bool = True
    filters: Filter | Literal["random"] = "triangle"
    flip: bool = True
    tries = 10
    draws = 4 + 2 * tries
    resizes = True
    frame = None

    def __post_init__(self) -> None:
        if not 0 < self.min_area <= self.max_area <= 1:
            raise Problem(
                f"recipe.crop.min_area={self.min_area} and recipe.crop.max_area={self.max_area} are no "
                f"range of fractions of the image: expected 0 < min_area <= max_area <= 1."
            )
        if not 0 < self.min_aspect <= self.max_aspect:
            raise Problem(
                f"recipe.crop.min_aspect={self.min_aspect} and recipe.crop.max_aspect={self.max_aspect} "
                f"are no range of width / height: expected 0 < min_aspect <= max_aspect."
            )
        if self.filters != "random" and self.filters not in FILTERS:
            raise Problem(
                f"recipe.crop.filters={self.filters!r} is no resampling filter: choose random or one of "
                f"{', '.join(FILTERS)}."
            )

    def place(self, height: int, width: int, box: Box) -> tuple[int, int]:
        return 0, 0

    def __call__(self, height: int, width: int, u: Sequence[float]) -> Box:
        filter = FILTERS[pick(u[3], len(FILTERS))] if self.filters == "random" else self.filters
        flip = self.flip and u[2] < 0.5
        for k in range(4, self.draws, 2):
            area = height * width * (self.min_area + (self.max_area - self.min_area) * u[k])
            aspect = self._aspect(u[k + 1])
            wide, high = math.sqrt(area * aspect), math.sqrt(area / aspect)
            if wide <= width and high <= height:
                left, top = u[0] * (width - wide), u[1] * (height - high)
                return Box(left, top, wide, high, flip, filter)
        aspect = min(max(width / height, self.min_aspect), self.max_aspect)
        wide, high = min(width, height * aspect), min(height, width / aspect)
        return Box((width - wide) / 2, (height - high) / 2, wide, high, flip, filter)

    def _aspect(self, u: float) -> float:
        if self.log_aspect:
            return self.min_aspect * math.pow(self.max_aspect / self.min_aspect, u)
        return self.min_aspect + (self.max_aspect - self.min_aspect) * u
