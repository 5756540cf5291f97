"""The charts of the report, as SVG for its page and as files.

Each is a function of data to a figure in a file of its own; `look` says how all of them look.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from topfive.problems import Problem
from topfive.published import Published
from topfive.report.charts.ablations import ablations
from topfive.report.charts.agreement import agreement
from topfive.report.charts.chart import Chart, in_dark, svg
from topfive.report.charts.chosen import chosen, read
from topfive.report.charts.cost import SETS, cost
from topfive.report.charts.curves import curves
from topfive.report.charts.history import history
from topfive.report.charts.look import DARK, LIGHT, Look, Palette
from topfive.report.differences import differences
from topfive.report.lines import Line
from topfive.results import Record

__all__ = ["DARK", "LIGHT", "Chart", "Look", "Palette", "charts", "draw", "figures"]


def charts(
    lines: Sequence[Line],
    records: Sequence[Record],
    published: Sequence[Published],
    dark: bool,
    narrow: bool = False,
) -> dict[str, str]:
    """SVG text by name of chart, of those that have data, in the order of a page.

    `narrow` ones are made for 358 pixels (a phone's 390 less margins), the others for 760.
    """
    look = Look(LIGHT, narrow)
    made = {one.name: svg(one, look) for one in figures(lines, records, published, look)}
    return {name: in_dark(text) for name, text in made.items()} if dark else made


def draw(
    folder: Path, lines: Sequence[Line], records: Sequence[Record], published: Sequence[Published]
) -> list[Path]:
    """Writes NAME-LOOK.svg of every chart, wide and narrow, light and dark; returns the files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for narrow in (False, True):
            for name, text in charts(lines, records, published, False, narrow).items():
                for palette, one in ((LIGHT, text), (DARK, in_dark(text))):
                    files.append(folder / f"{name}-{Look(palette, narrow).name}.svg")
                    files[-1].write_text(one, encoding="utf-8")
    except OSError as error:
        raise Problem(f"{folder}: {error.strerror}. Name a folder to write to.") from error
    return files


def figures(
    lines: Sequence[Line], records: Sequence[Record], published: Sequence[Published], look: Look
) -> Iterator[Chart]:
    """The charts that have data, one after the other."""
    made = [history(lines, published, look), agreement(lines, look)]
    made += [cost(lines, published, data, look) for data in SETS]
    made += [curves(data, read(some), look) for data, some in chosen(records).items()]
    made.append(ablations(differences(records), look))
    yield from (one for one in made if one is not None)
