"""The test errors of two runs side by side, and whether they differ by more than the images explain."""

from collections.abc import Sequence

from topfive.inspect.table import Table
from topfive.intervals import Interval, newcombe, wilson
from topfive.report.compare.pairing import Test, tests
from topfive.report.compare.sides import Side
from topfive.results import Score

NONE = "—"
COLUMNS = ("protocol", "split", "error", "first", "second", "difference", "p", "how")
NOTES = (
    "Errors in %, differences (second minus first) in points, with 95% intervals. Of one run: Wilson's. Paired, "
    "where the predictions of both are on file: Bonett and Price's, p by McNemar's exact test on the images that "
    "only one got wrong. Unpaired, where they are not: Newcombe's, which ignores that both saw the same images "
    "and is too wide.",
    "One run a side: what another seed would change is in none of these.",
)
UNNAMED = "Both are of data=folder, and records do not say which folder that was: make sure."

Cells = tuple[str, ...]


def scores(first: Side, second: Side) -> Table:
    """A row for top-1 and one for top-5 of each test; what may not be compared is never in one row."""
    found = tests(first, second)
    rows = [row for test in found for row in (_alone(test) if test.refused else _compared(test))]
    notes = [*NOTES]
    if (first.record.data, second.record.data) == ("folder", "folder"):
        notes.append(UNNAMED)
    notes += [f"Unpaired: {why}." for why in dict.fromkeys(t.unpaired for t in found if t.unpaired)]
    return Table("Test errors", COLUMNS, rows, (), notes, frozenset({0, 1, 2, 7}), frozenset({7}))


def _alone(test: Test) -> list[Cells]:
    rows: list[Cells] = []
    for place, score in enumerate(test.scores):
        for error, count in _errors(score) if score else ():
            assert score is not None
            cells = [NONE, NONE]
            cells[place] = _rate(count, score.n)
            how = f"not compared: {test.refused}"
            rows.append((score.protocol, score.split, error, *cells, NONE, NONE, how))
    return rows


def _compared(test: Test) -> list[Cells]:
    first, second = test.scores
    assert first is not None
    assert second is not None
    rows: list[Cells] = []
    for k, ((error, before), (_, after)) in enumerate(
        zip(_errors(first), _errors(second), strict=False)
    ):
        n = first.n
        if test.pairs:
            found = test.pairs[k]
            interval, p = found.interval(), f"{found.p:.2g}"
            how = f"paired: {found.only_first:,} wrong in the first alone, {found.only_second:,} in the second"
        else:
            interval, p, how = newcombe((before, after), (n, n)), NONE, "unpaired"
        difference = _points((after - before) / n, interval)
        rates = _rate(before, n), _rate(after, n)
        rows.append((first.protocol, first.split, error, *rates, difference, p, how))
    return rows


def _errors(score: Score) -> Sequence[tuple[str, int]]:
    top5 = [] if score.top5_errors is None else [("top-5", score.top5_errors)]
    return [("top-1", score.top1_errors), *top5]


def _rate(errors: int, n: int) -> str:
    low, high = wilson(errors, n)
    return f"{100 * errors / n:.2f} ({100 * low:.2f}–{100 * high:.2f})"


def _points(difference: float, interval: Interval) -> str:
    middle, low, high = (round(100 * one, 2) + 0.0 for one in (difference, *interval))  # no -0.00
    return f"{middle:+.2f} ({low:+.2f} to {high:+.2f})"
