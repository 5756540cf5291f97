"""Verdicts by hand-made cases, and the statistics behind them against scipy."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from records import record
from scipy import stats

from topfive.intervals import Interval
from topfive.published import Paper, Published, networks
from topfive.report.rows import Row, rows
from topfive.report.statistics import around_median, error_rate, gap
from topfive.report.verdicts import cannot_be_run, compared, not_comparable, tolerance
from topfive.results import Score

RESNET20 = Published(
    network="resnet20",
    home=networks()["resnet20"],
    options={},
    recipes=("resnet_cifar",),
    data="cifar10",
    split="test",
    protocol="one_view",
    quantity="top1_error",
    value="8.75",
    paper=Paper("resnet", "He et al.", 2015),
    where="Table 6",
)
VAL = replace(RESNET20, data="imagenet", split="val")


def percent(low: float, high: float) -> tuple[float, Interval]:
    """Ours, in the middle of an interval; all in percent."""
    return (low + high) / 200, Interval(low / 100, high / 100)


# Half a unit of the last digit, and the standard deviation of a rate over its images:
# 24.52 of 50,000: 0.005 + 0.19239; 18.2: 0.05 + 0.17255; 18.20: 0.005 + 0.17255;
# 8.75 of 10,000: 0.005 + 0.28257; 11: 0.5 + 0.31289; 0.95: 0.005 + 0.09700.
@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (replace(VAL, value="24.52"), 0.19739),
        (replace(VAL, value="18.2"), 0.22255),
        (replace(VAL, value="18.20"), 0.17755),
        (RESNET20, 0.28757),
        (replace(RESNET20, value="11"), 0.81289),
        (replace(RESNET20, data="mnist", value="0.95"), 0.10200),
        (replace(RESNET20, data="nobodys", value="8.75"), 0.005),  # of how many is not known
    ],
)
def test_a_printed_value_is_as_wide_as_its_rounding_and_the_sampling_of_its_images(
    one: Published, expected: float
) -> None:
    assert tolerance(one) == pytest.approx(expected, abs=2e-5)


CASES = [
    # The value is in the interval itself.
    (replace(VAL, value="24.52"), percent(24.4, 24.7), "reproduced"),
    # Above or below it, by less and by more than the tolerance of 0.19739.
    (replace(VAL, value="24.52"), percent(24.71, 24.91), "reproduced"),
    (replace(VAL, value="24.52"), percent(24.72, 24.92), "worse"),
    (replace(VAL, value="24.52"), percent(24.13, 24.33), "reproduced"),
    (replace(VAL, value="24.52"), percent(24.12, 24.32), "better"),
    # One decimal leaves more open than two.
    (replace(VAL, value="18.2"), percent(18.42, 18.60), "reproduced"),
    (replace(VAL, value="18.20"), percent(18.42, 18.60), "worse"),
    # No decimal at all.
    (replace(RESNET20, value="11"), percent(11.80, 12.20), "reproduced"),
    (replace(RESNET20, value="11"), percent(11.82, 12.20), "worse"),
    # 10,000 images: one run of CIFAR-10 is too wide by itself, whatever it says.
    (RESNET20, percent(8.20, 9.31), "inconclusive"),
    (RESNET20, percent(30.0, 31.1), "inconclusive"),
    (RESNET20, percent(8.30, 9.30), "reproduced"),  # half a point, not more
    # A tenth of a small value is less than half a point.
    (replace(RESNET20, data="mnist", value="0.95"), percent(0.86, 1.06), "inconclusive"),
    (replace(RESNET20, data="mnist", value="0.95"), percent(0.86, 1.04), "reproduced"),
    # Without a known number of images only the rounding is left.
    (replace(RESNET20, data="nobodys"), percent(8.756, 8.9), "worse"),
    (replace(RESNET20, data="nobodys"), percent(8.754, 8.9), "reproduced"),
    # An interval without a width.
    (replace(VAL, value="24.52"), percent(24.52, 24.52), "reproduced"),
    (replace(VAL, value="24.52"), percent(25.0, 25.0), "worse"),
]


@pytest.mark.parametrize(("one", "ours", "verdict"), CASES)
def test_the_verdict_follows_from_interval_rounding_and_sampling(
    one: Published, ours: tuple[float, Interval], verdict: str
) -> None:
    assert compared(one, *ours).verdict == verdict


def test_an_inconclusive_verdict_says_how_wide_the_interval_is() -> None:
    assert compared(RESNET20, *percent(8.0, 10.0)).reason == "the interval is ± 1.00 points wide"
    assert compared(RESNET20, *percent(8.7, 8.9)).reason == ""


def row(n: int = 10_000, **changes: Any) -> Row:
    made = record(Score("one_view", "test", n, n // 10, n // 50), **changes)
    return rows([made], [])[0][0]


@pytest.mark.parametrize(
    ("one", "found", "reason"),
    [
        (RESNET20, row(), None),
        (replace(RESNET20, statistic="mean of 5"), row(), None),
        (replace(RESNET20, statistic="median of 5"), row(), None),
        (RESNET20, row(departures=("recipe.shorten=40", "x=1")), "recipe.shorten=40; x=1"),
        (RESNET20, row(5_000), "tested on 5,000 images, not on all 10,000"),
        (replace(RESNET20, statistic="best of 5"), row(), "the best of 5, which no run"),
        (replace(RESNET20, value="> 60"), row(), "a bound only, > 60"),
        (replace(RESNET20, value="< 0.1"), row(), "a bound only, < 0.1"),
    ],
)
def test_departures_other_images_other_statistics_and_bounds_are_not_compared(
    one: Published, found: Row, reason: str | None
) -> None:
    why = not_comparable(one, found)
    assert why is None if reason is None else reason in (why or "")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"cannot_run": "pre-trained on 22k classes"}, "pre-trained on 22k classes"),
        ({"split": "test", "hidden_labels": True}, "hidden"),
        ({"protocol": "unstated"}, "does not say how"),
        ({"split": "train"}, "training images are not tested"),
    ],
)
def test_what_nobody_can_measure_says_why(changes: dict[str, Any], reason: str | None) -> None:
    why = cannot_be_run(replace(RESNET20, **changes))
    assert why is None if reason is None else reason in (why or "")


def test_one_run_has_wilsons_interval_of_scipy() -> None:
    expected = stats.binomtest(875, 10_000).proportion_ci(0.95, method="wilson")
    ours, interval = error_rate([875], 10_000)
    assert ours == 0.0875
    assert interval == pytest.approx((expected.low, expected.high))


def test_several_seeds_have_students_interval_of_scipy() -> None:
    rates = [0.0875, 0.0861, 0.0902, 0.0880]
    ours, interval = error_rate([875, 861, 902, 880], 10_000, "mean of 4")
    assert ours == pytest.approx(0.08795)
    expected = stats.t.interval(0.95, 3, loc=np.mean(rates), scale=stats.sem(rates))
    assert interval == pytest.approx(expected)


def test_seeds_that_disagree_have_a_wide_interval_and_no_verdict() -> None:
    ours, interval = error_rate([600, 900, 1200], 10_000)
    # t of 2 degrees, 4.302653, times 0.03 / sqrt(3): the low end is below nought by 0.0745 - 0.09.
    assert interval == pytest.approx((0.0154755, 0.1645245), abs=1e-6)
    assert compared(RESNET20, ours, interval).verdict == "inconclusive"


def test_two_seeds_are_wide_unless_they_agree_well() -> None:
    _, far = error_rate([870, 880], 10_000)  # 12.7062 * 0.0005
    assert far == pytest.approx((0.0875 - 0.0063531, 0.0875 + 0.0063531), abs=1e-6)
    assert compared(RESNET20, 0.0875, far).verdict == "inconclusive"
    _, near = error_rate([874, 876], 10_000)
    assert compared(RESNET20, 0.0875, near).verdict == "reproduced"


def test_seeds_that_agree_to_the_image_are_no_more_certain_than_one_run() -> None:
    assert error_rate([875, 875, 875], 10_000) == error_rate([875], 10_000)
    assert error_rate([0, 0], 10_000).interval.high > 0


def test_a_median_has_an_interval_around_the_median() -> None:
    ours, interval = error_rate([620, 630, 640, 660, 750], 10_000, "median of 5")
    assert ours == 0.064
    spread = np.std([0.062, 0.063, 0.064, 0.066, 0.075], ddof=1)
    half = stats.t.ppf(0.975, 4) * np.sqrt(np.pi / 2) * spread / np.sqrt(5)
    assert interval == pytest.approx((0.064 - half, 0.064 + half))


def test_of_two_seeds_the_median_is_the_mean() -> None:
    assert error_rate([640, 660], 10_000, "median of 5") == error_rate([640, 660], 10_000)


@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
def test_the_interval_of_the_median_covers_it_in_95_of_100_draws_or_more(seeds: int) -> None:
    draws = np.random.default_rng(0).normal(0.5, 0.01, (4000, seeds))
    intervals = [around_median(list(rates)) for rates in draws]
    covered = np.mean([low <= 0.5 <= high for low, high in intervals])
    assert 0.943 <= covered <= 0.985  # 0.95 less two standard deviations of 4,000 draws


def test_a_gap_is_taken_over_pairs_then_seeds_then_images() -> None:
    first, second = {0: 870, 1: 880, 2: 900}, {0: 850, 1: 865, 2: 870}
    ours, interval, over = gap(first, second, 10_000)
    change = np.array([-0.0020, -0.0015, -0.0030])
    assert (ours, over) == (pytest.approx(change.mean()), "pairs")
    assert interval == pytest.approx(stats.t.interval(0.95, 2, change.mean(), stats.sem(change)))
    assert gap({0: 870, 1: 880}, {5: 850, 6: 860}, 10_000).over == "seeds"
    assert gap({0: 870}, {0: 850, 1: 860}, 10_000).over == "images"
