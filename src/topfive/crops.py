"""The crop geometry of the papers: which rectangle of an image becomes the network's input.

A crop is a pure function of the image's height and width and of uniform numbers in (0, 1), so any
loader that asks with the same address gets the same box. A box is given in pixels of the source image;
its coordinates are real numbers where the paper resizes first and crops afterwards, because cropping
that box and resizing it once is the same operation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from topfive.problems import Problem


class Box(NamedTuple):
    """A rectangle of the source image (pixels), mirrored or not; beyond the image lies zero."""

    left: float
    top: float
    width: float
    height: float
    flip: bool


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

    def __call__(self, height: int, width: int, u: Sequence[float]) -> Box:
        shorter = self.smallest + pick(u[3], self.largest - self.smallest + 1)
        resized = scaled(height, width, shorter)
        field = (shorter, shorter) if self.square else resized
        top = (resized[0] - field[0]) // 2 + pick(u[1], field[0] - self.size + 1)
        left = (resized[1] - field[1]) // 2 + pick(u[0], field[1] - self.size + 1)
        return window(height, width, resized, top, left, self.size, self.flip and u[2] < 0.5)
