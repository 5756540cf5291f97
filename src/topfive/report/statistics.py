"""What the counts of runs that differ in their seed estimate: an error rate, or a difference of two."""

from collections.abc import Mapping, Sequence
from math import pi, sqrt
from statistics import fmean, median, stdev
from typing import NamedTuple

from topfive.intervals import Interval, newcombe, over_seeds, paired, welch, wilson


class Estimate(NamedTuple):
    """An error rate, as a fraction, with its 95% interval."""

    ours: float
    interval: Interval


class Gap(NamedTuple):
    """A difference of two error rates, as a fraction, with its 95% interval and what that is over."""

    ours: float
    interval: Interval
    over: str


def error_rate(errors: Sequence[int], n: int, statistic: str = "mean") -> Estimate:
    """The rate of runs with `errors` wrong answers each on the same `n` images.

    One run: Wilson's interval over its images. Several: Student's t over the seeds, around their mean
    or, where `statistic` begins with "median", around their median. Seeds that agree to the image
    leave t nothing to go by: they count as one run.
    """
    rates = [count / n for count in errors]
    if len(set(rates)) == 1:
        return Estimate(rates[0], wilson(errors[0], n))
    if statistic.startswith("median"):
        return Estimate(median(rates), around_median(rates))
    return Estimate(fmean(rates), over_seeds(rates))


def around_median(rates: Sequence[float], level: float = 0.95) -> Interval:
    """Student's t interval for the median of rates that are normal over the seeds, cut to [0, 1].

    The variance of a median is pi / 2 times that of the mean for many values and less for few, so
    that with few seeds the interval covers more than `level`. A ValueError for fewer than two rates.
    """
    from scipy.special import stdtrit

    if len(rates) < 3:
        return over_seeds(rates, level)  # of two, the median is the mean
    t = float(stdtrit(len(rates) - 1, (1 + level) / 2))
    half = t * sqrt(pi / 2) * stdev(rates) / sqrt(len(rates))
    return Interval(max(0.0, median(rates) - half), min(1.0, median(rates) + half))


def gap(first: Mapping[int, int], second: Mapping[int, int], n: int) -> Gap:
    """The rate of `second` minus that of `first`, errors by seed on `n` images.

    Over the pairs of seeds that both ran, else over the seeds of each, else over the images.
    """
    shared = sorted(first.keys() & second.keys())
    if len(shared) > 1:
        before, after = ([some[seed] / n for seed in shared] for some in (first, second))
        return Gap(fmean(after) - fmean(before), paired(before, after), "pairs")
    if min(len(first), len(second)) > 1:
        before, after = ([count / n for count in some.values()] for some in (first, second))
        return Gap(fmean(after) - fmean(before), welch(before, after), "seeds")
    one, other = (some[shared[0] if shared else min(some)] for some in (first, second))
    return Gap((other - one) / n, newcombe((one, other), (n, n)), "images")
