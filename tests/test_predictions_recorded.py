"""Ensembles kept as runs: what their records say, and which members are refused."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from small_ensembles import LABELS, run

from topfive.predictions import Predictions, read
from topfive.predictions.__main__ import main
from topfive.predictions.averages import average
from topfive.predictions.recorded import write_record
from topfive.problems import Problem
from topfive.report.__main__ import main as report
from topfive.results import Record, Score, find
from topfive.results import read as read_record

DENSE, CROPS = "dense_256_384_512", "crops150"


def recorded(files: list[Path], folder: Path, weights: list[float] | None = None) -> Record:
    tests: list[tuple[Path, Predictions]] = [(path, read(path)) for path in files]
    return write_record(average(tests, weights)[0], tests, folder)


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    """Two seeds of AlexNet, of whose four answers the last two and the last one are wrong."""
    return [
        *run(tmp_path / "first", "alexnet", [0, 1, 5, 5]),
        *run(tmp_path / "second", "alexnet", [0, 1, 2, 4], seed=1),
    ]


def test_the_record_of_an_ensemble_says_what_was_averaged_and_counts_its_errors(
    tmp_path: Path,
) -> None:
    files = [
        *run(tmp_path / "a", "zfnet", [0, 1, 2, 5]),
        *run(tmp_path / "b", "zfnet", [0, 1, 5, 5], seed=1),
        *run(tmp_path / "c", "zfnet_big", [0, 5, 2, 4]),
    ]
    folder = tmp_path / "outputs" / "three"
    made = recorded(files, folder)
    # Two of three are right on images 0, 1 and 2. On image 3 f and e are ahead, and of the others, 0.1 each,
    # every member ranks a, b and c before d, the label: it is not of the five best.
    assert made.scores == (Score("ten_crop_square", "val", 4, 1, 1, 0, "triangle"),)
    assert (made.model, made.recipe, made.data) == ("2 × zfnet + zfnet_big", "zfnet", "imagenet")
    assert [(one.identity, one.seed) for one in made.members] == [
        ("zfnet-0", 0), ("zfnet-1", 1), ("zfnet_big-0", 0)]  # fmt: skip
    assert made.departures == ()
    assert read_record(folder / "result.json") == made
    assert read(folder / "predictions-ten_crop_square-val.npz").score() == made.scores[0]
    records, skipped = find([tmp_path])
    assert (len(records), skipped) == (4, [])


def test_networks_under_two_protocols_are_an_ensemble_under_their_common_protocol(
    tmp_path: Path,
) -> None:
    files = [
        *run(tmp_path / "d", "vgg16", LABELS, protocols=(DENSE, CROPS)),
        *run(tmp_path / "e", "vgg19", LABELS, protocols=(DENSE, CROPS)),
    ]
    made = recorded(files, tmp_path / "both")
    assert made.scores[0].protocol == "crops150_and_dense_256_384_512"
    assert ([one.model for one in made.members], made.departures) == (["vgg16", "vgg19"], ())
    uneven = recorded(files[:3], tmp_path / "uneven")
    assert uneven.departures == (
        "members tested under different protocols: crops150 and dense_256_384_512; dense_256_384_512",
    )


def test_departures_are_those_of_all_members_and_of_the_weights(tmp_path: Path) -> None:
    short, small = "recipe.shorten=40 (paper: 1)", "data.fraction=0.1 (paper: None)"
    files = [
        *run(tmp_path / "a", "alexnet", LABELS, departures=(short,)),
        *run(tmp_path / "b", "alexnet", LABELS, seed=1, departures=(small, short)),
    ]
    made = recorded(files, tmp_path / "both", [2, 1])
    assert made.departures == (short, small, "weights=2,1 (papers: equal ones)")
    assert [one.departures for one in made.members] == [(short,), (small, short)]


def test_options_that_members_do_not_share_are_kept_apart(tmp_path: Path) -> None:
    files = [
        *run(tmp_path / "a", "alexnet", LABELS),
        *run(tmp_path / "b", "alexnet", LABELS, seed=1, options={"lrn": False}),
    ]
    options: Any = recorded(files, tmp_path / "both").options
    assert [one["lrn"] for one in options["alexnet"]] == [True, False]


def test_a_run_cannot_be_a_member_twice(pair: list[Path], tmp_path: Path) -> None:
    shutil.copytree(tmp_path / "first", tmp_path / "copy")
    copied = tmp_path / "copy" / pair[0].name
    with pytest.raises(Problem, match=r"copy/.* a member already, .*alexnet, seed 0, alexnet-0"):
        recorded([*pair, copied], tmp_path / "three")
    again = tmp_path / "again"
    other = run(again, "alexnet", LABELS, protocols=(DENSE,), started="2026-11-22T12:00:00+00:00")
    with pytest.raises(Problem, match=r"again/.* or of one like it .*Train another with another"):
        recorded([*pair, *other], tmp_path / "three")
    assert not (tmp_path / "three").exists()


def test_members_whose_training_is_not_known_are_refused(pair: list[Path], tmp_path: Path) -> None:
    beside = tmp_path / "second" / "result.json"
    content = json.loads(beside.read_text())
    for change in (
        {"identity": "of another"},
        {"scores": [content["scores"][0] | {"top1_errors": 2}]},
    ):
        beside.write_text(json.dumps(content | change))
        with pytest.raises(
            Problem, match=r"second.* are not of the same test\. Repeat it: python -m"
        ):
            recorded(pair, tmp_path / "both")
    beside.unlink()
    with pytest.raises(Problem, match=r"second/pred.* has no result\.json beside it"):
        recorded(pair, tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_a_mean_or_a_single_network_is_no_ensemble_to_be_recorded(
    pair: list[Path], tmp_path: Path
) -> None:
    recorded(pair, tmp_path / "both")
    third = run(tmp_path / "third", "alexnet", LABELS, seed=2)
    with pytest.raises(Problem, match=r"both/.* is a mean itself: name the files of its members"):
        recorded([tmp_path / "both" / pair[0].name, *third], tmp_path / "three")
    twice = run(tmp_path / "d", "vgg16", LABELS, protocols=(DENSE, CROPS))
    with pytest.raises(Problem, match=r"all of one network\. Test it under several protocols"):
        recorded(twice, tmp_path / "one")


def test_nothing_is_overwritten(pair: list[Path], tmp_path: Path) -> None:
    before = (tmp_path / "first" / "result.json").read_bytes()
    with pytest.raises(Problem, match=r"--record .*first: there is a predictions-.* already"):
        recorded(pair, tmp_path / "first")
    assert (tmp_path / "first" / "result.json").read_bytes() == before
    (tmp_path / "file").touch()
    with pytest.raises(Problem, match=r"--record .*file/both: Not a directory\. Name a folder"):
        recorded(pair, tmp_path / "file" / "both")


def test_the_command_keeps_a_run_that_the_report_finds(
    pair: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "170")
    assert main(["ensemble", "first", "second", "--record", "outputs/two"]) == 0
    out = capsys.readouterr().out
    assert "Record: outputs/two/result.json" in out
    assert "No published number is of just these networks" in out
    made = read_record(tmp_path / "outputs" / "two" / "result.json")
    (name,) = {path.name for path in pair}
    assert made.command == f"python -m topfive.predictions ensemble first/{name} second/{name}"
    assert report(["outputs"]) == 0
    assert re.search(r"2 × alexnet +imagenet +ten_crop_square", capsys.readouterr().out)
    assert main(["ensemble", "first", "second", "--record", "outputs/two"]) == 1
    assert "outputs/two: there is a predictions-" in capsys.readouterr().err
    assert report(["compare", "outputs/two", "first"]) == 1
    assert (
        "outputs/two is an ensemble, which was told nothing of its own" in capsys.readouterr().err
    )
