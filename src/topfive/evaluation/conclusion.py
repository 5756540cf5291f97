"""From the predictions of a test to files, a record and a table."""

from collections.abc import Sequence
from pathlib import Path

from topfive import predictions
from topfive.predictions import Predictions
from topfive.results import Score


def kept(found: Sequence[Predictions], folder: Path) -> list[Score]:
    """Writes the predictions into `folder`; their counts, and a line for each file and what was unreadable."""
    folder.mkdir(parents=True, exist_ok=True)
    scores = []
    for one in found:
        score = one.score()
        path = folder / predictions.file_name(score.protocol, score.split)
        predictions.write(one, path)
        scores.append(score)
        print(f"predictions: {path}", flush=True)
    if found and not found[0].readable.all():
        print(_unreadable(found[0]), flush=True)
    return scores


def _unreadable(one: Predictions) -> str:
    names = [name for name, readable in zip(one.images, one.readable, strict=True) if not readable]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return (
        f"{len(names)} of {len(one.images)} images could not be decoded and count as wrong: "
        f"{', '.join(names[:5])}{more}"
    )


def merged(before: Sequence[Score], now: Sequence[Score]) -> tuple[Score, ...]:
    """Scores with those of the same protocol and split replaced."""
    new = {(score.protocol, score.split) for score in now}
    return (*(s for s in before if (s.protocol, s.split) not in new), *now)
