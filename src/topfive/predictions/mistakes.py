"""Where a network is wrong: in which classes, for which others it takes them, in which images."""

from collections.abc import Sequence

import numpy as np

from topfive.predictions.file import Predictions
from topfive.predictions.names import spoken
from topfive.predictions.tables import Row, Table, rate


def classes(given: Predictions) -> Table:
    """The error of every class that has images, the worst first."""
    names = spoken(given.classes)
    top1, top5 = given.errors(1), given.errors(5)
    rows: list[Row] = []
    for label in np.unique(given.labels):
        of_class = given.labels == label
        rows.append(
            {
                "class": names[label],
                "n": int(of_class.sum()),
                "top1_error": rate(top1[of_class]),
                "top5_error": rate(top5[of_class]) if len(names) > 5 else None,
            }
        )
    rows.sort(key=_badness, reverse=True)
    empty = len(names) - len(rows)
    notes = ["Errors in %, with Wilson's 95% interval over the images of the class."]
    notes += [f"{empty:,} classes have no image."] * bool(empty)
    return Table("classes", "Classes, the worst first", rows, notes)


def confusions(given: Predictions, limit: int) -> Table:
    """The `limit` pairs of label and other answer that occur most often; `share` is of the label's images."""
    names = spoken(given.classes)
    wrong = given.errors(1) & given.readable
    labels, answers = given.labels[wrong], given.top5[wrong, 0].astype(np.int64)
    codes, counts = np.unique(labels * len(names) + answers, return_counts=True)
    images = np.bincount(given.labels, minlength=len(names))
    rows: list[Row] = []
    for place in np.argsort(-counts, kind="stable")[:limit]:
        label, answer = divmod(int(codes[place]), len(names))
        count = int(counts[place])
        share = count / float(images[label])
        rows.append(
            {"label": names[label], "answer": names[answer], "images": count, "share": share}
        )
    title = f"Most frequent of {len(codes):,} confusions, in {int(wrong.sum()):,} images"
    return Table("confusions", title, rows, ["share: of the images of the label, in %."])


def worst(given: Predictions, limit: int) -> Table:
    """The `limit` readable images whose label has the least probability; of equals the surest answer first."""
    names = spoken(given.classes)
    (rows_of,) = given.readable.nonzero()
    of_label = given.probabilities[rows_of, given.labels[rows_of]]
    of_answer = given.probabilities[rows_of, given.top5[rows_of, 0]]
    order = np.lexsort((-of_answer, of_label))[:limit]
    rows = [
        _image(given, names, int(rows_of[place]), (float(of_label[place]), float(of_answer[place])))
        for place in order
    ]
    unreadable = len(given.images) - len(rows_of)
    notes = ["Probabilities in %."]
    notes += [f"{unreadable:,} unreadable images are left out."] * bool(unreadable)
    return Table("worst", "Images with the least probability of their label", rows, notes)


def _image(
    given: Predictions, names: Sequence[str], row: int, probabilities: tuple[float, float]
) -> Row:
    return {
        "image": str(given.images[row]),
        "label": names[given.labels[row]],
        "of_label": probabilities[0],
        "answer": names[given.top5[row, 0]],
        "of_answer": probabilities[1],
    }


def _badness(row: Row) -> tuple[float, ...]:
    return tuple(
        cell[0] for cell in (row["top1_error"], row["top5_error"]) if isinstance(cell, tuple)
    )
