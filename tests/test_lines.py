"""The table line by line: what stands beside each published number, and why."""

import re
from pathlib import Path
from typing import Any

import pytest
from records import record

from topfive.published import load
from topfive.report.lines import Line, lines
from topfive.results import Record, Score

PUBLISHED = load()
RESNET110: dict[str, Any] = {
    "model": "resnet110",
    "recipe": "resnet_cifar_warmup",
    "options": {"depth": 110, "shortcut": "A"},
}
RESNET34: dict[str, Any] = {
    "model": "resnet34",
    "recipe": "resnet",
    "data": "imagenet",
    "options": {
        "depth": 34,
        "shortcut": "B",
        "stride_on": "1x1",
        "stem_pool": "ceil",
        "head": "global",
    },
}
TEN_CROP = Score("ten_crop", "val", 50_000, 12_300, 3_700)


def view(top1: int, n: int = 10_000) -> Score:
    return Score("one_view", "test", n, top1, top1 // 5)


def found(*records: Record, **facts: Any) -> list[Line]:
    return [
        line
        for line in lines(records, PUBLISHED)
        if all(getattr(line.published, key) == value for key, value in facts.items())
    ]


def test_every_target_has_one_line_with_records_or_without() -> None:
    expected = [
        one.key for one in PUBLISHED if one.role == "target" and "change" not in one.quantity
    ]
    assert [line.published.key for line in lines([], PUBLISHED)] == expected
    assert [line.published.key for line in lines([record()], PUBLISHED)] == expected
    years = [line.published.home.paper.year for line in lines([], PUBLISHED)
             if line.published.home and line.published.home.paper == line.published.paper]  # fmt: skip
    assert years == sorted(years)  # type: ignore[type-var]


def test_a_number_that_was_not_run_has_a_command_and_one_that_cannot_be_has_a_reason() -> None:
    everything = lines([], PUBLISHED)
    assert {line.verdict for line in everything} == {"not run", "cannot be run"}
    assert all(bool(line.command) == (line.verdict == "not run") for line in everything)
    assert all(line.reason for line in everything)
    efforts = {line.published.network: line.reason for line in everything if line.command}
    assert re.fullmatch(r"about [\d.,]+ H100 hours, estimated", efforts["resnet50"])


def test_the_mean_over_seeds_is_compared_with_its_own_interval() -> None:
    runs = [record(view(k), seed=seed, **RESNET110) for seed, k in enumerate((655, 660, 665))]
    (line,) = found(*runs, network="resnet110", statistic="mean of 5")
    assert (line.ours, line.seeds, line.n) == (pytest.approx(0.066), (0, 1, 2), 10_000)
    half = 4.302653 * 0.0005 / 3**0.5  # the 97.5% point of t with 2 degrees
    assert line.interval == pytest.approx((0.066 - half, 0.066 + half), abs=1e-8)
    assert line.difference == pytest.approx(6.60 - 6.61)
    assert line.verdict == "reproduced"


def test_the_best_of_five_is_not_compared_with_a_mean() -> None:
    (line,) = found(record(view(640), **RESNET110), network="resnet110", statistic="best of 5")
    assert (line.verdict, line.difference) == ("not comparable", None)
    assert line.ours == 0.064  # in sight all the same


def test_a_median_is_compared_with_the_median_and_the_mean_with_the_mean() -> None:
    made = {"model": "preact_resnet1001", "recipe": "preact_resnet_cifar"}
    (one, *_) = found(network="preact_resnet1001", statistic="median of 5", data="cifar10")
    whole = dict(one.published.home.options) if one.published.home else {}
    runs = [
        record(view(k), seed=seed, options=whole, **made)
        for seed, k in enumerate((480, 485, 490, 495, 530))
    ]
    facts = {"network": "preact_resnet1001", "data": "cifar10", "options": {}}
    facts["recipes"] = ("preact_resnet_cifar",)
    (median,) = found(*runs, statistic="median of 5", **facts)
    (mean,) = found(*runs, statistic="mean of 5", **facts)
    assert (median.ours, mean.ours) == (0.049, pytest.approx(0.0496))
    assert median.difference == pytest.approx(4.90 - 4.92)
    assert mean.difference == pytest.approx(4.96 - 4.89)


def test_each_protocol_and_quantity_has_its_own_line() -> None:
    run = record(TEN_CROP, **RESNET34)
    lit = {
        (line.published.protocol, line.published.quantity, line.published.value)
        for line in found(run, network="resnet34")
        if line.ours is not None
    }
    assert lit == {("ten_crop", "top1_error", "24.52"), ("ten_crop", "top5_error", "7.46")}


def test_a_score_without_top5_fills_no_top5_line() -> None:
    run = record(Score("ten_crop", "val", 50_000, 12_300, None), **RESNET34)
    verdicts = {
        line.published.quantity: line.verdict
        for line in found(run, network="resnet34", protocol="ten_crop", options={})
    }
    assert verdicts == {"top1_error": "reproduced", "top5_error": "not run"}


@pytest.mark.parametrize(
    "change",
    [
        {"scores": (Score("one_crop", "test", 10_000, 875),)},
        {"scores": (Score("one_view", "minival", 10_000, 875),)},
        {"data": "cifar100"},
        {"data": "digits"},
        {"recipe": "resnet"},
        {"options": {"depth": 20, "shortcut": "B"}},
        {"model": "resnet21"},
    ],
)
def test_a_run_of_something_else_stands_beside_nothing(change: dict[str, Any]) -> None:
    assert {line.ours for line in lines([record(**change)], PUBLISHED)} == {None}


def test_a_run_that_departs_is_shown_and_not_compared() -> None:
    departs = ("data.fraction=0.1 (paper: 1)", "recipe.shorten=40 (paper: 1)")
    (line,) = found(record(view(2847), departures=departs), network="resnet20")
    assert (line.verdict, line.difference, line.ours) == ("not comparable", None, 0.2847)
    assert (line.reason, line.departures) == ("; ".join(departs), departs)


def test_the_run_without_departures_is_the_one_that_counts() -> None:
    short = record(view(2000), departures=("recipe.shorten=40",), seed=0)
    faithful = [record(view(k), seed=k) for k in (873, 875)]
    (line,) = found(short, *faithful, network="resnet20")
    assert (line.seeds, line.verdict) == ((873, 875), "reproduced")


def test_part_of_the_test_set_is_not_the_test_set() -> None:
    (line,) = found(record(view(45, n=500)), network="resnet20")
    assert (line.verdict, line.n) == ("not comparable", 500)
    assert "500 images, not on all 10,000" in line.reason


def test_a_bound_is_not_compared() -> None:
    plain = {"model": "plain110", "recipe": "resnet_cifar_warmup"}
    run = record(view(7000), options={"depth": 110, "shortcut": None}, **plain)
    (line,) = found(run, network="plain110")
    assert (line.verdict, line.ours) == ("not comparable", 0.7)
    assert "> 60" in line.reason


def test_runs_are_their_directories_and_files_elsewhere_themselves() -> None:
    inside, alone = Path("outputs/a/result.json"), Path("results/b.json")
    runs = [record(view(873), seed=0, path=inside), record(view(875), seed=1, path=alone)]
    (line,) = found(*runs, network="resnet20")
    assert line.runs == (Path("outputs/a"), alone)


def test_the_committed_records_are_read_and_none_is_called_reproduced_that_departs() -> None:
    from topfive.results import find

    records, skipped = find([Path(__file__).parents[1] / "results"])
    assert records
    assert skipped == []
    for line in lines(records, PUBLISHED):
        assert not (line.departures and line.verdict in ("reproduced", "better", "worse"))
