"""The whole path, as a user walks it: train.py on real digits, through resume, devices and sweeps."""

import csv
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
# A residual network of 8 layers on 400 digits: seconds, but every part of the path.
SMALL = [
    "model=resnet20", "model.depth=8", "data=digits", "data.per_class=40", "recipe.batch_size=16",
    "recipe.bn_batch=8", "recipe.duration={iterations:40}", "recipe.schedule.at={iterations:[20,30]}",
    "trainer.accelerator=cpu", "trainer.progress=false",
]  # fmt: skip


def environment() -> dict[str, str]:
    # One thread: the same arithmetic in every process, and no quarrel over two cores.
    return {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    return subprocess.Popen(
        command,
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def train(*arguments: str, cwd: Path) -> tuple[int, str]:
    process = start(*arguments, cwd=cwd)
    output, _ = process.communicate(timeout=280)
    return process.returncode, output


def weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(run / "last.ckpt", weights_only=True)["state_dict"]
    return state


def curve(run: Path) -> list[dict[str, str]]:
    with open(run / "curve.csv", newline="") as file:
        # The speed differs from process to process, everything else must not.
        return [
            {k: v for k, v in row.items() if k != "images_per_second"}
            for row in csv.DictReader(file)
        ]


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    code, output = train(*SMALL, f"hydra.run.dir={folder}/run", cwd=folder)
    assert code == 0, output
    return folder / "run"


def test_a_run_ends_with_its_record_its_row_and_its_curve(uninterrupted: Path) -> None:
    record = json.loads((uninterrupted / "result.json").read_text())
    assert record["scores"][0]["n"] == 360
    assert record["iterations"] == 40
    assert record["trained_on"] == {"split": "train", "n": 400, "held_out": 0, "unreadable": 0}
    assert "data=digits (paper: cifar10)" in record["departures"]
    assert record["git"].keys() == {"sha", "dirty"}
    splits = [row["split"] for row in curve(uninterrupted)]
    # 400 images are 25 steps: one look at the reported set there, and the last window of training.
    assert splits == ["reported", "train"]


def test_a_killed_run_resumed_ends_with_the_same_weights_bit_for_bit(
    uninterrupted: Path, tmp_path: Path
) -> None:
    arguments = [*SMALL, "trainer.checkpoint_every=3"]
    process = start(*arguments, f"hydra.run.dir={tmp_path}/first", cwd=tmp_path)
    wait_for(tmp_path / "first" / "last.ckpt", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "first" / "result.json").exists()

    code, output = train(
        *arguments, "resume=auto", f"hydra.run.dir={tmp_path}/second", cwd=tmp_path
    )
    assert code == 0, output
    assert not (tmp_path / "second").exists()  # the run goes on in its own directory
    ours, theirs = weights(tmp_path / "first"), weights(uninterrupted)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert curve(tmp_path / "first") == curve(uninterrupted)


def test_recomputing_activations_changes_no_bit(uninterrupted: Path, tmp_path: Path) -> None:
    arguments = [*SMALL, "trainer.checkpoint_activations=true", f"hydra.run.dir={tmp_path}/run"]
    code, output = train(*arguments, cwd=tmp_path)
    assert code == 0, output
    ours, theirs = weights(tmp_path / "run"), weights(uninterrupted)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert curve(tmp_path / "run") == curve(uninterrupted)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 75), (signal.SIGINT, 130)])
def test_a_signal_saves_the_run_and_says_how_to_go_on(
    number: signal.Signals, status: int, uninterrupted: Path, tmp_path: Path
) -> None:
    arguments = [*SMALL, "trainer.checkpoint_every=1000"]
    process = start(*arguments, f"hydra.run.dir={tmp_path}/first", cwd=tmp_path)
    wait_for(tmp_path / "first" / "curve.csv", process)  # training is under way
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == status, output
    assert "continue with resume=auto" in output
    assert "Traceback" not in output
    if number == signal.SIGTERM:
        code, output = train(*arguments, f"resume={tmp_path}/first", cwd=tmp_path)
        assert code == 0, output
        ours, theirs = weights(tmp_path / "first"), weights(uninterrupted)
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


