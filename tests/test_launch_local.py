"""The job list of a multirun by submitit's local executor: told as jobs end, stopped, repeated."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from omegaconf import OmegaConf
from small_runs import ROOT, SMALL, equal, saved
from submitit import LocalExecutor

from topfive.config import compose
from topfive.launch.jobs import Job
from topfive.launch.training import Training

LOCAL = ["hydra/launcher=local", "hydra.launcher.at_once=2"]


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}


def start(folder, *arguments):
    """A multirun in a group of processes of its own."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), "-m", *SMALL, *arguments],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def records(folder):
    """By seed, each finished run's directory."""
    found = {}
    for file in (folder / "outputs").rglob("result.json"):
        found[json.loads(file.read_text())["config"]["seed"]] = file.parent
    return found


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Two seeds: where they lie, what was printed."""
    folder = tmp_path_factory.mktemp("sweep")
    process = start(folder, "seed=0,1", *LOCAL)
    output, _ = process.communicate(timeout=250)
    assert process.returncode == 0, output
    return folder, output


def test_a_sweep_is_told_as_its_jobs_end_and_ends_with_the_table(sweep):
    folder, output = sweep
    assert records(folder).keys() == {0, 1}
    assert "2 of 2 jobs started" in output
    assert "0 queued, 0 running, 2 done, 0 failed" in output
    assert "resnet20 depth=8, digits, one_view, test" in output


def test_an_interrupted_job_is_queued_again_and_ends_with_the_same_weights(
    sweep, tmp_path, monkeypatch
):
    monkeypatch.setattr(sys, "argv", [str(ROOT / "train.py")])
    overrides = [*SMALL, "seed=1", "trainer.checkpoint_every=1000"]
    composed = OmegaConf.create({"hydra": {"overrides": {"task": overrides}}})
    job = Job(0, composed, compose(overrides), tmp_path / "run")
    executor = LocalExecutor(tmp_path / "submitit")
    executor.update_parameters(timeout_min=60)
    training = Training(job.command, tmp_path, tmp_path / "log", environment=environment())
    submitted = executor.submit(training)
    wait_for(tmp_path / "run" / "curve.csv")  # training is under way
    # submitit's own _interrupt() signals the process that only watches over the job, and ends that.
    task = subprocess.check_output(["pgrep", "-P", submitted.job_id], text=True)
    os.kill(int(task), signal.SIGUSR2)
    submitted.result()
    log = (tmp_path / "log").read_text()
    assert "stopped by SIGTERM" in log
    assert "Restored all states from the checkpoint" in log
    assert equal(saved(tmp_path / "run"), saved(records(sweep[0])[1]))


def wait_for(path):
    until = time.monotonic() + 200
    while not path.exists():
        assert time.monotonic() < until, f"{path} did not appear"
        time.sleep(0.02)


TABLE = "  top-1 "  # how the rows of the last table begin


def rows(output):
    return [line for line in output.splitlines() if line.startswith(TABLE)]


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_of_24_jobs_stopped_half_way_only_the_rest_runs_and_the_tables_agree(
    number, tmp_path, whole
):
    arguments = ["seed=range(12)", "model=resnet20,plain20", *LOCAL]
    process = start(tmp_path, *arguments)
    while len(records_of(tmp_path)) < 12:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.2)
    if number == signal.SIGKILL:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == (-9 if number == signal.SIGKILL else 130), output
    time.sleep(20)  # what SIGKILL left behind saves and ends
    before = {path: path.stat().st_mtime_ns for path in records_of(tmp_path)}
    assert 12 <= len(before) <= 15

    output, _ = (process := start(tmp_path, *arguments)).communicate(timeout=2000)
    assert process.returncode == 0, output
    assert f"{24 - len(before)} of 24 jobs started" in output
    after = {path: path.stat().st_mtime_ns for path in records_of(tmp_path)}
    assert len(after) == 24
    assert before.items() <= after.items()
    assert rows(output)[-2:] == whole


def records_of(folder):
    return list((folder / "outputs").rglob("result.json"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The rows of the table after the same 24 jobs one after the other, by Hydra's own launcher."""
    process = start(tmp_path_factory.mktemp("whole"), "seed=range(12)", "model=resnet20,plain20")
    output, _ = process.communicate(timeout=2000)
    assert process.returncode == 0, output
    return rows(output)[-2:]
