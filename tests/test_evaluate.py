"""python -m topfive.evaluate as its user meets it: runs, snapshots, other data, several devices, bad input."""

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from test_train import environment, train

from topfive.evaluation.scoring import Scoring
from topfive.predictions import read

# Five images, which neither two devices nor batches divide.
NETWORK = [
    "model=resnet20", "model.depth=8", "data=folder", "data.minival=2", "protocol=one_crop", "protocol.size=32",
    "protocol.shorter=36", "recipe.crop._target_=topfive.crops.ShorterSide", "~recipe.crop.by",
    "+recipe.crop.smallest=36", "+recipe.crop.largest=36", "recipe.crop.size=32", "recipe.mean.follows_crop=false",
    "recipe.mean.shorter=36",
    "recipe.batch_size=4", "recipe.bn_batch=4", "recipe.duration={iterations:3}",
    "recipe.schedule.at={iterations:[1,2]}", "trainer.accelerator=cpu", "trainer.progress=false", "loader=torch",
    "loader.workers=0", "logger=csv",
]  # fmt: skip
QUIET = ["trainer.accelerator=cpu", "trainer.progress=false", "loader=torch", "loader.workers=0"]
APPLICABLE = ["one_crop", "ten_crop", "one_crop_warped", "dense_256"]


@pytest.fixture(scope="module")
def photographs(class_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photographs") / "set"
    shutil.copytree(class_folders, root)
    shutil.copy(root / "train" / "bee" / "1.JPEG", root / "val" / "bee" / "gray.JPEG")
    return root


@pytest.fixture(scope="module")
def trained(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    code, output = train(
        *NETWORK, f"data.root={photographs}", f"hydra.run.dir={folder}/run", cwd=folder
    )
    assert code == 0, output
    return folder / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to write to, in the current folder."""
    shutil.copytree(trained, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "run"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "topfive.evaluate", *QUIET, *arguments]


def evaluate(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), cwd=cwd, env=environment(), text=True, capture_output=True, timeout=280
    )


def here(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """The command in this process, where a test can look inside."""
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *QUIET, *arguments])
    runpy.run_module("topfive.evaluate", run_name="__main__")


def scores(folder: Path) -> dict[str, dict[str, object]]:
    content = json.loads((folder / "result.json").read_text())
    return {score["protocol"]: score for score in content["scores"]}


def test_training_ends_with_predictions_of_the_runs_own_protocol(trained: Path) -> None:
    kept = read(trained / "predictions-one_crop_32_of_36-val.npz")
    assert kept.images == ["ant/0.JPEG", "ant/1.JPEG", "bee/0.JPEG", "bee/1.JPEG", "bee/gray.JPEG"]
    assert kept.labels.tolist() == [0, 0, 1, 1, 1]
    assert list(kept.classes) == ["ant", "bee"]
    (score,) = scores(trained).values()
    assert score["n"] == 5
    assert score["top1_errors"] == int((kept.top5[:, 0] != kept.labels).sum())
    assert score["filter"] == "triangle"
    checkpoint = torch.load(trained / "last.ckpt", weights_only=True)
    assert checkpoint["classes"] == ["ant", "bee"]


@pytest.mark.timeout(600)
def test_one_and_two_devices_count_the_same_under_every_protocol(
    run: Path, photographs: Path
) -> None:
    shutil.copytree(run, run.parent / "two")
    asked = f"protocols=[{','.join(APPLICABLE)}]"
    for name, devices in (("run", 1), ("two", 2)):
        done = evaluate(f"run={name}", asked, f"trainer.devices={devices}", cwd=run.parent)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "5 images, 14 views of each (13 of them distinct)" in done.stdout
        assert f"on {devices} device" in done.stdout
    one, two = scores(run), scores(run.parent / "two")
    assert set(one) == {*APPLICABLE, "one_crop_32_of_36"}
    assert one == two
    for name in APPLICABLE:
        alone, shared = (
            read(folder / f"predictions-{name}-val.npz") for folder in (run, run.parent / "two")
        )
        assert len(alone.images) == 5
        np.testing.assert_allclose(alone.probabilities, shared.probabilities, atol=2e-3)


def test_a_killed_test_goes_on_where_it_was(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[int]] = []
    take = Scoring.take
    monkeypatch.setattr("topfive.evaluation.parts.SECONDS", 0.0)

    def watched(self, image, plan, sources, killed_after=99):
        if len(seen[-1]) == killed_after:
            raise ValueError("killed")
        seen[-1].append(image)
        take(self, image, plan, sources)
        while (kind := self.queues.longest()) is not None:
            self.run(kind)

    seen.append([])
    monkeypatch.setattr(Scoring, "take", lambda *of: watched(*of, killed_after=3))
    with pytest.raises(SystemExit):
        here(monkeypatch, "run=run", "protocol=ten_crop")
    assert seen == [[0, 1, 2]]
    assert "ten_crop" not in scores(run)
    monkeypatch.setattr(Scoring, "take", watched)
    seen.append([])
    here(monkeypatch, "run=run", "protocol=ten_crop")
    assert seen[1] == [3, 4]
    assert scores(run)["ten_crop"]["n"] == 5
    assert not list(run.glob(".test-*"))
    # Once it is done, the same command tests anew; and so does another protocol.
    seen.append([])
    here(monkeypatch, "run=run", "protocol=ten_crop", "protocol.shorter=300")
    assert seen[2] == [0, 1, 2, 3, 4]
    assert "ten_crop_224_of_300" in scores(run)


def work_for(seconds: float, process: psutil.Process) -> None:
    """Waits until it has worked so long, however busy the machine is."""
    end = sum(process.cpu_times()[:2]) + seconds
    while sum(process.cpu_times()[:2]) < end:
        time.sleep(0.05)


def test_a_signal_keeps_what_was_found_and_says_how_to_go_on(run: Path, photographs: Path) -> None:
    for copy in range(400):
        shutil.copy(
            photographs / "val" / "ant" / "0.JPEG", photographs / "val" / "ant" / f"copy{copy}.JPEG"
        )
    try:
        asked = command("run=run", "protocol=ten_crop", "loader.evaluation_batch=10")
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        with subprocess.Popen(asked, cwd=run.parent, env=environment(), **pipes) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if "views of each" in line:
                    break
            work_for(3, psutil.Process(process.pid))
            process.send_signal(signal.SIGTERM)
            output = process.stdout.read()
        assert process.returncode == 75, output
        assert "stopped by SIGTERM; the same command goes on from here" in output
        assert list(run.glob(".test-*/*.npz")), os.listdir(run)
    finally:
        for copy in range(400):
            (photographs / "val" / "ant" / f"copy{copy}.JPEG").unlink()


def test_other_data_have_a_record_of_their_own(
    run: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    shutil.copytree(photographs, other)
    # The labels follow the names of the classes, whatever their order in the other set.
    for split in ("train", "val"):
        (other / split / "bee").rename(other / split / "aaa")
        (other / split / "ant").rename(other / split / "bee")
        (other / split / "aaa").rename(other / split / "ant")
    here(monkeypatch, "run=run", "data=folder", f"data.root={other}")
    folder = run / "evaluations" / "last-3" / "folder"
    record = json.loads((folder / "result.json").read_text())
    assert "data=folder, on which it was not trained" in record["departures"]
    (score,) = record["scores"]
    before = scores(run)["one_crop_32_of_36"]
    assert score["top1_errors"] == 5 - int(str(before["top1_errors"]))
    assert str(tmp_path) not in (folder / "result.json").read_text()


def test_a_snapshot_has_a_record_that_says_of_which_step(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(run / "last.ckpt", run / "early.ckpt")
    before = (run / "result.json").read_text()
    here(monkeypatch, "run=run/early.ckpt")
    record = json.loads((run / "evaluations" / "early-3" / "result.json").read_text())
    assert (run / "result.json").read_text() == before
    whole = json.loads(before)
    assert record["identity"] == whole["identity"]
    expected = [*whole["departures"], "the weights of step 3, from early.ckpt"]
    assert sorted(record["departures"]) == sorted(expected)
    # The run has gone on and saved again: what was found before is of other weights.
    later = torch.load(run / "early.ckpt", weights_only=True)
    torch.save({**later, "global_step": 5}, run / "early.ckpt")
    here(monkeypatch, "run=run/early.ckpt", "protocol=ten_crop")
    assert set(scores(run / "evaluations" / "early-5")) == {"ten_crop"}
    assert set(scores(run / "evaluations" / "early-3")) == {"one_crop_32_of_36"}


def test_a_filter_that_is_asked_for_is_recorded(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here(monkeypatch, "run=run", "protocol=ten_crop", "filter=cubic")
    assert scores(run)["ten_crop+cubic"]["filter"] == "cubic"


def test_statistics_come_from_the_checkpoint_and_no_pass_over_the_training_set(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = torch.load(run / "last.ckpt", weights_only=True)["state_dict"]
    mean = state["pipeline.transforms.0.mean"]
    assert mean.std() > 20  # an image, and no blank
    monkeypatch.setattr(
        "topfive.preprocessing.mean_image",
        lambda *_, **__: pytest.fail("the training set was read"),
    )
    shown: list[torch.Tensor] = []
    monkeypatch.setattr(
        "topfive.batch_transforms.MeanImage.forward",
        lambda self, x, batch: shown.append(self.mean.clone()) or x,
    )
    here(monkeypatch, "run=run")
    assert shown
    assert all(torch.equal(one, mean) for one in shown)


def test_val_alone_is_enough_to_test_on_and_not_to_train_on(
    run: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(photographs / "val", tmp_path / "alone" / "val")
    here(monkeypatch, "run=run", "protocol=one_crop")
    before = scores(run)["one_crop"]
    shutil.rmtree(run / "evaluations", ignore_errors=True)
    here(monkeypatch, "run=run", f"data.root={tmp_path}/alone", "protocol=one_crop")
    assert scores(run)["one_crop"] == before
    code, output = train(*NETWORK, f"data.root={tmp_path}/alone", cwd=tmp_path)
    assert code == 1
    assert output.strip().startswith(f"train.py: {tmp_path}/alone/train does not exist")


def test_an_unreadable_image_counts_as_wrong_and_is_listed(
    run: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(photographs, damaged)
    whole = (damaged / "val" / "ant" / "1.JPEG").read_bytes()
    (damaged / "val" / "ant" / "1.JPEG").write_bytes(whole[: len(whole) // 2])
    here(monkeypatch, "run=run", f"data.root={damaged}", "protocol=ten_crop")
    score = scores(run)["ten_crop"]
    assert (score["n"], score["unreadable"]) == (5, 1)
    kept = read(run / "predictions-ten_crop-val.npz")
    assert kept.readable.tolist() == [True, False, True, True, True]
    assert score["top1_errors"] == 1 + int((kept.top5[:, 0] != kept.labels)[[0, 2, 3, 4]].sum())
    printed = capsys.readouterr().out
    assert "1 of 5 images could not be decoded and count as wrong: ant/1.JPEG" in printed


def exits(monkeypatch: pytest.MonkeyPatch, match: str, *arguments: str) -> None:
    with pytest.raises(SystemExit, match=match):
        here(monkeypatch, *arguments)


def test_bad_input_is_one_line_with_a_remedy(
    run: Path, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exits(monkeypatch, "name either a run .* or foreign weights", "protocol=ten_crop")
    exits(monkeypatch, "no readable config.yaml", "run=nowhere")
    exits(monkeypatch, "protocols has five_crop, which is none", "run=run", "protocols=[five_crop]")
    exits(monkeypatch, "asked for twice", "run=run", "protocol=ten_crop", "protocols=[ten_crop]")
    exits(monkeypatch, "filter=blur: choose one of", "run=run", "filter=blur")
    exits(monkeypatch, r"averages\.space=mean: expected", "run=run", "averages.space=mean")
    more = tmp_path / "more"
    shutil.copytree(photographs, more)
    for split in ("train", "val"):
        shutil.copytree(more / split / "ant", more / split / "wasp")
    exits(
        monkeypatch,
        "the network knows no class wasp of data=folder",
        *("run=run", "data=folder", f"data.root={more}"),
    )
    other = torch.load(run / "last.ckpt", weights_only=True)
    del other["state_dict"]["net.fc.bias"]
    torch.save(other, run / "last.ckpt")
    exits(monkeypatch, "it lacks fc.bias", "run=run")
    other["state_dict"]["net.fc.bias"] = torch.tensor([float("nan"), 0.0])
    torch.save(other, run / "last.ckpt")
    exits(monkeypatch, "scores of run are not finite", "run=run")


def test_a_protocol_that_the_network_cannot_take_is_refused_before_anything_is_read(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exits(
        monkeypatch,
        "a crop of 500 pixels does not fit",
        *("run=run", "protocol=one_crop", "protocol.size=500"),
    )
    monkeypatch.setattr(
        "topfive.models.resnet.CifarResNet.forward",
        lambda net, x: net.fc(torch.nn.functional.relu(net.conv1(x)).mean(1).flatten(1)),
    )
    exits(
        monkeypatch,
        r"model=resnet20 cannot be shown views of 224 x 224, which the protocol asks for.*Choose another",
        *("run=run", "protocol=ten_crop"),
    )
