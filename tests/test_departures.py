from functools import cache

import pytest

from topfive.config import compose
from topfive.departures import departures


@pytest.fixture(autouse=True)
def every_composition_once(monkeypatch):
    monkeypatch.setattr("topfive.departures.compose", lambda overrides: composed(*overrides))


@cache
def composed(*overrides):
    return compose(overrides)


def of(*overrides):
    return departures(composed(*overrides))


@pytest.mark.parametrize("model", ["resnet20", "resnet110", "alexnet", "resnet152"])
def test_a_model_by_itself_departs_from_nothing(model):
    assert of(f"model={model}") == []


@pytest.mark.parametrize("recipe", ["lenet5", "lenet5_mse", "lenet5_distorted"])
def test_what_a_recipe_cannot_follow_is_listed_and_nothing_else(recipe):
    (only,) = of("model=lenet5", f"recipe={recipe}")
    assert only.startswith("mu=1.68 (paper 0.02)")


@pytest.mark.parametrize(
    ("model", "augmented"), [("allcnn_c", "allcnn_augmented"), ("nin_cifar", "nin_cifar_augmented")]
)
def test_a_papers_augmented_recipe_departs_no_further_than_its_plain_one(model, augmented):
    assert of(f"model={model}", f"recipe={augmented}") == of(f"model={model}")
    crop = composed(f"model={model}", f"recipe={augmented}")["recipe"]["crop"]
    shift = {"_target_": "topfive.crops.Shift", "size": 32, "by": 5, "flip": True}
    assert crop == shift


BASELINE = ("model=bn_inception", "recipe=bn_inception_baseline", "model.lrn=true")


@pytest.mark.parametrize(
    ("overrides", "count"),
    [
        ((*BASELINE, "model.dropout=0.4", "model.batch_norm=false"), 0),  # arXiv:1502.03167, Fig. 3
        ((*BASELINE, "model.dropout=0.4"), 0),
        (("model=bn_inception", "recipe=bn_inception_x5", "model.activation=sigmoid"), 1),
        (("model=preact_resnet1001", "recipe=preact_resnet_cifar_64"), 1),  # Table 4
        (("model=preact_resnet200", "recipe=preact_resnet_aspect"), 1),  # Table 5
        (("model=vgg16", "recipe=vgg_384"), 0),  # arXiv:1409.1556, Table 3
        (("model=vgg16", "recipe=vgg_jitter"), 0),
    ],
)
def test_what_a_paper_reports_beside_its_main_run_departs_only_as_its_recipe_says(overrides, count):
    listed = of(*overrides)
    assert listed == composed(*overrides)["recipe"]["departures"]
    assert len(listed) == count


@pytest.mark.parametrize(
    "model", ["alexnet", "vgg16", "googlenet", "bn_inception", "resnet50", "preact_resnet164"]
)
def test_another_seed_is_no_departure(model):
    """Transforms that draw at random have it as a value of their own."""
    assert of(f"model={model}", "seed=7") == of(f"model={model}")


def test_how_a_run_is_carried_out_is_no_departure():
    devices = ["trainer.devices=8", "trainer.accumulate_grad_batches=2", "trainer.check_every=5"]
    where = ["data.root=/elsewhere", "loader=torch", "logger=csv", "data.max_unreadable=0.1"]
    assert of("model=resnet20", "seed=7", "resume=auto", *devices, *where) == []


def test_options_of_the_network_are_matched_elsewhere():
    assert of("model=resnet50", "model.stride_on=3x3") == []


def test_a_shortened_run_is_one_departure():
    assert of("model=resnet20", "recipe.shorten={epochs: 10}") == [
        "recipe.shorten={epochs: 10} (paper: 1)"
    ]


def test_every_overruled_value_is_listed_with_the_papers():
    overruled = ["recipe.weight_decay=0.0005", "recipe.optimizer.momentum=0.8", "data.fraction=0.1"]
    assert of("model=resnet20", *overruled, "trainer.max_steps=100") == [
        "data.fraction=0.1 (paper: null)",
        "recipe.optimizer.momentum=0.8 (paper: 0.9)",
        "recipe.weight_decay=0.0005 (paper: 0.0001)",
        "trainer.max_steps=100 (paper: null)",
    ]


def test_other_milestones_are_listed_as_the_command_line_takes_them():
    assert of("model=resnet20", "recipe.schedule.at.iterations=[10,20]") == [
        "recipe.schedule.at={iterations: [10, 20]} (paper: {iterations: [32000, 48000]})"
    ]


def test_another_recipe_is_one_departure_and_its_values_are_none():
    assert of("model=resnet20", "recipe=resnet") == ["recipe=resnet (paper: resnet_cifar)"]


def test_another_data_set_is_one_departure():
    assert of("model=resnet20", "data=cifar100", "data.per_class=50") == [
        "data=cifar100 (paper: cifar10)",
        "data.per_class=50 (paper: null)",
    ]


def test_the_path_of_ones_own_folders_is_not_listed():
    assert of("model=resnet18", "data=folder", "data.root=/mine") == [
        "data=folder (paper: imagenet)"
    ]


def test_what_a_recipe_itself_says_comes_first():
    listed = of("model=lenet5", "recipe=lenet5_fast", "recipe.batch_size=32")
    assert "mini-batches of 64" in listed[0]
    assert of("model=resnet20", "recipe.departures=[a wider crop]") == ["a wider crop"]
    assert listed[1:] == [
        "recipe=lenet5_fast (paper: lenet5)",
        "recipe.batch_size=32 (paper: 64)",
    ]


def test_the_quickstart_says_that_it_is_short_and_on_other_data():
    assert of("experiment=quickstart", "model=resnet20") == [
        "data=digits (paper: cifar10)",
        "recipe.shorten={epochs: 30} (paper: 1)",
    ]


def test_another_data_set_on_which_the_paper_reports_the_network_is_none() -> None:
    # He et al. 2016, Table 3, has CIFAR-100; He et al. 2015 has not.
    assert departures(compose(["model=preact_resnet164", "data=cifar100"])) == []
    assert departures(compose(["model=resnet20", "data=cifar100"])) == [
        "data=cifar100 (paper: cifar10)"
    ]
