"""The job list of a multirun as tasks of Ray."""

import os
import signal
import subprocess
import sys
import time

import pytest
from small_runs import ROOT, SMALL

from topfive.launch.jobs import Job, Size
from topfive.launch.ray_tasks import _refuse_unfit
from topfive.problems import Problem

RAY = ["hydra/launcher=ray", "hydra.launcher.cpus_per_task=1"]


def start(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, str(ROOT / "train.py"), "-m", *SMALL, *RAY, *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_sweep_on_ray_is_stopped_with_its_jobs_saved_and_goes_on_to_the_table(tmp_path):
    long = ["recipe.duration={iterations:2000}", "trainer.checkpoint_every=1000"]
    process = start(tmp_path, *long, "seed=0,1", "trainer.max_steps=null")
    while not list(tmp_path.rglob("curve.csv")):  # training is under way
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 130, output
    assert "stopped, what ran of 2 jobs is saved: the same command goes on" in output
    runs = list(tmp_path.rglob("last.ckpt"))
    assert runs
    assert any("stopped by SIGTERM" in log.read_text() for log in tmp_path.rglob("*.log"))

    output, _ = (process := start(tmp_path, *long, "seed=0,1")).communicate(timeout=600)
    assert process.returncode == 0, output
    assert "0 queued, 0 running, 2 done, 0 failed" in output
    assert len(list(tmp_path.rglob("result.json"))) == 2
    assert all((run.parent / "result.json").exists() for run in runs)


def test_what_ray_has_no_room_for_is_refused():
    job, cluster = Job(3, None, {}, None), {"CPU": 4.0}
    _refuse_unfit(job, Size(nodes=1, devices=2, gpus=0, cpus=2), cluster)
    with pytest.raises(Problem, match=r"job 3 wants 6 CPUs, Ray has 4: set hydra.launcher.cpus"):
        _refuse_unfit(job, Size(nodes=1, devices=2, gpus=0, cpus=3), cluster)
    with pytest.raises(Problem, match="job 3 wants 1 GPUs, Ray has 0"):
        _refuse_unfit(job, Size(nodes=1, devices=1, gpus=1, cpus=1), cluster)
    with pytest.raises(Problem, match=r"trainer.num_nodes=2: .* hydra/launcher=slurm"):
        _refuse_unfit(job, Size(nodes=2, devices=1, gpus=0, cpus=1), cluster)
