"""timm's policies, drawn by address: in any order, by any worker, from any step on."""

import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_loaders import assert_same, joined, order, pixels

from topfive.augmentation import AutoAugment, RandAugment
from topfive.crops import AreaAspect, Shift
from topfive.datasets import folders
from topfive.global_generators import addressed
from topfive.loaders.torch_loader import training
from topfive.order import Share
from topfive.problems import Problem

RANDOM = RandAugment("rand-m7-mstd0.5-inc1", [124, 116, 104])
LEARNED = AutoAugment("v0", [128, 128, 128])
CROP = AreaAspect(32)


def plain(color: tuple[int, ...]) -> np.ndarray:
    return np.full((32, 32, len(color)), color, np.uint8).transpose(2, 0, 1)


def generators() -> tuple[object, bytes, int]:
    _, keys, place, *_ = np.random.get_state()  # noqa: NPY002
    return random.getstate(), keys.tobytes(), place


@pytest.mark.parametrize("augment", [RANDOM, LEARNED])
def test_views_are_the_same_by_any_number_of_workers_and_after_a_resume(
    augment: RandAugment, class_folders: Path
) -> None:
    images = folders.load(str(class_folders)).train
    settings = (images, CROP, 7, order(7, 4), Share(), 5)
    alone = list(training(*settings, 0, 0, False, augment))
    assert_same(list(training(*settings, 0, 2, False, augment)), alone)
    assert_same(list(training(*settings, 3, 0, False, augment)), alone[3:])
    without = list(training(*settings, 0, 0, False))
    assert not np.array_equal(joined(alone).images, joined(without).images)


@pytest.mark.parametrize("augment", [RANDOM, LEARNED])
def test_a_view_is_a_function_of_seed_epoch_and_sample_whatever_was_drawn_before(
    augment: RandAugment,
) -> None:
    view = pixels(1, side=32).pixels[0]
    addresses = [(7, epoch, sample) for epoch in range(4) for sample in range(10)]
    first = [augment(view, *address).tobytes() for address in addresses]
    random.seed(3)
    np.random.seed(4)  # noqa: NPY002
    again = [augment(view, *address).tobytes() for address in reversed(addresses)][::-1]
    assert again == first
    assert len(set(first)) > 20
    other = [augment(view, 8, *at).tobytes() for _, *at in addresses]
    assert sum(a == b for a, b in zip(first, other, strict=True)) < 20


def test_the_global_generators_stand_afterwards_where_they_stood() -> None:
    random.seed(1)
    random.gauss(0, 1)  # keeps its second number for later
    before = generators()
    for sample in range(20):
        RANDOM(plain((1, 2, 3)), 7, 0, sample)
    assert generators() == before
    with pytest.raises(KeyError):
        _fail_within_an_address()
    assert generators() == before


def _fail_within_an_address() -> None:
    with addressed(7, "augment", 0):
        random.random()
        np.random.random()  # noqa: NPY002
        raise KeyError


def test_an_address_seeds_both_generators() -> None:
    def drawn(*address: int) -> tuple[float, float]:
        with addressed(address[0], "augment", *address[1:]):
            return random.random(), np.random.random()  # noqa: NPY002

    assert drawn(7, 1, 2) == drawn(7, 1, 2)
    numbers = {
        number for at in [(7, 1, 2), (8, 1, 2), (7, 2, 2), (7, 1, 3)] for number in drawn(*at)
    }
    assert len(numbers) == 8


def test_what_moves_in_from_outside_has_the_color_that_the_recipe_states() -> None:
    fill = (200, 0, 100)
    augment = AutoAugment("v0", fill)
    views = [augment(plain((10, 20, 30)), 7, 0, sample) for sample in range(60)]
    filled = [(view == np.array(fill)[:, None, None]).all(0) for view in views]
    assert any(0 < f.mean() < 1 for f in filled)
    # An operation on colors may follow, but the image's own pixels never have that color.
    assert not any(f[16, 16] for f in filled)


def test_the_policy_is_read_as_timm_writes_it() -> None:
    operations = RANDOM.policy.ops  # type: ignore[attr-defined]
    assert RANDOM.policy.num_layers == 2  # type: ignore[attr-defined]
    assert {(op.magnitude, op.magnitude_std, op.prob) for op in operations} == {(7, 0.5, 0.5)}
    assert {"PosterizeIncreasing", "SolarizeIncreasing"} <= {op.name for op in operations}
    assert len(LEARNED.policy.policy) == 25  # type: ignore[attr-defined]


def test_an_image_of_no_bits_is_black() -> None:
    # Posterize at level 2 of 10 keeps int(0.2 x 4) = 0 bits.
    (operation,) = {
        op
        for pair in LEARNED.policy.policy  # type: ignore[attr-defined]
        for op in pair
        if (op.name, op.magnitude) == ("Posterize", 2)
    }
    operation.prob, before = 1.0, operation.prob
    black = np.asarray(operation(Image.new("RGB", (4, 4), (9, 200, 255))))
    operation.prob = before
    assert not black.any()


@pytest.mark.parametrize("policy", ["v0", "original"])
def test_gray_images_are_augmented_too(policy: str) -> None:
    augment = AutoAugment(policy, [128])
    views = [augment(pixels(1, 1, 28).pixels[0], 7, 0, sample) for sample in range(100)]
    assert {(view.shape, view.dtype.name) for view in views} == {((1, 28, 28), "uint8")}
    assert (
        len({view.tobytes() for view in views}) > 20
    )  # colors, which gray has none of, change nothing


def test_a_fill_of_other_channels_is_refused() -> None:
    with pytest.raises(
        Problem, match=r"recipe\.augment\.fill has 3 values and the images 1 channels"
    ):
        RANDOM(plain((1,)), 7, 0, 0)


def test_an_unreadable_image_stays_black(class_folders: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(class_folders, tmp_path / "set"))
    (root / "train" / "ant" / "1.JPEG").write_bytes(b"no image")
    images = folders.load(str(root)).train
    epochs = training(images, CROP, 7, order(7, 7), Share(), 6, 0, 0, False, LEARNED)
    whole = joined(epochs)
    assert not whole.images[whole.index == 1].any()
    assert (whole.labels == -1).sum() == 6


def test_whole_pixel_crops_are_augmented_after_the_crop() -> None:
    images, crop = pixels(side=16), Shift(16, by=4, flip=True)
    settings = (images, crop, 7, order(23, 8), Share(), 4, 0, 0, False)
    changed, plainly = (joined(training(*settings, augment)) for augment in (RANDOM, None))
    for at, view, cropped in zip(changed.index, changed.images, plainly.images, strict=True):
        assert np.array_equal(view, RANDOM(cropped.numpy(), 7, int(changed.epoch[0]), int(at)))
        break
    assert np.array_equal(changed.left, plainly.left)
    assert np.array_equal(changed.flip, plainly.flip)
