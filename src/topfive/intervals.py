"""Intervals for error rates: over test images for one run, over seeds for several."""

from collections.abc import Sequence
from typing import NamedTuple


class Interval(NamedTuple):
    """Bounds of an error rate, as fractions."""

    low: float
    high: float


def wilson(errors: int, n: int, level: float = 0.95) -> Interval:
    """The Wilson score interval of `errors` wrong answers on `n` images: sampling of images only.

    What another seed would change is not in it; see `over_seeds`.
    """
    from scipy.stats import binomtest  # scipy.stats takes a second to import

    bounds = binomtest(errors, n).proportion_ci(confidence_level=level, method="wilson")
    return Interval(float(bounds.low), float(bounds.high))


def over_seeds(rates: Sequence[float], level: float = 0.95) -> Interval:
    """Student's t interval for the mean of the rates of runs that differ only in their seed.

    Cut to [0, 1], which loses no coverage. A ValueError for fewer than two rates.
    """
    from statistics import fmean, stdev

    from scipy.special import stdtrit

    if len(rates) < 2:
        raise ValueError(f"an interval over seeds needs two runs, got {len(rates)}")
    mean = fmean(rates)
    half = float(stdtrit(len(rates) - 1, (1 + level) / 2)) * stdev(rates) / len(rates) ** 0.5
    return Interval(max(0.0, mean - half), min(1.0, mean + half))
