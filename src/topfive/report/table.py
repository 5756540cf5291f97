"""The results table in the terminal: one table, or in narrow ones a heading per comparison."""

import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from topfive.published import Published
from topfive.report import differences_table
from topfive.report.rows import Row, rows
from topfive.report.verdicts import compared, not_comparable
from topfive.results import Record, Skipped

WIDE = 150  # columns from which names and departures fit beside the numbers
NONE = "—"
NUMBERS = ("error", "published", "ours", "95% interval", "diff.", "n", "runs")
LEGEND = (
    "Errors in %. Intervals are 95%: Wilson over the images of one run, Student's t over the seeds "
    "of several, around their mean, or their median where the paper prints one. Difference (diff.): "
    "ours minus published, in points."
)


def render(
    records: Sequence[Record],
    published: Sequence[Published],
    console: Console,
    skipped: Sequence[Skipped] = (),
) -> None:
    """Prints all runs beside what was published, then departures, sources, and what was skipped.

    A run is set beside numbers of its own data set, split and protocol only.
    """
    found, replaced = rows(records, published)
    departures = dict.fromkeys(row.departures for row in found if row.departures)
    marks = {one: f"[{number}]" for number, one in enumerate(departures, start=1)}
    comparisons = [list(some) for _, some in groupby(found, key=_comparison)]
    if console.width >= WIDE:
        console.print(_wide(comparisons, marks))
    else:
        _print_narrow(comparisons, marks, console)
    firsts = [some[0] for some in comparisons]
    chosen = dict.fromkeys(f"{_name(row)}: {row.selection}" for row in found if row.selection)
    for title, lines in (
        ("", [LEGEND]),
        ("Departures", [f"{mark} {'; '.join(one)}" for one, mark in marks.items()]),
        ("Chosen on the minival", list(chosen)),
        ("Published in", _sources(found)),
        ("Runs", [f"{_name(row)}: {_run_list(row)}" for row in firsts if row.runs]),
        (
            "Unreadable images",
            [f"{_name(row)}: {row.unreadable:,}" for row in firsts if row.unreadable],
        ),
        ("Skipped", [f"{_shown(one.path)}: {one.reason}" for one in (*skipped, *replaced)]),
    ):
        if lines:
            console.print(Text(f"\n{title}" if title else "", style="bold"))
        for line in lines:
            console.print(Text(line, overflow="fold"))
    differences_table.render(records, console)


def _comparison(row: Row) -> tuple[object, ...]:
    return row.label, row.data, row.protocol, row.split, row.n, row.departures


def _name(row: Row) -> str:
    return f"{' '.join(row.label)}, {row.data}, {row.protocol}, {row.split}"


def _wide(comparisons: Sequence[Sequence[Row]], marks: dict[tuple[str, ...], str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("network", overflow="fold")
    table.add_column("data", no_wrap=True)
    table.add_column("protocol", no_wrap=True)
    table.add_column("split", no_wrap=True)
    _add_numbers(table)
    table.add_column("verdict", overflow="fold")
    for some in comparisons:
        for row, verdict in zip(some, _verdicts(some, marks), strict=True):
            what = ("\n".join(row.label), row.data, row.protocol, row.split)
            table.add_row(
                *(Text(word if row is some[0] else "") for word in what), *_numbers(row), verdict
            )
    return table


def _print_narrow(
    comparisons: Sequence[Sequence[Row]], marks: dict[tuple[str, ...], str], console: Console
) -> None:
    cells = {id(row): _numbers(row) for some in comparisons for row in some}
    longest = [
        max(len(line) for cell in (name, *column) for line in str(cell).split("\n"))
        for name, column in zip(NUMBERS, zip(*cells.values(), strict=True), strict=True)
    ]

    def show(some: Sequence[Row]) -> None:
        # Its own width, not the terminal's: one that is too small wraps, but no digit is cut.
        width = sum(longest) + 2 * len(longest)
        table = Table(box=None, padding=(0, 0, 0, 2), show_header=not some, width=width)
        _add_numbers(table, longest)
        for row in some:
            table.add_row(*cells[id(row)])
        console.print(table, crop=False)

    show([])
    for some in comparisons:
        console.print(Text(_name(some[0]), style="bold", overflow="fold"))
        show(some)
        told = [
            (row, str(verdict)) for row, verdict in zip(some, _verdicts(some, marks), strict=True)
        ]
        alike = len({words for _, words in told if words}) < 2
        lines = (words if alike else f"{_error(row)}: {words}" for row, words in told if words)
        for line in dict.fromkeys(lines):
            console.print(Text(f"  {line}", style=_style(some[0])), overflow="fold")


def _add_numbers(table: Table, widths: Sequence[int | None] = (None,) * len(NUMBERS)) -> None:
    table.add_column(NUMBERS[0], no_wrap=True, width=widths[0])
    for name, width in zip(NUMBERS[1:], widths[1:], strict=True):
        table.add_column(name, no_wrap=True, width=width, justify="right")


def _numbers(row: Row) -> list[Text]:
    low, high = row.interval
    difference = None if row.difference is None else round(row.difference, 2) + 0.0  # no "-0.00"
    return [
        Text(_error(row)),
        Text("\n".join(map(_printed, row.published)) or NONE, style=_style(row)),
        Text(f"{100 * row.ours:.2f}"),
        Text(f"{100 * low:.2f}–{100 * high:.2f}"),
        Text(NONE if difference is None else f"{difference:+.2f}"),
        Text(f"{row.n:,}"),
        Text(str(len(row.seeds))),
    ]


def _error(row: Row) -> str:
    return row.quantity.removesuffix("_error").replace("top", "top-")


def _printed(one: Published) -> str:
    lines = [one.value if one.std is None else f"{one.value} ± {one.std}"]
    if one.statistic != "single":
        lines.append(one.statistic)
    if not one.verified:
        lines.append("unverified")
    return "\n".join(lines)


def _style(row: Row) -> str:
    return "dim" if row.published and not row.comparable else ""


def _verdicts(some: Sequence[Row], marks: dict[tuple[str, ...], str]) -> list[Text]:
    """One for each row of a comparison; what departs is said of all of them in the first."""
    if not some[0].departures:
        return [_judged(row) for row in some]
    first, more = some[0].departures[0], len(some[0].departures) - 1
    words = f"{first}{f' and {more} more' if more else ''} {marks[some[0].departures]}"
    published = any(row.published for row in some)
    told = Text(f"not comparable: {words}" if published else words, style=_style(some[0]))
    return [told, *(Text("") for _ in some[1:])]


def _judged(row: Row) -> Text:
    """The verdict on the first of the published numbers of a run from which nothing departs."""
    if not row.published:
        return Text("")
    why_not = not_comparable(row.published[0], row)
    if why_not:
        return Text(f"not comparable: {why_not}", style=_style(row))
    verdict, reason = compared(row.published[0], row.ours, row.interval)
    return Text(f"{verdict}: {reason}" if reason else verdict)


def _sources(found: Sequence[Row]) -> list[str]:
    places: dict[str, dict[str, None]] = {}
    for one in (one for row in found for one in row.published):
        places.setdefault(one.paper.citation, {})[one.where] = None
    return [f"{citation}: {', '.join(where)}" for citation, where in places.items()]


def _run_list(row: Row) -> str:
    separator = "\n  " if len(row.runs) > 1 else ""
    return separator + separator.join(map(_shown, row.runs))


def _shown(path: Path) -> str:
    """From where the user stands, if it lies there."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
