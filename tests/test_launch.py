"""A job as a process of its own: how it is stopped, how it comes back, what it needs."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from submitit.core.utils import DelayedSubmission, JobPaths

from topfive.config import compose
from topfive.launch import extra
from topfive.launch.child import Child, last_line
from topfive.launch.jobs import Job, Size
from topfive.launch.local import dealt
from topfive.launch.ranks import demand_one_directory, leave_store_of_torchrun
from topfive.launch.training import Training
from topfive.problems import Problem

# In place of train.py: says that it listens, and then every signal that it hears.
LISTENER = """
import os, signal, sys, time
heard = []
def hear(number, frame):
    os.write(1, signal.Signals(number).name.encode() + b" ")
    heard.append(number)
signal.signal(signal.SIGTERM, hear)
signal.signal(signal.SIGINT, hear)
os.write(1, b"listens ")
until = time.monotonic() + 60
while time.monotonic() < until and not heard:
    time.sleep(0.02)
time.sleep(0.3)
sys.exit(75 if heard else 0)
"""
COMMAND = [sys.executable, "-c", LISTENER]


def wait_for(log, text):
    until = time.monotonic() + 60
    while not log.exists() or text not in log.read_text():
        assert time.monotonic() < until, f"{log} never said {text}"
        time.sleep(0.02)


def test_a_child_is_told_to_stop_once_however_often_it_is_asked(tmp_path):
    log = tmp_path / "log"
    child = Child(COMMAND, tmp_path, log)
    child.start()
    wait_for(log, "listens")
    child.stop()
    child.stop()
    assert child.wait() == 75
    child.stop()  # it is gone: nobody is signaled
    assert log.read_text().split() == ["listens", "SIGTERM"]


def test_the_signal_of_submitit_does_not_end_the_child(tmp_path):
    log = tmp_path / "log"
    child = Child(COMMAND, tmp_path, log)
    child.start()
    wait_for(log, "listens")
    os.kill(child.process.pid, signal.SIGUSR2)
    child.stop()
    assert child.wait() == 75  # SIGUSR2 would have ended it with -12


def test_a_child_that_is_stopped_before_it_listens_is_preempted_too(tmp_path):
    child = Child([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, tmp_path / "log")
    child.start()
    child.stop()
    assert child.wait() == 75


def test_a_child_that_is_stopped_before_it_starts_is_stopped_when_it_does(tmp_path):
    child = Child([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path, tmp_path / "log")
    child.stop()
    child.wait_in_handler()  # there is nobody to wait for
    child.start()
    assert child.wait() == 75


def test_a_child_outlives_nobody(tmp_path):
    log = tmp_path / "log"
    starts = (
        "import pathlib, sys, time; from topfive.launch.child import Child;"
        f"Child({COMMAND!r}, pathlib.Path.cwd(), pathlib.Path({str(log)!r})).start(); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", starts], cwd=tmp_path)
    wait_for(log, "listens")
    parent.kill()
    parent.wait()
    wait_for(log, "SIGTERM")


def test_the_last_line_of_a_log_is_the_last_state_of_a_progress_bar(tmp_path):
    log = tmp_path / "log"
    assert last_line(log) == ""
    log.write_text("begins\n  3%|bar\r 99%|bar\r\n\n")
    assert last_line(log) == "99%|bar"


def submitted(folder, training, monkeypatch, rank=0):
    """A process of submitit, as SLURM starts it for a rank of job 7; its queue is a file."""
    commands = folder / "bin"
    commands.mkdir()
    (commands / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> {folder}/queue\n')
    (commands / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    slurm = {"JOB_ID": "7", "NTASKS": "2", "JOB_NUM_NODES": "1", "NODEID": "0"}
    slurm |= {"PROCID": str(rank), "LOCALID": str(rank)}
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    job = DelayedSubmission(training)
    job.set_timeout(60, 3)
    job.dump(paths(folder).submitted_pickle)
    return subprocess.Popen(
        [sys.executable, "-m", "submitit.core._submit", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def paths(folder, rank=0):
    return JobPaths(folder, "7", rank)


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGTERM])
def test_a_stopped_job_saves_and_is_queued_again(number, tmp_path, monkeypatch):
    log = tmp_path / "0.log"
    process = submitted(tmp_path, Training(COMMAND, tmp_path, log, requeues=5), monkeypatch)
    wait_for(log, "listens")
    process.send_signal(number)
    process.wait(60)
    assert log.read_text().split() == ["listens", "SIGTERM"]
    assert (tmp_path / "queue").read_text() == "requeue 7\n"
    again = DelayedSubmission.load(paths(tmp_path).submitted_pickle).function
    assert (again.command, again.log, again.requeues) == (COMMAND, log, 4)
    assert not paths(tmp_path).result_pickle.exists()  # it has not ended


def test_a_job_that_may_not_come_back_ends(tmp_path, monkeypatch):
    log = tmp_path / "0.log"
    process = submitted(tmp_path, Training(COMMAND, tmp_path, log), monkeypatch)
    wait_for(log, "listens")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert not (tmp_path / "queue").exists()
    assert paths(tmp_path).result_pickle.exists()


def test_of_several_ranks_only_the_first_queues_the_job_again(tmp_path, monkeypatch):
    log = tmp_path / "0.log"
    training = Training(COMMAND, tmp_path, log, requeues=5)
    process = submitted(tmp_path, training, monkeypatch, rank=1)
    wait_for(tmp_path / "0.1.log", "listens")
    process.send_signal(signal.SIGUSR2)  # which rank 0 passes on to all
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert not (tmp_path / "queue").exists()


def test_a_failure_is_known_to_the_cluster(tmp_path, monkeypatch):
    command = [sys.executable, "-c", "raise SystemExit('train.py: no data here')"]
    process = submitted(tmp_path, Training(command, tmp_path, tmp_path / "0.log", 5), monkeypatch)
    assert process.wait(60) == 1
    assert last_line(tmp_path / "0.log") == "train.py: no data here"


def test_what_a_job_needs_follows_from_its_trainer_and_loader():
    def size(cpus, *overrides):
        return Job(0, None, compose(["model=resnet50", *overrides]), Path()).size(cpus)

    two = ["trainer.num_nodes=2", "trainer.devices=8", "loader.workers=4"]
    assert size(None, *two) == Size(nodes=2, devices=8, gpus=8, cpus=5)
    assert size(12, *two, "trainer.accelerator=cpu") == Size(nodes=2, devices=8, gpus=0, cpus=12)
    with pytest.raises(Problem, match=r"trainer.devices=auto .* give a number"):
        size(None, "trainer.devices=auto")


@pytest.mark.parametrize(
    ("place", "wanted", "expected"),
    [(0, 1, "0"), (3, 1, "3"), (5, 1, "1"), (1, 2, "23"), (2, 2, "01"), (0, 8, "0123"), (1, 0, "")],
)
def test_gpus_are_dealt_in_turn_and_round_again(place, wanted, expected):
    assert dealt("0123", place, wanted) == list(expected)


def test_without_gpus_none_are_dealt():
    assert dealt([], 1, 2) == []


def test_a_missing_extra_is_named_with_its_command():
    with pytest.raises(Problem, match=r"needs submitit_of_none: uv sync --extra slurm$"):
        extra.demand("submitit_of_none", "slurm")


DIRECTORY = ["hydra.run.dir=outputs/mine"]
STARTED_FROM_OUTSIDE = [
    {"LOCAL_RANK": "0"},  # torchrun
    {"NODE_RANK": "1"},  # a line on every node
    {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "mine"},  # srun
]


@pytest.mark.parametrize("environment", STARTED_FROM_OUTSIDE)
def test_ranks_that_others_start_must_share_a_directory(environment):
    with pytest.raises(Problem, match=r"share a directory.* add hydra.run.dir="):
        demand_one_directory(["model=resnet20"], False, environment)
    demand_one_directory(["model=resnet20", *DIRECTORY], False, environment)
    with pytest.raises(Problem, match=r"a multirun starts .* trainer.devices=N"):
        demand_one_directory(["-m", *DIRECTORY], True, environment)


@pytest.mark.parametrize(
    "environment",
    [{}, {"SLURM_NTASKS": "1"}, {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "interactive"}],
)
def test_a_process_by_itself_names_its_directory_as_it_likes(environment):
    demand_one_directory(["model=resnet20"], False, environment)
    demand_one_directory(["-m"], True, environment)


def test_under_torchrun_rank_0_serves_another_store_after_every_restart():
    for restarts, port in (("0", "29501"), ("2", "29503")):
        torchrun = {"TORCHELASTIC_USE_AGENT_STORE": "True", "MASTER_PORT": "29500"}
        torchrun["TORCHELASTIC_RESTART_COUNT"] = restarts
        leave_store_of_torchrun(torchrun)
        assert torchrun["MASTER_PORT"] == port
        assert torchrun["TORCHELASTIC_USE_AGENT_STORE"] == "False"
        leave_store_of_torchrun(torchrun)  # in a process that a rank starts
        assert torchrun["MASTER_PORT"] == port


def test_without_torchrun_no_port_is_touched():
    srun = {"MASTER_PORT": "15007"}
    leave_store_of_torchrun(srun)
    assert srun == {"MASTER_PORT": "15007"}
