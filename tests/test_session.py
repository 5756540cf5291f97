import os
import signal
import time

import pytest
from hydra.errors import InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import OmegaConf

from topfive.problems import Problem
from topfive.session import Interrupted, concluding


def hydra_of(folder, mode=RunMode.RUN):
    return OmegaConf.create(
        {"runtime": {"output_dir": str(folder)}, "mode": mode, "job": {"num": 3}}
    )


def fail(remedy):
    raise Problem(f"no data here: {remedy}")


def test_a_problem_ends_the_command_with_one_line_and_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "outputs" / "now"
    folder.mkdir(parents=True)
    with pytest.raises(SystemExit) as ended, concluding(hydra_of(folder)):
        fail("data.root=FOLDER")
    assert ended.value.code == "train.py: no data here: data.root=FOLDER"  # status 1, on stderr
    assert list(tmp_path.iterdir()) == []


def test_a_problem_in_a_class_that_hydra_calls_is_a_problem(tmp_path):
    target = {"_target_": f"{__name__}.fail", "remedy": "data.root=FOLDER"}
    with (
        pytest.raises(SystemExit, match=r"^train.py: no data here: data.root=FOLDER$"),
        concluding(hydra_of(tmp_path / "run")),
    ):
        instantiate(target)


def test_a_mistake_in_the_code_is_not_hidden(tmp_path):
    with pytest.raises(InstantiationException), concluding(hydra_of(tmp_path / "run")):
        instantiate({"_target_": "builtins.int", "x": 1})
    with pytest.raises(ZeroDivisionError), concluding(hydra_of(tmp_path / "run")):
        _ = 1 / 0


def test_in_a_multirun_a_problem_ends_its_own_job_only(tmp_path, capsys):
    with pytest.raises(Problem), concluding(hydra_of(tmp_path / "run", RunMode.MULTIRUN)):
        fail("none")
    assert capsys.readouterr().err == "job 3 failed: no data here: none\n"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_an_interruption_says_how_to_go_on(tmp_path, capsys, number, status):
    with pytest.raises(SystemExit) as ended, concluding(hydra_of(tmp_path / "run")):
        raise Interrupted(number)
    assert ended.value.code == status
    assert f"stopped by {number.name}; continue with resume=auto" in capsys.readouterr().err


@pytest.mark.parametrize("stop", [Interrupted(signal.SIGINT), KeyboardInterrupt()])
def test_ctrl_c_ends_a_whole_multirun_and_says_how_to_go_on(tmp_path, capsys, stop):
    (tmp_path / "run").mkdir()
    with (
        pytest.raises(SystemExit) as ended,
        concluding(hydra_of(tmp_path / "run", RunMode.MULTIRUN)),
    ):
        raise stop
    assert ended.value.code == 130
    said = "\nstopped by SIGINT; job 3 and what is left go on with the same command\n"
    assert capsys.readouterr().err == said


def test_sigterm_ahead_of_training_ends_with_75_and_the_handler_is_given_back(tmp_path, capsys):
    def ahead_of_training():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended, concluding(hydra_of(tmp_path / "run")):
        ahead_of_training()
    assert ended.value.code == 75
    assert "stopped by SIGTERM; continue with resume=auto" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before
