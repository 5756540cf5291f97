"""The samples of every step and their views are addressed, though shards are read in sequence."""

import logging
import multiprocessing
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shard_sets import write_folders, write_shards
from small_runs import SMALL, equal, fit, killed_and_resumed
from test_loaders import assert_same, joined
from torch.multiprocessing import ProcessExitedException
from trace_losses import traced

from topfive import build
from topfive.config import compose
from topfive.crops import AreaAspect, ShorterSide
from topfive.datasets import folders, shards
from topfive.departures import departures
from topfive.identity import identity
from topfive.lanes import LaneOrder
from topfive.loaders import torch_loader
from topfive.loaders.batch import UNREADABLE, Batch
from topfive.loaders.shards import in_shards
from topfive.loaders.shards_loader import ShardTraining
from topfive.order import Share
from topfive.problems import Problem
from topfive.protocols import OneCrop

pytest.importorskip("webdataset", reason="needs the extra webdataset")

CROP = ShorterSide(40, 60, 32)
SEED = 7
ALONE = Share()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of 41 and 11 images, with 9 shards each. Read it, do not write."""
    root = write_folders(tmp_path_factory.mktemp("set"))
    write_shards(root)
    return root


@pytest.fixture(scope="module")
def images(root: Path) -> shards.Shards:
    return shards.load(root / "train.shards")


def lanes(
    images: shards.Shards, batch: int = 12, lanes: int = 4, window: int = 2, **changes
) -> LaneOrder:
    settings = {"seed": SEED, "shards": images.shards, "lanes": lanes, "window": window}
    return LaneOrder(np.arange(len(images)), batch, **{**settings, **changes})


def read(
    images: shards.Shards,
    order: LaneOrder,
    share: Share = ALONE,
    steps: int = 9,
    first: int = 0,
    workers: int = 0,
    crop=CROP,
    **options,
) -> list[Batch]:
    loader = ShardTraining(
        images, crop, SEED, order, share, steps, first, workers, False, **options
    )
    return list(loader)


# -- the order ----------------------------------------------------------------------------------------


@given(
    counts=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    number=st.integers(1, 5),
    window=st.integers(1, 4),
    piece=st.integers(1, 4),
)
def test_every_sample_comes_once_in_each_epoch_of_its_lane(counts, number, window, piece) -> None:
    held_by = np.repeat(np.arange(len(counts)), counts)
    total = len(held_by)
    if total < number:
        return
    ids = np.random.default_rng(0).permutation(total) * 2 + 1
    order = LaneOrder(ids, number * piece, SEED, shards=held_by, lanes=number, window=window)
    assert sorted(len(part.ids) for part in order.parts) == sorted(
        len(part) for part in np.array_split(np.arange(total), number)
    )
    steps = 3 * total // (number * piece) + 1
    epochs, drawn, _ = (
        np.concatenate(column)
        for column in zip(*(order[step] for step in range(steps)), strict=True)
    )
    rows = np.tile(np.repeat(np.arange(number), piece), steps)
    for lane in range(number):
        mine, when = drawn[rows == lane], epochs[rows == lane]
        assert (np.diff(when) >= 0).all()
        for epoch in range(when[-1]):  # the last one may be cut short
            assert sorted(mine[when == epoch]) == sorted(order.parts[lane].ids)
    assert sorted(np.concatenate([part.ids for part in order.parts])) == sorted(ids)


def test_a_window_holds_the_samples_of_so_many_shards_and_no_others(images) -> None:
    order = lanes(images, batch=3, lanes=1, window=4)
    for epoch in range(3):
        held_by = [set(images.shards[window]) for window in order.parts[0].windows(epoch)]
        assert [len(of) for of in held_by] == [4, 4, 1]
        assert set.union(*held_by) == set(range(9))


def test_shards_and_the_samples_of_a_window_are_shuffled_anew_in_every_epoch(images) -> None:
    (lane,) = lanes(images, batch=3, lanes=1, window=2).parts
    first, second = (lane.windows(epoch) for epoch in (0, 1))
    assert [set(images.shards[w]) for w in first] != [set(images.shards[w]) for w in second]
    assert all((np.diff(w) < 0).any() and (np.diff(w) > 0).any() for w in first if len(w) > 3)
    fixed = lanes(images, batch=3, lanes=1, window=2, reshuffle=False).parts[0]
    assert np.array_equal(fixed.shuffled(0), fixed.shuffled(1))


def test_within_a_window_every_place_is_equally_likely() -> None:
    # 12 samples in one window, over 1,200 epochs: each is expected at each place 100 times, give or take 5 x 9.6.
    order = LaneOrder(np.arange(12), 12, SEED, shards=np.arange(12) // 3, lanes=1, window=4)
    (lane,) = order.parts
    seen = np.zeros((12, 12))
    for epoch in range(1200):
        seen[np.arange(12), lane.shuffled(epoch)] += 1
    assert abs(seen - 100).max() < 48


def test_lanes_own_neighboring_shards_in_all_epochs(images) -> None:
    order = lanes(images)
    owned = [set(images.shards[part.ids]) for part in order.parts]
    assert [len(of) for of in owned] == [3, 3, 3, 3]  # 9 shards in 4 lanes: three are shared by two
    for lane, part in enumerate(order.parts):
        for epoch in range(3):
            assert set(images.shards[part.shuffled(epoch)]) == owned[lane]


def test_any_step_can_be_asked_for_directly(images) -> None:
    whole = lanes(images)
    sequence = [whole[step] for step in range(12)]
    for step in (11, 0, 7, 2):
        for ours, theirs in zip(lanes(images)[step], sequence[step], strict=True):
            assert np.array_equal(ours, theirs)


def test_a_shared_crop_is_shared_within_a_lane_only() -> None:
    order = LaneOrder(
        np.arange(40), 16, SEED, crop_shared_by=4, shards=np.arange(40) // 5, lanes=2, window=2
    )
    _, _, crops = order[0]
    assert order.crop_purpose == "shared crop"
    assert [len(set(crops[k : k + 4])) for k in range(0, 16, 4)] == [1, 1, 1, 1]
    assert len(set(crops)) == 4


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lanes": 5}, r"batch_size=12 does not divide by data\.shuffle\.lanes=5"),
        ({"lanes": 0}, r"data\.shuffle\.lanes=0 .*expected 1 or more"),
        ({"window": 0}, r"data\.shuffle\.window=0: expected 1 or more"),
        ({"batch": 84, "lanes": 42}, r"41 training images cannot fill data\.shuffle\.lanes=42"),
    ],
)
def test_lanes_that_cannot_be_are_refused(images, changes, says) -> None:
    with pytest.raises(Problem, match=says):
        lanes(images, **changes)


@pytest.mark.parametrize("share", [Share(0, 3), Share(0, 2, 4)])
def test_devices_that_would_split_a_lane_are_refused(images, share) -> None:
    with pytest.raises(Problem, match=r"lanes=4 cannot be dealt to . devices x . accumulation"):
        ShardTraining(images, CROP, SEED, lanes(images), share, 1, 0, 0, False)


# -- the batches --------------------------------------------------------------------------------------


def by_torch(images, order, share=ALONE, steps=9, first=0, crop=CROP, **options) -> list[Batch]:
    return list(
        torch_loader.training(
            images, crop, SEED, order, share, steps, first, 0, False, *options.values()
        )
    )


@pytest.mark.parametrize("crop", [CROP, AreaAspect(32, filters="random")])
def test_batches_are_those_of_the_torch_loader_on_the_files(root, images, crop) -> None:
    photographs = folders.load(str(root)).train
    settings = (lanes(images), Share(accumulate=2))
    ours = read(images, *settings, crop=crop)
    assert len(ours) == 18
    assert_same(ours, by_torch(photographs, *settings, crop=crop))


def test_augmented_and_resized_views_are_those_of_the_torch_loader(root, images) -> None:
    def inverted(view: np.ndarray, seed: int, epoch: int, sample: int) -> np.ndarray:
        return (view ^ np.uint8(seed + epoch + sample)).astype(np.uint8)

    options = {"augment": inverted, "sizes": lambda step: (24, 32)[step % 2]}
    ours = read(images, lanes(images), **options)
    assert [batch.images.shape[-1] for batch in ours[:3]] == [24, 32, 24]
    assert_same(ours, by_torch(folders.load(str(root)).train, lanes(images), **options))


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_number_of_workers_changes_nothing(images, workers) -> None:
    assert_same(read(images, lanes(images), workers=workers), read(images, lanes(images)))


def test_workers_have_whole_lanes(images) -> None:
    counts = [
        ShardTraining(images, CROP, SEED, lanes(images), share, 1, 0, asked, False).workers
        for share, asked in ((Share(), 3), (Share(), 9), (Share(1, 2), 3), (Share(), 0))
    ]
    assert counts == [2, 4, 2, 0]


@pytest.mark.parametrize("world", [2, 4])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_shares_of_all_devices_make_up_the_global_batch(images, world, accumulate) -> None:
    order = lanes(images, batch=16, lanes=8)
    shares = [read(images, order, Share(rank, world, accumulate)) for rank in range(world)]
    rounds = [joined(of) for of in zip(*shares, strict=True)]
    steps = [joined(rounds[k : k + accumulate]) for k in range(0, len(rounds), accumulate)]
    assert_same(steps, read(images, order))


@pytest.mark.parametrize("first", [1, 4, 8])
def test_a_run_that_starts_anywhere_goes_on_like_one_that_never_stopped(images, first) -> None:
    share = Share(accumulate=2)
    whole = read(images, lanes(images), share)
    assert_same(read(images, lanes(images), share, first=first, workers=2), whole[first * 2 :])


def test_a_part_of_the_images_is_read_and_no_other(images) -> None:
    ids = np.arange(1, 41, 3)
    order = LaneOrder(ids, 4, SEED, shards=images.shards[ids], lanes=2, window=2)
    seen = joined(read(images, order, steps=7)).index.tolist()  # 28 of 14: two epochs
    assert sorted(seen) == sorted([*ids.tolist()] * 2)


def opened(root: Path, log: Path, order: LaneOrder, **options) -> list[str]:
    """The shards that a reader from afar opened, in their order."""
    url = f"pipe:echo {{}} >> {log}; cat {root}/{{}}"
    found = in_shards(folders.load(str(root)), "webdataset", str(root), url, None)
    read(found.train, order, **options)
    return log.read_text().split()


def test_every_shard_is_opened_once_an_epoch_however_many_workers(root, images, tmp_path) -> None:
    # 41 samples in one lane; 4 pieces of 9 and 5 samples more are the first epoch.
    order = lanes(images, batch=41, lanes=1, window=2)
    for workers in (0, 1):
        names = opened(root, tmp_path / str(workers), order, steps=1, workers=workers)
        assert len(names) == len(set(names)) == 9


def test_a_device_opens_the_shards_of_its_own_lanes_only(root, images, tmp_path) -> None:
    order = lanes(images)
    mine = np.concatenate([order.parts[lane].ids for lane in (2, 3)])
    names = opened(root, tmp_path / "log", order, share=Share(1, 2), steps=4)
    assert {int(name[-9:-4]) for name in names} == set(images.shards[mine].tolist())


def test_a_resume_opens_no_shard_of_the_windows_before_it(root, images, tmp_path) -> None:
    order = lanes(images, batch=1, lanes=1, window=2)
    windows = order.parts[0].windows(0)
    before = sum(map(len, windows[:3]))
    names = opened(root, tmp_path / "log", order, steps=41, first=before + 1)
    left = {int(shard) for window in windows[3:] for shard in images.shards[window]}
    assert {int(name[-9:-4]) for name in names} == left
    assert len(left) == 3  # of 9


def test_a_truncated_image_is_black_unlabeled_and_named(tmp_path, caplog) -> None:
    root = write_folders(tmp_path)
    damaged = root / "train" / "bee" / "05.jpeg"
    damaged.write_bytes(damaged.read_bytes()[:200])
    whole = shards.load(root / "train.shards") if write_shards(root) else None
    with caplog.at_level(logging.WARNING):
        batch = joined(read(whole, lanes(whole, batch=41, lanes=1), steps=1))
    at = batch.index == whole.files.index("bee/05.jpeg")
    assert "bee/05.jpeg" in caplog.text
    assert batch.labels[at].tolist() == [UNREADABLE]
    assert not batch.images[at].any()
    assert (batch.labels[~at] >= 0).all()


@pytest.mark.parametrize("workers", [0, 2])
def test_a_shard_that_vanishes_ends_a_run_in_one_line(root, tmp_path, workers) -> None:
    own = Path(shutil.copytree(root, tmp_path / "own"))
    whole = shards.load(own / "train.shards")
    for tar in (own / "train.shards").glob("*-00003.tar"):
        tar.unlink()
    with pytest.raises(Problem, match=r"-00003\.tar cannot be read") as problem:
        read(whole, lanes(whole), workers=workers)
    assert "\n" not in str(problem.value)


def test_leaving_early_leaves_no_process(images) -> None:
    before = set(multiprocessing.active_children())
    loader = iter(ShardTraining(images, CROP, SEED, lanes(images), ALONE, 500, 0, 2, False))
    next(loader)
    assert len(set(multiprocessing.active_children()) - before) == 2
    del loader
    assert not set(multiprocessing.active_children()) - before


# -- evaluation ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", [1, 2, 3])
def test_evaluation_sees_every_sample_of_shards_exactly_once(root, world) -> None:
    reported, ids = shards.load(root / "val.shards"), np.arange(11)
    photographs = folders.load(str(root)).reported
    settings = (ids, OneCrop(32, 40), 20)
    seen = []
    for rank in range(world):
        share = Share(rank, world)
        mine = list(torch_loader.evaluation(reported, *settings, share, 0, False))
        assert_same(mine, list(torch_loader.evaluation(photographs, *settings, share, 0, False)))
        seen += joined(mine).index.tolist()
    assert sorted(seen) == list(range(11))


# -- a run --------------------------------------------------------------------------------------------


def test_the_order_is_a_part_of_the_run_and_a_departure(root) -> None:
    plain = ["model=resnet18", "data=folder", f"data.root={root}"]
    near, far, other = (
        compose([*plain, "loader=webdataset", *more])
        for more in (
            [],
            ["loader.shards=https://host", "loader.workers=3"],
            ["data.shuffle.lanes=4"],
        )
    )
    assert identity(near) == identity(far)
    assert len({identity(config) for config in (compose(plain), near, other)}) == 3
    listed = departures(near)
    assert "data.shuffle.lanes=8 (paper: null)" in listed
    assert "data.shuffle.window=4 (paper: null)" in listed
    assert not any("shuffle" in line for line in departures(compose(plain)))


def test_a_data_module_is_built_with_lanes(root) -> None:
    config = compose(["model=resnet18", "data=folder", f"data.root={root}", "loader=webdataset"])
    data = build.data_module(config)
    assert isinstance(data.order, LaneOrder)
    assert (data.order.lanes, data.order.window) == (8, 4)
    assert isinstance(data.dataset.reported, shards.Shards)
    plain = build.data_module(compose(["model=resnet18", "data=folder", f"data.root={root}"]))
    assert not isinstance(plain.order, LaneOrder)


def test_shards_without_their_shuffle_are_a_problem(root) -> None:
    command = ["model=resnet18", "data=folder", f"data.root={root}", "loader.kind=webdataset"]
    with pytest.raises(Problem, match=r"data\.shuffle is missing, which loader=webdataset brings"):
        build.data_module(compose(command))


def test_a_run_killed_and_resumed_in_the_middle_of_a_window_ends_in_the_same_weights(
    root, tmp_path
) -> None:
    # 24 of the 41 images in batches of 8, two from each of 4 lanes: 12 steps are four epochs.
    run = [
        "data=folder", f"data.root={root}", "loader=webdataset", "loader.workers=0",
        "data.shuffle.lanes=4", "recipe.mean=null", "recipe.batch_size=8", "recipe.transforms=[]",
    ]  # fmt: skip
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    module, data = fit(tmp_path / "whole", *run)
    assert isinstance(data.order, LaneOrder)
    resumed, again = killed_and_resumed(tmp_path / "killed", 8, *run)
    assert again.first == 6
    assert equal(resumed.state_dict(), module.state_dict())


@pytest.mark.slow
@pytest.mark.timeout(900)  # several processes, each with its imports
def test_a_run_on_one_device_is_the_one_on_two_that_are_killed_and_read_from_afar(
    root, tmp_path
) -> None:
    run = [
        *SMALL, "data=folder", f"data.root={root}", "loader=webdataset", "data.shuffle.lanes=4",
        "loader.workers=1", "recipe.mean=null", "recipe.batch_size=8", "recipe.transforms=[]",
        "trainer.precision=64-true", "trainer.checkpoint_every=5", "recipe.schedule.rate=0.01",
    ]  # fmt: skip
    whole = traced(tmp_path / "one", *run)
    assert len(whole["steps"]) == 12
    far = [*run, f'loader.shards="pipe:cat {root}/{{}}"']
    with pytest.raises(ProcessExitedException, match="SIGKILL"):
        traced(tmp_path / "two", *far, devices=2, killed_at=7)
    rest = traced(tmp_path / "two", *far, devices=2, resumed=True)
    assert rest["world_size"] == 2
    assert rest["steps"] == whole["steps"][5:]  # the same samples, and the same views
    assert rest["losses"] == pytest.approx(whole["losses"][5:], abs=1e-8, rel=0)
