"""published.yaml against the papers, typed in again by hand, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from records import record

from topfive.problems import Problem
from topfive.published import (
    PROTOCOLS,
    QUANTITIES,
    Published,
    load,
    matching,
    networks,
    parse,
    recipes,
)
from topfive.results import Score

CONF = Path(__file__).parents[1] / "conf"

# Paper, place, network with options, split, protocol, top-1, top-5 (None where none is printed).
SINGLE_NETWORKS = [
    ("lenet5", "III-B, Fig. 5, Fig. 9", "lenet5", {}, "test", "one_view", "0.95", None),
    ("alexnet", "Table 1", "alexnet", {}, "test", "ten_crop_square", "37.5", "17.0"),
    ("alexnet", "footnote 5", "alexnet", {}, "test", "one_crop", "39.0", "18.3"),
    ("alexnet", "Table 2", "alexnet", {}, "val", "ten_crop_square", "40.7", "18.2"),
    ("alexnet", "Table 2", "CNN*", {}, "val", "ten_crop_square", "39.0", "16.6"),
    ("resnet", "Table 2", "plain18", {}, "val", "ten_crop", "27.94", None),
    ("resnet", "Table 2", "resnet18", {}, "val", "ten_crop", "27.88", None),
    ("resnet", "Table 3", "plain34", {}, "val", "ten_crop", "28.54", "10.02"),
    ("resnet", "Table 3", "resnet34", {"shortcut": "A"}, "val", "ten_crop", "25.03", "7.76"),
    ("resnet", "Table 3", "resnet34", {}, "val", "ten_crop", "24.52", "7.46"),
    ("resnet", "Table 3", "resnet34", {"shortcut": "C"}, "val", "ten_crop", "24.19", "7.40"),
    ("resnet", "Table 3", "resnet50", {}, "val", "ten_crop", "22.85", "6.71"),
    ("resnet", "Table 3", "resnet101", {}, "val", "ten_crop", "21.75", "6.05"),
    ("resnet", "Table 3", "resnet152", {}, "val", "ten_crop", "21.43", "5.71"),
    ("resnet", "Table 4", "resnet34", {}, "val", "dense_multiscale", "21.84", "5.71"),
    ("resnet", "Table 4", "resnet50", {}, "val", "dense_multiscale", "20.74", "5.25"),
    ("resnet", "Table 4", "resnet101", {}, "val", "dense_multiscale", "19.87", "4.60"),
    ("resnet", "Table 4", "resnet152", {}, "val", "dense_multiscale", "19.38", "4.49"),
    ("resnet_readme", "1-crop", "resnet50", {}, "val", "one_crop", "24.7", "7.8"),
    ("resnet_readme", "1-crop", "resnet101", {}, "val", "one_crop", "23.6", "7.1"),
    ("resnet_readme", "1-crop", "resnet152", {}, "val", "one_crop", "23.0", "6.7"),
    ("preact_resnet", "Table 5", "resnet152", {}, "val", "one_crop_320", "21.3", "5.5"),
    ("resnet", "Table 6", "resnet20", {}, "test", "one_view", "8.75", None),
    ("resnet", "Table 6", "resnet32", {}, "test", "one_view", "7.51", None),
    ("resnet", "Table 6", "resnet44", {}, "test", "one_view", "7.17", None),
    ("resnet", "Table 6", "resnet56", {}, "test", "one_view", "6.97", None),
    ("resnet", "Table 6", "resnet1202", {}, "test", "one_view", "7.93", None),
]


def found(**facts: Any) -> list[Published]:
    return [
        one
        for one in load()
        if all(
            (one.paper.key if name == "paper" else getattr(one, name)) == value
            for name, value in facts.items()
        )
    ]


@pytest.mark.parametrize(
    ("paper", "where", "network", "options", "split", "protocol", "top1", "top5"), SINGLE_NETWORKS
)
def test_the_numbers_of_single_networks_are_those_printed(
    paper: str,
    where: str,
    network: str,
    options: dict[str, str],
    split: str,
    protocol: str,
    top1: str,
    top5: str | None,
) -> None:
    rows = found(
        paper=paper,
        where=where,
        network=network,
        options=options,
        split=split,
        protocol=protocol,
        networks=1,
        role="target",
        recipes=networks()[network].recipes if network in networks() else (),
    )
    printed = {one.quantity: one.value for one in rows}
    assert printed == {"top1_error": top1} | ({} if top5 is None else {"top5_error": top5})


def test_lenet5_trained_on_distortions_has_0_8_percent() -> None:
    """Fig. 9."""
    rows = found(network="lenet5", recipes=("lenet5_distorted",), role="target")
    assert [one.value for one in rows] == ["0.8"]


def test_alexnet_ensembles_are_those_of_table_2() -> None:
    rows = [one for one in found(paper="alexnet", where="Table 2") if one.networks in (5, 7)]
    assert {(one.networks, one.split, one.quantity): one.value for one in rows} == {
        (5, "val", "top1_error"): "38.1",
        (5, "val", "top5_error"): "16.4",
        (5, "test", "top5_error"): "16.4",
        (7, "val", "top1_error"): "36.7",
        (7, "val", "top5_error"): "15.4",
        (7, "test", "top5_error"): "15.3",
    }


def test_alexnets_ablations_have_the_differences_of_the_text_and_the_values_of_the_logs() -> None:
    without_lrn = found(network="alexnet", options={"lrn": False})
    assert {one.quantity: one.value for one in without_lrn} == {
        "top1_error_change": "+1.4",
        "top5_error_change": "+1.2",
        "top1_error": "42.03",
        "top5_error": "19.36",
    }
    not_overlapping = found(network="alexnet", options={"overlapping": False})
    assert {one.quantity: one.value for one in not_overlapping} == {
        "top1_error_change": "+0.4",
        "top5_error_change": "+0.3",
        "top1_error": "41.06",
        "top5_error": "18.51",
    }


def test_the_resnet_ensemble_of_table_5_has_3_57_and_cannot_be_run() -> None:
    (one,) = found(paper="resnet", where="Table 5", role="target")
    assert (one.value, one.networks, one.split, one.hidden_labels) == ("3.57", 6, "test", True)
    assert "members are not listed" in (one.cannot_run or "")


def test_resnet110_is_6_61_in_the_mean_and_6_43_at_best() -> None:
    """Table 6, five runs."""
    rows = found(network="resnet110", role="target")
    assert {one.statistic: (one.value, one.std) for one in rows} == {
        "best of 5": ("6.43", None),
        "mean of 5": ("6.61", "0.16"),
    }


def test_bounds_are_kept_as_bounds() -> None:
    (train,) = found(network="resnet1202", split="train")
    (plain,) = found(network="plain110")
    assert (train.value, train.bound, train.number) == ("< 0.1", "<", 0.1)
    assert (plain.value, plain.bound, plain.number) == ("> 60", ">", 60.0)
    assert found(network="resnet20")[0].bound is None


def test_the_numbers_of_others_are_context() -> None:
    context = {
        (one.paper.key, one.network, one.quantity): one.value for one in found(role="context")
    }
    assert context["resnet", "Highway-32", "top1_error"] == "8.80"  # Table 6
    assert context["lenet5", "MLP 300-100, distortions", "top1_error"] == "2.5"  # Fig. 9
    assert context["torchvision", "torchvision 50", "top5_error"] == "7.14"
    assert context["alexnet", "SIFT + FV", "top5_error"] == "26.2"  # Table 2
    ten = found(paper="fb_resnet_torch", protocol="ten_crop", quantity="top1_error")
    assert [one.value for one in ten] == ["28.22", "24.76", "22.24", "21.08", "20.69"]
    assert {one.role for one in ten} == {"context"}


def test_every_network_of_table_6_and_of_its_plain_twins_is_known() -> None:
    depths = [20, 32, 44, 56, 110]
    names = {f"{kind}{depth}" for kind in ("plain", "resnet") for depth in depths}
    assert names | {"resnet1202"} <= set(networks())


def test_every_entry_is_well_formed_and_cites_its_place() -> None:
    entries = load()
    assert len(entries) > 150
    for one in entries:
        assert one.number == float(one.value.lstrip("<> "))
        assert one.protocol in PROTOCOLS
        assert one.quantity in QUANTITIES
        assert one.paper.citation
        assert one.where
        assert one.quantity.endswith("_change") or 0 < one.number < 100
        assert (one.quantity.endswith("_change")) == one.value.lstrip("<> ").startswith("+")
    keys = [one.key for one in entries]
    assert len(set(keys)) == len(keys)


def test_every_test_split_of_ilsvrc_2012_is_marked_as_hidden() -> None:
    hidden = found(data="imagenet", split="test")
    assert hidden
    assert all(one.hidden_labels for one in hidden)
    assert not any(one.hidden_labels for one in found(split="val"))


def test_what_is_uncertain_says_why() -> None:
    uncertain = {(one.network, one.where): one.unverified for one in load() if not one.verified}
    assert "transcription" in (uncertain["ResNet ensemble", "ILSVRC-2015 results page"] or "")
    assert ("alexnet", "Table 2") not in uncertain


@pytest.mark.parametrize("name", sorted(networks()))
def test_the_papers_network_has_the_options_and_recipe_of_conf_model(name: str) -> None:
    """A record is matched on every option: one that stands in conf only would match nothing."""
    conf = yaml.safe_load((CONF / "model" / f"{name}.yaml").read_text())
    options = {key: value for key, value in conf["model"].items() if key != "_target_"}
    options.pop("num_classes", None)
    assert options == dict(networks()[name].options)
    (recipe,) = (one["override /recipe"] for one in conf["defaults"] if "override /recipe" in one)
    assert recipe in networks()[name].recipes


HEAD = """
papers:
  p: {citation: A paper, year: 1998}
