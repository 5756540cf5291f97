"""Sweeps: which jobs they list, and that one which is stopped ends, repeated, as if it had not been."""

import os
import re
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from small_runs import ROOT, SMALL, equal, saved

from topfive import ablations
from topfive.config import compose
from topfive.datasets import Dataset, digits
from topfive.problems import Problem
from topfive.results import find
from topfive.sweeps import LISTS, spelled_out


def jobs(name: str, *typed: str) -> list[list[str]]:
    return spelled_out(name, typed)[0]


def seeds(name: str, model: str) -> list[str]:
    """Under which the network as its paper draws it is trained."""
    return [job[1] for job in jobs(name) if job[0] == f"model={model}" and len(job) == 2]


def test_a_network_of_the_table_has_the_seeds_of_its_published_number() -> None:
    assert seeds("table", "resnet20") == ["seed=0"]
    # He et al. 2015, Table 6: 6.61 +- 0.16 is the mean of 5 runs. 2016, Table 2: medians of 5.
    five = [f"seed={n}" for n in range(5)]
    assert seeds("table", "resnet110") == seeds("table", "preact_resnet164") == five
    assert seeds("table", "resnet152") == ["seed=0"]


def test_the_table_has_every_job_once() -> None:
    listed = [tuple(sorted(job)) for job in jobs("table")]
    assert len(listed) == len(set(listed)) > 200
    # He et al. 2015, Tables 2 to 4, 6; Krizhevsky et al. 2012, Table 1; Simonyan and Zisserman 2014, Table 3.
    for model in ("resnet50", "plain34", "plain110", "alexnet", "vgg11", "lenet5"):
        assert (f"model={model}", "seed=0") in listed
    assert ("model.shortcut=C", "model=resnet34", "seed=0") in listed


def test_what_cannot_start_at_once_is_left_out_with_a_line() -> None:
    kept, left_out = spelled_out("table", ["model=vgg11,vgg16,allcnn_c"])
    # The All-CNN recipe with augmentation has one rate, the plain one chooses of four.
    assert kept == [
        ["model=allcnn_c", "recipe=allcnn_augmented", "seed=0"],
        ["data=cifar100", "model=allcnn_c", "recipe=allcnn_augmented", "seed=0"],
        ["model=vgg11", "seed=0"],
    ]
    assert left_out[0].startswith(
        "left out: model=allcnn_c: the rate is chosen first: python train.py"
    )
    assert left_out[1].startswith("left out: model=vgg16; model=vgg16 recipe=vgg_384; model=vgg16 ")


def test_cifar_is_the_part_of_the_table_that_is_tested_on_cifar() -> None:
    table, cifar = jobs("table"), jobs("cifar")
    assert all(job in table for job in cifar)
    for inside in (["model=resnet1202", "seed=0"], ["model=nin_cifar", "seed=0"]):
        assert inside in cifar
    assert not [job for job in cifar if {"model=resnet152", "model=lenet5"} & set(job)]
    assert not [job for job in cifar if "data=mnist" in job]
    assert [job for job in cifar if {"model=nin_cifar", "data=cifar100"} <= set(job)]


def test_ablations_are_all_sides_of_all_that_name_their_network() -> None:
    kept, left_out = spelled_out("ablations", [])
    sides = [one for (one, *_) in kept]
    assert [one for one in sides if "=alexnet_lrn/" in one] == [
        "ablation=alexnet_lrn/with", "ablation=alexnet_lrn/without",
    ]  # fmt: skip
    for name in ablations.names():
        told = [*ablations.load(name).common, *next(iter(ablations.load(name).sides.values()))]
        for one in ablations.sides(name):
            listed = f"ablation={one}" in sides or any(
                f"ablation={one}" in line for line in left_out
            )
            assert listed == any(word.startswith("model=") for word in told), one
    # Of the six networks of Table 1 only A and what is drawn by Glorot start by themselves.
    (line,) = left_out
    assert line.endswith("they start from a trained network, see conf/recipe/vgg_384.yaml")
    assert "ablation=vgg_depth/" in line


