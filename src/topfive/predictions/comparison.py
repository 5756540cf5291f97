"""Two tests of the same images: whether they differ by more than the choice of the images explains."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from topfive.intervals import Interval
from topfive.predictions.aligned import Tested, aligned
from topfive.predictions.file import Predictions
from topfive.predictions.names import spoken
from topfive.predictions.tables import Difference, Row, Table

LEGEND = (
    "Difference: the second's error minus the first's, in points, with Bonett and Price's 95% interval for "
    "pairs. p: McNemar's exact test, two-sided, on the images that only one got wrong."
)


@dataclass(frozen=True)
class Pairs:
    """Of `n` images, how many only the first test got wrong, and how many only the second."""

    n: int
    only_first: int
    only_second: int

    @property
    def difference(self) -> float:
        """The second's error minus the first's, a fraction."""
        return (self.only_second - self.only_first) / self.n

    @property
    def p(self) -> float:
        """McNemar's exact test: how often so uneven a split of the images that only one got wrong were chance."""
        from scipy.stats import binomtest  # scipy.stats takes a second to import

        uneven = self.only_first + self.only_second
        return float(binomtest(self.only_first, uneven).pvalue) if uneven else 1.0

    def interval(self, level: float = 0.95) -> Interval:
        """Of the difference: Wald's with one image added to each of the two counts (Bonett and Price,
        Journal of Educational and Behavioral Statistics 37, 2012)."""
        from scipy.special import ndtri

        n = self.n + 2
        first, second = (self.only_first + 1) / n, (self.only_second + 1) / n
        middle = second - first
        half = float(ndtri((1 + level) / 2)) * ((first + second - middle**2) / n) ** 0.5
        return Interval(max(-1.0, middle - half), min(1.0, middle + half))


def pairs(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Pairs:
    """Counts of two lists of errors, bool (n,), of the same images."""
    return Pairs(len(first), int((first & ~second).sum()), int((second & ~first).sum()))


def compare(tests: Sequence[Tested], limit: int) -> list[Table]:
    """Two tables of two tests: McNemar's for top-1 and top-5, and `limit` images that only one has wrong, of each.

    Raises Problem where they are not of the same images.
    """
    first, second = aligned(tests)
    names = " (first) and ".join(str(path) for path, _ in tests)
    rows = [_row(first, second, 1)] + [_row(first, second, 5)] * (len(first.classes) > 5)
    compared = Table("tests", f"{names} (second)", rows, [LEGEND])
    return [compared, _images(first, second, limit)]


def _row(first: Predictions, second: Predictions, k: int) -> Row:
    wrong = first.errors(k), second.errors(k)
    found = pairs(*wrong)
    return {
        "error": f"top-{k}",
        "first": float(wrong[0].mean()),
        "second": float(wrong[1].mean()),
        "only_first": found.only_first,
        "only_second": found.only_second,
        "difference": Difference(found.difference, *found.interval()),
        "p": found.p,
    }


def _images(first: Predictions, second: Predictions, limit: int) -> Table:
    classes = spoken(first.classes)
    wrong = first.errors(1), second.errors(1)
    rows: list[Row] = []
    for which, here, there in (("first", *wrong), ("second", *wrong[::-1])):
        for image in (here & ~there).nonzero()[0][:limit]:
            rows.append(
                {
                    "only_wrong_in": which,
                    "image": str(first.images[image]),
                    "label": classes[first.labels[image]],
                    "first": _answer(first, int(image), classes),
                    "second": _answer(second, int(image), classes),
                }
            )
    return Table("images", f"Only one has these wrong (top-1), up to {limit:,} of each", rows)


def _answer(given: Predictions, image: int, classes: Sequence[str]) -> str:
    return classes[given.top5[image, 0]] if given.readable[image] else "unreadable"
