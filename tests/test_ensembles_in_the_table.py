"""Records of ensembles beside published numbers: those of just the same networks, and never of one network."""

from pathlib import Path
from typing import Any

import pytest
from records import record
from small_ensembles import TRAINED, ensemble, member

from topfive.published import load, matching
from topfive.report.lines import Line, lines
from topfive.report.rows import rows
from topfive.results import Member, Record, Score

PUBLISHED = load()
SQUARE = Score(
    "ten_crop_square", "val", 50_000, 19_050, 8_200
)  # 38.1 and 16.4, as AlexNet's Table 2
DENSE, CROPS = "dense_256_384_512", "crops150"


def of(model: str, count: int, **changes: Any) -> list[Member]:
    return [member(model, seed, **changes) for seed in range(count)]


def under(protocol: str) -> Score:
    return Score(protocol, "val", 50_000, 12_000, 3_500)


D_AND_E = [member("vgg16"), member("vgg19")]
NO_LRN = member("alexnet", 4, options=TRAINED["alexnet"]["options"] | {"lrn": False})


@pytest.mark.parametrize(
    ("members", "score", "changes", "values"),
    [
        (of("alexnet", 5), SQUARE, {}, ["38.1", "16.4"]),
        (of("alexnet", 5), Score("ten_crop_square", "val", 50_000, 19_050), {}, ["38.1"]),
        (of("alexnet", 5, recipe="alexnet_code"), SQUARE, {}, ["38.1", "16.4"]),
        (of("alexnet", 4), SQUARE, {}, []),
        (of("alexnet", 6), SQUARE, {}, []),
        ([*of("alexnet", 4), NO_LRN], SQUARE, {}, []),
        ([*of("alexnet", 4), member("alexnet", 4, recipe="zfnet")], SQUARE, {}, []),
        ([*of("alexnet", 4), member("zfnet")], SQUARE, {}, []),
        (of("alexnet", 5), under("ten_crop"), {}, []),
        (of("alexnet", 5), Score("ten_crop_square", "minival", 1000, 380, 160), {}, []),
        (of("alexnet", 5), SQUARE, {"data": "folder"}, []),
        (of("zfnet", 5), SQUARE, {}, ["36.7", "15.3"]),
        ([*of("zfnet", 5), member("zfnet_big")], SQUARE, {}, ["36.0", "14.7"]),
        ([*of("zfnet", 4), *of("zfnet_big", 2)], SQUARE, {}, []),
        (D_AND_E, under(DENSE), {}, ["24.0", "7.1"]),
        (D_AND_E, under(CROPS), {}, ["23.9", "7.2"]),
        (D_AND_E, under(f"{CROPS}_and_{DENSE}"), {}, ["23.7", "6.8"]),
        ([member("vgg16"), member("vgg16", 1)], under(DENSE), {}, []),
        ([member("vgg16"), member("vgg19", recipe="vgg_384")], under(DENSE), {}, []),
    ],
)  # fmt: skip
def test_an_ensemble_is_set_beside_numbers_of_just_its_members(
    members: list[Member], score: Score, changes: dict[str, Any], values: list[str]
) -> None:
    found = matching(ensemble(score, *members, **changes), score)
    assert [one.value for one in found] == values


def test_a_single_network_is_never_set_beside_an_ensemble() -> None:
    one = record(SQUARE, data="imagenet", **TRAINED["alexnet"])
    assert [found.value for found in matching(one, SQUARE)] == ["40.7", "18.2"]
    alone = record(under(DENSE), data="imagenet", **TRAINED["vgg16"])
    assert [found.value for found in matching(alone, under(DENSE))] == ["24.8", "7.5"]


def beside(*records: Record, networks: int) -> Line:
    """What stands beside AlexNet's top-5 error on val, of one network or of five."""
    facts = {"network": "alexnet", "recipes": ("alexnet", "alexnet_code"), "options": {}}
    facts |= {
        "protocol": "ten_crop_square",
        "split": "val",
        "data": "imagenet",
        "quantity": "top5_error",
    }
    (line,) = [
        line
        for line in lines(records, PUBLISHED)
        if line.published.networks == networks
        and all(getattr(line.published, key) == value for key, value in facts.items())
    ]
    return line


def test_each_of_both_has_its_own_line() -> None:
    five = beside(ensemble(SQUARE, *of("alexnet", 5)), networks=5)
    assert (five.ours, five.verdict, five.difference) == (0.164, "reproduced", pytest.approx(0))
    assert beside(ensemble(SQUARE, *of("alexnet", 5)), networks=1).verdict == "not run"
    singles = [
        record(SQUARE, data="imagenet", seed=seed, **TRAINED["alexnet"]) for seed in range(5)
    ]
    assert beside(*singles, networks=5).verdict == "not run"


def test_an_ensemble_that_departs_or_saw_a_part_of_the_images_is_not_compared() -> None:
    short = "recipe.shorten=40 (paper: 1)"
    five = of("alexnet", 5)
    line = beside(ensemble(SQUARE, *five, departures=(short,)), networks=5)
    assert (line.verdict, line.reason, line.difference) == ("not comparable", short, None)
    part = Score("ten_crop_square", "val", 500, 190, 82)
    line = beside(ensemble(part, *five), networks=5)
    assert (line.verdict, line.reason) == (
        "not comparable",
        "tested on 500 images, not on all 50,000",
    )


def test_of_two_ensembles_of_such_networks_the_later_counts() -> None:
    five = of("alexnet", 5)
    earlier = ensemble(SQUARE, *five, path=Path("one/result.json"))
    later = ensemble(
        under("ten_crop_square"),
        *five,
        path=Path("two/result.json"),
        finished="2026-11-21T13:00:00+00:00",
    )
    table, replaced = rows([later, earlier], PUBLISHED)
    assert [row.runs for row in table] == [(Path("two"),)] * 2
    assert [(one.path, one.reason) for one in replaced] == [
        (Path("one/result.json"), "a later run is of as many such networks")
    ]
