"""python -m topfive.predictions: what is printed, written and refused."""

import csv
import json
from pathlib import Path

import pytest
from small_predictions import FALLING, answering, predictions

from topfive.predictions import file_name, read, write
from topfive.predictions.__main__ import main

LABELS = [0, 1, 2, 3]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, with runs one (vgg16, 2 of 4 wrong) and two (vgg19, 1 of 4 wrong)."""
    about = {"data": "imagenet", "protocol": "dense_256_384_512"}
    for name, model, answers in (("one", "vgg16", [0, 1, 5, 5]), ("two", "vgg19", [0, 1, 2, 5])):
        (tmp_path / name).mkdir()
        file = tmp_path / name / file_name("dense_256_384_512", "val")
        write(answering(answers, LABELS, model=model, **about), file)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "170")
    return tmp_path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 1
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("topfive.predictions: ")
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize("columns", ["170", "60"])
def test_scores_are_whole_in_wide_and_narrow_terminals(
    runs: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: str,
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    out = printed(capsys, "score", "one", "two")
    # Wilson by hand: 2 of 4, 1 of 4, and 0 of 4
    for figures in ("50.00 (15.00–85.00)", "25.00 (4.56–69.94)", "0.00 (0.00–48.99)"):
        assert figures in out
    assert "vgg16" in out
    assert "vgg19" in out
    assert max(map(len, out.splitlines())) <= int(columns)


def test_unreadable_images_are_counted_and_named(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(predictions([FALLING] * 7, [0] * 7, [True] + [False] * 6), runs / "blind.npz")
    out = printed(capsys, "score", "blind.npz")
    assert "unreadable in blind.npz, counted as wrong: 1, 2, 3, 4, 5 and 1 more" in out


def test_an_ensemble_is_printed_beside_what_was_published_and_kept(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = printed(capsys, "ensemble", "one", "two", "--weights", "1,2", "--output", "mean.npz")
    assert "2 networks in 2 files, dense_256_384_512" in out
    for words in ("VGG D and E, [256;512]", "24.0", "Table 6"):
        assert words in out
    mean = read(runs / "mean.npz")
    assert mean.errors(1).tolist() == [False, False, False, True]
    assert mean.about["weights"] == [1, 2]
    assert "25.00" in printed(capsys, "score", "mean.npz")


def test_figures_are_written_as_fractions(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed(capsys, "compare", "one", "two", "--csv", "tests.csv", "--json", "all.json")
    with (runs / "tests.csv").open() as file:
        top1, top5 = csv.DictReader(file)
    assert (top1["error"], top1["only_first"], top1["only_second"]) == ("top-1", "1", "0")
    assert (float(top1["difference"]), float(top1["p"])) == (-0.25, 1.0)
    assert float(top1["difference_low"]) < -0.25 < float(top1["difference_high"])
    assert top5["difference"] == "0.0"
    content = json.loads((runs / "all.json").read_text())
    assert content["images"] == [
        {"only_wrong_in": "first", "image": "2", "label": "c", "first": "f", "second": "c"}
    ]
    assert content["tests"][0]["difference"] == -0.25


def test_mistakes_are_printed_with_their_names(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "100.00 (20.65–100.00)" in printed(capsys, "classes", "one")
    assert "in 2 images" in printed(capsys, "confusions", "one", "--limit", "1")
    assert printed(capsys, "worst", "two", "--limit", "1", "--json", "worst.json")
    (row,) = json.loads((runs / "worst.json").read_text())["worst"]
    assert row["image"] == "3"
    assert row["of_label"] == pytest.approx(0.1, abs=1e-4)


def test_a_directory_stands_for_one_file_only(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "empty").mkdir()
    error = refused(capsys, "score", "empty")
    assert "empty holds 0 files of predictions (none), expected one" in error
    write(answering([0], [0]), runs / "one" / file_name("one_crop", "val"))
    error = refused(capsys, "score", "one")
    assert "(predictions-dense_256_384_512-val.npz, predictions-one_crop-val.npz)" in error


def test_what_cannot_be_right_is_one_line_on_stderr(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = ("ensemble", "one", "two")
    file = "one/predictions-dense_256_384_512-val.npz"
    for arguments, found in (
        (("score", "none.npz"), "none.npz cannot be read: No such file"),
        ((*pair, "--weights", "1,two"), "--weights 1,two: expected numbers with commas between"),
        ((*pair, "--weights", "1,2,3"), "3 weights for 2 files"),
        ((*pair, "--output", file), f"--output {file} is one of the members"),
        ((*pair, "--output", "none/mean.npz"), "none/mean.npz cannot be written: No such file"),
        (("worst", "one", "--limit", "0"), "--limit 0: expected a number of 1 or more"),
        (("real", "one"), "predictions are of 6 classes"),
        (("ensemble", "one", "one"), "is named twice"),
    ):
        assert found in refused(capsys, *arguments)
    assert read(runs / file).score().top1_errors == 2


def test_a_table_that_cannot_be_written_says_so(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["score", "one", "--csv", "none/scores.csv"]) == 1
    assert "none/scores.csv cannot be written: No such file" in capsys.readouterr().err
