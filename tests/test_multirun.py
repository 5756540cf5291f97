import os
import sys

import pytest
import torch.distributed as dist
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict

from topfive.config import CONF
from topfive.multirun import MARKS, isolated_job
from topfive.problems import Problem
from topfive.world import Guard


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Sets Hydra up as inside one job of `arguments`; takes it back afterwards."""
    before = HydraConfig.instance().cfg

    def set_up(arguments, mode, *more):
        overrides = ["model=resnet20", "seed=1", *more, "hydra.mode=" + mode]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose("config", overrides, return_hydra_config=True)
        with open_dict(cfg.hydra.runtime):
            cfg.hydra.runtime.output_dir = str(tmp_path / "job")
        HydraConfig.instance().set_config(cfg)
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])

    yield set_up
    HydraConfig.instance().cfg = before


def test_a_job_has_its_own_arguments_and_directory_and_no_others(job, tmp_path):
    job(["-m", "model=resnet20,resnet32", "seed=1,2"], "MULTIRUN")
    with isolated_job():
        assert sys.argv == ["train.py", "model=resnet20", "seed=1", "resume=sweep"]
        assert HydraConfig.get().run.dir == str(tmp_path / "job")
    assert sys.argv == ["train.py", "-m", "model=resnet20,resnet32", "seed=1,2"]


def test_a_job_of_a_sweep_that_is_no_flag_is_told_to_run_once(job):
    job(["sweep=cifar"], "MULTIRUN")
    with isolated_job():
        assert sys.argv == [
            *("train.py", "model=resnet20", "seed=1", "hydra.mode=RUN", "resume=sweep")
        ]


def test_the_processes_of_a_job_resume_as_it_was_told_to(job):
    job(["-m", "seed=1,2", "resume=never"], "MULTIRUN", "resume=never")
    with isolated_job():
        assert sys.argv == ["train.py", "model=resnet20", "seed=1", "resume=never"]


def test_the_marks_of_a_job_do_not_outlive_it(job, monkeypatch, tmp_path):
    job(["-m", "seed=1,2"], "MULTIRUN")
    for name in MARKS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MASTER_ADDR", "before")

    def training_that_diverges():
        for name in MARKS:
            os.environ[name] = "1"
        dist.init_process_group("gloo", f"file://{tmp_path}/store", rank=0, world_size=1)
        raise RuntimeError("diverged")

    with pytest.raises(RuntimeError, match="diverged"), isolated_job():
        training_that_diverges()
    assert not dist.is_initialized()
    assert {name: os.environ[name] for name in MARKS if name in os.environ} == {
        "MASTER_ADDR": "before"
    }


def test_a_single_run_is_left_alone(job):
    job(["model=resnet20", "trainer.devices=2"], "RUN")
    with isolated_job():
        assert sys.argv == ["train.py", "model=resnet20", "trainer.devices=2"]


class FakeTrainer:
    def __init__(self, devices, world):
        self.num_devices, self.num_nodes, self.world_size = devices, 1, world


def test_a_world_of_another_size_than_asked_for_is_refused():
    with pytest.raises(Problem, match=r"1 processes joined, but 2 were asked .* unset LOCAL_RANK"):
        Guard(2, 1).setup(FakeTrainer(2, 2), None, "fit")
    with pytest.raises(Problem, match="1 processes joined, but 8 were asked for"):
        Guard(4, 2).setup(FakeTrainer(1, 1), None, "fit")


@pytest.mark.parametrize("devices", [1, "auto", -1, [0]])
def test_a_world_of_the_size_asked_for_is_let_through(devices):
    Guard(devices, 1).setup(FakeTrainer(1, 1), None, "fit")
