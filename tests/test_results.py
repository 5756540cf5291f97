"""The record of a run on disk, what is found there, and the intervals of its counts."""

import json
import math
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from records import record

import topfive.origin
from topfive.intervals import over_seeds, wilson
from topfive.origin import origin
from topfive.problems import Problem
from topfive.results import Member, Score, find, read, write


def test_a_record_reads_back_as_it_was_written(tmp_path: Path) -> None:
    written = record(
        Score("one_view", "test", 10000, 921, 40, 2),
        Score("ten_crop", "val", 50000, 12000, None),
        departures=("data.fraction=0.1",),
        ablation="plain",
        config={"recipe": {"lr": 0.1, "milestones": [32000, 48000]}},
    )
    write(written, tmp_path / "result.json")
    back = read(tmp_path / "result.json")
    assert back == written
    assert back.path == tmp_path / "result.json"


MEMBER: dict[str, Any] = {
    "model": "vgg16", "options": {"lrn": False}, "recipe": "vgg_jitter", "identity": "0123456789ab", "seed": 3,
    "origin": "last.ckpt", "started": "2026-11-20T12:00:00+00:00", "departures": ("data.fraction=0.1",),
}  # fmt: skip


def test_an_ensemble_reads_back_with_its_members(tmp_path: Path) -> None:
    written = record(model="2 × vgg16", members=(Member(**MEMBER), Member(**MEMBER | {"seed": 4})))
    write(written, tmp_path / "result.json")
    assert read(tmp_path / "result.json") == written
    write(record(), tmp_path / "one.json")
    assert read(tmp_path / "one.json").members == ()


@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({"vgg16": 2}, "'members' is {'vgg16': 2}, expected list"),
        (["vgg16"], "a member is 'vgg16', expected an object that describes a run"),
        ([MEMBER | {"seed": "3"}], "'seed' in a member is '3', expected int"),
        ([{"model": "vgg16"}], "'options' is missing in a member"),
    ],
)
def test_members_that_are_none_are_refused(tmp_path: Path, members: object, found: str) -> None:
    path = tmp_path / "result.json"
    write(record(), path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"members": members}))
    with pytest.raises(Problem, match=re.escape(found)):
        read(path)


def test_a_record_is_json_of_schema_1_with_counts_and_no_rates(tmp_path: Path) -> None:
    write(record(Score("one_view", "test", 10000, 921, 40)), tmp_path / "result.json")
    content = json.loads((tmp_path / "result.json").read_text())
    assert content["schema"] == 1
    assert content["scores"] == [
        {
            "protocol": "one_view",
            "split": "test",
            "n": 10000,
            "top1_errors": 921,
            "top5_errors": 40,
            "unreadable": 0,
            "filter": None,
        }
    ]
    assert "path" not in content


def test_the_record_of_a_diverged_run_is_valid_json_with_null_for_its_loss(tmp_path: Path) -> None:
    write(record(train={"loss": math.nan, "top1_error": 0.9}), tmp_path / "result.json")
    assert "NaN" not in (tmp_path / "result.json").read_text()
    assert read(tmp_path / "result.json").train == {"loss": None, "top1_error": 0.9}


def test_counts_of_torch_and_paths_in_the_configuration_are_written_plainly(tmp_path: Path) -> None:
    import torch

    counts = Score("one_view", "test", 10000, torch.tensor(921), torch.tensor(40))  # type: ignore[arg-type]
    write(record(counts, config={"root": Path("data")}), tmp_path / "result.json")
    back = read(tmp_path / "result.json")
    assert back.scores[0].top1_errors == 921
    assert back.config == {"root": "data"}


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_record_and_no_debris(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "result.json"
    write(record(seed=1), path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, full)
        with pytest.raises(OSError, match="No space left"):
            write(record(seed=2), path)
    assert read(path).seed == 1
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_counts_that_cannot_be_are_refused_before_anything_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write(record(seed=1), path)
    with pytest.raises(Problem, match="impossible counts"):
        write(record(Score("one_view", "test", 10, 3, 4)), path)
    assert read(path).seed == 1


def content(**changes: object) -> str:
    full = {"schema": 1, **{k: v for k, v in vars(record()).items() if k not in ("path", "scores")}}
    full["scores"] = [{"protocol": "one_view", "split": "test", "n": 10, "top1_errors": 3}]
    return json.dumps(full | changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (content()[:300], "is not whole JSON .* repeat the run"),
        ("", "is not whole JSON"),
        ("[1, 2]", 'not the record of a run: it has no "schema"'),
        ('{"loss": 0.3}', 'not the record of a run: it has no "schema"'),
        (content(schema=2), "has schema 2, this version of topfive reads 1"),
        ('{"schema": 1, "identity": "a"}', "only part of a record: 'model' is missing"),
        (content(seed="0"), "'seed' is '0', expected int"),
        (content(seed=True), "'seed' is True, expected int"),
        (content(scores=[{"protocol": "one_view", "split": "test"}]), "'n' is missing in a score"),
        (
            content(scores=[{"protocol": "one_view", "split": "test", "n": 10, "top1_errors": 11}]),
            "impossible counts",
        ),
    ],
)
def test_what_is_no_whole_record_is_refused_with_the_reason(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(Problem, match=message):
        read(tmp_path / "result.json")


def test_a_missing_record_is_a_problem_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"result\.json cannot be read: No such file"):
        read(tmp_path / "result.json")


