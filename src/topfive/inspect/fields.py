"""Receptive fields: how many pixels of the input a unit sees, and how they move from unit to unit.

A field is counted without regard to padding, so that it may be larger than the image. (Size, stride)
follow the usual recursion (Dumoulin and Visin, arXiv:1603.07285): a window of k at stride s makes
size + (k - 1) stride, stride s. Tensors that are joined (added, multiplied, concatenated) see the union.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import prod

from torch import Tensor


@dataclass(frozen=True)
class Axis:
    """Along one side of the image: unit i of `extent` sees pixels start + i stride, `size` of them."""

    extent: int
    start: int = 0
    size: int = 1
    stride: int = 1

    def windows(
        self, extent: int, kernel: int, stride: int = 1, pad: int = 0, dilation: int = 1
    ) -> "Axis":
        """What `extent` windows of `kernel` units see."""
        return Axis(
            extent,
            self.start - pad * self.stride,
            self.size + (kernel - 1) * dilation * self.stride,
            self.stride * stride,
        )

    def all(self) -> "Axis":
        """What one unit sees that is connected to all of these."""
        return self.windows(1, self.extent)

    def join(self, other: "Axis") -> "Axis":
        start = min(self.start, other.start)
        end = max(self.start + self.size, other.start + other.size)
        strides, extents = (self.stride, other.stride), (self.extent, other.extent)
        return Axis(max(extents), start, end - start, max(strides))


@dataclass(frozen=True)
class Field:
    """The receptive field of the units of a tensor; both sides, since a kernel need not be square.

    `whole`: some input of it was averaged over the whole image (squeeze-and-excitation), so that it
    sees everything, whatever the numbers say.
    """

    height: Axis
    width: Axis
    whole: bool = False

    @property
    def extent(self) -> tuple[int, int]:
        """Units along both sides."""
        return self.height.extent, self.width.extent

    @property
    def size(self) -> int:
        """Pixels; of the longer side."""
        return max(self.height.size, self.width.size)

    @property
    def stride(self) -> int:
        """Pixels from one unit's field to the next one's; of the longer side."""
        return max(self.height.stride, self.width.stride)

    def windows(
        self,
        extent: Sequence[int],
        kernel: Sequence[int],
        stride: Sequence[int],
        pad: Sequence[int] = (0, 0),
        dilation: Sequence[int] = (1, 1),
    ) -> "Field":
        """What windows of the last two of `kernel` see, `extent` of them."""
        sides = zip(extent[-2:], kernel[-2:], stride[-2:], pad[-2:], dilation[-2:], strict=True)
        axes = [axis.windows(*s) for axis, s in zip((self.height, self.width), sides, strict=True)]
        return replace(self, height=axes[0], width=axes[1])

    def padded(self, before: tuple[int, int], extent: tuple[int, int]) -> "Field":
        """The units after `before` more (at the top, on the left), `extent` in all."""
        return self.windows(extent, (1, 1), (1, 1), before)

    def over(self, height: bool, width: bool) -> "Field":
        """What a unit sees that is connected to all units along these sides."""
        return replace(
            self,
            height=self.height.all() if height else self.height,
            width=self.width.all() if width else self.width,
        )


def join(fields: Iterable[Field]) -> Field | None:
    """What is seen by who sees all of `fields`; None if there are none."""
    joined: Field | None = None
    for field in fields:
        joined = field if joined is None else _join(joined, field)
    return joined


def _join(one: Field, other: Field) -> Field:
    gate = 1 in (prod(one.extent), prod(other.extent)) and one.extent != other.extent
    return Field(
        one.height.join(other.height),
        one.width.join(other.width),
        one.whole or other.whole or gate,
    )


def spatial(field: Field, tensor: Tensor) -> bool:
    """Whether the last two dimensions of `tensor` are the image's, and not folded into others."""
    return tensor.ndim > 2 and tuple(tensor.shape[-2:]) == field.extent
