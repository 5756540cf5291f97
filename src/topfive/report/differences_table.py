"""The ablations in the terminal: a heading for every two sides, and their differences below."""

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console, JustifyMethod
from rich.table import Table
from rich.text import Text

from topfive.report.differences import Difference, differences
from topfive.results import Record

NONE = "—"
COLUMNS = ("error", "published", "ours", "95% interval", "over", "seeds")
LEGEND = (
    "The error of one side minus that of the other, in points. Intervals are 95%: Student's t over "
    "the differences of seeds that both sides ran (pairs), Welch's over the seeds of each where "
    "they share fewer than two (seeds), Newcombe's over the images of a single run each, which "
    "ignores that both saw the same images."
)


def render(records: Sequence[Record], console: Console) -> None:
    """Prints every ablation of which `records` have two sides or more; nothing where there is none."""
    found = differences(records)
    if not found:
        return
    console.print(Text("\nAblations", style="bold"))
    for _, some in groupby(found, key=lambda one: (one.ablation, one.side, one.setting)):
        _print(list(some), console)
    console.print(Text(f"\n{LEGEND}", overflow="fold"))


def _print(some: Sequence[Difference], console: Console) -> None:
    one = some[0]
    setting = (one.setting.model, one.setting.data, one.setting.protocol, one.setting.split)
    where = ", ".join(name for name in setting if name)
    heading = f"{one.ablation}: {one.side} against {one.against}, {where}"
    console.print(Text(heading, style="bold", overflow="fold"))
    cells = [_cells(row) for row in some]
    widths = [max(map(len, column)) for column in zip(map(Text, COLUMNS), *cells, strict=True)]
    # Its own width, not the terminal's: one that is too small wraps, but no digit is cut.
    table = Table(box=None, padding=(0, 0, 0, 2), width=sum(widths) + 2 * len(widths))
    for name, width in zip(COLUMNS, widths, strict=True):
        justify: JustifyMethod = "left" if name == COLUMNS[0] else "right"
        table.add_column(name, no_wrap=True, justify=justify, width=width)
    for row in cells:
        table.add_row(*row)
    console.print(table, crop=False)
    for line in _remarks(one):
        console.print(Text(f"  {line}", style="dim", overflow="fold"))


def _cells(row: Difference) -> list[Text]:
    low, high = row.interval
    return [
        Text(row.quantity.removesuffix("_error").replace("top", "top-")),
        Text(row.published or NONE, style="dim" if row.departures else ""),
        Text(_points(row.ours)),
        Text(f"{_points(low)} to {_points(high)}"),
        Text(row.over),
        Text(", ".join(str(len(seeds)) for seeds in row.seeds)),
    ]


def _points(fraction: float) -> str:
    return f"{round(100 * fraction, 2) + 0.0:+.2f}"  # no "-0.00"


def _remarks(one: Difference) -> list[str]:
    lines = []
    if one.expected:
        facts = (one.expected.where, one.expected.note, one.expected.unverified)
        words = ", ".join(("unverified: " if k == 2 else "") + f for k, f in enumerate(facts) if f)
        lines.append(f"published in {words}")
    if one.departures:
        more = len(one.departures) - 1
        words = f"{one.departures[0]}{f' and {more} more' if more else ''}"
        lines.append(f"not comparable: {words}" if one.expected else words)
    return lines
