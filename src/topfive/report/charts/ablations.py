"""What the sides of ablations differ by, with intervals, and what the papers print beside it."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from topfive.report.charts.chart import Chart
from topfive.report.charts.look import LETTERS, Look, Style
from topfive.report.differences import Difference

TITLE = "Ablations: what each change does to the error"
MOST = 40  # rows; the table has the others
ROW = 24  # pixels
PRINTED = {"D": "published", "<": "published: less than", ">": "published: more than"}


def ablations(differences: Sequence[Difference], look: Look) -> Chart | None:
    """A row per difference: solid where the paper's is of the same thing, hollow where runs depart.

    Those that a paper prints come first where there are more than `MOST`. None without any.
    """
    shown = sorted(differences, key=lambda one: one.published is None)[:MOST]
    if not shown:
        return None
    height = ROW * (1 + look.narrow)
    with look.figure(130 + height * len(shown)) as made:
        axes = made.subplots()
        axes.axvline(0, color=look.palette.muted, lw=1, zorder=1)
        for row, one in enumerate(shown):
            _draw(axes, row, one, look)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        _labels(axes, shown, look)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(
            "difference in error, points" if look.narrow else "difference in error, in points"
        )
        look.title(made, TITLE)
        _legend(made, shown, look)
        return Chart("ablations", TITLE, _told(shown), made)


def _draw(axes: Axes, row: int, one: Difference, look: Look) -> None:
    palette = look.palette
    low, high = (100 * bound for bound in one.interval)
    axes.plot([low, high], [row, row], color=palette.ours, lw=1.8, zorder=2)
    axes.plot(
        100 * one.ours, row, "o", ms=7, mec=palette.ours, mfc=_face(one, look), mew=1.4, zorder=3
    )
    if one.published is not None:
        value, mark = _printed(one.published)
        axes.plot(value, row, mark, ms=8, mec=palette.series[1], mfc="none", mew=1.6, zorder=4)


def _face(one: Difference, look: Look) -> str:
    return look.palette.ground if one.departures else look.palette.ours


def _printed(published: str) -> tuple[float, str]:
    """The value and its mark, a key of `PRINTED`."""
    bound = published[0] if published[0] in "<>" else ""
    return float(published.lstrip("<> ")), {"": "D", "<": "<", ">": ">"}[bound]


def _labels(axes: Axes, shown: Sequence[Difference], look: Look) -> None:
    """Beside the rows, or on a narrow chart above each."""
    names = _names(shown)
    if not look.narrow:
        axes.set_yticks(range(len(shown)), names)
        axes.tick_params(axis="y", length=0, labelcolor=look.palette.text)
        return
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    behind: Style = {"fc": look.palette.ground, "ec": "none", "pad": 1}
    for row, name in enumerate(names):
        above = axes.get_yaxis_transform()
        axes.text(0, row - 0.28, name, transform=above, va="bottom", size=LETTERS - 1, bbox=behind)


def _names(shown: Sequence[Difference]) -> list[str]:
    """Ablation, sides and error; with network and data where that is not enough."""
    names = [f"{one.ablation}: {one.side} − {one.against}, {_error(one)}" for one in shown]
    return [
        name if names.count(name) == 1 else f"{name}, {one.setting.model or one.setting.data}"
        for name, one in zip(names, shown, strict=True)
    ]


def _error(one: Difference) -> str:
    return one.quantity.removesuffix("_error").replace("top", "top-")


def _legend(made: Figure, shown: Sequence[Difference], look: Look) -> None:
    palette = look.palette
    ring: Style = {"ls": "", "marker": "o", "ms": 7, "mec": palette.ours, "mew": 1.4}
    published: Style = {"ls": "", "ms": 8, "mec": palette.series[1], "mfc": "none", "mew": 1.6}
    kinds = {_printed(one.published)[1] for one in shown if one.published is not None}
    faces = {
        palette.ours: "measured here, 95% interval",
        palette.ground: "measured here, departing from the paper",
    }
    drawn = {_face(one, look) for one in shown}
    handles = [
        Line2D([], [], mfc=face, label=label, **ring)
        for face, label in faces.items()
        if face in drawn
    ]
    handles += [
        Line2D([], [], marker=mark, label=label, **published)
        for mark, label in PRINTED.items()
        if mark in kinds
    ]
    made.legend(handles=handles, loc="outside lower left", ncols=1 if look.narrow else 2)


def _told(shown: Sequence[Difference]) -> str:
    parts = []
    for name, one in zip(_names(shown), shown, strict=True):
        low, high = (100 * bound for bound in one.interval)
        printed = f", published {one.published}" if one.published else ""
        apart = ", departing from the paper" if one.departures else ""
        parts.append(f"{name}: {100 * one.ours:+.2f} ({low:+.2f} to {high:+.2f}){apart}{printed}.")
    return " ".join(parts)
