"""Logarithmic axes whose ticks are written as people write numbers."""

from math import ceil, floor, log10
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator


def logarithmic(axes: Axes, name: Literal["x", "y"]) -> None:
    """The axis of that name from limits that are set before: 1, 2, 5, 10 ..., then 1 M, 10 M, 1 G."""
    axis = axes.xaxis if name == "x" else axes.yaxis
    low, high = axis.get_view_interval()
    axes.set(**{f"{name}scale": "log"})
    at = ticks(low, high)
    axis.set_ticks(at, [written(value) for value in at])
    axis.set_ticks([], minor=True)
    axes.set(**{f"{name}lim": (low, high)})


def ticks(low: float, high: float) -> list[float]:
    """Round numbers of a logarithmic axis, three to nine."""
    span = high / low
    if span < 5:
        return [value for value in MaxNLocator(6).tick_values(low, high) if low <= value <= high]
    steps = (1, 2, 3, 5) if span < 50 else (1, 2, 5) if span < 500 else (1,)
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    return [
        step * 10.0**power
        for power in powers
        for step in steps
        if low <= step * 10.0**power <= high
    ]


def written(value: float) -> str:
    """0.5, 20, 5 k, 60 M, 1.5 G."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
