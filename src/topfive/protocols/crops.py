"""One view, the central crop, ten crops."""

from dataclasses import dataclass

from topfive.crops import corner_or_center, refuse_larger, scaled
from topfive.protocols.view import SquareViews, View

RELEASED = ((224, 256), (227, 256))  # size and shorter side of the papers; 227 is Caffe's


def _sized(name: str, size: int, shorter: int) -> str:
    """The name, with the sizes where they are none of the papers'."""
    return name if (size, shorter) in RELEASED else f"{name}_{size}_of_{shorter}"


@dataclass(frozen=True)
class OneView(SquareViews):
    """The image as it is, centered on a square of `size`.

    MNIST: LeCun et al. 1998, section II-B; CIFAR: He et al. 2015, section 4.2.
    """

    size: int
    name = "one_view"
    views = 1
    resizes = False

    def lay(self, height: int, width: int) -> list[View]:
        top, left = ((side - self.size) // 2 for side in (height, width))
        return [self.at((height, width), top, left)]


@dataclass(frozen=True)
class OneCrop(SquareViews):
    """Shorter side to `shorter`, the central square of `size`: the ResNet readme's "1-crop"."""

    size: int = 224
    shorter: int = 256
    views = 1

    def __post_init__(self) -> None:
        refuse_larger(self.size, self.shorter, "protocol.shorter")

    @property
    def name(self) -> str:
        if self.size == self.shorter == 320:
            return "one_crop_320"  # He et al. 2016 (arXiv:1603.05027), Table 5
        return _sized("one_crop", self.size, self.shorter)

    def lay(self, height: int, width: int) -> list[View]:
        resized = scaled(height, width, self.shorter)
        top, left = ((side - self.size) // 2 for side in resized)
        return [self.at(resized, top, left)]


@dataclass(frozen=True)
class WarpedCrop(SquareViews):
    """The image squeezed to `side` x `side`, the central square of `size`: how Caffe's models are tested.

    Their images are all made 256 x 256 by its guide to ImageNet, for training and for testing.
    """

    size: int = 224
    side: int = 256
    views = 1

    def __post_init__(self) -> None:
        refuse_larger(self.size, self.side, "protocol.side")

    @property
    def name(self) -> str:
        return _sized("one_crop_warped", self.size, self.side)

    def lay(self, height: int, width: int) -> list[View]:
        place = (self.side - self.size) // 2
        return [self.at((self.side, self.side), place, place)]


@dataclass(frozen=True)
class TenCrop(SquareViews):
    """Four corners and center of the image at shorter side `shorter`, and their mirrors.

    square=True takes them from the central square of side `shorter` (Krizhevsky et al. 2012, section
    4.1), square=False from the whole rectangle (He et al. 2015, Tables 2 and 3, as their readme reads).
    """

    size: int = 224
    shorter: int = 256
    square: bool = False
    views = 10

    def __post_init__(self) -> None:
        refuse_larger(self.size, self.shorter, "protocol.shorter")

    @property
    def name(self) -> str:
        name = "ten_crop_square" if self.square else "ten_crop"
        # 24 of 32: cuda-convnet's own, on CIFAR-10.
        return (
            name if (self.size, self.shorter) == (24, 32) else _sized(name, self.size, self.shorter)
        )

    def lay(self, height: int, width: int) -> list[View]:
        places = (
            corner_or_center(height, width, self.shorter, self.size, self.square, k)
            for k in range(5)
        )
        views = [self.at(*place) for place in places]
        return views + [view._replace(flip=True) for view in views]