def test_what_is_typed_overrules_and_a_typed_model_keeps_its_jobs() -> None:
    typed = jobs("cifar", "model=resnet20,resnet110", "recipe.shorten=choice(40)", "sweep=cifar")
    assert [one[:2] for one in typed] == [
        ["model=resnet20", "seed=0"], *(["model=resnet110", f"seed={n}"] for n in range(5)),
    ]  # fmt: skip
    assert all(one[2:] == ["recipe.shorten=40", "sweep=cifar"] for one in typed)
    assert len(jobs("cifar", "model=resnet110", "seed=7")) == 1
    assert len(jobs("ablations", "model=alexnet", "seed=0,1")) % 2 == 0
    with pytest.raises(
        Problem, match=r"no job of model=resnet152: leave model out, or name one of"
    ):
        jobs("cifar", "model=resnet152")


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """train.py in this process, in tmp_path/FOLDER; its exit status."""

    def run(folder: str, *arguments: str) -> int:
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / folder)
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        try:
            runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
        except SystemExit as ended:
            return int(ended.code or 0)
        return 0

    return run


def test_a_sweep_is_listed_with_what_became_of_its_jobs_and_nothing_is_run(
    train: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = ["model=resnet20,resnet110", "seed=0,1", "recipe.shorten=40"]
    assert train("here", "sweep=cifar", *typed, "hydra/launcher=list") == 0
    printed = capsys.readouterr().out
    assert [line for line in printed.splitlines() if line.startswith("#")] == [
        f"#{n} model={model} seed={seed} sweep=cifar recipe.shorten=40: open"
        for n, (model, seed) in enumerate((m, s) for m in ("resnet20", "resnet110") for s in "01")
    ]
    assert not list(Path(tmp_path, "here").rglob("*.json"))


@cache
def composed(overrides: tuple[str, ...]) -> dict[str, Any]:
    return compose(overrides)


def table(printed: str) -> str:
    """The last table of a command, without the list of its runs, and the count."""
    last = printed[printed.rindex("error  published") :]
    return re.sub(r"\nRuns\n.*", "", last, flags=re.DOTALL)


def test_a_sweep_repeated_after_a_failure_ends_with_the_table_of_one_that_did_not_fail(
    train: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["-m", *SMALL, "recipe.duration={iterations:2}", "seed=0,1"]
    load, loads = digits.load, []

    def interrupted() -> Dataset:
        loads.append(1)
        if len(loads) == 2:
            raise Problem("the disk is gone.")
        if len(loads) == 4:
            raise KeyboardInterrupt
        return load()

    monkeypatch.setattr(digits, "load", interrupted)
    monkeypatch.setattr("topfive.departures.compose", lambda told: composed(tuple(told)))
    assert train("stopped", *command) == 1
    printed = capsys.readouterr()
    assert printed.err.count("job 1 failed: the disk is gone.\n") == 1
    assert "Traceback" not in printed.err
    assert printed.out.endswith("all 2 jobs: 1 done, 1 failed\n")  # below the table of one

    assert train("stopped", *command, "retry=true") == 0
    stopped = capsys.readouterr().out
    assert stopped.endswith("all 2 jobs: 1 done, 1 done before\n")
    assert "digits, one_view, test, 2 runs: top-1 " in stopped  # told as the job ended
    assert len(loads) == 3

    assert train("whole", *command) == 130
    assert "job 0 and what is left go on with the same command" in capsys.readouterr().err
    assert train("whole", *command) == 0
    whole = capsys.readouterr().out
    assert whole.endswith("all 2 jobs: 2 done\n")
    assert table(stopped) == table(whole)


SWEEP = [
    "-m", *(one for one in SMALL if not one.startswith(("model=", "recipe.duration"))),
    "recipe.duration={iterations:40}", "trainer.checkpoint_every=5", "model=resnet20,plain20",
    "seed=0,1,2,3,4,5", "recipe.schedule.rate=0.1,0.05",
]  # fmt: skip


def start(folder: Path, *overrides: str) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), *SWEEP, *overrides],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def stop_within_a_job(sweep: subprocess.Popen[str], folder: Path, number: int) -> str:
    """In the midst of it, so that it is resumed and not begun again; what was printed."""
    while not [one for one in unfinished(folder) if (one / "last.ckpt").exists()]:
        assert sweep.poll() is None, sweep.communicate()[0][-2000:]
        time.sleep(0.01)
    os.killpg(sweep.pid, number)
    return sweep.communicate(timeout=120)[0]


