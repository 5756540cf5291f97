"""What tests counted, each in a row with its intervals."""

from collections.abc import Iterable

from topfive.predictions.aligned import Tested
from topfive.predictions.file import Predictions
from topfive.predictions.tables import Row, Table, rate

SHOWN = 5


def scores(tests: Iterable[Tested]) -> Table:
    """Top-1 and top-5 error of every test; the first unreadable images are named."""
    rows, notes = [], ["Errors in %, with Wilson's 95% interval over the images."]
    for path, given in tests:
        rows.append({"file": str(path), **tested(given), **errors(given)})
        if not given.readable.all():
            notes.append(f"unreadable in {path}, counted as wrong: {_unreadable(given)}")
    return Table("scores", "Scores", rows, notes)


def tested(given: Predictions) -> Row:
    """What was tested on what, and how; None where the file does not say."""
    said = {key: given.about.get(key) for key in ("model", "data", "split", "protocol")}
    return {key: None if value is None else str(value) for key, value in said.items()}


def errors(given: Predictions) -> Row:
    """Counts and rates; no top-5 error for 5 classes or fewer."""
    score = given.score()
    return {
        "n": score.n,
        "unreadable": score.unreadable,
        "top1_error": rate(given.errors(1)),
        "top5_error": None if score.top5_errors is None else rate(given.errors(5)),
    }


def _unreadable(given: Predictions) -> str:
    names = [str(given.images[row]) for row in (~given.readable).nonzero()[0].tolist()]
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN])}{more}"
