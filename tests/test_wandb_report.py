"""The report that W&B is sent, what is uploaded before it, and what is said where it cannot be."""

import json
import socket
import warnings
from pathlib import Path

import pytest
from records import record
from wandb_stand_in import ENTITY, stand_in

from topfive.loggers import loggers
from topfive.report.__main__ import main as report
from topfive.results import Record, Score, write
from topfive.wandb_row import log_row

with warnings.catch_warnings():
    # wandb-workspaces 0.4 declares its validators as pydantic 1 did.
    warnings.simplefilter("ignore", DeprecationWarning)
    from topfive.report.wandb import main

CONFIG = {"choices": {"model": "resnet20"}, "seed": 3}
TARGET = f"{ENTITY}/topfive"


@pytest.fixture
def server(monkeypatch, tmp_path):
    with stand_in(monkeypatch, tmp_path / "wandb") as server:
        yield server


@pytest.fixture
def runs(tmp_path) -> Path:
    """Two runs that are comparable with the paper, and one on a part of the test set."""
    folder = tmp_path / "outputs"
    first, second = (Score("one_view", "test", 10_000, errors, 50) for errors in (900, 880))
    part = Score("one_view", "test", 600, 60)
    keep(record(first, identity="aaa"), folder / "first")
    keep(record(second, identity="bbb", seed=1), folder / "second")
    keep(record(part, identity="ccc", model="plain20"), folder / "part")
    return folder


def keep(made: Record, folder: Path) -> None:
    folder.mkdir(parents=True)
    write(made, folder / "result.json")


def logged_offline(folder: Path, monkeypatch) -> None:
    """What the run in `folder` leaves where there is no network."""
    import wandb

    monkeypatch.setenv("WANDB_MODE", "offline")
    settings = {"wandb": True, "project": "elsewhere", "entity": None}
    run = loggers(settings, folder, CONFIG, "aaa")[1]
    run.log_metrics({"train/loss": 1.0}, 50)
    log_row([run], record(Score("one_view", "test", 10_000, 900, 50)))
    monkeypatch.delenv("WANDB_MODE")
    wandb.teardown()  # it would stay offline until its process ends


def spec(server) -> list[dict]:
    """The blocks of the report that was saved, without the empty ones at its ends."""
    (view,) = server.variables("upsertView")
    assert (view["entityName"], view["projectName"]) == (ENTITY, "topfive")
    first, *blocks, last = json.loads(view["spec"])["blocks"]
    assert first["type"] == last["type"] == "paragraph"
    return blocks


def grids(server) -> list[dict]:
    return [block["metadata"] for block in spec(server) if block["type"] == "panel-grid"]


def panels(grid: dict, kind: str) -> list[dict]:
    found = grid["panelBankSectionConfig"]["panels"]
    return [panel["config"] for panel in found if panel["viewType"] == kind]


