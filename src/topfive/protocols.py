"""The tests that published numbers come from: the views of an image, whose scores are averaged.

Names and definitions are those of the papers and their released code; each class says who used it.
The scores averaged are class probabilities (softmax outputs), with equal weights.
"""

from dataclasses import dataclass
from typing import Protocol as TypingProtocol

from topfive.crops import Box, Shift, one_of_ten, refuse_larger, scaled, window


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
