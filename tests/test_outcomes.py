"""What becomes of a job, and that no two processes train the same run; nothing is trained here."""

import copy
import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import yaml
from hydra.types import RunMode
from omegaconf import OmegaConf
from records import record

from topfive import locks
from topfive.config import compose
from topfive.identity import identity
from topfive.job import taken
from topfive.outcomes import Outcome, state
from topfive.problems import Diverged, Problem
from topfive.results import write
from topfive.runs import Run
from topfive.session import Interrupted


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    return compose(["model=resnet20"])


@pytest.fixture
def config(composed: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(composed)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def job(config: dict[str, Any], name: str, mode: RunMode = RunMode.MULTIRUN) -> Any:
    """`taken` as train.py enters it, in the folder runs/NAME."""
    hydra: Any = OmegaConf.create(
        {"runtime": {"output_dir": str(Path("runs", name).absolute())}, "mode": mode}
    )
    return taken(config, hydra)


def finish(run: Run, config: dict[str, Any]) -> None:
    write(record(identity=identity(config)), run.result)


def checkpoint(folder: Path) -> None:
    """A whole one, with nothing in it."""
    torch.save({}, folder / "last.ckpt")


def fail(config: dict[str, Any], name: str, error: BaseException) -> None:
    with pytest.raises(type(error)), job(config, name):
        raise error


def now(config: dict[str, Any]) -> Outcome:
    return state(config, Path("runs/now").absolute())


CONFIG = Path("config.json")
CHILD = """
    import json, os, sys, time
    from pathlib import Path
    from topfive import locks
    from topfive.identity import identity

    which = identity(json.loads(Path("config.json").read_text()))
    with locks.held(Path("runs").absolute(), which) as lock:
        lock.sign(Path("runs/theirs").absolute())
        if "fork" in sys.argv and (child := os.fork()) == 0:
            time.sleep(60)
        print(child if "fork" in sys.argv else 0, flush=True)
        time.sleep(60)
"""


@contextmanager
def another_process(config: dict[str, Any], *arguments: str) -> Iterator[tuple[int, int]]:
    """The process that trains the run of `config`, and the one that it has forked, or 0."""
    CONFIG.write_text(json.dumps(config))
    command = [sys.executable, "-c", textwrap.dedent(CHILD), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        forked = int(process.stdout.readline())
        try:
            yield process.pid, forked
        finally:
            process.kill()
            if forked:
                os.kill(forked, signal.SIGKILL)


def test_a_finished_job_is_left_alone_with_a_line(
    config: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert now(config) == Outcome("open")
    with job(config, "first") as run:
        assert run is not None
        finish(run, config)
    with job(config, "again") as run:
        assert run is None
    assert capsys.readouterr().out == "done before: runs/first; to do it again, delete that\n"
    assert [file.name for file in Path("runs").iterdir()] == ["first"]  # nor a lock
    done = now(config)
    assert (done.state, done.where) == ("done", Path("runs/first").absolute())
    with job({**config, "seed": 1}, "other") as run:
        assert run is not None


@pytest.mark.parametrize(
    ("mode", "resume"),
    [(RunMode.RUN, None), (RunMode.MULTIRUN, "never"), (RunMode.RUN, "never")],
)
def test_what_is_finished_is_done_again_by_a_run_of_its_own_and_where_told(
    config: dict[str, Any], mode: RunMode, resume: str | None
) -> None:
    with job(config, "first") as run:
        assert run is not None
        finish(run, config)
    with job({**config, "resume": resume}, "again", mode) as run:
        assert run == Run(Path("runs/again").absolute(), None)


@pytest.mark.parametrize(
    ("mode", "resume", "goes_on"),
    [
        (RunMode.MULTIRUN, None, True),
        (RunMode.MULTIRUN, "never", False),
        (RunMode.RUN, "sweep", True),  # a cluster's job of a sweep
        (RunMode.RUN, None, False),
    ],
)
def test_an_unfinished_job_of_a_sweep_is_resumed(
    config: dict[str, Any], mode: RunMode, resume: str | None, goes_on: bool
) -> None:
    with job(config, "first") as run:  # killed, it leaves this
        assert run is not None
        checkpoint(run.directory)
    with job({**config, "resume": resume}, "again", mode) as run:
        assert run is not None
        assert (run.checkpoint is not None, run.directory.name == "first") == (goes_on, goes_on)


def test_a_failed_job_leaves_a_note_and_is_tried_again_only_when_asked(
    config: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    fail(config, "first", Problem("the disk is gone."))
    note = json.loads(Path("runs/first/failed.json").read_text())
    assert note["why"] == "the disk is gone."
    assert note["identity"] == identity(config)
    with job(config, "again") as run:
        assert run is None
    said = "failed before: runs/first: the disk is gone; retry=true tries it again\n"
    assert capsys.readouterr().out == said
    assert now(config).state == "failed"
    with job({**config, "retry": True}, "third") as run:
        assert run is not None
        assert now(config).state == "running"  # a kill would leave no note now
    assert now(config) == Outcome("open")
    assert not Path("runs/first").exists()


def test_resume_auto_leaves_alone_what_is_finished_and_tries_again_what_failed(
    config: dict[str, Any],
) -> None:
    by_hand = {**config, "resume": "auto"}
    fail(config, "first", Problem("the disk is gone"))
    with job(by_hand, "second", RunMode.RUN) as run:
        assert run is not None
        finish(run, config)
    with job(by_hand, "third", RunMode.RUN) as run:
        assert run is None


def test_a_run_of_its_own_leaves_no_note(config: dict[str, Any]) -> None:
    with pytest.raises(Problem), job(config, "first", RunMode.RUN):
        raise Problem("the disk is gone")
    assert now(config) == Outcome("open")


def test_a_run_that_came_to_nothing_leaves_no_folder(config: dict[str, Any]) -> None:
    for error in (Problem("the disk is gone"), Interrupted(signal.SIGTERM)):
        with pytest.raises(type(error)), job(config, "first", RunMode.RUN):
            raise error
        assert list(Path("runs").iterdir()) == []


def test_whoever_leaves_a_job_to_another_leaves_its_folder_too(config: dict[str, Any]) -> None:
    with another_process(config):
        theirs = Path("runs/theirs")
        theirs.mkdir()
        (theirs / "config.yaml").touch()
        with job(config, "theirs") as run:  # two commands of one second, or one folder told to both
            assert run is None
        assert (theirs / "config.yaml").exists()


def test_a_mistake_in_the_code_is_noted_by_its_type(config: dict[str, Any]) -> None:
    fail(config, "first", ZeroDivisionError("division by zero"))
    assert now(config).why == "ZeroDivisionError: division by zero"


def test_an_interrupted_job_has_not_failed(config: dict[str, Any]) -> None:
    fail(config, "first", Interrupted(signal.SIGINT))
    fail(config, "second", KeyboardInterrupt())
    assert now(config) == Outcome("open")


def test_the_death_of_one_of_several_processes_is_no_failure_of_the_job(
    config: dict[str, Any], tmp_path: Path
) -> None:
    dist.init_process_group("gloo", f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        fail(config, "first", RuntimeError("Connection closed by peer"))
        assert now(config) == Outcome("open")
        fail(config, "second", Problem("2 processes joined, but 4 were asked for"))
        assert now(config).state == "failed"
    finally:
        dist.destroy_process_group()


def test_only_a_candidate_that_diverged_is_done(config: dict[str, Any]) -> None:
    candidate = {**config, "data": {**config["data"], "candidate": True}}
    for one in (config, candidate):
        fail(one, f"run-{one['data']['candidate']}", Diverged("the loss is nan"))
    assert (now(config).state, now(candidate).state) == ("failed", "done")


def test_a_damaged_note_says_nothing(config: dict[str, Any]) -> None:
    fail(config, "first", Problem("the disk is gone"))
    for damaged in ("{", "[]", '{"identity": 1}'):
        Path("runs/first/failed.json").write_text(damaged)
        assert now(config) == Outcome("open")


def test_what_another_process_trains_is_left_to_it_until_it_is_killed(
    config: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with another_process(config, "fork") as (process, forked):
        running = now(config)
        assert (running.state, running.where) == ("running", Path("runs/theirs").absolute())
        with job(config, "ours") as run:
            assert run is None
        assert f"running elsewhere: runs/theirs, process {process} on" in capsys.readouterr().out
        with (
            pytest.raises(Problem, match=rf"trained by process {process} .* in runs/theirs: wait"),
            job(config, "ours", RunMode.RUN),
        ):
            pass
        assert not Path("runs/ours").exists()
        with job({**config, "seed": 1}, "another") as run:
            assert run is not None

        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        os.kill(forked, 0)  # a worker of it lives on for a while, and holds nothing
        assert now(config) == Outcome("open")
        with job(config, "ours") as run:
            assert run is not None


def test_two_processes_do_not_resume_one_run_by_hand(config: dict[str, Any]) -> None:
    with another_process(config):
        theirs = Path("runs/theirs")
        theirs.mkdir()
        checkpoint(theirs)
        (theirs / "config.yaml").write_text(yaml.safe_dump(config))
        told = {**config, "resume": str(theirs)}
        hydra: Any = OmegaConf.create(
            {"runtime": {"output_dir": str(Path("elsewhere/now").absolute())}, "mode": RunMode.RUN}
        )
        with pytest.raises(Problem, match="being trained by process"), taken(told, hydra):
            pass


RACER = """
    import json, sys, time
    from pathlib import Path
    from hydra.types import RunMode
    from omegaconf import OmegaConf
    from topfive.job import taken

    config = json.loads(Path("config.json").read_text())
    output = str(Path("runs", sys.argv[1]).absolute())
    Path(f"ready-{sys.argv[1]}").touch()
    while not Path("go").exists():
        time.sleep(0.001)
    hydra = OmegaConf.create({"runtime": {"output_dir": output}, "mode": RunMode.MULTIRUN})
    with taken(config, hydra) as run:
        print("none" if run is None else "trains", flush=True)
        time.sleep(4 if run else 0)
"""


def test_of_identical_jobs_started_at_one_moment_one_runs(config: dict[str, Any]) -> None:
    CONFIG.write_text(json.dumps(config))
    command = [sys.executable, "-c", textwrap.dedent(RACER)]
    racers = [
        subprocess.Popen([*command, str(n)], stdout=subprocess.PIPE, text=True) for n in range(3)
    ]
    while not all(Path(f"ready-{n}").exists() for n in range(3)):
        assert all(one.poll() is None for one in racers)
    Path("go").touch()
    said = [one.communicate(timeout=60)[0].splitlines()[-1] for one in racers]
    assert sorted(said) == ["none", "none", "trains"]


@pytest.mark.parametrize("name", ["LOCAL_RANK", "RANK", "NODE_RANK", "SLURM_PROCID"])
def test_the_other_processes_of_a_run_do_as_the_first_and_want_no_lock(
    config: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with job(config, "first") as first:
        assert first is not None
        checkpoint(first.directory)
        monkeypatch.setenv(name, "1")
        with job(config, "first") as other:
            assert other == Run(first.directory, first.directory / "last.ckpt")
        finish(first, config)
        with job(config, "later") as other:
            assert other is None
        monkeypatch.delenv(name)


def test_a_file_system_without_locks_is_said_and_not_the_end(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def flock(file: int, operation: int) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", flock)
    with job(config, "first") as run:
        assert run is not None
        assert now(config) == Outcome("open")
    assert "runs takes no locks (Function not implemented)" in capsys.readouterr().out


def test_asking_makes_no_file(config: dict[str, Any]) -> None:
    Path("runs").mkdir()
    assert locks.holder(Path("runs"), identity(config)) is None
    assert list(Path("runs").iterdir()) == []
