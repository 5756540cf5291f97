"""Runs of 32 consecutive images that share one crop and mirror, as in the code of Krizhevsky et al. 2012."""

from typing import Any

import numpy as np
import pytest
import torch
from test_loaders import CIFAR, assert_same, by_workers, in_memory, joined, pixels

from topfive import build, streams
from topfive.batch_transforms import PCAColor
from topfive.config import compose
from topfive.crops import ShorterSide
from topfive.order import Share, TrainingOrder
from topfive.problems import Problem

COUNT, BATCH, STEPS = 100, 64, 8  # 5.12 epochs; no batch but the first begins with an epoch
LOADERS = pytest.mark.parametrize("load", [in_memory, by_workers])


def order(shared_by: int = 32) -> TrainingOrder:
    return TrainingOrder(np.arange(COUNT), BATCH, seed=7, crop_shared_by=shared_by)


def views(load: Any, shared_by: int = 32) -> Any:
    return joined(load(pixels(COUNT), CIFAR, order(shared_by), Share(), STEPS))


@LOADERS
def test_32_consecutive_images_share_a_crop_and_the_33rd_has_another(load: Any) -> None:
    whole = views(load)
    fields = (whole.left, whole.top, whole.flip)
    boxes = list(zip(*(field.tolist() for field in fields), strict=True))
    # 100 images are runs of 32, 32, 32 and 4 in every epoch.
    runs = [set(boxes[100 * e + a : 100 * e + a + 32]) for e in range(5) for a in (0, 32, 64)]
    last = [set(boxes[100 * e + 96 : 100 * e + 100]) for e in range(5)]
    assert all(len(run) == 1 for run in runs + last)
    # 9 x 9 places, mirrored or not: of 20 runs that share nothing, more than 12 differ.
    assert len(set.union(*runs, *last)) > 12
    # Within an epoch, and from its last run to the next one's first.
    assert len({boxes[k] for k in (0, 32, 64, 96, 100)}) > 3


@LOADERS
def test_a_shared_crop_lies_where_its_batch_says(load: Any) -> None:
    whole, source = views(load), pixels(COUNT)
    padded = np.pad(source.pixels, ((0, 0), (0, 0), (4, 4), (4, 4)))
    assert set(whole.flip.tolist()) == {True, False}
    for k in range(0, BATCH * STEPS, 17):
        left, top = int(whole.left[k]) + 4, int(whole.top[k]) + 4
        window = padded[whole.index[k], :, top : top + 16, left : left + 16]
        assert np.array_equal(whole.images[k], window[:, :, ::-1] if whole.flip[k] else window)


def test_sharing_changes_the_crops_alone() -> None:
    shared, own = views(in_memory), views(in_memory, 1)
    for field in ("labels", "index", "copy", "epoch"):
        assert torch.equal(getattr(shared, field), getattr(own, field))
    assert not torch.equal(shared.images, own.images)
    assert (shared.left == own.left).float().mean() < 0.3  # one in nine by chance


def test_images_of_one_crop_keep_a_color_of_their_own() -> None:
    whole = views(in_memory)
    color = PCAColor([100.0, 30.0, 10.0], torch.eye(3).tolist(), seed=7)
    shift = color(torch.zeros(BATCH * STEPS, 3, 1, 1), whole)[:32, :, 0, 0]
    assert len(set(map(tuple, shift.tolist()))) == 32


def test_a_shared_crop_is_addressed_by_the_position_in_the_epoch_over_32() -> None:
    epochs, _, crops = order()[1]  # positions 64 to 127 of an epoch of 100
    assert crops.tolist() == [2] * 32 + [3] * 4 + [0] * 28
    assert epochs.tolist() == [0] * 36 + [1] * 28
    assert (order().crop_purpose, order(1).crop_purpose) == ("shared crop", "crop")
    u = streams.uniform(7, "shared crop", 0, np.array([2]), 3)[0]
    assert (views(in_memory).left[64], views(in_memory).top[64]) == (
        CIFAR(16, 16, u).left,
        CIFAR(16, 16, u).top,
    )


def test_a_crop_of_ones_own_is_addressed_by_the_sample() -> None:
    _, ids, crops = order(1)[1]
    assert crops.tolist() == ids.tolist()


@LOADERS
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("world", [1, 2, 4])
def test_neither_devices_nor_rounds_change_what_is_shared(
    load: Any, world: int, accumulate: int
) -> None:
    # 4 x 2 shares of a batch of 64 are 8 images each: a run of 32 lies on four devices.
    settings = (pixels(COUNT), CIFAR, order())
    whole = load(*settings, Share(), 4)
    shares = [load(*settings, Share(rank, world, accumulate), 4) for rank in range(world)]
    rounds = [joined(parts) for parts in zip(*shares, strict=True)]
    steps = [joined(rounds[k : k + accumulate]) for k in range(0, len(rounds), accumulate)]
    assert_same(steps, whole)


def test_both_loaders_share_alike() -> None:
    settings = (pixels(COUNT), CIFAR, order(), Share(0, 2, 2), STEPS)
    assert_same(in_memory(*settings), by_workers(*settings))


@LOADERS
def test_a_run_resumed_in_mid_epoch_shares_as_if_it_had_never_stopped(load: Any) -> None:
    settings = (pixels(COUNT), CIFAR, order(), Share(), STEPS)
    assert_same(load(*settings, first=4), load(*settings)[4:])


def test_the_shared_offsets_of_alexnet_are_uniform_over_33_by_33() -> None:
    # The code: 0 to 32 inclusive, both ways. 20 draws for each of the 1,089 places.
    runs = 20 * 33 * 33
    crop, square = ShorterSide(256, 256, 224, square=True), (256, 341)
    whole = TrainingOrder(np.arange(32 * runs), 32 * runs, seed=3, crop_shared_by=32)
    epochs, _, crops = (numbers[::32] for numbers in whole[0])
    numbers = streams.uniform(3, whole.crop_purpose, epochs, crops, crop.draws)
    boxes = [crop(*square, u) for u in numbers]
    counts = np.zeros((33, 33))
    for box in boxes:
        counts[crop.place(*square, box)] += 1
    # Chi-squared of 1,088 degrees of freedom: 1,088 +- 47; five standard errors.
    assert abs(((counts - 20) ** 2 / 20).sum() - 1088) < 5 * (2 * 1088) ** 0.5
    mirrored = sum(box.flip for box in boxes)
    assert abs(mirrored - runs / 2) < 5 * (runs / 4) ** 0.5


def of_recipe(class_folders: Any, *overrides: str) -> TrainingOrder:
    data = ["data=folder", f"data.root={class_folders}", "data.minival=1", "loader.workers=0"]
    return build.data_module(compose(["model=alexnet", *data, *overrides])).order


def test_the_recipe_of_the_code_shares_by_32_and_the_papers_not(class_folders: Any) -> None:
    assert of_recipe(class_folders, "recipe=alexnet_code").crop_shared_by == 32
    assert of_recipe(class_folders).crop_shared_by == 1
    assert of_recipe(class_folders, "+recipe.crop_shared_by=8").crop_shared_by == 8


@pytest.mark.parametrize("count", ["0", "-32", "null", "2.5"])
def test_a_crop_is_shared_by_a_count_of_images(count: str, class_folders: Any) -> None:
    with pytest.raises(Problem, match=r"recipe\.crop_shared_by=.*expected a count.*1 gives every"):
        of_recipe(class_folders, f"+recipe.crop_shared_by={count}")