def test_two_thousand_runs_are_found_and_nothing_else(tmp_path: Path) -> None:
    text = content()
    for number in range(2000):
        folder = tmp_path / f"net{number % 7}" / "recipe" / f"run{number}"
        (folder / "checkpoints").mkdir(parents=True)
        own = text.replace("0123456789ab", f"{number:012x}")
        (folder / "result.json").write_text(own)
        (folder / "metrics.csv").write_text("step,loss\n")
    records, skipped = find([tmp_path])
    assert len({one.identity for one in records}) == len(records) == 2000
    assert skipped == []


def test_committed_records_of_any_name_are_found_and_other_json_is_left_alone(
    tmp_path: Path,
) -> None:
    (tmp_path / "resnet20_seed0.json").write_text(content(seed=5))
    (tmp_path / "hparams.json").write_text('{"lr": 0.1}')
    (tmp_path / "list.json").write_text("[1]")
    records, skipped = find([tmp_path])
    assert [one.seed for one in records] == [5]
    assert skipped == []


def test_what_is_skipped_is_named_with_its_reason(tmp_path: Path) -> None:
    for name, text in [("cut", content()[:99]), ("foreign", "{}"), ("good", content())]:
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(text)
    records, skipped = find([tmp_path])
    reasons = {one.path.parent.name: one.reason for one in skipped}
    assert len(records) == 1
    assert set(reasons) == {"cut", "foreign"}
    assert reasons["cut"].startswith("is not whole JSON")
    assert 'it has no "schema"' in reasons["foreign"]


def test_hidden_folders_and_links_to_folders_are_not_entered(tmp_path: Path) -> None:
    run = tmp_path / "outputs" / "run"
    run.mkdir(parents=True)
    (run / "result.json").write_text(content())
    (tmp_path / "outputs" / "latest").symlink_to(run)
    (run / "loop").symlink_to(tmp_path / "outputs")
    (tmp_path / "outputs" / ".trash").mkdir()
    (tmp_path / "outputs" / ".trash" / "result.json").write_text(content(identity="deleted"))
    records, skipped = find([tmp_path / "outputs"])
    assert [one.path for one in records] == [run / "result.json"]
    assert skipped == []


def test_a_run_and_its_committed_copy_count_once_with_the_scores_of_the_fuller(
    tmp_path: Path,
) -> None:
    two = (Score("one_crop", "val", 50000, 12000, 4000), Score("ten_crop", "val", 50000, 11000, 1))
    write(record(two[0]), tmp_path / "a.json")
    write(record(*two), tmp_path / "b.json")
    records, skipped = find([tmp_path])
    assert [len(one.scores) for one in records] == [2]
    assert [one.path.name for one in skipped] == ["a.json"]
    assert "the same run as" in skipped[0].reason


def test_the_same_folder_named_twice_counts_once(tmp_path: Path) -> None:
    write(record(), tmp_path / "result.json")
    records, skipped = find([tmp_path, tmp_path / "result.json", tmp_path])
    assert len(records) == 1
    assert skipped == []


def test_a_root_that_is_not_there_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="neither a folder nor a record"):
        find([tmp_path / "outptus"])


def test_the_origin_names_commit_and_dirt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    code = tmp_path / "results.py"
    code.write_text("")
    monkeypatch.setattr(topfive.origin, "__file__", str(code))

    def git(*arguments: str) -> str:
        who = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
        command = ["git", "-C", str(tmp_path), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert origin()["git"] == {"sha": None, "dirty": None}  # outside git
    git("init", "-q")
    assert origin()["git"] == {"sha": None, "dirty": None}  # somebody's repository, not its file
    git("add", "results.py")
    git("commit", "-q", "-m", "first")
    assert origin()["git"] == {"sha": git("rev-parse", "HEAD"), "dirty": False}
    code.write_text("# changed")
    assert origin()["git"] == {"sha": git("rev-parse", "HEAD"), "dirty": True}


def test_the_origin_names_libraries_device_and_threads() -> None:
    import torch

    here = origin(cuda=False)
    assert here["versions"]["torch"] == torch.__version__
    assert here["versions"]["python"] == platform.python_version()
    assert {"topfive", "torchvision", "pytorch-lightning", "hydra-core", "numpy"} <= set(
        here["versions"]
    )
    assert here["device"]
    assert here["threads"] == torch.get_num_threads()
    assert record(**here).device == here["device"]


def test_reading_records_imports_neither_torch_nor_scipy() -> None:
    code = (
        "import sys, topfive.results, topfive.intervals, topfive.report.__main__;"
        "print([name for name in ('torch', 'scipy', 'rich', 'yaml') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize(("k", "n"), [(82, 10000), (875, 10000), (3, 360), (0, 50), (50, 50)])
def test_the_wilson_interval_is_wilsons_formula(k: int, n: int) -> None:
    z = 1.959963984540054  # the 97.5% point of the normal distribution
    center = (k + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * math.sqrt(k * (n - k) / n + z**2 / 4)
    assert wilson(k, n) == pytest.approx((center - half, center + half), abs=1e-12)


def test_the_interval_over_five_seeds_is_students() -> None:
    # Mean 3%, standard deviation sqrt(2.5)%; the 97.5% point of t with 4 degrees is 2.776445.
    half = 0.02776445 * math.sqrt(2.5) / math.sqrt(5)
    assert over_seeds([0.01, 0.02, 0.03, 0.04, 0.05]) == pytest.approx(
        (0.03 - half, 0.03 + half), abs=1e-8
    )


def test_the_interval_over_two_seeds_is_cut_to_possible_rates() -> None:
    assert over_seeds([0.01, 0.02]).low == 0.0
    assert over_seeds([0.98, 0.99]).high == 1.0


def test_one_seed_has_no_interval_over_seeds() -> None:
    with pytest.raises(ValueError, match="needs two runs, got 1"):
        over_seeds([0.05])
