"""What a run sends to W&B, and that nothing which happens there ends the run."""

import os
import signal
from pathlib import Path

import pytest
from pytorch_lightning.loggers import CSVLogger
from records import record
from small_runs import RESUMED, fit
from wandb_stand_in import ENTITY, core_processes, stand_in

from topfive import wandb_run
from topfive.loggers import loggers
from topfive.results import Score
from topfive.wandb_row import log_row, summary

CONFIG = {"choices": {"model": "resnet20"}, "seed": 3}


@pytest.fixture
def server(monkeypatch, tmp_path):
    with stand_in(monkeypatch, tmp_path) as server:
        yield server


def logger(folder: Path, name: str = "first", entity: str = ENTITY):
    settings = {"wandb": True, "project": "topfive", "entity": entity}
    (folder / name).mkdir(exist_ok=True)
    return loggers(settings, folder / name, CONFIG, "abc123")[1]


def offline_logs(folder: Path) -> list[Path]:
    return list(folder.glob("**/offline-run-*/*.wandb"))


def told(capsys) -> list[str]:
    return [line for line in capsys.readouterr().out.splitlines() if line.startswith("W&B:")]


@pytest.mark.filterwarnings(RESUMED)
def test_a_training_run_logs_its_configuration_its_curves_and_its_row(server, tmp_path):
    module, _ = fit(tmp_path / "run", "logger.wandb=true", f"logger.entity={ENTITY}")
    log_row(module.trainer.loggers, record(identity="abc123"))
    ((name, _),) = [key for key in server.files if key[1] == "wandb-summary.json"]
    curve = [row for row in server.history(name) if "reported/top1_error" in row]
    assert [row["trainer/global_step"] for row in curve] == [5, 10]
    assert all(0 <= row["reported/top1_error"] <= 1 for row in curve)
    config = server.config(name)
    assert config["recipe"]["batch_size"] == 16
    assert name == f"{config['identity']}-run"
    assert server.summary(name)["cifar10/test_10000/one_view/top1_error"] == 8.75


def test_the_row_stands_beside_what_is_published():
    row = summary(record(Score("one_view", "test", 10_000, 900, 40)))
    name = "cifar10/test_10000/one_view/top1_error"
    assert row[name] == 9.0
    assert row[f"{name}_published"] == 8.75  # Table 6 of the paper
    # Wilson's bounds for 900 of 10,000, by hand: (p + z²/2n ± z √(pq/n + z²/4n²)) / (1 + z²/n)
    assert (round(row[f"{name}_low"], 3), round(row[f"{name}_high"], 3)) == (8.455, 9.577)
    assert row[f"{name}_verdict"].startswith("8.75 (He et al. 2015, Table 6): inconclusive")


def test_a_number_that_is_not_comparable_is_told_in_words_only():
    row = summary(record(departures=("recipe.shorten=40", "a tenth of the data")))
    name = "cifar10/test_10000/one_view/top1_error"
    assert row[name] == 8.75
    assert f"{name}_published" not in row
    assert "not comparable" in row[f"{name}_verdict"]
    assert row["departures"] == "recipe.shorten=40; a tenth of the data"


def test_runs_of_other_images_or_protocols_share_no_metric():
    scores = [
        Score("one_view", "test", 10_000, 875),
        Score("one_view", "test", 600, 50),
        Score("one_view", "minival", 600, 60),
        Score("ten_crop", "test", 600, 70),
    ]
    errors = [value for key, value in summary(record(*scores)).items() if key.endswith("error")]
    assert sorted(errors) == pytest.approx([50 / 6, 8.75, 10, 70 / 6])


def test_another_logger_gets_no_row(tmp_path):
    log_row([CSVLogger(tmp_path)], record())
    assert not list(tmp_path.iterdir())


def test_an_entity_that_refuses_the_run_gets_none_and_the_run_is_logged_offline(
    server, tmp_path, capsys
):
    server.refuses.add("UpsertBucket")
    run = logger(tmp_path, entity="another")
    run.log_metrics({"train/loss": 1.0}, 1)
    log_row([run], record())
    (line,) = told(capsys)
    assert "permission denied" in line
    assert "wandb sync" in line
    assert len(offline_logs(tmp_path)) == 1


def test_a_server_that_goes_away_holds_the_run_up_for_no_longer_than_it_may(
    server, tmp_path, monkeypatch
):
    monkeypatch.setattr(wandb_run, "FINISH_SECONDS", 1)
    run = logger(tmp_path)
    run.log_metrics({"train/loss": 1.0}, 1)
    server.leave()
    run.log_metrics({"train/loss": 0.5}, 2)
    log_row([run], record())
    (kept,) = tmp_path.glob("first/wandb/run-*/*.wandb")
    assert kept.stat().st_size > 0


@pytest.mark.parametrize("last_words", [True, False])
def test_the_death_of_wandbs_process_is_one_line(server, tmp_path, capsys, last_words):
    run = logger(tmp_path)
    run.log_metrics({"train/loss": 1.0}, 1)
    (core,) = core_processes()
    os.kill(core, signal.SIGKILL)
    if last_words:
        run.log_metrics({"train/loss": 0.5}, 2)
    log_row([run], record())
    (line,) = told(capsys)
    assert "the run goes on without it" in line


def test_a_job_does_not_go_on_in_the_run_of_one_that_failed(server, tmp_path):
    first = logger(tmp_path)
    first.log_metrics({"train/loss": 1.0}, 1)
    second = logger(tmp_path, "second")
    second.log_metrics({"train/loss": 3.0}, 1)
    log_row([second], record())
    assert [row["train/loss"] for row in server.history("abc123-first")] == [1.0]
    assert [row["train/loss"] for row in server.history("abc123-second")] == [3.0]
