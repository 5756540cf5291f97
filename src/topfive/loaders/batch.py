"""What every loader hands over: uint8 crops and the address of every sample."""

from typing import NamedTuple

import torch
from torch import Tensor

UNREADABLE = -1  # the label of a sample whose file could not be decoded


class Batch(NamedTuple):
    """One view of every image, and which it is.

    images: uint8, (batch, channels, size, size). labels, index, copy, epoch: int64, (batch,); `index` is the
    sample's place in its whole split, `copy` is 0 for the image itself and counts the distorted copies that a
    recipe adds.
    left, top: int64, (batch,), whole-pixel offset of the crop in the source, or where it resizes in its
    frame (zero where it has none); flip: bool, mirrored. An unreadable sample is black and labeled UNREADABLE.
    """

    images: Tensor
    labels: Tensor
    index: Tensor  # type: ignore[assignment]  # hides tuple.index
    copy: Tensor
    epoch: Tensor
    left: Tensor
    top: Tensor
    flip: Tensor


def still(images: Tensor, labels: Tensor, index: Tensor) -> Batch:
    """A batch of views as they are watched, which have no epoch, no shift and no mirror to undo."""
    zeros = torch.zeros_like(labels)
    return Batch(images, labels, index, zeros, zeros, zeros, zeros, zeros.bool())
