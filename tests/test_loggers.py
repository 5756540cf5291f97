import inspect
import os
import sys
from types import SimpleNamespace

import pytest
from pytorch_lightning.utilities import rank_zero_only

from topfive.curve import Curve
from topfive.loggers import loggers
from topfive.problems import Problem

CONFIG = {"choices": {"model": "resnet20"}, "seed": 3}
KEY = "0123456789" * 4


class Recorded:
    """Stands for WandbRun, which would start W&B."""

    def __init__(self, **settings):
        self.settings = settings


@pytest.fixture(autouse=True)
def nobody_is_logged_in(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        # Set first: what the code under test sets is then taken back too.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr("topfive.loggers.WandbRun", Recorded)
    monkeypatch.setitem(sys.modules, "wandb", module(refuse))


def module(login):
    """Stands for wandb, whose server nobody reaches."""
    settings = SimpleNamespace(base_url="http://127.0.0.1:9")
    return SimpleNamespace(login=login, run=None, setup=lambda: SimpleNamespace(settings=settings))


def refuse(**settings):
    pytest.fail("wandb.login was called")


def server(answer, monkeypatch):
    """A W&B whose server gives `answer` to a key; returns what it was asked."""
    asked = []

    def login(**settings):
        asked.append(settings)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setitem(sys.modules, "wandb", module(login))
    return asked


def made(folder, wandb="auto"):
    settings = {"wandb": wandb, "project": "topfive", "entity": None}
    curve, *others = loggers(settings, folder / "2026-01-01_10-00-00", CONFIG, "abc123")
    assert isinstance(curve, Curve)
    return others


def mode():
    return os.environ.get("WANDB_MODE")


def test_without_a_key_there_is_no_wandb_and_no_word_about_it(tmp_path, capsys):
    assert made(tmp_path) == []
    assert mode() is None
    assert capsys.readouterr().out == ""


def test_wandb_without_a_key_is_logged_offline_and_says_so_in_one_line(
    tmp_path, monkeypatch, capsys
):
    server(False, monkeypatch)
    assert len(made(tmp_path, wandb=True)) == 1
    assert mode() == "offline"
    (line,) = capsys.readouterr().out.splitlines()
    assert "no key" in line
    assert "wandb sync" in line


@pytest.mark.parametrize("wandb", ["auto", True])
def test_a_disabled_wandb_is_left_out(tmp_path, monkeypatch, wandb):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert made(tmp_path, wandb) == []


def test_wandb_false_is_false_even_with_a_key(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert made(tmp_path, wandb=False) == []


def test_wandb_mode_offline_needs_no_key_and_asks_no_server(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert len(made(tmp_path)) == 1


def test_wandb_mode_online_without_a_key_does_not_prompt(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    asked = server(False, monkeypatch)
    assert len(made(tmp_path)) == 1
    assert mode() == "offline"
    assert [settings["prompt"] for settings in asked] == [False]


def test_a_key_that_the_server_takes_logs_online(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    asked = server(True, monkeypatch)
    assert len(made(tmp_path)) == 1
    assert mode() is None
    assert [settings["prompt"] for settings in asked] == [False]


@pytest.mark.parametrize("answer", [False, OSError("no network")])
def test_a_server_that_does_not_take_the_key_means_offline(tmp_path, monkeypatch, capsys, answer):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    server(answer, monkeypatch)
    assert len(made(tmp_path)) == 1
    assert mode() == "offline"
    assert len(capsys.readouterr().out.splitlines()) == 1


@pytest.mark.parametrize("host", ["api.forge.coreweave.com", "api.wandb.ai"])
def test_a_key_for_the_usual_server_is_found_under_its_new_name_and_its_old(
    tmp_path, monkeypatch, host
):
    (tmp_path / "netrc").write_text(f"machine {host} login user password {KEY}\n")
    server(True, monkeypatch)
    assert len(made(tmp_path)) == 1


def test_a_key_in_netrc_is_found(tmp_path, monkeypatch):
    netrc = f"machine wandb.example:8080 login user password {KEY}\n"
    (tmp_path / "netrc").write_text(netrc)
    asked = server(True, monkeypatch)
    assert made(tmp_path) == []  # it is another server's
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example:8080")
    assert len(made(tmp_path)) == 1
    assert len(asked) == 1


def test_a_damaged_netrc_holds_no_key(tmp_path):
    (tmp_path / "netrc").write_text("mashine api.wandb.ai")
    assert made(tmp_path) == []


def test_wandb_takes_the_arguments_that_it_is_asked_with(monkeypatch):
    monkeypatch.delitem(sys.modules, "wandb")
    wandb = pytest.importorskip("wandb")
    inspect.signature(wandb.login).bind(prompt=False, verify=True)


def test_a_resumed_run_goes_on_in_its_wandb_run_and_a_repeated_one_gets_its_own(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("WANDB_MODE", "offline")
    settings = {"wandb": True, "project": "topfive", "entity": None}
    ids = [
        loggers(settings, tmp_path / name, CONFIG, "abc123")[1].settings["id"]
        for name in ("2026-01-01_10-00-00", "2026-01-01_10-00-00", "2026-01-02_10-00-00")
    ]
    assert ids[0] == ids[1] != ids[2]


def test_only_the_first_process_logs_to_wandb(tmp_path, monkeypatch):
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    assert made(tmp_path, wandb=True) == []
    assert mode() is None


def test_anything_else_than_auto_true_and_false_is_refused(tmp_path):
    with pytest.raises(Problem, match=r"logger\.wandb=ture: expected auto, true or false"):
        made(tmp_path, wandb="ture")
