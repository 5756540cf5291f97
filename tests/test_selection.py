"""A sweep that chooses, from the command line: what trains, what is tested on what, what is repeated."""

import json
import runpy
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from records import record

from topfive.choice import is_candidate
from topfive.config import CONF, compose
from topfive.datasets import Dataset, digits
from topfive.outcomes import note_failure
from topfive.problems import Problem
from topfive.report.__main__ import main
from topfive.report.rows import rows
from topfive.results import Record, Score, find, read, write
from topfive.selection import Job, Selection

TRAIN = str(Path(__file__).parents[1] / "train.py")
SMALL = [
    "model=resnet20", "model.depth=8", "data=digits", "data.per_class=20", "data.minival=720",
    "recipe.batch_size=8", "recipe.bn_batch=8", "recipe.duration={iterations:4}",
    "recipe.schedule.at={iterations:[2,3]}", "trainer.accelerator=cpu", "trainer.progress=false",
]  # fmt: skip


class Forbidden:
    """A reported set at which nobody may look."""

    def with_channels(self, channels: int) -> "Forbidden":
        return self

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"a candidate asked the reported set for {name}")

    def __len__(self) -> int:
        raise AssertionError("a candidate counted the reported set")


@cache
def _composed(overrides: tuple[str, ...]) -> dict[str, Any]:
    return compose(overrides)


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs train.py in this process, in a folder of tmp_path; gives its exit status."""
    # A path that Hydra's command line takes in quotes only.
    folder = tmp_path / "June, it's {6}"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setattr("topfive.departures.compose", lambda o: _composed(tuple(o)))

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        try:
            runpy.run_path(TRAIN, run_name="__main__")
        except SystemExit as ended:
            if isinstance(ended.code, str):
                print(ended.code, file=sys.stderr)
                return 1
            return int(ended.code or 0)
        return 0

    return run


def records(folder: Path) -> tuple[list[Record], list[Record]]:
    """Candidates and final runs, in the order in which they ended."""
    found = sorted(find([folder])[0], key=lambda one: str(one.path))
    return [one for one in found if is_candidate(one)], [
        one for one in found if not is_candidate(one)
    ]


def test_candidates_never_see_the_reported_set_and_the_chosen_is_tested_on_it(
    sweep: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    load, loads = digits.load, []

    def guarded() -> Dataset:
        whole = load()
        loads.append(whole)
        if len(loads) > 4:  # two rates, two seeds
            return whole
        return Dataset(whole.classes, whole.train, Forbidden(), "test")  # type: ignore[arg-type]

    monkeypatch.setattr(digits, "load", guarded)
    command = ["sweep=lr", *SMALL, "seed=0,1", "recipe.schedule.rate=0.1,0.02"]
    assert sweep(*command) == 0
    candidates, final = records(tmp_path)

    # 20 of every class; the minival is their share of 720 of 1,437: 10 of every class.
    assert [(one.seed, one.scores[0].split, one.scores[0].n) for one in candidates] == [
        (0, "minival", 100), (1, "minival", 100), (0, "minival", 100), (1, "minival", 100),
    ]  # fmt: skip
    assert {(one.trained_on["n"], one.trained_on["held_out"]) for one in candidates} == {(100, 100)}
    assert all("data.candidate=True (paper: null)" in one.departures for one in candidates)
    assert [(one.seed, one.scores[0].split, one.scores[0].n) for one in final] == [
        (0, "test", 360), (1, "test", 360),
    ]  # fmt: skip
    assert {(one.trained_on["n"], one.trained_on["held_out"]) for one in final} == {(200, 0)}

    errors = [one.scores[0].top1_errors for one in candidates]
    chosen = 0.1 if sum(errors[:2]) <= sum(errors[2:]) else 0.02
    for one in final:
        assert one.selection["candidates"] == [
            {"value": 0.1, "seeds": [0, 1], "top1_errors": errors[:2]},
            {"value": 0.02, "seeds": [0, 1], "top1_errors": errors[2:]},
        ]
        assert (one.selection["chosen"], one.selection["n"]) == (chosen, 100)
        recipe: Any = one.config["recipe"]
        assert recipe["schedule"]["rate"] == chosen
        assert str(tmp_path) not in json.dumps([one.config, one.command])
    printed = capsys.readouterr().out
    assert f"chosen: schedule.rate={chosen}" in printed
    # The end of the command: both seeds in one row, and what it was chosen of.
    last = printed[printed.rindex("error  published") :]
    assert "one_view, minival" not in last
    assert "Chosen on the minival" in last

    # Said again, nothing is trained again.
    assert sweep(*command) == 0
    assert len(loads) == 6
    assert capsys.readouterr().out.count("done before: outputs/resnet20/resnet_cifar/") == 6
    assert len(list(Path.cwd().glob("outputs/resnet20/resnet_cifar/*/"))) == 6


def test_a_diverged_candidate_is_counted_out_and_only_what_failed_is_done_again(
    sweep: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    load, loads = digits.load, []

    def interrupted() -> Dataset:
        loads.append(1)
        if len(loads) == 3:  # the final run, after two candidates
            raise Problem("the disk is gone")
        return load()

    monkeypatch.setattr(digits, "load", interrupted)
    command = ["sweep=lr", *SMALL, "recipe.schedule.rate=1e30,0.02"]
    assert sweep(*command) == 1
    captured = capsys.readouterr()
    assert "job 0 failed: the training loss is nan" in captured.err
    assert "job 2 failed: the disk is gone" in captured.err
    assert "1 of 2 diverged and cannot be chosen" in captured.out
    assert [len(some) for some in records(tmp_path)] == [1, 0]

    assert sweep(*command, "retry=true") == 0
    captured = capsys.readouterr()
    assert captured.out.count("done before: ") == 2
    assert "failed" not in captured.err
    assert len(loads) == 4
    (_, (final,)) = records(tmp_path)
    assert final.selection["candidates"] == [
        {"value": 1e30, "seeds": [0], "top1_errors": [None]},
        {"value": 0.02, "seeds": [0], "top1_errors": [candidate_errors(tmp_path)]},
    ]
    assert final.selection["chosen"] == 0.02


def candidate_errors(folder: Path) -> int:
    ((candidate,), _) = records(folder)
    return candidate.scores[0].top1_errors


def test_a_sweep_without_a_model_says_what_to_choose(
    sweep: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("sweep=lr", "data=digits") == 1
    said = capsys.readouterr().err
    assert "no model is chosen: python train.py sweep=lr data=digits model=NAME" in said
    assert "Models: alexnet, " in said
    assert list(Path.cwd().iterdir()) == []


def test_a_sweep_of_what_the_recipe_has_not_is_refused(
    sweep: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    # LeCun et al. 1998 print a table of rates, not one.
    assert sweep("sweep=lr", "model=lenet5") == 1
    said = capsys.readouterr().err
    assert "sweep=lr chooses recipe.schedule.rate, which recipe=lenet5 has not" in said


def test_candidates_that_would_be_tested_on_the_reported_set_are_refused(
    sweep: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sweep("sweep=lr", *SMALL, "data.candidate=false") == 1
    assert "data.candidate=false would choose by the reported set" in capsys.readouterr().err
    assert not list(tmp_path.rglob("result.json"))


def jobs_of(name: str, *typed: str) -> list[dict[str, Any]]:
    """The configurations of a sweep's jobs, from its file as Hydra reads it."""
    params = yaml.safe_load((CONF / "sweep" / f"{name}.yaml").read_text())["hydra"]["sweeper"]
    arguments = [f"{key}={value}" for key, value in params["params"].items()]
    overrides = OverridesParser.create().parse_overrides([*arguments, f"sweep={name}", *typed])
    (batch,) = BasicSweeper.split_arguments(overrides, None)
    return [compose(job) for job in batch]