@pytest.mark.timeout(900)  # seven processes, each with its imports
def test_four_jobs_over_devices_and_models_equal_their_single_runs(tmp_path: Path) -> None:
    arguments = [
        *SMALL,
        "trainer.precision=64-true",
        "recipe.duration={iterations:20}",
        "recipe.bn_batch=16",
    ]
    code, output = train(
        "-m", *arguments, "trainer.devices=1,2", "model=resnet20,plain20", "resume=never",
        f"hydra.sweep.dir={tmp_path}/sweep", "hydra.sweep.subdir=${hydra.job.num}", cwd=tmp_path,
    )  # fmt: skip
    assert code == 0, output
    table = output[output.rindex("error  published") :]
    assert "resnet20 depth=8" in table
    assert "plain20 depth=8" in table
    jobs = {}
    for file in tmp_path.glob("sweep/*/result.json"):
        record = json.loads(file.read_text())
        assert record["scores"][0]["n"] == 360  # 360 over 2 devices, none doubled
        jobs[record["model"], record["world_size"]] = file.parent
    assert len(jobs) == 4
    for model in ("resnet20", "plain20"):
        for devices in (1, 2):
            single = tmp_path / f"{model}-{devices}"
            alone = [f"model={model}", f"trainer.devices={devices}", f"hydra.run.dir={single}"]
            code, output = train(*arguments, *alone, cwd=tmp_path)
            assert code == 0, output
            job, reference = weights(jobs[model, devices]), weights(single)
            assert all(torch.equal(job[key], reference[key]) for key in reference)
        # Over one device and over two: the same in float64 but for rounding.
        one, two = weights(jobs[model, 1]), weights(jobs[model, 2])
        assert max(float((one[key] - two[key]).abs().max()) for key in one) < 1e-7


def test_a_multirun_goes_on_after_a_job_that_fails(tmp_path: Path) -> None:
    code, output = train(
        "-m", *SMALL, "recipe.duration={iterations:2}", "recipe.batch_size=16,7", "trainer.accumulate_grad_batches=2",
        f"hydra.sweep.dir={tmp_path}/sweep", "hydra.sweep.subdir=${hydra.job.num}", cwd=tmp_path,
    )  # fmt: skip
    assert code == 1
    assert "recipe.batch_size=7 does not divide by 1 devices x 2 accumulation rounds" in output
    assert (tmp_path / "sweep" / "0" / "result.json").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([*SMALL, "trainer.devices=3"], r"recipe.batch_size=16 does not divide by 3 devices"),
        ([*SMALL, "+model.num_classes=9"], r"model.num_classes=9, but data=digits has 10 classes"),
        (["model=resnet20", "data.root=nowhere"], r"CIFAR10 was not found under .*nowhere"),
        (["model=alexnet", "data.root=nowhere"], r"nowhere/train does not exist.*data.root=FOLDER"),
        (["model=alexnet", "data=digits", "loader=memory"], r"needs loader=torch"),
        ([*SMALL, "resume=nowhere"], r"resume=nowhere: there is no checkpoint"),
        (["model=lenet5", "data=cifar100", "data.root=nowhere"], r"CIFAR100 was not found"),
        (
            ["model=resnet20", "recipe=lenet5", "data=digits", "trainer.progress=false"],
            r"model=lenet5",
        ),
    ],
)
def test_what_cannot_be_run_ends_in_one_line(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In this process: the same script, without the time of its imports for each case.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
    with pytest.raises(SystemExit, match=says) as stopped:
        runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
    assert "\n" not in str(stopped.value)  # one line
    assert not list(tmp_path.rglob("result.json"))
