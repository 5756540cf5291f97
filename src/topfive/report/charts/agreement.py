"""What was measured here against what was published, on the line where both are the same."""

from collections.abc import Sequence
from math import log

import numpy as np
from matplotlib.axes import Axes

from topfive.inspect.labels import place
from topfive.report import wording
from topfive.report.charts.chart import Chart
from topfive.report.charts.look import Look, Style, settle
from topfive.report.charts.scales import logarithmic
from topfive.report.lines import Line

TITLE = "Measured here against published"
# Of each verdict the mark, and its color among the palette's series.
MARKS = {"reproduced": ("o", 2), "better": ("v", 0), "worse": ("^", 1), "inconclusive": ("s", 3)}
HOLLOW = "not comparable"
LEAST = 0.05  # percent: a logarithmic axis has no zero


def agreement(lines: Sequence[Line], look: Look) -> Chart | None:
    """Errors of all `lines` that were run, with 95% intervals: hollow where not comparable."""
    shown = [line for line in lines if line.ours is not None]
    if not shown:
        return None
    with look.figure(520 if look.narrow else 560) as made:
        axes = made.subplots()
        for verdict in (HOLLOW, *MARKS):
            _draw(axes, [line for line in shown if line.verdict == verdict], verdict, look)
        low, high = _limits(shown)
        axes.plot(
            [low, high], [low, high], color=look.palette.muted, lw=1, zorder=1, label="as published"
        )
        axes.set_xlim(low, high)
        axes.set_ylim(low, high)
        logarithmic(axes, "x")
        logarithmic(axes, "y")
        axes.set_xlabel("published error in %")
        axes.set_ylabel("error measured here in %, 95% interval")
        look.title(made, TITLE)
        made.legend(loc="outside lower left", ncols=2 if look.narrow else 6)
        settle(made)
        _names(axes, shown, 6 if look.narrow else 16)
        return Chart("agreement", TITLE, _told(shown), made)


def _draw(axes: Axes, lines: Sequence[Line], verdict: str, look: Look) -> None:
    if not lines:
        return
    mark, number = MARKS.get(verdict, ("o", 0))
    color = look.palette.muted if verdict == HOLLOW else look.palette.series[number]
    lows, highs = zip(*(_interval(line) for line in lines), strict=True)
    numbers = [line.published.number for line in lines]
    axes.vlines(numbers, lows, highs, color=color, lw=0.8 if verdict == HOLLOW else 1.6, zorder=2)
    places = [_place(line) for line in lines]
    face = look.palette.ground if verdict == HOLLOW else color
    marks: Style = {"marker": mark, "ms": 6.5, "mec": color, "mfc": face, "mew": 1.2}
    axes.plot(*zip(*places, strict=True), ls="", label=verdict, zorder=3, **marks)


def _place(line: Line) -> tuple[float, float]:
    assert line.ours is not None
    return line.published.number, max(LEAST, 100 * line.ours)


def _interval(line: Line) -> tuple[float, float]:
    assert line.interval is not None
    low, high = (max(LEAST, 100 * bound) for bound in line.interval)
    return low, high


def _limits(lines: Sequence[Line]) -> tuple[float, float]:
    """Of both axes: all marks and intervals, with some room."""
    values = [value for line in lines for value in (*_place(line), *_interval(line))]
    return min(values) / 1.25, max(values) * 1.25


def _names(axes: Axes, lines: Sequence[Line], most: int) -> None:
    """Names those that can be compared first, then the farthest from the line; `most` in all."""

    def worth(line: Line) -> tuple[bool, float]:
        published, ours = _place(line)
        return line.difference is None, -abs(log(ours / published))

    named = sorted(lines, key=worth)[:most]
    low, high = axes.get_xlim()
    drawn = [(x, x) for x in np.geomspace(low, high, 80)]
    for one in named:
        drawn += [(one.published.number, y) for y in np.geomspace(*_interval(one), 8)]
    names = [_name(one) if one in named else "" for one in lines] + [""] * len(drawn)
    place(axes, [_place(one) for one in lines] + drawn, names, size=11)


def _name(line: Line) -> str:
    return f"{wording.network(line.published)} {wording.error(line.published.quantity)}"


def _told(lines: Sequence[Line]) -> str:
    """A sentence per line that can be compared, and how many others there are."""
    compared = [line for line in lines if line.difference is not None]
    parts = [
        f"{_name(line)}, {line.published.protocol}: published {line.published.value}, here "
        f"{100 * (line.ours or 0):.2f}, {line.verdict}."
        for line in compared
    ]
    others = len(lines) - len(compared)
    return " ".join([*parts, f"{others} more are not comparable." if others else ""]).strip()
