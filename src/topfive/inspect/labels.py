"""Charts as files, and names beside their points that do not lie on each other."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from math import cos, pi, sin
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "svg.hashsalt": "topfive",  # the same chart is the same file
}
# Okabe and Ito's colors, which the color-blind can tell apart
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DISTANCES = (9, 14, 20, 28, 38, 50, 65, 85, 110)  # points
# Sixteenths of a circle, the best first: beside, above, below, then the other side.
DIRECTIONS = (0, 2, -2, 1, -1, 8, 6, -6, 7, -7, 4, -4, 3, -3, 5, -5)
Box = tuple[float, float, float, float]  # left, bottom, right and top, in pixels


@contextmanager
def figure(width: float, height: float) -> Iterator[Figure]:
    """A figure of our style, in inches; nothing of matplotlib's state is changed."""
    with mpl.rc_context(STYLE):
        made = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(made)
        yield made


def save(made: Figure, folder: Path, name: str) -> list[Path]:
    """NAME.svg and NAME.png in `folder`."""
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    files = [folder / f"{name}.svg", folder / f"{name}.png"]
    made.savefig(files[0], metadata={"Date": None})
    made.savefig(files[1], dpi=160)
    return files


def place(
    axes: Axes, points: Sequence[tuple[float, float]], names: Sequence[str], size: float = 9
) -> None:
    """Writes each name near its point, joined to it where it stands away; limits must be settled.

    Goes through the points from above and takes the first place that is free of names and points.
    """
    figure = axes.figure
    assert isinstance(figure, Figure)
    canvas: Any = figure.canvas
    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        figure.draw_without_rendering()  # which settles it
    renderer = canvas.get_renderer()
    pixels = figure.dpi / 72
    dots = axes.transData.transform(points)
    taken = np.concatenate([dots - 6, dots + 6], axis=1)
    inside = axes.get_window_extent(renderer)
    for number in sorted((n for n, name in enumerate(names) if name), key=lambda n: -dots[n][1]):
        text = axes.annotate(names[number], points[number], fontsize=size)
        extent = text.get_window_extent(renderer)
        text.remove()
        best: tuple[float, int, int] | None = None
        for distance, (rank, direction) in product(DISTANCES, enumerate(DIRECTIONS)):
            box = _box(dots[number], extent, direction, distance * pixels)
            outside = box[0] < inside.x0 or box[2] > inside.x1 or box[1] < inside.y0
            found = (_covered(box, taken) + 1e6 * outside, distance, rank)
            best = found if best is None else min(best, found)
            if best[0] == 0:
                break
        assert best is not None
        direction = DIRECTIONS[best[2]]
        box = _box(dots[number], extent, direction, best[1] * pixels)
        taken = np.vstack([taken, box])
        _write(axes, points[number], names[number], best[1], direction, size)


def in_a_column(heights: Sequence[float], apart: float) -> list[float]:
    """Heights that differ by `apart` at least, as near to the given ones as they can be.

    `heights` ascend. Where they are too near, a run of them moves apart around its middle.
    """
    runs: list[tuple[float, int]] = []  # the mean of heights less their rank, and how many
    for rank, height in enumerate(heights):
        mean, count = height - rank * apart, 1
        while runs and runs[-1][0] > mean:
            before, several = runs.pop()
            mean = (mean * count + before * several) / (count + several)
            count += several
        runs.append((mean, count))
    means = [mean for mean, count in runs for _ in range(count)]
    return [mean + rank * apart for rank, mean in enumerate(means)]


def _box(dot: Sequence[float], extent: Bbox, direction: int, distance: float) -> Box:
    """Where a text of that extent lies, with one to spare."""
    dx, dy = distance * cos(direction * pi / 8), distance * sin(direction * pi / 8)
    width, height = extent.width, extent.height
    x = dot[0] + dx - {"left": 0, "center": width / 2, "right": width}[_sideways(direction)]
    y = dot[1] + dy - {"bottom": 0, "center": height / 2, "top": height}[_upright(direction)]
    return x - 1, y - 1, x + width + 1, y + height + 1


def _covered(box: Box, others: NDArray[np.float64]) -> float:
    """The area that `box` has in common with `others` (n, 4), in square pixels."""
    left, bottom, right, top = others.T
    width = np.minimum(box[2], right) - np.maximum(box[0], left)
    height = np.minimum(box[3], top) - np.maximum(box[1], bottom)
    return float((width.clip(0) * height.clip(0)).sum())


def _sideways(direction: int) -> Literal["left", "center", "right"]:
    if abs(direction) == 4:
        return "center"
    return "left" if abs(direction) < 4 else "right"


def _upright(direction: int) -> Literal["bottom", "center", "top"]:
    if direction in (0, 8):
        return "center"
    return "bottom" if direction > 0 else "top"


def _write(
    axes: Axes, point: tuple[float, float], name: str, distance: int, direction: int, size: float
) -> None:
    dx, dy = distance * cos(direction * pi / 8), distance * sin(direction * pi / 8)
    sideways, upright = _sideways(direction), _upright(direction)
    near = {"left": 0.0, "bottom": 0.0, "center": 0.5, "right": 1.0, "top": 1.0}
    line = {"arrowstyle": "-", "color": "#888888", "lw": 0.6, "shrinkA": 0, "shrinkB": 0}
    axes.annotate(
        name,
        point,
        (dx, dy),
        textcoords="offset points",
        ha=sideways,
        va=upright,
        fontsize=size,
        arrowprops=line | {"relpos": (near[sideways], near[upright])}
        if distance > DISTANCES[1]
        else None,
    )
