import logging
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from topfive.crops import AreaAspect, Crop, FixedTen, Shift, ShorterSide, Warp
from topfive.datasets import Images, Pixels, folders
from topfive.loaders.batch import UNREADABLE, Batch
from topfive.loaders.memory_loader import MemoryEvaluation, MemoryTraining
from topfive.loaders.torch_loader import TrainingViews, evaluation, training, workers
from topfive.order import Share, TrainingOrder
from topfive.protocols import OneCrop, OneView

CPU = torch.device("cpu")
CIFAR = Shift(16, by=4, flip=True)
PHOTOGRAPH = ShorterSide(40, 60, 32)


def pixels(count: int = 23, channels: int = 3, side: int = 16) -> Pixels:
    random = np.random.default_rng(0)
    images = random.integers(1, 256, (count, channels, side, side), dtype=np.uint8)
    return Pixels(images, random.integers(0, 10, count))


def order(count: int = 23, batch: int = 8, copies: int = 0) -> TrainingOrder:
    return TrainingOrder(np.arange(count * (1 + copies)), batch, seed=7)


def in_memory(
    images: Pixels, crop: Shift, order: TrainingOrder, share: Share, steps: int, first: int = 0
) -> list[Batch]:
    return list(MemoryTraining(images, crop, 7, order, share, steps, first, CPU))


def by_workers(
    images: Images,
    crop: Crop,
    order: TrainingOrder,
    share: Share,
    steps: int,
    first: int = 0,
    workers: int = 0,
) -> list[Batch]:
    return list(training(images, crop, 7, order, share, steps, first, workers, False))


def assert_same(ours: Sequence[Batch], theirs: Sequence[Batch]) -> None:
    assert len(ours) == len(theirs) > 0
    for a, b in zip(ours, theirs, strict=True):
        for name, x, y in zip(Batch._fields, a, b, strict=True):
            assert x.dtype == y.dtype, name
            assert torch.equal(x, y), name


def joined(batches: Iterable[Batch]) -> Batch:
    return Batch(*(torch.cat(field) for field in zip(*batches, strict=True)))


# -- training ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "crop", "copies"),
    [
        (pixels(), CIFAR, 0),
        (pixels(), Shift(16, by=4), 0),
        (pixels(channels=1, side=14), Shift(18, by=1), 2),  # padded, with distorted copies
        (pixels(side=15), Shift(20, by=3, flip=True), 0),  # an odd margin
        (pixels(side=21), Shift(16, by=1, flip=True), 0),  # cut out of a larger image
    ],
)
def test_both_loaders_give_the_same_batches(images: Pixels, crop: Shift, copies: int) -> None:
    settings = (images, crop, order(copies=copies), Share(accumulate=2), 9)
    ours, theirs = in_memory(*settings), by_workers(*settings)
    assert len(ours) == 9 * 2
    assert_same(ours, theirs)


def test_batches_hold_uint8_images_and_int64_addresses() -> None:
    batch = in_memory(pixels(), CIFAR, order(), Share(), 1)[0]
    assert (batch.images.shape, batch.images.dtype) == ((8, 3, 16, 16), torch.uint8)
    for field in batch[1:-1]:
        assert (field.shape, field.dtype) == ((8,), torch.int64)
    assert (batch.flip.shape, batch.flip.dtype) == ((8,), torch.bool)


def test_a_crop_lies_where_its_batch_says() -> None:
    images = pixels()
    padded = np.pad(images.pixels, ((0, 0), (0, 0), (4, 4), (4, 4)))
    whole = joined(in_memory(images, CIFAR, order(), Share(), 20))
    assert set(whole.left.tolist()) == set(whole.top.tolist()) == set(range(-4, 5))
    assert set(whole.flip.tolist()) == {True, False}
    for view, label, index, left, top, flip in zip(
        whole.images, whole.labels, whole.index, whole.left, whole.top, whole.flip, strict=True
    ):
        window = padded[index, :, top + 4 : top + 20, left + 4 : left + 20]
        assert np.array_equal(view, window[:, :, ::-1] if flip else window)
        assert label == images.labels[index]


def test_a_sample_is_cropped_anew_in_every_epoch() -> None:
    whole = joined(in_memory(pixels(), CIFAR, order(), Share(), 30))
    mine = [(int(x), int(y)) for x, y in zip(whole.left, whole.top, strict=True)]
    assert len({place for place, i in zip(mine, whole.index, strict=True) if i == 0}) > 3


@pytest.mark.parametrize("load", [in_memory, by_workers])
def test_a_run_that_starts_at_step_5_goes_on_like_one_that_never_stopped(load: Any) -> None:
    settings = (pixels(), CIFAR, order(), Share(accumulate=2), 8)
    assert_same(load(*settings, first=5), load(*settings)[5 * 2 :])


@pytest.mark.parametrize("make", [MemoryTraining, training])
def test_the_length_counts_the_rounds_before_a_resume_too(make: Any) -> None:
    last = (CPU,) if make is MemoryTraining else (0, False)
    assert len(make(pixels(), CIFAR, 7, order(), Share(accumulate=2), 8, 5, *last)) == 16


@pytest.mark.parametrize("load", [in_memory, by_workers])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_shares_of_two_devices_make_up_the_global_batch(load: Any, accumulate: int) -> None:
    settings = (pixels(), CIFAR, order())
    whole = load(*settings, Share(), 4)
    shares = [load(*settings, Share(rank, 2, accumulate), 4) for rank in (0, 1)]
    rounds = [joined(pair) for pair in zip(*shares, strict=True)]
    steps = [joined(rounds[k : k + accumulate]) for k in range(0, len(rounds), accumulate)]
    assert_same(steps, whole)


