"""The job list of a multirun on SLURM: the scripts that reach sbatch, and the watch over the jobs."""

import os
import pickle
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
import slurm_stand_in
from small_runs import ROOT, SMALL
from submitit.core.utils import DelayedSubmission

from topfive.launch.slurm import Slurm
from topfive.problems import Problem


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """The folder that scripts for sbatch come to lie in, as NUMBER.sh; the user stands beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Slurm, "interval", 0.1)
    return slurm_stand_in.install(tmp_path, monkeypatch)


def launch(monkeypatch, *arguments):
    train = str(ROOT / "train.py")
    monkeypatch.setattr(sys, "argv", [train, "-m", *SMALL, "hydra/launcher=slurm", *arguments])
    runpy.run_path(train, run_name="__main__")


def parameters(script):
    """{"nodes": "1", ...}; a flag without a value has ""."""
    lines = [line for line in script.read_text().splitlines() if line.startswith("#SBATCH --")]
    return dict(line.removeprefix("#SBATCH --").partition("=")[::2] for line in lines)


def commands(folder):
    """Of all jobs that were submitted, by the name of their log."""
    found = [DelayedSubmission.load(file).function for file in folder.rglob("*_submitted.pkl")]
    return {training.log.name: training for training in found}


def wait_for(name):
    until = time.monotonic() + 60
    while not (found := list(Path("outputs").rglob(name))):
        assert time.monotonic() < until, f"{name} did not appear"
        time.sleep(0.1)
    return found[0]


def test_jobs_of_one_size_are_one_array(scripts, monkeypatch, capsys):
    launch(
        monkeypatch, "seed=0,1,2", "trainer.devices=1,4", "trainer.num_nodes=2", "loader.workers=3",
        "trainer.accelerator=gpu", "hydra.launcher.wait=false", "hydra.launcher.partition=gpu",
        "hydra.launcher.timeout_min=90", "hydra.launcher.signal_delay_s=60",
        "hydra.launcher.array_parallelism=2", "+hydra.launcher.additional_parameters.gres=nvme:1",
    )  # fmt: skip
    assert "6 of 6 jobs started" in capsys.readouterr().err
    of_one, of_four = (parameters(scripts / name) for name in ("1000.sh", "1001.sh"))
    for told, devices in ((of_one, "1"), (of_four, "4")):
        wanted = {
            "array": "0-2%2", "nodes": "2", "ntasks-per-node": devices, "gpus-per-node": devices,
            "cpus-per-task": "4", "time": "90", "signal": "USR2@60", "partition": "gpu", "requeue": "",
            "gres": "nvme:1", "open-mode": "append", "job-name": "topfive",
        }  # fmt: skip
        assert {name: told.get(name) for name in wanted} == wanted
    assert "--kill-on-bad-exit=1" in (scripts / "1001.sh").read_text()
    assert "-m submitit.core._submit" in (scripts / "1001.sh").read_text()


def test_a_job_is_one_run_of_its_own_in_a_directory_that_all_its_ranks_share(scripts, monkeypatch):
    launch(monkeypatch, "seed=0,1", "hydra.launcher.wait=false", "hydra.launcher.requeues=7")
    submitted = commands(Path("outputs"))
    assert submitted.keys() == {"0.log", "1.log"}
    second = submitted["1.log"]
    assert second.command[:2] == [sys.executable, str(ROOT / "train.py")]
    wanted = {"model=resnet20", "model.depth=8", "seed=1", "resume=sweep", "hydra.mode=RUN"}
    assert wanted <= set(second.command)
    assert (second.folder, second.requeues) == (Path.cwd(), 7)
    directories = {training.command[-1] for training in submitted.values()}
    assert len(directories) == 2
    assert all(one.startswith(f"hydra.run.dir='{Path.cwd()}/outputs/") for one in directories)
    script = parameters(scripts / "1000.sh")
    assert "gpus-per-node" not in script  # trainer.accelerator=cpu


def test_ctrl_c_leaves_the_jobs_in_the_queue_and_says_how_to_end_them(scripts, monkeypatch, capsys):
    def interrupt():
        wait_for("1000_3_submitted.pkl")
        time.sleep(1)  # for the first look
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    before = signal.getsignal(signal.SIGINT)
    thread.start()
    with pytest.raises(SystemExit) as ended:
        launch(monkeypatch, "seed=0,1", "model.depth=8,14")
    thread.join()
    assert ended.value.code == 130
    told = capsys.readouterr().err
    assert "4 queued, 0 running, 0 done, 0 failed" in told
    assert "4 jobs stay with SLURM; to end them: scancel 1000." in told
    assert signal.getsignal(signal.SIGINT) == before


def test_a_job_that_ends_without_a_record_failed_and_its_last_line_is_told(
    scripts, monkeypatch, capsys
):
    def killed():
        folder = wait_for("1000_submitted.pkl").parent
        (folder.parent / "0.log").write_text("step 7\nKilled\n")
        (folder / "1000_0_result.pkl").write_bytes(pickle.dumps(("success", None)))

    thread = threading.Thread(target=killed)
    thread.start()
    with pytest.raises(SystemExit) as ended:
        launch(monkeypatch, "seed=0")
    thread.join()
    assert ended.value.code == 1
    told = capsys.readouterr().err
    assert "job 0 failed: Killed (outputs/.jobs/" in told
    assert "/0.log)" in told


def test_what_sbatch_refuses_is_one_line(scripts, monkeypatch):
    sbatch = scripts.parent / "bin" / "sbatch"
    sbatch.write_text(
        "#!/bin/sh\necho 'sbatch: error: no gpus' >&2; echo 'sbatch: error: failed' >&2; exit 1\n"
    )
    with pytest.raises(SystemExit) as ended:
        launch(monkeypatch, "seed=0", "hydra.launcher.partition=gpus")
    assert ended.value.code == (
        "train.py: sbatch refused: sbatch: error: no gpus; sbatch: error: failed"
    )


def test_without_slurm_the_command_says_where_to_start_it(tmp_path):
    with pytest.raises(Problem, match=r"^there is no sbatch here: start this on a machine that"):
        Slurm(str(tmp_path), cpus_per_task=None, requeues=1, additional_parameters={})


def test_a_run_that_starts_anew_whenever_it_is_queued_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        launch(monkeypatch, "seed=0,1", "resume=never")
    assert "resume=never: a job of a launcher goes on where it was" in str(ended.value.code)
