"""Whether a published number is reproduced, and where that cannot be said, why not."""

from math import sqrt
from typing import TYPE_CHECKING, Literal, NamedTuple

from topfive.intervals import Interval
from topfive.published import Published

if TYPE_CHECKING:
    from topfive.report.rows import Row

Verdict = Literal[
    "reproduced", "better", "worse", "inconclusive", "not comparable", "cannot be run", "not run"
]
WIDEST = 0.5  # points on either side of ours; beyond, an interval decides nothing,
WIDEST_SHARE = 0.1  # nor does one wider than this part of the published value

# Images that a number is of, where its source does not say otherwise.
IMAGES = {
    ("imagenet", "val"): 50_000,
    ("imagenet", "test"): 100_000,
    ("imagenet2010", "test"): 150_000,
    ("cifar10", "test"): 10_000,
    ("cifar100", "test"): 10_000,
    ("mnist", "test"): 10_000,
}


class Judgement(NamedTuple):
    """A verdict, and the reason in a few words where the verdict does not say all."""

    verdict: Verdict
    reason: str = ""


def cannot_be_run(one: Published) -> str | None:
    """Why nobody can measure it with what is public or built here; None where it can be measured."""
    if one.cannot_run:
        return one.cannot_run
    if one.hidden_labels:
        return "the labels of the test set are hidden"
    if one.split == "train":
        return "the training images are not tested here"
    if one.protocol == "unstated":
        return "its source does not say how it was tested"
    return None


def not_comparable(one: Published, row: "Row") -> str | None:
    """Why `row`, which is of the same network, data, split and protocol, is no measurement of `one`."""
    if row.departures:
        return "; ".join(row.departures)
    images = IMAGES.get((one.data, one.split))
    if images and row.n != images:
        return f"tested on {row.n:,} images, not on all {images:,}"
    if one.statistic.startswith("best"):
        return f"the paper prints the {one.statistic}, which no run and no mean estimates"
    if one.bound:
        return f"the paper prints a bound only, {one.value}"
    return None


def compared(one: Published, ours: float, interval: Interval) -> Judgement:
    """The verdict on `one`, of which `ours` with its `interval` is a measurement (fractions).

    inconclusive: half the width of `interval` exceeds `WIDEST` points or `WIDEST_SHARE` of the value.
    reproduced: the value lies in `interval`, widened by `tolerance`. Else better or worse.
    """
    low, high = (100 * bound for bound in interval)
    half = (high - low) / 2
    if half > WIDEST or half > WIDEST_SHARE * one.number:
        return Judgement("inconclusive", f"the interval is ± {half:.2f} points wide")
    slack = tolerance(one)
    if low - slack <= one.number <= high + slack:
        return Judgement("reproduced")
    return Judgement("better" if 100 * ours < one.number else "worse")


def tolerance(one: Published) -> float:
    """What a printed rate leaves open, in points: half a unit of its last digit, and one standard
    deviation of sampling its images, where their number is known."""
    digits = len(one.value.partition(".")[2])
    images = IMAGES.get((one.data, one.split))
    rate = one.number / 100
    sampling = 100 * sqrt(rate * (1 - rate) / images) if images else 0.0
    return 0.5 * 10.0**-digits + sampling
