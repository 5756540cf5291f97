"""Intervals for error rates, and for their differences: over test images for one run, over seeds for several."""

from collections.abc import Sequence
from statistics import fmean, variance
from typing import NamedTuple


class Interval(NamedTuple):
    """Bounds of an error rate, or of a difference of two, as fractions."""

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
    if len(rates) < 2:
        raise ValueError(f"an interval over seeds needs two runs, got {len(rates)}")
    low, high = _t(fmean(rates), variance(rates) / len(rates), len(rates) - 1, level)
    return Interval(max(0.0, low), min(1.0, high))


def paired(first: Sequence[float], second: Sequence[float], level: float = 0.95) -> Interval:
    """Student's t interval for the mean of second - first, rates of runs of the same seeds in order.

    A ValueError for fewer than two pairs.
    """
    differences = [b - a for a, b in zip(first, second, strict=True)]
    if len(differences) < 2:
        raise ValueError(f"an interval over pairs needs two of them, got {len(differences)}")
    n = len(differences)
    return _t(fmean(differences), variance(differences) / n, n - 1, level)


def welch(first: Sequence[float], second: Sequence[float], level: float = 0.95) -> Interval:
    """Welch's t interval for mean(second) - mean(first), rates of runs of other seeds.

    A ValueError for fewer than two rates on either side.
    """
    if min(len(first), len(second)) < 2:
        raise ValueError(f"two runs of each are needed, got {len(first)} and {len(second)}")
    parts = [variance(rates) / len(rates) for rates in (first, second)]
    weights = [
        part**2 / (len(rates) - 1) for part, rates in zip(parts, (first, second), strict=True)
    ]
    freedom = sum(parts) ** 2 / sum(weights) if sum(weights) else 1.0
    return _t(fmean(second) - fmean(first), sum(parts), freedom, level)


def newcombe(errors: tuple[int, int], n: tuple[int, int], level: float = 0.95) -> Interval:
    """Newcombe's score interval for errors[1] / n[1] - errors[0] / n[0] (Statistics in Medicine 17, 1998, method 10).

    Of two runs on other images. Where both saw the same ones it ignores that, and is too wide.
    """
    p, q = errors[0] / n[0], errors[1] / n[1]
    of_p, of_q = wilson(errors[0], n[0], level), wilson(errors[1], n[1], level)
    below = ((q - of_q.low) ** 2 + (of_p.high - p) ** 2) ** 0.5
    above = ((of_q.high - q) ** 2 + (p - of_p.low) ** 2) ** 0.5
    return Interval(q - p - below, q - p + above)


def _t(mean: float, squared_error: float, freedom: float, level: float) -> Interval:
    from scipy.special import stdtrit

    half = float(stdtrit(freedom, (1 + level) / 2)) * squared_error**0.5
    return Interval(mean - half, mean + half)
