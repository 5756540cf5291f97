"""What is shown of an image, and what every protocol offers."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal, NamedTuple

from topfive.crops import Box

Head = Literal["global", "sliding"]


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


def listed(sizes: Sequence[int]) -> str:
    """Sizes as a name has them."""
    return "_".join(map(str, sizes))