def finished(folder: Path) -> list[Path]:
    return sorted(folder.glob("outputs/*/*/*/result.json"))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_of_24_jobs_stopped_half_way_only_the_rest_runs_and_the_tables_agree(
    tmp_path: Path,
) -> None:
    whole, _ = start(tmp_path / "whole").communicate(timeout=2400)
    assert whole.endswith("all 24 jobs: 24 done\n"), whole[-2000:]
    for number, folder in (
        (signal.SIGKILL, tmp_path / "killed"),
        (signal.SIGINT, tmp_path / "asked"),
    ):
        first = start(folder)
        while len(finished(folder)) < 12:
            assert first.poll() is None, first.communicate()[0][-2000:]
            time.sleep(0.05)
        said = stop_within_a_job(first, folder, number)
        assert first.returncode == (-9 if number == signal.SIGKILL else 130), said[-2000:]
        before = {file: file.stat().st_mtime_ns for file in finished(folder)}
        half = [one.name for one in unfinished(folder)]
        assert 12 <= len(before) < 24

        again, _ = start(folder).communicate(timeout=2400)
        done = len(before)
        assert again.endswith(f"all 24 jobs: {24 - done} done, {done} done before\n"), again[-2000:]
        assert again.count("done before: outputs/") == done
        assert {file: file.stat().st_mtime_ns for file in before} == before
        assert len(finished(folder)) == 24
        resumed = {one.parent.name for one in finished(folder)} & set(half)
        assert len(resumed) == 1
        assert table(again) == table(whole)
        assert scores(folder) == scores(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_commands_share_a_sweep_and_do_no_job_twice(tmp_path: Path) -> None:
    eight = ("model=resnet20", "seed=0,1,2,3")
    both = [start(tmp_path / "shared", *eight) for _ in range(2)]
    printed = [one.communicate(timeout=1800)[0] for one in both]
    assert len(finished(tmp_path / "shared")) == 8
    assert unfinished(tmp_path / "shared") == []
    own = [len(re.findall(r"^record: ", one, re.MULTILINE)) for one in printed]
    assert sum(own) == 8
    assert min(own) > 0
    assert any("running elsewhere: outputs/" in one for one in printed)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_job_on_two_devices_goes_on_in_a_repeated_sweep_bit_for_bit(tmp_path: Path) -> None:
    one = ("model=resnet20", "seed=0", "recipe.schedule.rate=0.1", "trainer.devices=2")
    whole, _ = start(tmp_path / "whole", *one).communicate(timeout=900)
    assert whole.endswith("all 1 jobs: 1 done\n"), whole[-2000:]
    stop_within_a_job(start(tmp_path / "killed", *one), tmp_path / "killed", signal.SIGKILL)
    (half,) = unfinished(tmp_path / "killed")
    again, _ = start(tmp_path / "killed", *one).communicate(timeout=900)
    assert again.endswith("all 1 jobs: 1 done\n"), again[-2000:]
    assert finished(tmp_path / "killed") == [half / "result.json"]
    (file,) = finished(tmp_path / "whole")
    assert equal(saved(half), saved(file.parent))


def unfinished(folder: Path) -> list[Path]:
    found = folder.glob("outputs/*/*/*/config.yaml")
    return [one.parent for one in found if not (one.parent / "result.json").exists()]


def scores(folder: Path) -> dict[str, object]:
    return {one.identity: one.scores for one in find([folder])[0]}


def test_every_list_has_its_file() -> None:
    for name in LISTS:
        assert f"jobs: {name}" in (ROOT / "conf" / "sweep" / f"{name}.yaml").read_text()