def refusal(capsys, *arguments) -> str:
    """The one line that is said where the exit code is 1."""
    assert main([str(argument) for argument in arguments]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1, said
    return said


def test_the_report_is_saved_and_its_address_printed(server, runs, capsys):
    assert report([f"wandb={TARGET}", str(runs)]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"report: {server.url}/{ENTITY}/topfive/reports/")


def test_the_report_begins_with_the_table_as_markdown(server, runs):
    main([TARGET, str(runs)])
    table = spec(server)[0]
    assert table["type"] == "markdown-block"
    (row,) = [
        line
        for line in table["content"].splitlines()
        if line.startswith("| resnet20 |") and "8.75" in line
    ]
    assert "8.90" in row  # the mean of 9.00 and 8.80
    assert "result.json" not in table["content"]
    assert "https://arxiv.org/abs/1512.03385" in table["content"]


def test_runs_of_other_test_images_stand_in_other_panels(server, runs):
    main([TARGET, str(runs)])
    runsets = [runset for grid in grids(server) for runset in grid["runSets"]]
    filters = {runset["name"]: runset["filters"]["filters"] for runset in runsets}
    key = {"section": "config", "name": "identity"}
    wanted = {"key": key, "op": "IN", "disabled": False}
    assert filters == {
        "CIFAR-10, test, 10,000 images": [wanted | {"value": ["aaa", "bbb"]}],
        "CIFAR-10, test, 600 images": [wanted | {"value": ["ccc"]}],
    }


def test_the_panels_are_bars_curves_and_a_comparison_of_runs(server, runs):
    main([TARGET, str(runs)])
    whole, part = sorted(grids(server), key=lambda grid: grid["runSets"][0]["name"])
    name = "summary_metrics.cifar10/test_10000/one_view"
    assert [bars["metrics"] for bars in panels(whole, "Bar Chart")] == [
        [f"{name}/top1_error", f"{name}/top1_error_published"],
        [f"{name}/top5_error", f"{name}/top5_error_published"],
    ]
    assert len(panels(part, "Bar Chart")) == 1  # no top-5 errors were counted
    curves = panels(whole, "Run History Line Plot")
    assert {curve["xAxis"] for curve in curves} == {"trainer/global_step"}
    assert ["train/top1_error"] in [curve["metrics"] for curve in curves]
    assert len(panels(whole, "Run Comparer")) == 1


def test_no_two_panels_lie_on_each_other(server, runs):
    main([TARGET, str(runs)])
    for grid in grids(server):
        layouts = [panel["layout"] for panel in grid["panelBankSectionConfig"]["panels"]]
        cells = [
            (x, y)
            for at in layouts
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        ]
        assert len(set(cells)) == len(cells)
        assert max(x for x, _ in cells) < 24


def test_offline_runs_are_uploaded_once_when_asked(server, runs, monkeypatch, capsys):
    logged_offline(runs / "first", monkeypatch)
    assert main([TARGET, str(runs)]) == 0
    assert not server.lines
    assert main([TARGET, str(runs), "--sync"]) == 0
    assert "Sent 1 offline logs" in capsys.readouterr().out
    assert [row["train/loss"] for row in server.history("aaa-first")] == [1.0]
    assert server.config("aaa-first")["identity"] == "aaa"
    assert server.summary("aaa-first")["cifar10/test_10000/one_view/top1_error"] == 9.0
    assert {sent["project"] for sent in server.variables("UpsertBucket")} == {"topfive"}
    assert main([TARGET, str(runs), "--sync"]) == 0
    assert "No run has offline logs" in capsys.readouterr().out


def test_an_upload_that_fails_is_named_and_makes_no_report(server, runs, monkeypatch, capsys):
    logged_offline(runs / "first", monkeypatch)
    server.refuses.add("UpsertBucket")
    capsys.readouterr()
    line = refusal(capsys, TARGET, runs, "--sync")
    assert "1 of 1 offline logs were not sent" in line
    assert str(runs / "first") in line
    assert "permission denied" in line
    assert not server.variables("upsertView")


def test_without_a_key_it_says_how_to_get_one(server, runs, monkeypatch, capsys):
    monkeypatch.delenv("WANDB_API_KEY")
    line = refusal(capsys, TARGET, runs)
    assert "no key was found: wandb login" in line
    assert not server.asked


def test_a_wrong_key_is_told_from_a_server_that_does_not_answer(server, runs, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_API_KEY", "f" * 40)
    line = refusal(capsys, TARGET, runs)
    assert f"{server.url} does not accept the key" in line
    assert "wandb login --relogin" in line


def test_a_server_that_does_not_answer_is_not_waited_for(server, runs, monkeypatch, capsys):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        free = f"http://127.0.0.1:{listening.getsockname()[1]}"
    monkeypatch.setenv("WANDB_BASE_URL", free)
    line = refusal(capsys, TARGET, runs)
    assert f"{free} does not answer: check the network" in line


def test_a_server_that_is_down_behind_a_gateway_does_not_answer(server, runs, capsys):
    server.down = True
    assert f"{server.url} does not answer" in refusal(capsys, TARGET, runs)


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_a_report_is_not_made_offline(server, runs, monkeypatch, capsys, mode):
    monkeypatch.setenv("WANDB_MODE", mode)
    assert "Unset WANDB_MODE" in refusal(capsys, TARGET, runs)


def test_a_project_that_is_not_there_is_named(server, runs, capsys):
    line = refusal(capsys, f"{ENTITY}/nothing", runs)
    assert f"{ENTITY}/nothing" in line
    assert "--sync" in line


def test_a_report_that_the_server_refuses_is_one_line(server, runs, capsys):
    server.refuses.add("upsertView")
    assert "permission denied" in refusal(capsys, TARGET, runs)


@pytest.mark.parametrize("target", ["topfive", "/topfive", "a/b/c", ""])
def test_a_target_that_is_no_project_is_refused(runs, capsys, target):
    assert "expected wandb=ENTITY/PROJECT" in refusal(capsys, target, runs)


def test_a_folder_without_runs_is_refused_before_wandb_is_asked(server, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert "No finished run" in refusal(capsys, TARGET, tmp_path / "empty")
    assert not server.asked
