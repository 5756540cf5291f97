"""The files of conf/ablation: what a side is, and that what they print of the papers is what the papers print."""

import copy
import json
from decimal import Decimal
from functools import cache
from itertools import combinations

import pytest
import torch
import yaml
from compositions import composed, every_side
from hydra.utils import instantiate

from topfive import ablations
from topfive.architecture import architecture
from topfive.config import compose
from topfive.identity import identity
from topfive.problems import Problem
from topfive.published import load as published

CLASSES = {"imagenet": 1000, "cifar10": 10, "cifar100": 100}
NAMES = ablations.names()
SIDES = list(every_side())


def side_of(command):
    """The ablation of a command of `every_side`, its side's overrides, and the network beside it."""
    *model, chosen = command
    name, _, side = chosen.removeprefix("ablation=").partition("/")
    ablation = ablations.load(name)
    return ablation, (*model, *ablation.common, *ablation.sides[side])


@pytest.mark.parametrize("command", SIDES, ids=" ".join)
def test_a_side_is_what_its_overrides_make_of_the_choices_among_them(command):
    _, overrides = side_of(command)
    choices = [one for one in overrides if "." not in one.partition("=")[0]]
    expected = copy.deepcopy(composed(*choices))
    for key, _, value in (
        one.lstrip("+").partition("=") for one in overrides if one not in choices
    ):
        *parents, last = key.split(".")
        place = expected
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = yaml.safe_load(value)
    expected["choices"]["ablation"] = command[-1].removeprefix("ablation=")
    assert composed(*command) == expected


@pytest.mark.parametrize("name", NAMES)
def test_no_two_sides_of_an_ablation_are_the_same_run(name):
    runs = []
    for command in SIDES:
        if command[-1].startswith(f"ablation={name}/"):
            config = copy.deepcopy(composed(*command))
            config["choices"] = dict.fromkeys(config["choices"])
            runs.append(config)
    assert len(runs) == len(ablations.load(name).sides) > 1
    assert all(one != other for one, other in combinations(runs, 2))


@cache
def network(options, classes):
    with torch.device("meta"):
        return architecture(
            {"model": json.loads(options), "choices": {"model": "a side's"}}, classes
        )


def network_of(config):
    return network(json.dumps(config["model"]), CLASSES[config["choices"]["data"]])


@pytest.mark.parametrize("command", SIDES, ids=" ".join)
def test_the_network_of_a_side_builds_and_takes_its_first_weights(command):
    config = composed(*command)
    own = composed(f"model={config['choices']['model']}")
    if all(config[key] == own[key] for key in ("model", "recipe", "data")):
        return  # test_config.py builds the papers' own
    net = network_of(config)
    first = config["recipe"]["initialization"]
    if first.get("checkpoint", "") is not None:  # else of a trained net A
        instantiate(first, net, _convert_="all")
    if sum(1 for _ in net.modules()) < 200:
        size = config["recipe"]["crop"]["size"]
        scores = net.eval()(torch.empty(2, 3, size, size, device="meta"))
        assert scores.shape == (2, CLASSES[config["choices"]["data"]])


def test_the_sides_of_zeiler_and_fergus_have_the_parameters_of_their_layers():
    """Sums of weights and biases by layer: 60,965,224 of AlexNet less, or with other widths of, the layers."""
    counts = {
        side: sum(
            p.numel() for p in network_of(composed(f"ablation=zfnet_layers/{side}")).parameters()
        )
        for side in ablations.load("zfnet_layers").sides
    }
    assert counts == {
        "full": 60_965_224,
        "without_3_4": 59_268_712,
        "without_7": 44_183_912,
        "without_6_7": 11_551_080,
        "without_3_4_6_7": 9_854_568,
        "fc_2048": 27_455_848,
        "fc_8192": 153_149_800,
    }


def entries(config, any_recipe):
    """What is published of the network of `config` with its options."""
    model = config["choices"]["model"]
    own = composed(f"model={model}")["model"]
    return [
        one
        for one in published()
        if one.network == model and one.split != "train"
        if {**own, **one.options} == config["model"]
        if any_recipe or config["choices"]["recipe"] in one.recipes
    ]


