from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_loaders import CIFAR, CPU, PHOTOGRAPH, assert_same, joined, pixels

from topfive.crops import Crop
from topfive.datasets import Dataset, Pixels, folders
from topfive.loaders.datamodule import DataModule, LoaderSettings, watched
from topfive.loaders.memory_loader import MemoryEvaluation, MemoryTraining
from topfive.problems import Problem
from topfive.protocols import (
    Both,
    Dense,
    GridOfScales,
    OneCrop,
    OneView,
    Protocol,
    SquaresOfScales,
    TenCrop,
)

PART = {"subset_seed": 0, "fraction": None, "per_class": None}


def module(
    dataset: Dataset,
    kind: str = "auto",
    crop: Crop = CIFAR,
    protocol: Protocol | None = None,
    held_out: int = 0,
    rank: int = 0,
    world: int = 1,
    copies: int = 0,
    candidate: bool = False,
) -> DataModule:
    """As build.py makes it, with just as much of a trainer as the loaders ask for."""
    data = DataModule(
        dataset,
        part={**PART, "candidate": candidate},
        held_out=held_out,
        crop=crop,
        protocol=protocol or OneView(16),
        batch=8,
        reshuffle=True,
        distorted_copies=copies,
        seed=7,
        settings=LoaderSettings(kind, workers=0, evaluation_batch=4),  # type: ignore[arg-type]
    )
    data.steps = 5
    trainer = SimpleNamespace(
        global_rank=rank,
        world_size=world,
        accumulate_grad_batches=1,
        strategy=SimpleNamespace(root_device=CPU),
    )
    data.trainer = trainer  # type: ignore[assignment]
    return data


def small() -> Dataset:
    images = Pixels(pixels(60).pixels, np.arange(60) % 3)
    return Dataset(["a", "b", "c"], images, pixels(11), "test")


def test_small_images_are_served_from_memory_and_photographs_by_workers(
    class_folders: Path,
) -> None:
    photographs = folders.load(str(class_folders))
    crop, protocol = PHOTOGRAPH, OneCrop(32, 40)
    assert isinstance(module(small()).train_dataloader(), MemoryTraining)
    assert isinstance(module(small()).val_dataloader()[0], MemoryEvaluation)
    for data in (
        module(small(), "torch"),
        module(small(), "auto", crop, protocol),
        module(photographs, "auto", crop, protocol),
    ):
        assert not isinstance(data.train_dataloader(), MemoryTraining)
        assert not isinstance(data.val_dataloader()[0], MemoryEvaluation)


def test_the_choice_of_loader_changes_no_batch() -> None:
    ours, theirs = (module(small(), kind, held_out=15) for kind in ("memory", "torch"))
    assert_same(list(ours.train_dataloader()), list(theirs.train_dataloader()))
    for a, b in zip(ours.val_dataloader(), theirs.val_dataloader(), strict=True):
        assert_same(list(a), list(b))


def test_photographs_do_not_fit_the_memory_loader(class_folders: Path) -> None:
    with pytest.raises(Problem, match=r"loader=memory .*needs loader=torch"):
        module(folders.load(str(class_folders)), "memory", PHOTOGRAPH, OneCrop(32, 40))
    with pytest.raises(Problem, match=r"loader=memory .*needs loader=torch"):
        module(small(), "memory", PHOTOGRAPH)


def test_the_minival_is_watched_beside_the_reported_set_and_never_trains() -> None:
    data = module(small(), held_out=15)
    reported, minival = (joined(loader) for loader in data.val_dataloader())
    assert sorted(reported.index.tolist()) == list(range(11))
    assert np.bincount(minival.labels).tolist() == [5, 5, 5]
    trained = joined(data.train_dataloader()).index.tolist()
    assert len(set(trained)) > 30
    assert not set(trained) & set(minival.index.tolist())
    assert len(module(small()).val_dataloader()) == 1