networks:
  net: {paper: p, recipes: [r], options: {width: 1}}
tables:
"""
ROW = "{network: net, top1_error: '1.0'}"


def table(row: str = ROW, block: str = "where: T1, data: d, split: s, protocol: one_view") -> str:
    return f"{HEAD}- {{paper: p, {block}, rows: [{row}]}}"


def test_a_row_overrules_its_block() -> None:
    row = "{network: net, split: val, options: {width: 2}, top1_error: '1.0', top5_error: '0.50'}"
    first, second = parse(table(row)).entries
    assert (first.split, first.options, first.recipes) == ("val", {"width": 2}, ("r",))
    assert (first.quantity, first.value) == ("top1_error", "1.0")
    assert (second.quantity, second.value) == ("top5_error", "0.50")
    assert second.paper.year == 1998


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (table("{network: net, top1_error: 1.0}"), "value 1.0, expected a quoted number"),
        (table("{network: net, top1_error: '1,0'}"), "value '1,0', expected a quoted number"),
        (table("{network: net, top1_eror: '1.0'}"), "unknown key top1_eror"),
        (table("{network: net}"), "expected one quantity"),
        (table("{network: net, top1_error: '1.0', statistic: worst}"), "statistic 'worst'"),
        (table("{network: net, top1_error: '1.0', role: ours}"), "'ours' is unknown"),
        (table("{network: net, top1_error: '1.0', options: {depth: 2}}"), "option depth has no"),
        (table("{network: nett, top1_error: '1.0'}"), "'nett' is not under `networks`"),
        (
            table("{network: net, top1_error: '1.0', top5_error: '.5', std: '0.1'}"),
            "a std belongs to one quantity",
        ),
        (table("{network: net, top1_error: '1.0', top1_error: '2.0'}"), "top1_error stands twice"),
        (table(f"{ROW}, {ROW}"), "has two values for net"),
        (table(f"{ROW}, {{network: net, top1_error: '2.0', where: T2}}"), "has two values for net"),
        (table(block="where: T1, data: d, split: s"), "expected protocol"),
        (
            table(block="where: T1, data: d, split: s, protocol: eleven_crop"),
            "'eleven_crop' is unknown",
        ),
        (table().replace("- {paper: p", "- {paper: q"), "paper 'q' is not cited"),
        (table() + "\nextra: 1", "unknown key extra"),
    ],
)
def test_a_mistake_in_the_file_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(Problem, match=message):
        parse(text)


def test_two_statistics_or_a_restated_value_are_no_twins() -> None:
    rows = ", ".join(
        [
            ROW,
            "{network: net, top1_error: '1.1', statistic: mean of 5}",
            "{network: net, top1_error: '1.04', role: restated}",
        ]
    )
    assert len(parse(table(rows)).entries) == 3


CIFAR = Score("one_view", "test", 10000, 900, 40)
VAL = Score("ten_crop", "val", 50000, 12000, 3500)
RESNET34: dict[str, Any] = {
    "model": "resnet34",
    "recipe": "resnet",
    "data": "imagenet",
    "options": {"depth": 34, "shortcut": "B", "stride_on": "1x1"},
}


def alexnet(**options: object) -> dict[str, Any]:
    own = {"lrn": True, "overlapping": True, "groups": 2, "dropout": 0.5}
    return {"model": "alexnet", "recipe": "alexnet", "data": "imagenet", "options": own | options}


SQUARE = Score("ten_crop_square", "val", 50000, 20000, 9000)


@pytest.mark.parametrize(
    ("changes", "score", "values"),
    [
        ({}, CIFAR, ["8.75"]),
        ({"options": {"depth": 20, "shortcut": "A", "num_classes": 10}}, CIFAR, ["8.75"]),
        ({"options": {"depth": 20, "shortcut": "B"}}, CIFAR, []),
        ({"options": {"depth": 32, "shortcut": "A"}}, CIFAR, []),
        ({"options": {"depth": 20, "shortcut": "A", "width": 32}}, CIFAR, []),
        ({"recipe": "resnet"}, CIFAR, []),
        ({"data": "cifar100"}, CIFAR, []),
        ({"model": "resnet21"}, CIFAR, []),
        ({}, Score("one_crop", "test", 10000, 900, 40), []),
        ({}, Score("one_view", "minival", 5000, 450, 20), []),
        ({"seed": 3}, CIFAR, ["8.75"]),
        (RESNET34, VAL, ["24.52", "7.46"]),
        (RESNET34, Score("ten_crop", "val", 50000, 12000, None), ["24.52"]),
        (RESNET34, Score("dense_multiscale", "val", 50000, 12000, 3500), ["21.84", "5.71"]),
        (RESNET34, Score("ten_crop_square", "val", 50000, 12000, 3500), []),
        (RESNET34 | {"data": "folder"}, VAL, []),
        (
            RESNET34 | {"options": {"depth": 34, "shortcut": "C", "stride_on": "1x1"}},
            VAL,
            ["24.19", "7.40"],
        ),
        (RESNET34 | {"options": {"depth": 34, "shortcut": "B", "stride_on": "3x3"}}, VAL, []),
        (
            {
                "model": "resnet110",
                "recipe": "resnet_cifar_warmup",
                "options": {"depth": 110, "shortcut": "A"},
            },
            CIFAR,
            ["6.43", "6.61"],
        ),
        (alexnet(), SQUARE, ["40.7", "18.2"]),
        (alexnet() | {"recipe": "alexnet_code"}, SQUARE, ["40.7", "18.2"]),
        (alexnet(lrn=False), SQUARE, ["42.03", "19.36"]),
        (alexnet(lrn=False, overlapping=False), SQUARE, []),
        (alexnet(dropout=0.0), SQUARE, []),
        (alexnet(), Score("ten_crop_square", "test", 150000, 60000, 25000), []),
        (
            alexnet() | {"data": "imagenet2010"},
            Score("ten_crop_square", "test", 150000, 60000, 25000),
            [],
        ),
    ],
)
def test_a_score_is_set_beside_numbers_of_the_same_thing_only(
    changes: dict[str, Any], score: Score, values: list[str]
) -> None:
    assert [one.value for one in matching(record(**changes), score)] == values


def test_a_recipe_with_a_published_number_is_one_of_the_papers() -> None:
    assert recipes("lenet5") == {"lenet5", "lenet5_mse", "lenet5_distorted"}
    assert recipes("alexnet") == {"alexnet", "alexnet_code"}
    assert recipes("nobodys") == frozenset()