def printed_differences(ablation, side, quantity):
    """Every difference that the published numbers make, or print, of `side` against the first."""
    any_recipe = any(one.startswith("recipe=") for one in ablation.common)
    configs = [composed(f"ablation={ablation.name}/{name}") for name in (ablation.first, side)]
    before, after = (entries(config, any_recipe) for config in configs)
    printed = {one.value for one in after if one.quantity == f"{quantity}_change"}
    data = configs[1]["choices"]["data"]
    return printed or {
        f"{f'{b.bound} ' if b.bound else ''}{Decimal(b.value.lstrip('<> ')) - Decimal(a.value):+}"
        for a in before
        for b in after
        if a.quantity == b.quantity == quantity and a.paper == b.paper and a.data == b.data == data
        if (a.split, a.protocol) == (b.split, b.protocol) and a.networks == b.networks == 1
        if a.role != "context" and b.role != "context"
    }


# The number of the color noise is of the recipe, and filed under no network.
@pytest.mark.parametrize("name", [name for name in NAMES if name != "alexnet_color"])
def test_an_expected_difference_is_that_of_the_published_numbers(name):
    ablation = ablations.load(name)
    for side, expected in ablation.expected.items():
        for quantity in ablations.ERRORS:
            differences = printed_differences(ablation, side, quantity)
            value = getattr(expected, quantity)
            assert (value in differences) if value else not differences, side


def test_the_command_line_overrules_a_side_and_the_side_model_and_recipe():
    assert composed("model=alexnet")["model"]["lrn"] is True
    assert composed("ablation=alexnet_lrn/without")["model"]["lrn"] is False
    assert compose(["ablation=alexnet_lrn/without", "model.lrn=true"])["model"]["lrn"] is True
    config = compose(["ablation=zfnet_layers/full", "recipe=caffenet"])
    assert config["choices"]["recipe"] == "caffenet"
    assert composed("ablation=zfnet_layers/full")["choices"]["recipe"] == "zfnet"


def test_a_dictionary_of_a_side_replaces_the_recipes_whole():
    config = composed("model=resnet20", "ablation=initialization/gaussian")
    # The recipe's he_normal has a key `fan`, which a Gaussian does not take.
    assert config["recipe"]["initialization"] == {
        "_target_": "topfive.initializers.gaussian",
        "std": 0.01,
    }


def test_the_side_is_part_of_a_runs_identity():
    with_lrn = composed("ablation=alexnet_lrn/with")
    assert with_lrn["choices"]["ablation"] == "alexnet_lrn/with"
    assert identity(with_lrn) != identity(composed("model=alexnet"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("ablation=alexnet_lnr/with", "no ablation=alexnet_lnr. Ablations: .*alexnet_lrn, "),
        ("ablation=alexnet_lrn/neither", "alexnet_lrn has no side 'neither': with, without"),
        ("ablation=alexnet_lrn", "is not one side: alexnet_lrn/with, alexnet_lrn/without"),
    ],
)
def test_what_is_no_side_is_refused_and_the_choice_listed(override, message):
    with pytest.raises(Problem, match=message):
        compose([override])


FILE = """
common: [model=alexnet]
sides: {with: [], without: [model.lrn=false]}
expected: {without: {top1_error: "+1.4", where: section 3.3}}
"""


def test_a_file_has_sides_in_order_and_says_in_what_they_differ():
    ablation = ablations.parse("lrn", FILE)
    assert (ablation.first, list(ablation.sides)) == ("with", ["with", "without"])
    assert ablation.varied == {"model.lrn"}
    assert ablation.expected["without"] == ablations.Expected("section 3.3", top1_error="+1.4")


@pytest.mark.parametrize(
    ("found", "instead", "message"),
    [
        ("common:", "commom:", "expected: common, expected, sides"),
        ("with: [], ", "", "takes two or more"),
        ("model.lrn=false", "model.lrn", "'model.lrn' is no override"),
        ("model.lrn=false", '"model.lrn=true,false"', "no several values"),
        ("model.lrn=false", "~model.lrn", "no several values and no ~"),
        ("expected: {without", "expected: {with", "a side that is not the first"),
        ("expected: {without", "expected: {wthout", "'wthout'.* a side that is not the first"),
        (", where: section 3.3", "", "where it is printed"),
        ("top1_error", "top2_error", "top1_error or top5_error"),
        ('"+1.4"', "+1.4", "quoted points with a sign"),
        ('"+1.4"', '"1.4"', "quoted points with a sign"),
    ],
)
def test_a_file_that_is_no_ablation_is_refused(found, instead, message):
    assert FILE.count(found) == 1
    with pytest.raises(Problem, match=rf"(?s)conf/ablation/lrn\.yaml.*{message}"):
        ablations.parse("lrn", FILE.replace(found, instead))