def test_the_rates_are_all_cnns_four() -> None:
    jobs = jobs_of("lr", "model=allcnn_c")
    # Springenberg et al. 2014, section 3
    assert [job["recipe"]["schedule"]["rate"] for job in jobs] == [0.25, 0.1, 0.05, 0.01]
    assert all(job["data"]["candidate"] for job in jobs)


def test_other_values_on_the_command_line_take_the_place_of_the_files() -> None:
    jobs = jobs_of("weight_decay", "model=nin_cifar", "recipe.weight_decay=0.1,0.2")
    assert [job["recipe"]["weight_decay"] for job in jobs] == [0.1, 0.2]


def test_the_weight_decays_hold_those_of_the_papers() -> None:
    jobs = jobs_of("weight_decay", "model=nin_cifar")
    decays = [job["recipe"]["weight_decay"] for job in jobs]
    # All-CNN section 3, AlexNet section 5, BVLC's GoogLeNet, ResNet section 3.4
    assert {0.001, 0.0005, 0.0002, 0.0001} <= set(decays)
    assert decays == sorted(decays, reverse=True)
    assert all(job["data"]["candidate"] for job in jobs)


@pytest.mark.parametrize("model", ["nin_cifar", "alexnet"])
def test_an_initialization_takes_the_whole_place_of_the_recipes(model: str) -> None:
    where = "topfive.initializers."
    assert [job["recipe"]["initialization"] for job in jobs_of("init", f"model={model}")] == [
        {"_target_": f"{where}he_normal", "fan": "fan_in"},
        {"_target_": f"{where}glorot_uniform"},
        {"_target_": f"{where}caffe_xavier"},
        {"_target_": f"{where}gaussian", "std": 0.01},
    ]


