"""Two processes under torchrun, and as two nodes on one machine: one is killed, the run goes on bit for bit."""

import os
import signal
import subprocess
import sys
import time

import pytest
from small_runs import ROOT, SMALL, equal, saved

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
TRAIN = [
    str(ROOT / "train.py"), *SMALL, "recipe.duration={iterations:60}",
    "recipe.schedule.at={iterations:[30,50]}", "trainer.checkpoint_every=5", "resume=auto",
]  # fmt: skip


def start(command, folder, **variables):
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def torchrun(folder, run):
    options = ["--nproc-per-node=2", "--max-restarts=3"]
    command = ["-m", "torch.distributed.run", *options, *TRAIN, "trainer.devices=2"]
    return start([*command, f"hydra.run.dir={run}"], folder)


def node(folder, run, rank, port):
    command = [*TRAIN, "trainer.num_nodes=2", f"hydra.run.dir={run}"]
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": str(rank)}
    return start(command, folder, **where)


def ended(process):
    output, _ = process.communicate(timeout=600)
    return process.returncode, output


def wait_for(path, process):
    until = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until, f"{path} did not appear"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    code, output = ended(torchrun(folder, "run"))
    assert code == 0, output
    return saved(folder / "run")


def test_torchrun_starts_killed_ranks_again_and_the_run_ends_with_the_same_weights(
    uninterrupted, tmp_path
):
    agent = torchrun(tmp_path, "run")
    wait_for(tmp_path / "run" / "last.ckpt", agent)
    ranks = subprocess.check_output(["pgrep", "-P", str(agent.pid)], text=True).split()
    os.kill(int(ranks[-1]), signal.SIGKILL)
    code, output = ended(agent)
    assert code == 0, output
    assert "exitcode: -9" in output
    assert "Restored all states from the checkpoint" in output
    assert equal(saved(tmp_path / "run"), uninterrupted)


@pytest.mark.parametrize(("killed", "port"), [(1, 29631), (0, 29641)])
def test_where_a_node_dies_the_other_says_so_and_both_go_on_with_the_same_weights(
    killed, port, uninterrupted, tmp_path
):
    nodes = [node(tmp_path, "run", rank, port) for rank in (0, 1)]
    wait_for(tmp_path / "run" / "last.ckpt", nodes[0])
    nodes[killed].kill()
    died = time.monotonic()
    code, output = ended(nodes[1 - killed])
    nodes[killed].communicate()
    assert code == 1, output
    assert "train.py: a process that trains with this one was lost" in output
    assert time.monotonic() - died < 60
    assert not (tmp_path / "run" / "result.json").exists()

    for process in [node(tmp_path, "run", rank, port + 1) for rank in (0, 1)]:
        code, output = ended(process)
        assert code == 0, output
    assert equal(saved(tmp_path / "run"), uninterrupted)


def test_told_one_node_to_stop_all_save_and_leave(uninterrupted, tmp_path):
    nodes = [node(tmp_path, "run", rank, 29651) for rank in (0, 1)]
    wait_for(tmp_path / "run" / "last.ckpt", nodes[0])
    nodes[0].terminate()  # as the process of submitit's rank 0 does
    for process in nodes:
        code, output = ended(process)
        assert code == 75, output
    for process in [node(tmp_path, "run", rank, 29652) for rank in (0, 1)]:
        code, output = ended(process)
        assert code == 0, output
    assert equal(saved(tmp_path / "run"), uninterrupted)
