"""Adding devices changes nothing but the time: float64 traces of one process and of two."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from flow_rows import assert_same_flow

pytestmark = pytest.mark.timeout(900)  # several processes on two cores
SCRIPT = Path(__file__).with_name("trace_losses.py")


def losses(folder: Path, name: str, *overrides: str, world_size: int = 1) -> list[float]:
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.json"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), str(file), *overrides]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    content = json.loads(file.read_text())
    assert content["world_size"] == world_size
    assert len(content["losses"]) == 20
    found: list[float] = content["losses"]
    return found


# A quarter of the paper's 128 and 64, to be quick, and a tenth of its rate: at 0.1 a batch of 32 turns the last
# bit of float64 into 1e-5 within a dozen steps.
RESNET = [
    "model=resnet20", "data=cifar10", "recipe.batch_size=32", "recipe.bn_batch=16",
    "trainer.precision=64-true", "trainer.max_steps=20", "trainer.accelerator=cpu",
    "recipe.schedule.rate=0.01",
]  # fmt: skip


def test_two_processes_have_the_losses_of_one_to_1e_8_over_20_steps(
    real_data: Path, tmp_path: Path
) -> None:
    root = f"data.root={real_data}"
    watched = [*RESNET, root, "trainer.gradient_flow=10"]
    one = losses(tmp_path / "1", "one", *watched)
    two = losses(tmp_path / "2", "two", *watched, "trainer.devices=2", world_size=2)
    assert one == pytest.approx(two, abs=1e-8, rel=0)
    assert one[0] != pytest.approx(one[-1], abs=1e-3)  # it does train
    # Nor does the layers' gradient flow tell how many there were.
    assert_same_flow(tmp_path / "2", tmp_path / "1")


def test_statistics_shared_between_devices_and_the_torch_loader_leave_the_losses_as_they_are(
    real_data: Path, tmp_path: Path
) -> None:
    root = f"data.root={real_data}"
    whole = [*RESNET, root, "recipe.bn_batch=32"]
    one = losses(tmp_path, "one", *whole, "loader=torch", "loader.workers=1")
    # 16 images on each of two processes: they must share their statistics to normalize over 32.
    two = losses(tmp_path, "two", *whole, "trainer.devices=2", world_size=2)
    assert one == pytest.approx(two, abs=1e-8, rel=0)


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
        "model=resnet18", "data=folder", f"data.root={root}", "loader=ffcv", "loader.workers=1",
        "recipe.batch_size=16", "recipe.bn_batch=8", "recipe.schedule.rate=0.001", "data.minival=2",
        "recipe.crop.smallest=72", "recipe.crop.largest=80", "recipe.crop.size=64",
        "protocol=one_crop", "protocol.size=64", "protocol.shorter=72", "~recipe.callbacks",
        "trainer.precision=64-true", "trainer.max_steps=20", "trainer.accelerator=cpu",
    ]  # fmt: skip
    one = losses(tmp_path / "1", "one", *small)
    two = losses(tmp_path / "2", "two", *small, "trainer.devices=2", world_size=2)
    assert one == pytest.approx(two, abs=1e-8, rel=0)
    assert one[0] != pytest.approx(one[-1], abs=1e-3)
