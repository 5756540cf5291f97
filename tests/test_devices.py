"""Adding devices changes nothing but the time: float64 traces of one process, of two and of four."""

import functools
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from flow_rows import assert_same_flow
from small_networks import NETWORKS, photographs
from torch import nn
from torch.testing._internal.distributed.fake_pg import FakeStore
from trace_losses import traced
from traces import real_images

from topfive.batch_norm import GroupedBatchNorm2d, group_statistics
from topfive.order import Share
from topfive.problems import Problem
from topfive.runs import CHECKPOINT

pytestmark = pytest.mark.timeout(900)  # several processes on two cores
FLOAT64 = ["trainer.precision=64-true", "trainer.accelerator=cpu", "loader.workers=0"]
# An eighth of the paper's batch and a quarter of its pixels, to be quick, and a tenth of its rate: at 0.1 so small a
# batch turns the last bit of float64 into 1e-5 within a dozen steps.
RESNET = [
    "model=resnet20", "data=cifar10", "recipe.batch_size=16", "recipe.bn_batch=8", *FLOAT64,
    "recipe.schedule.rate=0.01", "recipe.crop.size=16", "trainer.max_steps=20",
]  # fmt: skip
PHOTOGRAPHS = ["data=folder", "recipe.batch_size=8", *FLOAT64]
ALEXNET = ["model=alexnet", *PHOTOGRAPHS, "trainer.max_steps=20"]
GOOGLENET = ["model=googlenet", *PHOTOGRAPHS]


