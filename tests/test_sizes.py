"""Views that grow while training goes on."""

from pathlib import Path

import pytest
import torch
from test_datamodule import module, small
from test_loaders import order

from topfive import build
from topfive.clock import Clock
from topfive.config import compose
from topfive.crops import AreaAspect
from topfive.datasets import folders
from topfive.loaders.memory_loader import MemoryTraining
from topfive.loaders.torch_loader import training
from topfive.order import Share
from topfive.problems import Problem
from topfive.sizes import Ramp, refuse_smaller_views, sizes_of_views

EPOCHS = Clock(images=1000, batch=10)  # of 100 steps


def ffcv(clock: Clock = EPOCHS) -> Ramp:
    """rn50_16_epochs.yaml: 160 to 192 between epochs 11 and 13."""
    return Ramp(clock, 192, 160, {"epochs": 11}, {"epochs": 13})


def test_sizes_go_in_steps_of_32_and_halfway_to_the_even_one() -> None:
    # At epoch 12 the line is at 176 = 5.5 x 32; the README says 160 for three quarters of 16 epochs.
    sizes = ffcv()
    assert [sizes(step) for step in (0, 1100, 1199, 1200, 1300, 1600)] == [
        *(160, 160, 160),
        *(192, 192, 192),
    ]


def test_a_finer_multiple_has_more_sizes_and_none_beyond_the_ends() -> None:
    sizes = Ramp(EPOCHS, 100, 60, {"epochs": 0.1}, {"epochs": 0.5}, multiple=16)
    # A pixel a step from step 10 on: 60 and 72 / 16 = 4.5 are 64, 73 is 80, 88 / 16 = 5.5 is 96.
    found = [sizes(step) for step in (10, 11, 22, 23, 38, 49, 50)]
    assert found == [60, 64, 64, 80, 96, 96, 100]


def test_a_shortened_run_grows_as_much_sooner() -> None:
    halved = ffcv(Clock(1000, 10, shorten=2.0))
    assert [halved(step) for step in (599, 600)] == [160, 192]


@pytest.mark.parametrize(("smallest", "start", "end"), [(200, 1, 2), (0, 1, 2), (160, 3, 2)])
def test_a_ramp_that_does_not_rise_is_refused(smallest: int, start: int, end: int) -> None:
    with pytest.raises(Problem, match=r"recipe\.sizes runs from .* recipe\.crop\.size"):
        Ramp(EPOCHS, 192, smallest, {"epochs": start}, {"epochs": end})


def grown(step: int) -> int:
    return 24 if step < 3 else 32


def test_the_loader_cuts_the_views_of_a_step_at_its_size(class_folders: Path) -> None:
    images = folders.load(str(class_folders)).train
    settings = (images, AreaAspect(32), 7, order(7, 4), Share(accumulate=2), 5)
    batches = list(training(*settings, 0, 0, False, None, grown))
    assert [b.images.shape[-1] for b in batches] == [24] * 6 + [32] * 4
    resumed = list(training(*settings, 2, 2, False, None, grown))
    assert all(torch.equal(a.images, b.images) for a, b in zip(resumed, batches[4:], strict=True))
    # A full-sized view is what it is without sizes.
    plain = list(training(*settings, 0, 0, False))
    assert all(torch.equal(a.images, b.images) for a, b in zip(plain[6:], batches[6:], strict=True))


def test_sizes_and_augmentation_are_the_workers_business() -> None:
    for change in ({"sizes": grown}, {"augment": lambda view, *_: view}):
        data = module(small())
        assert isinstance(data.train_dataloader(), MemoryTraining)
        for name, value in change.items():
            setattr(data, name, value)
        assert not data.in_memory(data.dataset.train, data.crop)
        assert not isinstance(data.train_dataloader(), MemoryTraining)
        assert data.in_memory(data.dataset.reported, data.protocol)  # type: ignore[arg-type]


SIZES = "+recipe.sizes={_target_:topfive.sizes.Ramp,smallest:16,start:{epochs:1},end:{epochs:2}}"
AUGMENT = "+recipe.augment={_target_:topfive.augmentation.RandAugment,policy:rand-m9,fill:[1,2,3]}"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["model=resnet20", SIZES],
            r"recipe\.mean is made for views of one size.*recipe\.mean=null",
        ),
        (["model=nin_cifar", SIZES], r"recipe\.whitening is made for views of one size"),
        (["model=cuda_convnet", "recipe.mean=null", SIZES, "loader=memory"], r"loader=memory cuts"),
    ],
)
def test_what_needs_views_of_one_size_refuses_several(overrides: list[str], message: str) -> None:
    config = compose(overrides)
    with pytest.raises(Problem, match=message):
        sizes_of_views(config, EPOCHS, config["recipe"]["crop"]["size"])


def test_without_the_key_there_are_no_sizes() -> None:
    assert sizes_of_views(compose(["model=resnet20"]), EPOCHS, 32) is None


@pytest.mark.parametrize("model", ["alexnet", "vgg11", "googlenet", "cuda_convnet"])
def test_a_network_of_one_size_refuses_smaller_views(model: str) -> None:
    smaller = {"cuda_convnet": 16}.get(model, 160)
    config = compose([f"model={model}"])
    with pytest.raises(
        Problem, match=r"recipe\.sizes begins with views of .*recipe\.sizes\.smallest"
    ):
        refuse_smaller_views(config, 10, smaller)
    refuse_smaller_views(config, 10, config["recipe"]["crop"]["size"])


@pytest.mark.parametrize("model", ["resnet18", "allcnn_imagenet"])
def test_a_network_that_averages_takes_smaller_views(model: str) -> None:
    refuse_smaller_views(compose([f"model={model}"]), 10, 160)


def test_the_memory_loader_cannot_augment(real_data: Path) -> None:
    overrides = [
        "model=resnet20",
        "data=cifar10",
        f"data.root={real_data}",
        "loader=memory",
        AUGMENT,
    ]
    with pytest.raises(Problem, match=r"loader=memory cannot .* recipe\.augment .*loader=torch"):
        build.data_module(compose(overrides))


def test_a_run_has_the_sizes_of_its_recipe(class_folders: Path) -> None:
    small = ["recipe.batch_size=7", "recipe.crop.size=64", "recipe.sizes.smallest=32"]
    folder = ["data=folder", f"data.root={class_folders}"]
    config = compose(["model=resnet18", "recipe=ffcv_16", *folder, *small])
    data = build.data_module(config)
    assert data.steps == 16
    assert data.sizes is not None
    assert [data.sizes(step) for step in range(16)] == [32] * 12 + [64] * 4
