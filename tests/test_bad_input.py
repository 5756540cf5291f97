"""Damaged files and foreign checkpoints: counted and named, or refused in one line."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
# A network of photographs at 32 pixels, two steps of eight images.
TINY = [
    "model=resnet18", "data=folder", "protocol=one_crop", "protocol.size=32", "protocol.shorter=36",
    "recipe.crop.size=32", "recipe.crop.smallest=36", "recipe.crop.largest=40", "recipe.mean.shorter=36",
    "recipe.batch_size=8", "recipe.bn_batch=4", "trainer.max_steps=2", "trainer.accelerator=cpu",
    "trainer.progress=false", "loader.workers=0", "logger=csv", "hydra.run.dir=run",
]  # fmt: skip


def run(script: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    if script.endswith(".py"):
        runpy.run_path(str(ROOT / script), run_name="__main__")
    else:
        runpy.run_module(script, run_name="__main__", alter_sys=True)


@pytest.fixture
def damaged(class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Class folders in which one training and one validation file are cut in half."""
    monkeypatch.chdir(tmp_path)
    folders = Path(shutil.copytree(class_folders, tmp_path / "folders"))
    for split in ("train", "val"):
        file = sorted((folders / split).rglob("*.JPEG"))[0]
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    return folders


def test_training_refuses_more_unreadable_images_than_the_limit(
    damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [*TINY, f"data.root={damaged}", "data.max_unreadable=0.0"]
    with pytest.raises(SystemExit, match=r"training images read so far could not be decoded"):
        run("train.py", arguments, monkeypatch)


def test_below_the_limit_they_are_counted_in_the_record_and_wrong_in_the_test(
    damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("train.py", [*TINY, f"data.root={damaged}", "data.max_unreadable=1.0"], monkeypatch)
    record = json.loads(Path("run/result.json").read_text())
    (score,) = record["scores"]
    assert (score["n"], score["unreadable"]) == (4, 1)
    assert score["top1_errors"] >= 1
    assert record["trained_on"]["unreadable"] >= 1


def test_a_rate_that_vanishes_because_units_are_mixed_is_refused(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """10 M iterations are millions of epochs of a few images."""
    monkeypatch.chdir(tmp_path)
    arguments = [
        "model=googlenet", "data=folder", f"data.root={class_folders}", "protocol=one_crop", "protocol.size=96",
        "protocol.shorter=100", "recipe.crop.size=96", "recipe.batch_size=4", "recipe.shorten={iterations:50}",
        "+recipe.schedule.every={epochs:8,iterations:null}",
        "trainer.accelerator=cpu", "trainer.progress=false", "loader.workers=0", "logger=csv", "hydra.run.dir=run",
    ]  # fmt: skip
    with pytest.raises(
        SystemExit, match=r"rate would vanish before the last of 50 steps.*epochs:null"
    ):
        run("train.py", arguments, monkeypatch)


def test_a_checkpoint_of_another_network_is_refused_by_what_differs(
    damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("train.py", [*TINY, f"data.root={damaged}", "data.max_unreadable=1.0"], monkeypatch)
    config = yaml.safe_load(Path("run/config.yaml").read_text())
    config["model"]["shortcut"] = "C"
    Path("run/config.yaml").write_text(yaml.safe_dump(config))
    with pytest.raises(SystemExit, match=r"is of another network: it lacks conv2_x"):
        run("topfive.evaluate", ["run=run", "trainer.progress=false"], monkeypatch)
    Path("run/last.ckpt").write_bytes(b"not a checkpoint")
    with pytest.raises(SystemExit, match=r"last.ckpt is damaged or not one of ours"):
        run("topfive.evaluate", ["run=run", "trainer.progress=false"], monkeypatch)
