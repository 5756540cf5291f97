"""Every published number with what was measured here beside it, and the verdict: the table itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from topfive.intervals import Interval
from topfive.published import Published
from topfive.report.commands import command
from topfive.report.effort import effort
from topfive.report.rows import Row, rows
from topfive.report.verdicts import Judgement, Verdict, cannot_be_run, compared, not_comparable
from topfive.results import Record

__all__ = ["Line", "Verdict", "lines"]


@dataclass(frozen=True, kw_only=True)
class Line:
    """A published number and what stands beside it: one row of the table.

    ours, interval: fractions; over the seeds where there are several (the median where the paper
    prints a median, else the mean), over the images of the one run otherwise.
    difference: ours minus published in points, only where the two are comparable.
    n: test images. runs: directories, or files of records that lie elsewhere.
    reason: of the verdict; of what was not run, what it would take. command: what measures the number here;
    empty where nothing can.
    """

    published: Published
    verdict: Verdict
    reason: str
    ours: float | None
    interval: Interval | None
    difference: float | None
    n: int | None
    seeds: tuple[int, ...]
    departures: tuple[str, ...]
    runs: tuple[Path, ...]
    command: str


def lines(records: Iterable[Record], published: Sequence[Published]) -> list[Line]:
    """One line for every error rate that is a target, in the order of `published` (oldest paper first).

    Printed differences are not among them: `differences` sets them beside those of ablations.
    """
    return of_rows(rows(records, published)[0], published)


def of_rows(table: Iterable[Row], published: Sequence[Published]) -> list[Line]:
    """The same from the rows of the records."""
    beside: dict[tuple[str, ...], list[Row]] = {}
    for row in table:
        for one in row.published:
            beside.setdefault(one.key, []).append(row)
    return [
        _line(one, beside.get(one.key, []))
        for one in published
        if one.role == "target" and not one.quantity.endswith("_change")
    ]


def _line(one: Published, found: Sequence[Row]) -> Line:
    reason = cannot_be_run(one)
    if reason is not None:
        return _empty(one, "cannot be run", reason, "")
    if not found:
        return _empty(one, "not run", effort(command(one)), command(one))
    row = min(found, key=lambda row: (not_comparable(one, row) is not None, *_worth(row)))
    ours, interval = row.estimate(one.statistic)
    why_not = not_comparable(one, row)
    judged = Judgement("not comparable", why_not) if why_not else compared(one, ours, interval)
    return Line(
        published=one,
        verdict=judged.verdict,
        reason=judged.reason,
        ours=ours,
        interval=interval,
        difference=None if why_not else 100 * ours - one.number,
        n=row.n,
        seeds=row.seeds,
        departures=row.departures,
        runs=row.runs,
        command=command(one),
    )


def _worth(row: Row) -> tuple[int, int, int]:
    """The fewest departures first, then the most seeds, then the most images."""
    return len(row.departures), -len(row.seeds), -row.n


def _empty(one: Published, verdict: Verdict, reason: str, told: str) -> Line:
    return Line(
        published=one,
        verdict=verdict,
        reason=reason,
        ours=None,
        interval=None,
        difference=None,
        n=None,
        seeds=(),
        departures=(),
        runs=(),
        command=told,
    )
