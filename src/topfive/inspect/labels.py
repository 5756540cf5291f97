"""Charts as files, and names beside their points that do not lie on each other."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from math import cos, pi, sin
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

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
DISTANCES = (9, 14, 20, 28, 38, 50)  # points
DIRECTIONS = (0, 1, -1, 4, 3, -3, 2, -2)  # eighths of a circle, the best first


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
    canvas.draw()
    renderer = canvas.get_renderer()
    dots = axes.transData.transform(points)
    taken = [Bbox.from_bounds(x - 6, y - 6, 12, 12) for x, y in dots]
    inside = axes.get_window_extent(renderer)
    for number in sorted(range(len(points)), key=lambda n: -dots[n][1]):
        best: tuple[int, int, int] | None = None
        for distance, (rank, direction) in product(DISTANCES, enumerate(DIRECTIONS)):
            text = _write(axes, points[number], names[number], distance, direction, size)
            box = text.get_window_extent(renderer)
            text.remove()
            clashes = sum(box.overlaps(other) for other in taken)
            outside = box.x0 < inside.x0 or box.x1 > inside.x1 or box.y0 < inside.y0
            found = (clashes + 10 * outside, distance, rank)
            if best is None or found < best:
                best = found
                if found[0] == 0:
                    break
        assert best is not None
        text = _write(axes, points[number], names[number], best[1], DIRECTIONS[best[2]], size)
        taken.append(text.get_window_extent(renderer))


def _write(
    axes: Axes, point: tuple[float, float], name: str, distance: int, direction: int, size: float
) -> Annotation:
    dx, dy = distance * cos(direction * pi / 4), distance * sin(direction * pi / 4)
    line = {"arrowstyle": "-", "color": "#888888", "lw": 0.6, "shrinkA": 0, "shrinkB": 0}
    return axes.annotate(
        name,
        point,
        (dx, dy),
        textcoords="offset points",
        ha="left" if dx > 1 else "right" if dx < -1 else "center",
        va="bottom" if dy > 1 else "top" if dy < -1 else "center",
        fontsize=size,
        arrowprops=line if distance > DISTANCES[1] else None,
    )