@pytest.mark.parametrize("kind", ["memory", "torch"])
def test_a_candidate_has_the_minival_for_its_reported_set_and_no_other(kind: str) -> None:
    plain, data = (
        module(small(), kind, held_out=15),
        module(small(), kind, held_out=15, candidate=True),
    )
    assert data.minival_ids.tolist() == plain.minival_ids.tolist()
    assert plain.watched_splits == ("reported", "minival")
    assert data.watched_splits == ("minival",)
    (watched,) = data.val_dataloader()
    expected = joined(plain.val_dataloader()[1])
    assert torch.equal(joined(watched).images, expected.images)
    assert torch.equal(joined(watched).labels, expected.labels)
    assert data.dataset.reported_name == "minival"
    assert len(data.dataset.reported) == 15
    assert_same(list(data.train_dataloader()), list(plain.train_dataloader()))


def test_a_candidate_on_photographs_keeps_their_files(class_folders: Path) -> None:
    photographs = folders.load(str(class_folders))
    data = module(photographs, "auto", PHOTOGRAPH, OneCrop(32, 40), 2, candidate=True)
    names = [data.dataset.reported.name(k) for k in range(2)]
    assert names == [photographs.train.name(k) for k in data.minival_ids]
    assert [Path(name).parent.name for name in names] == ["ant", "bee"]
    assert joined(data.val_dataloader()[0]).labels.tolist() == [0, 1]


def test_a_candidate_without_a_minival_is_a_problem() -> None:
    with pytest.raises(Problem, match=r"data\.minival holds out none: give it a number"):
        module(small(), candidate=True)


def test_copies_are_made_of_the_part_that_trains() -> None:
    data = module(small(), held_out=15, copies=2)
    assert len(data.order.ids) == 3 * 45
    whole = joined(data.train_dataloader())
    assert set(whole.copy.tolist()) == {0, 1, 2}
    assert not set(whole.index.tolist()) & set(data.minival_ids.tolist())


def test_two_devices_share_training_and_evaluation() -> None:
    parts = [module(small(), rank=rank, world=2) for rank in (0, 1)]
    ours = [joined(pair) for pair in zip(*(p.train_dataloader() for p in parts), strict=True)]
    assert_same(ours, list(module(small()).train_dataloader()))
    seen = [joined(p.val_dataloader()[0]).index.tolist() for p in parts]
    assert sorted(seen[0] + seen[1]) == list(range(11))


def test_many_views_are_watched_by_one(class_folders: Path) -> None:
    for protocol in (TenCrop(32, 40), SquaresOfScales(32, (40, 50)), GridOfScales(32, (40, 50))):
        assert watched(protocol, 24) == OneCrop(32, 40)
    assert watched(OneView(32), 24) == OneView(32)
    assert watched(Dense((40, 50)), 24) == OneCrop(24, 40)
    assert watched(Dense((40,)), 48) == OneCrop(48, 48)
    assert watched(Both((GridOfScales(32, (40,)), Dense((50,)))), 24) == OneCrop(32, 40)
    data = module(folders.load(str(class_folders)), "auto", PHOTOGRAPH, TenCrop(32, 40))
    assert joined(data.val_dataloader()[0]).images.shape == (4, 3, 32, 32)


def test_a_sample_of_the_training_part_is_drawn_by_its_number() -> None:
    data = module(small(), held_out=15)
    first, again, other = data.sample(20, 0), data.sample(20, 0), data.sample(20, 1)
    assert_same([first], [again])
    assert len(set(first.index.tolist())) == 20
    assert set(first.index.tolist()) <= set(data.train_ids.tolist())
    assert set(first.index.tolist()) != set(other.index.tolist())
    assert not first.copy.any()


def test_a_sample_of_photographs_is_a_problem(class_folders: Path) -> None:
    data = module(folders.load(str(class_folders)), "auto", PHOTOGRAPH, OneCrop(32, 40))
    with pytest.raises(Problem, match=r"recipe\.online .* choose data=mnist or data=digits"):
        data.sample(5, 0)


def test_a_resumed_run_starts_at_the_step_of_its_checkpoint(tmp_path: Path) -> None:
    whole = list(module(small()).train_dataloader())
    data = module(small())
    data.resume(None)
    assert data.first == 0
    torch.save({"global_step": 3}, tmp_path / "last.ckpt")
    data.resume(tmp_path / "last.ckpt")
    assert_same(list(data.train_dataloader()), whole[3:])


@pytest.mark.parametrize("content", [b"", b"no checkpoint"])
def test_a_damaged_checkpoint_is_a_problem(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    with pytest.raises(Problem, match=r"last\.ckpt is damaged .* resume=FILE"):
        module(small()).resume(path)
