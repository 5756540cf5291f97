"""The tests that published numbers come from: the views of an image, whose scores are averaged.

Names and definitions are those of the papers and their released code; each class says who used it. A
name is a claim: a protocol of other sizes than its paper's is called otherwise.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, NamedTuple, get_args

from topfive.crops import Box, corner_or_center, refuse_larger, scaled
from topfive.problems import Problem

Head = Literal["global", "sliding"]
RELEASED = ((224, 256), (227, 256))  # size and shorter side of the papers; 227 is Caffe's


class View(NamedTuple):
    """A rectangle of the image resized to `frame`, and brought to `size` where it is of another one.

    frame, size: (height, width); top, left, height, width: in pixels of the frame, beyond which lies
    zero; flip: mirrored. A frame of the image's own size is the image itself.
    """

    frame: tuple[int, int]
    top: int
    left: int
    height: int
    width: int
    flip: bool
    size: tuple[int, int]

    def box(self, height: int, width: int) -> Box:
        """The rectangle in pixels of the source image, of `height` x `width`."""
        y, x = height / self.frame[0], width / self.frame[1]
        return Box(self.left * x, self.top * y, self.width * x, self.height * y, self.flip)


class Protocol(ABC):
    """The views of every image. `head`: how a network that has both averages its last maps; None is its own."""

    head: Head | None = None

    @property
    @abstractmethod
    def name(self) -> str:
        """What results call it."""

    @property
    @abstractmethod
    def views(self) -> int:
        """How many views every image has, equal ones counted as often as they are shown."""

    @abstractmethod
    def lay(self, height: int, width: int) -> list[View]:
        """The views of an image of `height` x `width` pixels."""

    def weighted(self, height: int, width: int) -> list[tuple[View, float]]:
        """The views, and what each is in the mean over them."""
        views = self.lay(height, width)
        return [(view, 1 / len(views)) for view in views]


class SquareViews(Protocol):
    """A protocol whose views are all of one square size, which the loaders of training can cut."""

    size: int
    resizes = True  # False where every view is made of whole source pixels

    def __call__(self, height: int, width: int) -> list[Box]:
        """The views of an image of `height` x `width` pixels, in its own pixels."""
        return [view.box(height, width) for view in self.lay(height, width)]

    def at(
        self,
        frame: tuple[int, int],
        top: int,
        left: int,
        flip: bool = False,
        side: int | None = None,
    ) -> View:
        """The view at a place of the frame; `side` is that of a square of another size."""
        side = self.size if side is None else side
        return View(frame, top, left, side, side, flip, (self.size, self.size))


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
        return (
            "crops144" if papers else f"crops{self.views}_{self.size}_of_{_listed(self.shorters)}"
        )

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
        return (
            "crops150" if papers else f"crops{self.views}_{self.size}_of_{_listed(self.shorters)}"
        )

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
        name = "dense_multiscale" if multiscale else f"dense_{_listed(self.shorters)}"
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


def _listed(sizes: Sequence[int]) -> str:
    return "_".join(map(str, sizes))
