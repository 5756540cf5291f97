"""The contest's top-5 error from 2010 to 2017, the human's, and what was measured here."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes

from topfive.inspect.labels import place
from topfive.published import Published
from topfive.report.charts import contest
from topfive.report.charts.chart import Chart
from topfive.report.charts.contest import YEARS, Mark
from topfive.report.charts.look import Look, Palette, Style, settle
from topfive.report.charts.scales import logarithmic
from topfive.report.lines import Line

TITLE = "Top-5 error of ImageNet classification, 2010 to 2017"
# Of a year, beside the contest's results: the validation set is another one, and February 2015 was
# nearer to the contest before.
ALONE, HERE, BETWEEN = 0.2, 0.38, -0.35


class Series(NamedTuple):
    """Marks of one kind."""

    label: str
    marks: Sequence[Mark]
    style: Style
    right: float = 0.0

    @property
    def places(self) -> list[tuple[float, float]]:
        return [(mark.year + self.right, mark.error) for mark in self.marks]


def history(lines: Sequence[Line], published: Sequence[Published], look: Look) -> Chart | None:
    """Test server and validation set in marks of their own; None where no contest is published.

    Of single networks and of `lines`, the lowest of every paper: ours where it is comparable.
    """
    entries = contest.entries(published)
    if not entries:
        return None
    best, person = contest.winners(entries), contest.human(published)
    single, ours = contest.alone(published), contest.here(lines)
    later, others = contest.after(published), [one for one in entries if one not in best]
    with look.figure(640 if look.narrow else 520) as made:
        axes = made.subplots()
        every = _series(best, others, later, single, ours, look.palette)
        for one in every:
            if one.marks:
                axes.plot(*zip(*one.places, strict=True), label=one.label, **one.style)
        for mark in ours:
            axes.vlines(mark.year + HERE, *mark.bounds, color=look.palette.ours, lw=1.6)
        axes.set_xlim(YEARS[0] - (1.2 if look.narrow else 0.4), YEARS[-1] + 0.9)
        axes.set_xticks(list(YEARS), [f"'{y % 100}" if look.narrow else str(y) for y in YEARS])
        axes.grid(axis="x", visible=False)
        errors = [mark.error for one in every for mark in one.marks]
        axes.set_ylim(0.85 * min(errors), 1.2 * max(errors))
        logarithmic(axes, "y")
        axes.set_ylabel("top-5 error in %, logarithmic")
        if person is not None:
            _human(axes, person, look)
        look.title(made, TITLE)
        made.legend(loc="outside lower left", ncols=1 if look.narrow else 2)
        settle(made)
        _names(axes, every, person, look)
        return Chart("history", TITLE, _told(best, single, person, ours), made)


def _series(
    best: Sequence[Mark],
    others: Sequence[Mark],
    later: Sequence[Mark],
    single: Sequence[Mark],
    ours: Sequence[Mark],
    palette: Palette,
) -> list[Series]:
    solid: Style = {"marker": "o", "color": palette.text}
    hollow: Style = {"ls": "", "mfc": palette.ground, "mew": 1.4}
    dot: Style = {"marker": "o", "ms": 4, "ls": "", "color": palette.muted, "zorder": 1.9}
    ring: Style = {"marker": "o", "ms": 6, "mec": palette.text} | hollow
    triangle: Style = {"marker": "^", "ms": 7, "mec": palette.series[2]} | hollow
    diamond: Style = {"marker": "D", "ms": 6, "ls": "", "color": palette.ours, "zorder": 4}
    return [
        Series("contest, test server: best of the year", best, solid | {"ms": 6.5, "lw": 1.4}),
        Series("contest, test server: others", others, dot),
        Series("several networks, test server, between contests", later, ring, BETWEEN),
        Series("one network, validation set", single, triangle, ALONE),
        Series("measured here, validation set, 95% interval", ours, diamond, HERE),
    ]


def _human(axes: Axes, error: float, look: Look) -> None:
    axes.axhline(error, color=look.palette.series[1], lw=1.4, ls=(0, (5, 3)), zorder=1.5)
    text = f"a trained human: {error:g}"
    axes.annotate(
        text, (axes.get_xlim()[0], error), (8, 4), textcoords="offset points", va="bottom", size=11
    )


def _names(axes: Axes, every: Sequence[Series], person: float | None, look: Look) -> None:
    """Names the marks (of a narrow chart the winners), off the marks and lines."""
    best, others, later, single, ours = every
    places: list[tuple[float, float]] = []
    labels: list[str] = []
    for one in (best, later, single, ours, others):
        named = one is best or not (look.narrow or one is others)
        places += one.places
        labels += [mark.label if named else "" for mark in one.marks]
    lines = _along(best.places)
    if person is not None:
        lines += [(x, person) for x in np.linspace(*axes.get_xlim(), 60)]
    place(axes, places + lines, labels + [""] * len(lines), size=11)
    colors = {mark.label: look.palette.muted for mark in single.marks}
    colors |= {mark.label: look.palette.ours for mark in ours.marks}
    for text in axes.texts:
        text.set_color(colors.get(text.get_text(), look.palette.text))


def _along(places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points on the line that joins `places`, straight on a logarithmic axis."""
    years, errors = np.array(places).T
    x = np.linspace(years[0], years[-1], 80)
    return list(zip(x, np.exp(np.interp(x, years, np.log(errors))), strict=True))


def _told(
    best: Sequence[Mark], single: Sequence[Mark], person: float | None, ours: Sequence[Mark]
) -> str:
    parts = ["Best entry of each contest, top-5 error in percent on the test server:", _list(best)]
    if single:
        parts += ["One network on the validation set, best of each paper:", _list(single)]
    if person is not None:
        parts.append(f"A trained human: {person:g}.")
    if ours:
        parts += ["Measured here on the validation set, best of each paper:", _list(ours)]
    return " ".join(parts)


def _list(marks: Sequence[Mark]) -> str:
    return ", ".join(f"{mark.year} {mark.label}" for mark in marks) + "."