def candidate(folder: Path, number: int, group: str, rate: float, seed: int, wrong: int) -> Job:
    """A job of a sweep of the rate that got `wrong` of 200 images wrong."""
    one = Job(
        ("resume=auto", f"recipe.schedule.rate={rate}", "sweep=lr", f"model={group}", f"seed={seed}"),
        folder / group / str(number),
        rate,
        seed,
        f"candidate {number}",
        f"final {number}",
        group,
    )  # fmt: skip
    one.directory.mkdir(parents=True)
    score = Score("one_view", "minival", 200, wrong)
    write(record(score, identity=one.identity, seed=seed), one.directory / "result.json")
    return one


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What a Selection would run."""
    kept: list[list[str]] = []
    monkeypatch.setattr(Selection, "_launch", lambda self, config, jobs: kept.extend(jobs))
    monkeypatch.setattr("topfive.report.table.render", lambda records, *_: None)
    return kept


def test_every_network_has_a_choice_of_its_own_and_runs_as_it_was_told(
    tmp_path: Path, launched: list[list[str]]
) -> None:
    selection = Selection("recipe.schedule.rate")
    # errors of (rate, seed): a 0.1: 20 and 60, 0.01: 30 and 30; b 0.1: 20 and 22, 0.01: 30 and 30
    wrong = {"a": (20, 60, 30, 30), "b": (20, 22, 30, 30)}
    for group, counts in wrong.items():
        for number, errors in enumerate(counts):
            rate, seed = (0.1, 0.01)[number // 2], number % 2
            selection.jobs.append(candidate(tmp_path, number, group, rate, seed, errors))
    selection.on_multirun_end(OmegaConf.create({}))
    files = [tmp_path / group / f"selection-{group}.json" for group in "ab"]
    assert [json.loads(file.read_text())["chosen"] for file in files] == [0.01, 0.1]
    assert launched == [
        ["resume=auto", f"recipe.schedule.rate={rate}", f"model={group}", f"seed={seed}",
         f"selection='{file}'", "hydra.mode=MULTIRUN"]
        for group, rate, file in (("a", 0.01, files[0]), ("b", 0.1, files[1]))
        for seed in (0, 1)
    ]  # fmt: skip


def test_a_candidate_without_a_record_leaves_the_choice_open(
    tmp_path: Path, launched: list[list[str]]
) -> None:
    selection = Selection("recipe.schedule.rate")
    selection.jobs = [candidate(tmp_path, k, "a", (0.1, 0.01)[k], 0, 20) for k in range(2)]
    (selection.jobs[1].directory / "result.json").write_text('{"schema":')
    with pytest.raises(
        SystemExit, match=r"rate=0\.01 of seed 0 left no record .*nothing is chosen"
    ):
        selection.on_multirun_end(OmegaConf.create({}))
    assert not launched
    assert not list(tmp_path.rglob("selection*"))


def test_a_launcher_that_tells_nothing_is_refused() -> None:
    with pytest.raises(SystemExit, match="needs Hydra's own launcher"):
        Selection("recipe.schedule.rate").on_multirun_end(OmegaConf.create({}))


def test_a_failure_is_no_outcome(tmp_path: Path) -> None:
    selection = Selection("recipe.schedule.rate")
    selection.jobs = [candidate(tmp_path, 0, "a", 0.1, 0, 20)]
    note_failure(tmp_path / "a" / "1", "another", Problem("the disk is full"))
    selection.jobs.append(replace(selection.jobs[0], identity="another", value=0.01))
    with pytest.raises(SystemExit, match=r"nothing is chosen\. Repeat the command with retry=true"):
        selection.on_multirun_end(OmegaConf.create({}))


def test_the_report_shows_candidates_only_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    candidate(tmp_path, 0, "a", 0.1, 0, 20)
    assert main([str(tmp_path)]) == 1
    assert "no result yet, but 1 candidates of sweeps" in capsys.readouterr().err
    (tmp_path / "run").mkdir()
    write(record(), tmp_path / "run" / "result.json")
    assert main([str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "minival\n" not in printed
    assert "Not shown: 1 candidates of sweeps, tested on the minival only (--candidates)" in printed
    assert main([str(tmp_path), "--candidates"]) == 0
    printed = capsys.readouterr().out
    assert "resnet20, cifar10, one_view, minival" in printed
    assert "10.00" in printed  # 20 of 200, beside no published number
    assert "Not shown" not in printed


def test_runs_of_different_choices_are_not_averaged() -> None:
    def final(seed: int, rate: float) -> Record:
        tried = [{"value": rate, "seeds": [seed], "top1_errors": [20]}]
        chosen = {"key": "recipe.schedule.rate", "chosen": rate, "candidates": tried}
        how = {"n": 200, "split": "minival", "protocol": "one_view"}
        return record(seed=seed, selection={**chosen, **how})

    table, _ = rows([final(0, 0.1), final(1, 0.1), final(2, 0.05), record(seed=3)], [])
    top1 = [row for row in table if row.quantity == "top1_error"]
    assert sorted((row.label, row.seeds) for row in top1) == [
        (("resnet20",), (3,)),
        (("resnet20", "schedule.rate=0.05"), (2,)),
        (("resnet20", "schedule.rate=0.1"), (0, 1)),
    ]


def test_a_record_made_before_there_were_selections_is_read(tmp_path: Path) -> None:
    write(record(), tmp_path / "result.json")
    content = json.loads((tmp_path / "result.json").read_text())
    assert content.pop("selection") == {}
    (tmp_path / "result.json").write_text(json.dumps(content))
    assert read(tmp_path / "result.json").selection == {}
