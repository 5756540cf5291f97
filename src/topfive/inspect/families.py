"""Protocols that may be set side by side in a chart, and the published errors of networks alone."""

from collections.abc import Sequence
from typing import NamedTuple

from topfive.inspect.labels import COLORS
from topfive.published import Published

# Protocols that may be set side by side, and their marks.
FAMILIES = {
    "one crop": ("o", COLORS[0]),
    "one crop of 320": ("P", COLORS[5]),
    "ten crops": ("s", COLORS[1]),
    "144 or 150 crops": ("D", COLORS[2]),
    "whole image, one scale": ("^", COLORS[3]),
    "whole image, several scales": ("v", COLORS[4]),
    "one view": ("o", COLORS[0]),
}


class Point(NamedTuple):
    """The lowest published error of one network, alone and as its paper has it, under a family."""

    network: str
    family: str
    error: float


def published_points(entries: Sequence[Published], data: str, quantity: str) -> list[Point]:
    """One network alone, on the set that its paper reports (ImageNet: val), with no option changed."""
    split = "val" if data == "imagenet" else "test"
    lowest: dict[tuple[str, str], float] = {}
    for one in entries:
        own = one.home is not None and not one.options and one.role == "target"
        same = (one.data, one.split, one.quantity) == (data, split, quantity)
        under = family(one.protocol)
        if own and same and one.networks == 1 and not one.cannot_run and not one.bound and under:
            key = (one.network, under)
            lowest[key] = min(one.number, lowest.get(key, 100.0))
    return [Point(network, under, error) for (network, under), error in lowest.items()]


def family(protocol: str) -> str | None:
    """The key of `FAMILIES` that a protocol belongs to; None where its source names none."""
    if protocol.startswith("one_crop"):
        return "one crop of 320" if protocol.endswith("_320") else "one crop"
    if protocol.startswith("ten_crop"):
        return "ten crops"
    if protocol.startswith("crops"):
        return "144 or 150 crops"
    if protocol.startswith("dense"):
        several = protocol.count("_") > 1 or protocol == "dense_multiscale"
        return f"whole image, {'several scales' if several else 'one scale'}"
    return "one view" if protocol == "one_view" else None
