"""What foreign weights expect of an image, in the units of this project."""

from collections.abc import Sequence
from dataclasses import dataclass

from topfive.batch_transforms import Pipeline, Standardize
from topfive.crops import Filter
from topfive.problems import Problem

FILTERS: dict[str, Filter] = {"bilinear": "triangle", "bicubic": "cubic", "box": "box"}


@dataclass(frozen=True)
class Preprocessing:
    """`mean` is subtracted from RGB, then it is divided by `deviation`; both on the scale 0..255.

    size and shorter: of the central crop and of the image ahead of it, in pixels; None where the images
    are used as they are.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    filter: Filter = "triangle"
    size: int | None = None
    shorter: int | None = None

    def pipeline(self) -> Pipeline:
        return Pipeline([Standardize(list(self.mean), list(self.deviation))])

    def protocol(self) -> list[str]:
        """The overrides that compose the test that the weights' authors recommend."""
        if self.size is None:
            return []
        return [
            "protocol=one_crop",
            f"protocol.size={self.size}",
            f"protocol.shorter={self.shorter}",
        ]


def in_255ths(fractions: Sequence[float]) -> tuple[float, ...]:
    """What is given for pixels in 0..1, as most libraries have it, for pixels in 0..255."""
    return tuple(round(255 * value, 6) for value in fractions)


def filter_of(interpolation: str, origin: str) -> Filter:
    """This project's name of a library's interpolation, antialiased; Problem where it has none."""
    if interpolation not in FILTERS:
        raise Problem(
            f"{origin} expects images resized by {interpolation} interpolation, and the filters are "
            f"{', '.join(FILTERS)}. Name other weights."
        )
    return FILTERS[interpolation]
