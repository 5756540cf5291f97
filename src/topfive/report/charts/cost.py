"""The error of networks against what they cost: multiply-adds of an image, and parameters."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from topfive.inspect.families import FAMILIES, Point, family, published_points
from topfive.inspect.labels import place
from topfive.published import Published
from topfive.report.charts.chart import Chart
from topfive.report.charts.costs import COSTS
from topfive.report.charts.look import Look, Style, settle
from topfive.report.charts.scales import logarithmic
from topfive.report.lines import Line

SETS = {
    "imagenet": ("top5_error", "val", "Top-5 error on ImageNet's validation set"),
    "cifar10": ("top1_error", "test", "Error on CIFAR-10's test set"),
}
PANELS: dict[Literal["multiply_adds", "parameters"], str] = {
    "multiply_adds": "multiply-adds of one view",
    "parameters": "parameters",
}


def cost(
    lines: Sequence[Line], published: Sequence[Published], data: str, look: Look
) -> Chart | None:
    """One network alone on `data` (a key of `SETS`): the shape is the protocol, solid is ours.

    None where nothing is published of it. Ours is drawn where it is comparable.
    """
    quantity, split, title = SETS[data]
    points = [p for p in published_points(published, data, quantity) if p.network in COSTS]
    if not points:
        return None
    ours = [line for line in lines if _shown(line, data, quantity, split)]
    with look.figure(860 if look.narrow else 520) as made:
        panels = made.subplots(2, 1) if look.narrow else made.subplots(1, 2, sharey=True)
        for axes, (key, name) in zip(panels, PANELS.items(), strict=True):
            _panel(axes, points, ours, key, look)
            axes.set_xlabel(name)
        for axes in panels[: 2 if look.narrow else 1]:
            axes.set_ylabel("error in %, logarithmic")
        title += " against cost"
        look.title(made, title)
        _legend(made, points, ours, look)
        settle(made)
        for axes, key in zip(panels, PANELS, strict=True):
            _names(axes, points, ours, key, look)
        return Chart(f"cost_{data}", title, _told(points, ours), made)


def _shown(line: Line, data: str, quantity: str, split: str) -> bool:
    one = line.published
    what = (one.data, one.quantity, one.split, one.networks)
    same = what == (data, quantity, split, 1) and not one.options and one.network in COSTS
    return same and line.difference is not None and family(one.protocol) is not None


def _panel(
    axes: Axes,
    points: Sequence[Point],
    ours: Sequence[Line],
    key: Literal["multiply_adds", "parameters"],
    look: Look,
) -> None:
    palette = look.palette
    columns: dict[int, list[float]] = {}
    for point in points:
        columns.setdefault(getattr(COSTS[point.network], key), []).append(point.error)
    spans = zip(*((min(some), max(some)) for some in columns.values()), strict=True)
    axes.vlines(list(columns), *spans, color=palette.grid, lw=1.4, zorder=1.5)
    hollow: Style = {"ls": "", "mec": palette.muted, "mfc": palette.ground, "ms": 6, "zorder": 2}
    for name in {point.family: None for point in points}:
        shown = [point for point in points if point.family == name]
        x = [getattr(COSTS[point.network], key) for point in shown]
        axes.plot(x, [point.error for point in shown], marker=FAMILIES[name][0], **hollow)
    for mark in dict.fromkeys(map(_mark, ours)):
        some = [line for line in ours if _mark(line) == mark]
        x = [getattr(COSTS[line.published.network], key) for line in some]
        errors, lows, highs = zip(*map(_percent, some), strict=True)
        axes.vlines(x, lows, highs, color=palette.ours, lw=1.6, zorder=3)
        axes.plot(x, errors, mark, ls="", color=palette.ours, ms=6.5, zorder=4)
    costs = [getattr(COSTS[point.network], key) for point in points]
    every = [point.error for point in points] + [_percent(line)[0] for line in ours]
    axes.set_xlim(min(costs) / 2, max(costs) * 2)
    axes.set_ylim(min(every) / 1.1, max(every) * 1.1)
    logarithmic(axes, "x")
    logarithmic(axes, "y")


def _percent(line: Line) -> tuple[float, float, float]:
    """The error and its bounds."""
    assert line.ours is not None
    assert line.interval is not None
    return 100 * line.ours, 100 * line.interval.low, 100 * line.interval.high


def _mark(line: Line) -> str:
    name = family(line.published.protocol)
    assert name is not None
    return FAMILIES[name][0]


def _legend(made: Figure, points: Sequence[Point], ours: Sequence[Line], look: Look) -> None:
    palette = look.palette
    families = {point.family for point in points}
    hollow: Style = {"ls": "", "mec": palette.muted, "mfc": palette.ground}
    marks = [
        Line2D([], [], marker=mark, label=name, **hollow)
        for name, (mark, _) in FAMILIES.items()
        if name in families and len(families) > 1
    ]
    if ours:
        label = "solid: measured here"
        marks.append(Line2D([], [], ls="", marker="o", color=palette.ours, label=label))
    if marks:
        made.legend(handles=marks, loc="outside lower left", ncols=2 if look.narrow else 4)


def _names(
    axes: Axes,
    points: Sequence[Point],
    ours: Sequence[Line],
    key: Literal["multiply_adds", "parameters"],
    look: Look,
) -> None:
    """Each network at its highest published error."""
    highest: dict[str, Point] = {}
    for point in points:
        if point.network not in highest or point.error > highest[point.network].error:
            highest[point.network] = point
    places = [(float(getattr(COSTS[point.network], key)), point.error) for point in points]
    names = [point.network if highest[point.network] is point else "" for point in points]
    for line in ours:
        x, (_, low, high) = float(getattr(COSTS[line.published.network], key)), _percent(line)
        places += [(x, float(y)) for y in np.linspace(low, high, 5)]
    names += [""] * (len(places) - len(names))
    place(axes, places, names, size=10)


def _told(points: Sequence[Point], ours: Sequence[Line]) -> str:
    parts = [f"{point.network}, {point.family}: {point.error:g}." for point in points]
    parts += [
        f"{line.published.network} measured here, {family(line.published.protocol)}: "
        f"{_percent(line)[0]:.2f}."
        for line in ours
    ]
    return " ".join(parts)