@pytest.fixture(scope="module")
def images(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CIFAR-10 and 32 photographs of Imagenette."""
    folder = tmp_path_factory.mktemp("images")
    real_images(real_data.resolve(), folder)
    return folder


def statistics(folder: Path) -> dict[str, torch.Tensor]:
    """The running statistics of batch normalization in a run's checkpoint."""
    state = torch.load(folder / CHECKPOINT, weights_only=True)["state_dict"]
    return {k: v for k, v in state.items() if k.endswith(("running_mean", "running_var"))}


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Of every step the samples, their views, their masks; the losses to 1e-8."""
    for mine, other in zip(ours["steps"], theirs["steps"], strict=True):
        assert mine == other
    assert ours["losses"] == pytest.approx(theirs["losses"], abs=1e-8, rel=0)


def assert_same_on_any_number_of_devices(folder: Path, steps: int, *overrides: str) -> list[Any]:
    """Of one, two and four; the steps of one."""
    one = traced(folder / "1", *overrides)
    assert len(one["steps"]) == len(one["losses"]) == steps
    assert one["losses"][0] != pytest.approx(one["losses"][-1], abs=1e-3)  # it does train
    for devices in (2, 4):
        several = traced(folder / f"{devices}", *overrides, devices=devices)
        assert_same(several, one)
        torch.testing.assert_close(
            statistics(folder / f"{devices}"), statistics(folder / "1"), rtol=0, atol=1e-8
        )
    found: list[Any] = one["steps"]
    return found


def assert_masked_each_by_its_own(steps: list[Any]) -> None:
    """No two samples of a step have one dropout mask, nor has a sample the same in two steps."""
    masks = {mask for step in steps for _, _, mask in step}
    assert len(masks) == len({(k, sample) for k, step in enumerate(steps) for sample, _, _ in step})


def test_resnet20_sees_and_learns_the_same_on_1_2_and_4_devices(
    images: Path, tmp_path: Path
) -> None:
    # Groups of 8 images are half of one device's, all of each of two, and the images of two of four.
    overrides = [*RESNET, f"data.root={images}", "trainer.gradient_flow=10"]
    steps = assert_same_on_any_number_of_devices(tmp_path, 20, *overrides)
    assert {len(step) for step in steps} == {16}
    assert len(statistics(tmp_path / "1")) == 2 * 19  # a mean and a variance for each convolution
    # Nor does the layers' gradient flow tell how many there were.
    for devices in ("2", "4"):
        assert_same_flow(tmp_path / devices, tmp_path / "1")


def test_alexnet_with_dropout_sees_and_learns_the_same_on_1_2_and_4_devices(
    images: Path, tmp_path: Path
) -> None:
    small = [*ALEXNET, *NETWORKS["alexnet"], "model.fc=256", f"data.root={images}"]
    assert_masked_each_by_its_own(assert_same_on_any_number_of_devices(tmp_path, 20, *small))


def test_googlenet_with_its_auxiliary_heads_sees_and_learns_the_same_on_1_2_and_4_devices(
    images: Path, tmp_path: Path
) -> None:
    small = [*GOOGLENET, *photographs(80), "recipe.batch_size=4", "trainer.max_steps=4"]
    steps = assert_same_on_any_number_of_devices(tmp_path, 4, *small, f"data.root={images}")
    assert_masked_each_by_its_own(steps)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("network", [ALEXNET, GOOGLENET], ids=["alexnet", "googlenet"])
def test_at_224_pixels_the_whole_networks_see_and_learn_the_same_on_1_2_and_4_devices(
    network: list[str], images: Path, tmp_path: Path
) -> None:
    whole = [*network, f"data.root={images}", "recipe.batch_size=4", "data.minival=2"]
    assert_masked_each_by_its_own(
        assert_same_on_any_number_of_devices(tmp_path, 20, *whole, "trainer.max_steps=20")
    )


SMALL = [*RESNET, "model.depth=8", "data.per_class=20", "trainer.max_steps=8"]


@functools.cache
def of_one(folder: Path, *overrides: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    return traced(folder, *overrides), statistics(folder)


@pytest.mark.parametrize(("devices", "rounds"), [(1, 4), (2, 2)])
def test_rounds_of_accumulation_take_the_place_of_devices(
    devices: int, rounds: int, images: Path, tmp_path: Path
) -> None:
    overrides = [*SMALL, "recipe.bn_batch=4", f"data.root={images}"]
    one, expected = of_one(images / "one", *overrides)
    accumulate = f"trainer.accumulate_grad_batches={rounds}"
    assert_same(traced(tmp_path, *overrides, accumulate, devices=devices), one)
    # What is tested, too: the running statistics move once a step.
    torch.testing.assert_close(statistics(tmp_path), expected, rtol=0, atol=1e-8)


def test_without_a_bn_batch_the_whole_batch_normalizes_together_through_the_torch_loader_too(
    images: Path, tmp_path: Path
) -> None:
    overrides = [*SMALL, "recipe.bn_batch=null", f"data.root={images}"]
    one, expected = of_one(images / "whole", *overrides)
    assert_same(traced(tmp_path, *overrides, "loader=torch", "loader.workers=1", devices=2), one)
    torch.testing.assert_close(statistics(tmp_path), expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("world", [1, 2, 3, 4, 6])
def test_a_bn_batch_is_consecutive_rows_of_the_batch_or_an_error(world: int) -> None:
    """Which rows share statistics, of batches of 48 in every layout of a few devices and rounds."""
    refused = 0
    for rank in range(world):
        dist.init_process_group("fake", store=FakeStore(), rank=rank, world_size=world)
        for rounds in (1, 2, 4):
            share = Share(rank, world, rounds)
            for bn_batch in (2, 4, 6, 8, 16, 24, 32, 48):
                net = nn.Sequential(nn.BatchNorm2d(2))
                try:
                    group_statistics(net, bn_batch, 48 // world // rounds, rank, world)
                except Problem:
                    refused += 1
                    continue
                norm = net[0]
                assert isinstance(norm, GroupedBatchNorm2d)
                for turn in range(rounds):
                    mine = range(48)[share.rows(48, turn)]
                    groups = [mine[k : k + norm.bn_batch] for k in range(0, len(mine), bn_batch)]
                    if norm.devices is not None:
                        ranks = dist.get_process_group_ranks(norm.devices)
                        parts = [Share(r, world, rounds).rows(48, turn) for r in ranks]
                        groups = [range(48)[parts[0].start : parts[-1].stop]]
                        assert [p.start for p in parts[1:]] == [p.stop for p in parts[:-1]]
                    for group in groups:
                        assert len(group) == bn_batch
                        assert group[0] % bn_batch == 0
        dist.destroy_process_group()
    assert refused  # 32 do not divide 48 images, nor are a round's 12 images groups of 16


@pytest.mark.ffcv
def test_resnet18_through_ffcv_has_on_two_processes_the_losses_of_one(
    class_folders: Path, tmp_path: Path
) -> None:
    pytest.importorskip("jpeg_tiles", reason="needs the extra ffcv")
    pytest.importorskip("ffcv", reason="needs the extra ffcv")
    from topfive.datasets import beton_options, folders

    root = tmp_path / "set"
    root.mkdir()
    for split in ("train", "val"):
        (root / split).symlink_to(class_folders / split)
    options = dict.fromkeys(beton_options.OPTIONS)
    beton_options.write(folders.load(str(root)), root, options, progress=False)
    small = [
        "model=resnet18", *PHOTOGRAPHS, f"data.root={root}", "loader=ffcv", "trainer.max_steps=20",
        "recipe.batch_size=16", "recipe.bn_batch=8", "recipe.schedule.rate=0.001", "data.minival=2",
        "recipe.crop.smallest=72", "recipe.crop.largest=80", "recipe.crop.size=64",
        "protocol=one_crop", "protocol.size=64", "protocol.shorter=72", "~recipe.callbacks",
    ]  # fmt: skip
    one = traced(tmp_path / "1", *small)
    assert_same(traced(tmp_path / "2", *small, devices=2), one)
    assert one["losses"][0] != pytest.approx(one["losses"][-1], abs=1e-3)
