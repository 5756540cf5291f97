"""What is to be made of an image, and what the network is to be shown of it, for several protocols at once."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from topfive.evaluation.averages import Averages
from topfive.protocols import Head, Protocol, View


class Shown(NamedTuple):
    """A view as a part of source `source`, from (top, left) on, mirrored or not, read by `head`."""

    source: int
    top: int
    left: int
    flip: bool
    size: tuple[int, int]
    head: Head | None


class Plan(NamedTuple):
    """sources: what the image is resized to, each once. shown: no view twice. weights: (views, protocols)."""

    sources: tuple[View, ...]
    shown: tuple[Shown, ...]
    weights: Tensor


def plan(protocols: Sequence[Protocol], averages: Averages, height: int, width: int) -> Plan:
    """For an image of `height` x `width` pixels.

    A view that several protocols ask for, or one asks for several times, is shown once and has the sum of its
    weights. Views of whole pixels of a frame share that frame, which is resized once.
    """
    sources: dict[View, int] = {}
    shown: dict[Shown, list[float]] = {}
    for column, protocol in enumerate(protocols):
        for view, weight in protocol.weighted(height, width):
            source = _source(view)
            whole = source.frame == source.size
            number = sources.setdefault(source, len(sources))
            place = (view.top, view.left) if whole else (0, 0)
            key = Shown(number, *place, view.flip, view.size, averages.head_of(protocol))
            weights = shown.setdefault(key, [0.0] * len(protocols))
            weights[column] += weight
    return Plan(tuple(sources), tuple(shown), torch.tensor(list(shown.values())))


def _source(view: View) -> View:
    """The whole frame where the view is cut from its pixels; else the view itself, not mirrored."""
    (high, wide), (height, width) = view.frame, view.size
    inside = 0 <= view.top <= high - height and 0 <= view.left <= wide - width
    if (view.height, view.width) == view.size and inside:
        return View(view.frame, 0, 0, high, wide, False, view.frame)
    return view._replace(flip=False)
