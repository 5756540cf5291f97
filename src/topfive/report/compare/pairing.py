"""Which tests of two runs may be compared, and what their predictions on file say image by image."""

from dataclasses import dataclass
from pathlib import Path

from topfive.predictions import Predictions, file_name, read
from topfive.predictions.aligned import aligned
from topfive.predictions.comparison import Pairs, pairs
from topfive.problems import Problem
from topfive.report.compare.sides import Side, refusal
from topfive.results import Score


@dataclass(frozen=True)
class Test:
    """What both runs counted under one protocol on one split; None where one was not tested so.

    refused: why the numbers may not be compared; None where they may. pairs: of top-1 and, where there are more
    than five classes, top-5 errors; empty where `unpaired` says why there are none.
    """

    scores: tuple[Score | None, Score | None]
    refused: str | None = None
    pairs: tuple[Pairs, ...] = ()
    unpaired: str = ""


def tests(first: Side, second: Side) -> list[Test]:
    """In the order of the first run's, then what the second alone was tested by."""
    one, other = (
        {(score.protocol, score.split): score for score in side.record.scores}
        for side in (first, second)
    )
    refused = refusal(first, second)
    return [
        _test(first, second, one.get(key), other.get(key), refused)
        for key in dict.fromkeys([*one, *other])
    ]


def _test(
    first: Side, second: Side, one: Score | None, other: Score | None, refused: str | None
) -> Test:
    if one is None or other is None:
        alone = f"only the {'second' if one is None else 'first'} was tested so"
        return Test((one, other), refused or alone)
    if refused or one.n != other.n:
        return Test((one, other), refused or f"images: {one.n:,} against {other.n:,}")
    found = [_on_file(first, one), _on_file(second, other)]
    missing = [each for each in found if isinstance(each, str)]
    if missing:
        return Test((one, other), unpaired="; ".join(missing))
    try:
        ours, theirs = aligned([each for each in found if not isinstance(each, str)])
    except Problem as problem:
        return Test((one, other), refused=str(problem))
    ranks = (1, 5) if one.top5_errors is not None else (1,)
    return Test((one, other), pairs=tuple(pairs(ours.errors(k), theirs.errors(k)) for k in ranks))


def _on_file(side: Side, score: Score) -> tuple[Path, Predictions] | str:
    """The predictions that `score` was counted from; else why they are not there."""
    path = side.folder and side.folder / file_name(score.protocol, score.split)
    if path is None or not path.exists():
        return f"no predictions on file of {side.path}"
    given = read(path)
    counted = given.score()
    same = (counted.n, counted.top1_errors) == (score.n, score.top1_errors)
    if not same or counted.top5_errors != score.top5_errors:
        return f"{path} is of another test than the record"
    return path, given
