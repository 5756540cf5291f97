"""What train.py makes of its arguments, and that Hydra then composes the jobs that were meant."""

import subprocess
import sys

import pytest
import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from topfive.command_line import expand
from topfive.config import CONF, compose


def test_an_ablation_in_a_multirun_stands_for_all_its_sides():
    expected = ["-m", "ablation=alexnet_lrn/with,alexnet_lrn/without", "seed=0,1"]
    assert expand(["-m", "ablation=alexnet_lrn", "seed=0,1"]) == expected
    assert expand(["--multirun", expected[1]])[1] == expected[1]


def test_several_ablations_stand_for_the_sides_of_all():
    (_, argument) = expand(["-m", "ablation=cifar_shortcut,alexnet_lrn"])
    sides = ["cifar_shortcut/A", "cifar_shortcut/B", "cifar_shortcut/C"]
    assert argument == f"ablation={','.join(sides)},alexnet_lrn/with,alexnet_lrn/without"


def test_an_ablation_without_multirun_is_refused_with_the_command_that_runs_it():
    with pytest.raises(
        SystemExit, match=r"2 sides; run them all: python train\.py -m ablation=alexnet_lrn s"
    ):
        expand(["ablation=alexnet_lrn", "seed=3"])


def test_one_side_runs_alone():
    assert expand(["ablation=alexnet_lrn/without"]) == ["ablation=alexnet_lrn/without"]


@pytest.mark.parametrize("name", ["alexnet_lnr", "alexnet_lrn/neither"])
def test_an_unknown_side_is_refused(name):
    with pytest.raises(SystemExit, match=r"^train\.py: .*(no ablation=alexnet_lnr|no side)"):
        expand(["-m", f"ablation={name}"])


def test_what_would_make_all_sides_alike_is_refused():
    with pytest.raises(SystemExit, match=r"differ in model, which model= .* overrules in all"):
        expand(["-m", "ablation=resnet18_residual", "model=resnet50"])
    # One side is free to be changed, and all are in what they share.
    expand(["ablation=resnet18_residual/plain", "model=resnet50"])
    expand(["-m", "ablation=cifar_shortcut", "model=resnet20"])


@pytest.mark.parametrize("argument", ["ablation=null", "ablation=", "model=resnet20", "--help"])
def test_other_arguments_stay_as_they_are(argument):
    assert expand([argument]) == [argument]


@pytest.mark.parametrize(
    "alone",
    [
        ["model=resnet20", "recipe.shorten=40"],
        ["-m", "model=resnet20", "recipe.shorten=40", "seed=0,1"],
        ["-m", "experiment=quickstart", "recipe.shorten=40", "seed=0,1"],
        ["-m", "model=resnet20,plain20", "recipe=resnet_cifar", "recipe.shorten=40"],
        ["-m", "model=resnet20,plain20", "recipe.shorten=20,40"],
        ["-m", "model=resnet20,plain20", "trainer.max_steps=3", "seed=1"],
        ["-m", "ablation=cifar_residual/plain", "recipe=resnet_cifar", "~recipe.crop.by"],
        ["sweep=cifar", "model=resnet20", "recipe.shorten=40", "hydra.mode=RUN"],
    ],
)
def test_a_key_that_hydra_finds_in_its_first_composition_stays_as_it_is(alone):
    assert expand(alone) == alone


LATE = [
    ["-m", "model=resnet20,plain20"],
    ["-m", "ablation=cifar_depth"],
    ["-m", "experiment=quickstart", "model=resnet20,plain20"],
    ["sweep=cifar"],
]


@pytest.mark.parametrize("command", LATE, ids=" ".join)
def test_a_key_of_a_group_that_each_job_chooses_is_left_to_the_jobs(command):
    assert expand([*command, "recipe.shorten=40"])[-1] == "recipe.shorten=choice(40)"
    assert expand([*command, "+recipe.callbacks={}"])[-1] == "+recipe.callbacks=choice({})"
    assert expand([*command, "model.shortcut=B"])[-1] == "model.shortcut=choice(B)"
    assert expand([*command, "recipe.shorten=20,40"])[-1] == "recipe.shorten=20,40"
    with pytest.raises(SystemExit, match=r"Overrule it \(recipe\.crop\.by=null or another value"):
        expand([*command, "~recipe.crop.by"])


def jobs(arguments):
    """The overrides of each job of a multirun, and Hydra's first composition, which may fail."""
    arguments = [one for one in expand(arguments) if one != "-m"]
    parsed = OverridesParser.create().parse_overrides(arguments)
    plain = [a for a, one in zip(arguments, parsed, strict=True) if not one.is_sweep_override()]
    with_hydra = [one for one in plain if not one.startswith("++hydra.sweeper.params=")]
    params = [yaml.safe_load(one.partition("=")[2]) for one in plain if one not in with_hydra]
    left = [f"{key}={value}" for some in params for key, value in some.items()]
    overrides = OverridesParser.create().parse_overrides([*left, *with_hydra])
    swept = [one for one in parsed if one.is_sweep_override()]
    return BasicSweeper.split_arguments([*overrides, *swept], None)[0]


def test_the_jobs_of_a_multirun_get_what_was_typed():
    typed = ["recipe.shorten=40", "recipe.bn_batch=null", "+recipe.callbacks={a:{b:[1,2]}}"]
    both = jobs(["-m", "model=resnet20,plain20", *typed])
    assert len(both) == 2
    for overrides, shortcut in zip(both, ("A", None), strict=True):
        config = compose(overrides)
        assert config["model"]["shortcut"] == shortcut
        assert config["recipe"]["shorten"] == 40
        assert config["recipe"]["bn_batch"] is None
        assert config["recipe"]["callbacks"] == {"a": {"b": [1, 2]}}


def train(*arguments, cwd):
    command = [sys.executable, str(CONF.parent / "train.py"), *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=200)


def test_help_lists_the_ablations_and_no_sides_and_cfg_shows_a_side(tmp_path):
    listed = train("--help", cwd=tmp_path).stdout
    assert "\nablation: alexnet_activation, alexnet_color, " in listed
    assert "ablation/" not in listed
    shown = train("--cfg", "job", "ablation=alexnet_lrn/without", cwd=tmp_path).stdout
    assert "\n  lrn: false\n" in shown


def test_a_multirun_of_several_networks_takes_keys_of_the_recipe_as_typed(tmp_path):
    arguments = [
        "-m",
        "ablation=cifar_residual",
        "model=resnet20",
        "data=digits",
        "recipe.shorten=40",
    ]
    keys = ["recipe.bn_batch=null", "trainer.max_steps=1", "trainer.progress=false"]
    ended = train(*arguments, *keys, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    configs = [
        yaml.safe_load(file.read_text()) for file in tmp_path.glob("outputs/*/*/*/config.yaml")
    ]
    assert {config["choices"]["ablation"] for config in configs} == {
        "cifar_residual/residual",
        "cifar_residual/plain",
    }
    assert {config["model"]["shortcut"] for config in configs} == {"A", None}
    assert [config["recipe"]["shorten"] for config in configs] == [40, 40]
    assert [config["recipe"]["bn_batch"] for config in configs] == [None, None]
    assert "cifar_residual: plain against residual, resnet20, digits" in ended.stdout