def test_distorted_copies_keep_their_label_and_are_numbered() -> None:
    images = pixels(channels=1)
    loader = in_memory(images, Shift(16), order(23, 23, copies=2), Share(), 3)
    whole = joined(loader)  # one epoch of 3 x 23 samples
    assert whole.epoch.unique().tolist() == [0]
    assert sorted(zip(whole.index.tolist(), whole.copy.tolist(), strict=True)) == [
        (index, copy) for index in range(23) for copy in range(3)
    ]
    assert np.array_equal(whole.labels, images.labels[whole.index])


def test_the_number_of_workers_changes_nothing(class_folders: Path) -> None:
    images = folders.load(str(class_folders)).train
    settings = (images, PHOTOGRAPH, order(7, 4), Share(), 3)
    alone, helped = (by_workers(*settings, workers=count) for count in (0, 2))
    assert_same(alone, helped)
    ids = np.arange(7)
    reads = [evaluation(images, ids, OneCrop(32, 40), 3, Share(), n, False) for n in (0, 2)]
    assert_same(list(reads[0]), list(reads[1]))


def test_resized_crops_carry_no_offset(class_folders: Path) -> None:
    images = folders.load(str(class_folders)).train
    whole = joined(by_workers(images, PHOTOGRAPH, order(7, 7), Share(), 4))
    assert whole.images.shape == (28, 3, 32, 32)
    assert not whole.left.any()
    assert not whole.top.any()
    assert set(whole.flip.tolist()) == {True, False}


@pytest.mark.parametrize(
    "crop", [AreaAspect(32, filters="random"), FixedTen(32, 40), Warp(32, 40), PHOTOGRAPH]
)
def test_a_view_depends_on_seed_epoch_and_sample_alone(crop: Crop, class_folders: Path) -> None:
    images = folders.load(str(class_folders)).train
    addresses = [(epoch, k, k) for epoch in range(3) for k in range(7)]
    views, again, other = (TrainingViews(images, crop, seed, "crop") for seed in (7, 7, 8))
    first = [views[address] for address in addresses]
    second = [again[address] for address in reversed(addresses)][::-1]
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, second, strict=True))
    assert [a[1:] for a in first] == [b[1:] for b in second]
    mine = [view[0].tobytes() for view in first]
    assert len({(at[1], view) for at, view in zip(addresses, mine, strict=True)}) > 12
    assert mine != [other[address][0].tobytes() for address in addresses]


def test_as_many_workers_as_asked_for_or_as_there_are_processors() -> None:
    assert workers(3) == 3
    assert workers(0) == 0
    assert 1 <= workers(None) <= 8


# -- evaluation -------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("memory", [True, False])
def test_evaluation_sees_every_sample_exactly_once(world: int, memory: bool) -> None:
    images, ids = pixels(), np.arange(1, 23)  # 22 of 23: no multiple of 3, nor of the batch of 4
    batches: list[Batch] = []
    for rank in range(world):
        share = Share(rank, world)
        mine = (
            MemoryEvaluation(images, ids, 16, 4, share, CPU)
            if memory
            else evaluation(images, ids, OneView(16), 4, share, 0, False)
        )
        assert len(list(mine)) == len(mine)
        batches += mine
    whole = joined(batches)
    assert sorted(whole.index.tolist()) == ids.tolist()
    assert np.array_equal(whole.images, images.pixels[whole.index])
    assert np.array_equal(whole.labels, images.labels[whole.index])
    assert not whole.flip.any()


def test_more_devices_than_samples_leave_some_without_any() -> None:
    share = Share(2, 3)
    assert list(MemoryEvaluation(pixels(), np.arange(2), 16, 4, share, CPU)) == []
    assert list(evaluation(pixels(), np.arange(2), OneView(16), 4, share, 0, False)) == []


@pytest.mark.parametrize("size", [16, 20, 13])
def test_both_loaders_evaluate_alike(size: int) -> None:
    images, ids = pixels(), np.arange(3, 20)
    memory = MemoryEvaluation(images, ids, size, 4, Share(), CPU)
    assert_same(list(memory), list(evaluation(images, ids, OneView(size), 4, Share(), 0, False)))


def test_an_unreadable_file_is_black_unlabeled_and_named(
    class_folders: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = Path(shutil.copytree(class_folders, tmp_path / "set"))
    damaged = root / "train" / "ant" / "1.JPEG"
    damaged.write_bytes(damaged.read_bytes()[:400])
    images = folders.load(str(root)).train
    with caplog.at_level(logging.WARNING):
        trained = joined(by_workers(images, PHOTOGRAPH, order(7, 7), Share(), 1))
    assert "train/ant/1.JPEG" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        views = evaluation(images, np.arange(7), OneCrop(32, 40), 40, Share(), 0, False)
        evaluated = joined(views)
    assert "train/ant/1.JPEG" in caplog.text
    for whole in (trained, evaluated):
        at = whole.index == 1
        assert whole.labels[at].tolist() == [UNREADABLE] == [-1]
        assert not whole.images[at].any()
        assert sorted(whole.labels[~at].tolist()) == [0, 0, 0, 1, 1, 1]
        assert whole.images[~at].flatten(1).any(1).all()
