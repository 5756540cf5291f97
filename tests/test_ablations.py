import pytest

from topfive.ablations import expand, sides
from topfive.config import compose


def test_an_ablation_in_a_multirun_stands_for_all_its_sides():
    expected = ["-m", "ablation=alexnet_lrn/with,alexnet_lrn/without", "seed=0,1"]
    assert expand(["-m", "ablation=alexnet_lrn", "seed=0,1"]) == expected
    assert expand(["--multirun", expected[1]])[1] == expected[1]


def test_several_ablations_stand_for_the_sides_of_all():
    (_, argument) = expand(["-m", "ablation=cifar_shortcut,alexnet_pooling"])
    assert argument == (
        "ablation=cifar_shortcut/A,cifar_shortcut/B,alexnet_pooling/with,alexnet_pooling/without"
    )


def test_an_ablation_without_multirun_is_refused_with_the_command_that_runs_it():
    with pytest.raises(
        SystemExit, match=r"2 sides; run them all: python train\.py -m ablation=alexnet_lrn s"
    ):
        expand(["ablation=alexnet_lrn", "seed=3"])


def test_one_side_runs_alone():
    assert expand(["ablation=alexnet_lrn/without"]) == ["ablation=alexnet_lrn/without"]


@pytest.mark.parametrize("name", ["alexnet_lnr", "alexnet_lrn/neither"])
def test_an_unknown_ablation_is_refused_and_the_known_ones_are_listed(name):
    with pytest.raises(SystemExit, match=f"no ablation={name}. .*alexnet_lrn, .*cifar_shortcut"):
        expand(["-m", f"ablation={name}"])


@pytest.mark.parametrize("argument", ["ablation=null", "ablation=", "model=resnet20", "--help"])
def test_other_arguments_stay_as_they_are(argument):
    assert expand([argument]) == [argument]


@pytest.mark.parametrize(
    ("name", "base", "option", "values"),
    [
        ("alexnet_lrn", [], "lrn", [True, False]),  # Krizhevsky et al. 2012, section 3.3
        ("alexnet_pooling", [], "overlapping", [True, False]),  # section 3.4
        ("cifar_shortcut", ["model=resnet56"], "shortcut", ["A", "B"]),  # He et al. 2015, 4.2
    ],
)
def test_the_sides_of_an_ablation_differ_in_one_option_of_the_network(name, base, option, values):
    models = [compose([*base, f"ablation={side}"])["model"] for side in sides(name)]
    assert [model.pop(option) for model in models] == values
    assert models[0] == models[1]
