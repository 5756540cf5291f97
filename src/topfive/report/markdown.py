"""The report as Markdown: whole in a file of its own, in short between the marks of a page such as the README."""

import re
import textwrap
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from topfive import whole_files
from topfive.published import Published
from topfive.report import wording
from topfive.report.contents import Contents
from topfive.report.lines import Line
from topfive.report.rows import Row

START, END = "<!-- results -->", "<!-- /results -->"
LINES = (
    "network", "paper", "tested on", "error", "published", "ours", "95% interval", "n", "difference", "verdict",
)  # fmt: skip
OTHERS = ("network", "tested on", "n", "top-1", "95% interval", "top-5", "95% interval", "departs in")  # fmt: skip
NUMBERS = {"published", "ours", "95% interval", "n", "difference", "top-1", "top-5"}
WIDTH = 118  # of paragraphs, in characters
LEGEND = (
    "Errors in %, differences in points, intervals of 95%: Wilson's over the images of one run, Student's t "
    "over the seeds of several. A number is compared only where nothing departs from its paper."
)


def write(contents: Contents, path: Path) -> None:
    """Between the marks `START` and `END` where `path` has them, else all of the file.

    The short form has what was measured, the whole one every published number.
    """
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    marked = re.compile(f"{START}.*?{END}", re.DOTALL)
    short = f"{START}\n{section(contents, path.parent)}{END}"
    new = marked.sub(lambda _: short, old) if marked.search(old) else whole(contents, path.parent)
    whole_files.write(path, new.encode())


def section(contents: Contents, folder: Path) -> str:
    """What was measured here, beside what is published where that is; addresses as seen from `folder`."""
    measured = [line for line in contents.lines if line.ours is not None]
    return "\n\n".join([_counts(contents), *_tables(measured, contents.others, folder)]) + "\n"


def whole(contents: Contents, folder: Path) -> str:
    """Every published number, every other run and all that departs."""
    parts = ["# The ImageNet top-5 error table, reproduced", _counts(contents)]
    parts += _tables(contents.lines, contents.others, folder)
    departing = dict.fromkeys((row.runs, row.departures) for row in contents.rows if row.departures)
    if departing:
        ledger = [f"- {_runs(runs, folder)}: {_cell('; '.join(d))}" for runs, d in departing]
        parts += ["## What departs", "\n".join(ledger)]
    if contents.skipped:
        skipped = [f"- {wording.name(one.path)}: {one.reason}" for one in contents.skipped]
        parts += ["## Skipped", "\n".join(skipped)]
    return "\n\n".join(parts) + "\n"


def _counts(contents: Contents) -> str:
    counted = wording.counted(contents.lines)
    told = ", ".join(f"{count} {verdict}" for verdict, count in counted.items())
    words = (
        f"{len(contents.lines)} published numbers: {told}. {len(contents.records)} runs. {LEGEND}"
    )
    return textwrap.fill(words, WIDTH)


def _tables(lines: Sequence[Line], others: Sequence[Row], folder: Path) -> list[str]:
    found = []
    if lines:
        found.append(_table(LINES, [_line(line, folder) for line in lines]))
    if others:
        found.append("Results that stand beside no published number:")
        alike = groupby(others, key=lambda row: (row.runs, row.protocol, row.split, row.departures))
        found.append(_table(OTHERS, [_other(list(some), folder) for _, some in alike]))
    return found


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rules = ["---:" if name in NUMBERS else "---" for name in names]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (names, rules, *rows))


def _line(line: Line, folder: Path) -> list[str]:
    one = line.published
    named = " ".join(filter(None, (wording.network(one), wording.options(one.options))))
    told = ", ".join((wording.printed(one), *wording.remarks(one)))
    return [
        _cell(named),
        f"{_paper(one)}, {_cell(one.where)}",
        f"{wording.data(one.data)} {one.split}, {_cell(one.protocol)}",
        wording.error(one.quantity),
        told,
        "" if line.ours is None else _linked(wording.percent(line.ours), line.runs, folder),
        wording.span(line.interval) if line.interval else "",
        _images(line.n, line.seeds),
        "" if line.difference is None else wording.signed(line.difference),
        _cell(f"{wording.MARKS[line.verdict]} {line.verdict}{f': {wording.why(line)}' if wording.why(line) else ''}"),
    ]  # fmt: skip


def _other(some: Sequence[Row], folder: Path) -> list[str]:
    """Both quantities of one result; either may stand beside a published number instead."""
    cells: list[str] = []
    for quantity in ("top1_error", "top5_error"):
        found = [row for row in some if row.quantity == quantity]
        cells += [_linked(wording.percent(row.ours), row.runs, folder) for row in found] or [""]
        cells += [wording.span(row.interval) for row in found] or [""]
    row = some[0]
    return [
        _cell(" ".join(row.label)),
        f"{wording.data(row.data)} {row.split}, {_cell(row.protocol)}",
        _images(row.n, row.seeds),
        *cells,
        _cell(wording.shortened(row.departures)),
    ]


def _paper(one: Published) -> str:
    address, name = wording.address(one.paper), _cell(wording.paper(one.paper))
    return f"[{name}]({address})" if address else name


def _linked(text: str, runs: Sequence[Path], folder: Path) -> str:
    return f"[{text}]({wording.link(runs[0], folder)})" if runs else text


def _runs(runs: Sequence[Path], folder: Path) -> str:
    return ", ".join(f"[{_cell(wording.name(run))}]({wording.link(run, folder)})" for run in runs)


def _images(n: int | None, seeds: Sequence[int]) -> str:
    runs = f", {len(seeds)} runs" if len(seeds) > 1 else ""
    return f"{n:,}{runs}" if n else ""


def _cell(text: str) -> str:
    """Text that means nothing to Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>|~#])", r"\\\1", text)
