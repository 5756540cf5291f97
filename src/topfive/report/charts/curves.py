"""Training curves: error against iteration, train thin and the images held out bold.

As in Figures 1, 4 and 6 of He et al. 2015 (arXiv:1512.03385).
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from topfive.inspect.labels import place
from topfive.report.charts.chart import Chart
from topfive.report.charts.chosen import Curve, Points
from topfive.report.charts.look import LETTERS, Look, Style, settle
from topfive.report.charts.scales import written

TITLES = {
    "mnist": "MNIST",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "imagenet": "ImageNet",
    "folder": "a folder of images",
}
MARKERS = ("o", "s", "^", "D", "v", "P")  # of the bold lines, for who cannot tell their colors
THIN, BOLD = 0.9, 2.2
ROOM = 3.0  # times the highest last error: what is above is left out, as in the paper
STEPS = 40  # along a line, for names to avoid


def curves(data: str, some: Sequence[Curve], look: Look) -> Chart | None:
    """Top-1 error of at most six runs on one data set; None where there is none."""
    if not some:
        return None
    title = f"Training on {TITLES.get(data, data)}"
    with look.figure(440 if look.narrow else 460) as made:
        axes = made.subplots()
        for one, color, marker in zip(some, look.palette.series, MARKERS, strict=False):
            if one.train:
                axes.plot(*zip(*one.train, strict=True), color=color, lw=THIN, zorder=2)
            if one.held_out:
                marks: Style = {"marker": marker, "ms": 5, "markevery": len(one.held_out) // 10 + 1}
                axes.plot(*zip(*one.held_out, strict=True), color=color, lw=BOLD, zorder=3, **marks)
        longest = max(
            points[-1][0] for one in some for points in (one.train, one.held_out) if points
        )
        axes.set_xlim(0, longest * (1.35 if look.narrow else 1.2))  # the names' room
        axes.set_ylim(0, _top(some))
        axes.xaxis.set_major_formatter(lambda value, _: written(value))
        axes.xaxis.set_major_locator(MaxNLocator(5 if look.narrow else 8))
        axes.set_xlabel("iterations")
        axes.set_ylabel("top-1 error in %")
        look.title(made, title)
        thin, bold = (Line2D([], [], color=look.palette.muted, lw=width) for width in (THIN, BOLD))
        labels = ["as trained on", "held out"]
        made.legend([thin, bold], labels, loc="outside lower left", ncols=2)
        settle(made)
        _names(axes, some, look)
        return Chart(f"curves_{data}", title, _told(some), made)


def _top(some: Sequence[Curve]) -> float:
    highest = max(error for one in some for _, error in one.train + one.held_out)
    last = max(points[-1][1] for one in some for points in (one.train, one.held_out) if points)
    return min(1.05 * highest, ROOM * last) or 1.0


def _names(axes: Axes, some: Sequence[Curve], look: Look) -> None:
    """At the ends of the bold lines, off all lines, in their colors."""
    top = axes.get_ylim()[1]
    ends = [(one.last[0], min(one.last[1], top)) for one in some]
    every = [line for one in some for line in (one.train, one.held_out) if line]
    taken = [point for line in every for point in _along(line) if point[1] < top]
    place(axes, ends + taken, [one.name for one in some] + [""] * len(taken), size=LETTERS - 1)
    colors = dict(zip([one.name for one in some], look.palette.series, strict=False))
    for text in axes.texts:
        text.set_color(colors[text.get_text()])


def _along(line: Points) -> Points:
    """`STEPS` points on a line, evenly from its first to its last."""
    x, y = np.array(line).T
    steps = np.linspace(x[0], x[-1], STEPS)
    return list(zip(steps, np.interp(steps, x, y), strict=True))


def _told(some: Sequence[Curve]) -> str:
    parts = []
    for one in some:
        ends = [
            f"{points[-1][1]:.2f} % {where}"
            for points, where in ((one.train, "as trained on"), (one.held_out, "held out"))
            if points
        ]
        parts.append(f"{one.name} ends at {' and '.join(ends)} after {one.last[0]:,} iterations.")
    return " ".join(parts)
