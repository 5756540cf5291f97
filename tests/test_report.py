"""The table of runs beside published numbers: what is compared, merged, marked and shown."""

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from records import record
from rich.console import Console

from topfive.published import load
from topfive.report.__main__ import main
from topfive.report.multirun import MultirunTable
from topfive.report.rows import Row, rows
from topfive.report.table import render
from topfive.results import Record, Score, Skipped, write

RESNET110: dict[str, Any] = {
    "model": "resnet110",
    "recipe": "resnet_cifar_warmup",
    "options": {"depth": 110, "shortcut": "A"},
}
RESNET34: dict[str, Any] = {
    "model": "resnet34",
    "recipe": "resnet",
    "data": "imagenet",
    "options": {"depth": 34, "shortcut": "B", "stride_on": "1x1"},
}


def view(top1: int, top5: int | None = None) -> Score:
    return Score("one_view", "test", 10000, top1, top5)


def table(*records: Record) -> list[Row]:
    return rows(records, load())[0]


def shown(records: list[Record], width: int, skipped: list[Skipped] | None = None) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    render(records, load(), console, skipped or [])
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_one_run_has_its_rate_the_interval_over_images_and_the_difference_in_points() -> None:
    (row,) = table(record(view(921)))
    assert row.ours == 0.0921
    # Wilson by hand: z = 1.96, center 0.092257, half-width 0.005668.
    assert row.interval == pytest.approx((0.086589, 0.097925), abs=2e-6)
    assert row.difference == pytest.approx(9.21 - 8.75)
    assert [one.value for one in row.published] == ["8.75"]


def test_top5_has_its_own_row_with_its_own_number() -> None:
    top1, top5 = table(record(Score("ten_crop", "val", 50000, 12300, 3700), **RESNET34))
    assert (top1.quantity, top1.difference) == ("top1_error", pytest.approx(24.60 - 24.52))
    assert (top5.quantity, top5.difference) == ("top5_error", pytest.approx(7.40 - 7.46))


def test_runs_that_differ_in_their_seed_only_are_one_row_with_students_interval() -> None:
    runs = [record(view(k), seed=seed, **RESNET110) for seed, k in enumerate((650, 660, 670))]
    (row,) = table(*runs)
    assert row.seeds == (0, 1, 2)
    assert row.ours == pytest.approx(0.066)
    half = 4.302653 * 0.001 / 3**0.5  # the 97.5% point of t with 2 degrees
    assert row.interval == pytest.approx((0.066 - half, 0.066 + half), abs=1e-8)


@pytest.mark.parametrize(
    "change",
    [
        {"options": {"depth": 20, "shortcut": "B"}},
        {"recipe": "resnet"},
        {"data": "digits"},
        {"ablation": "plain"},
        {"departures": ("data.fraction=0.1",)},
        {"scores": (Score("one_crop", "test", 10000, 900),)},
        {"scores": (Score("one_view", "minival", 10000, 900),)},
        {"scores": (Score("one_view", "test", 5000, 450),)},
    ],
)
def test_runs_that_differ_in_anything_else_are_not_averaged(change: dict[str, Any]) -> None:
    found = table(record(view(900)), record(**{"scores": (view(900),), "seed": 1} | change))
    assert [len(row.seeds) for row in found] == [1, 1]


def test_the_latest_of_two_runs_with_one_seed_counts_and_the_other_is_named() -> None:
    early = record(view(900), finished="2026-11-20T13:00:00+00:00", path=Path("early/result.json"))
    late = record(view(875), finished="2026-11-21T13:00:00+00:00", path=Path("late/result.json"))
    found, replaced = rows([late, early], load())
    assert [(row.ours, row.runs) for row in found] == [(0.0875, (Path("late"),))]
    assert [one.path for one in replaced] == [Path("early/result.json")]


def test_a_mean_is_compared_with_the_published_mean_and_not_with_the_best() -> None:
    (row,) = table(record(view(640), **RESNET110))
    assert [one.statistic for one in row.published] == ["mean of 5", "best of 5"]
    assert row.difference == pytest.approx(6.40 - 6.61)
    best = [one for one in load() if one.statistic.startswith("best")]
    (row,) = rows([record(view(640), **RESNET110)], best)[0]
    assert row.difference is None


def test_a_bound_has_no_difference() -> None:
    options = {"depth": 110, "shortcut": None}
    (row,) = table(
        record(view(7000), model="plain110", recipe="resnet_cifar_warmup", options=options)
    )
    assert [one.value for one in row.published] == ["> 60"]
    assert row.difference is None


def test_a_run_that_departs_keeps_the_number_in_sight_but_is_not_compared() -> None:
    short = record(view(1200), departures=("recipe.shorten=40",))
    (row,) = table(short)
    assert [one.value for one in row.published] == ["8.75"]
    assert not row.comparable
    assert row.difference is None
    assert "not comparable: recipe.shorten=40 [1]" in shown([short], 200)


@pytest.mark.parametrize("width", [80, 100, 160])
def test_what_departs_is_said_once_below_or_beside_both_errors(width: int) -> None:
    short = record(view(1200, 60), departures=("recipe.shorten=40",))
    text = shown([short], width).partition("Errors in %")[0]
    assert text.count("shorten=40") == 1
    assert "not comparable: recipe.shorten=40 [1]" in " ".join(text.split())


def test_verdicts_that_differ_say_of_which_error_they_are_where_they_stand_below() -> None:
    # Table 3 of He et al. has 24.52 and 7.46.
    text = shown([record(Score("ten_crop", "val", 50000, 12260, 4500), **RESNET34)], 80)
    assert "  top-1: reproduced\n  top-5: worse\n" in text
    text = shown([record(Score("ten_crop", "val", 50000, 12260, 3730), **RESNET34)], 80)
    assert "  reproduced\n" in text
    assert "top-5: " not in text


@pytest.mark.parametrize("width", [80, 160])
def test_what_departs_in_nothing_has_its_verdict_beside_or_below_it(width: int) -> None:
    # 24.60 and 9.00 against 24.52 and 7.46, of 50,000 images: intervals of 0.38 and 0.25 on either side
    run = record(Score("ten_crop", "val", 50000, 12300, 4500), **RESNET34)
    lines = shown([run], width).splitlines()
    assert any(line.strip().endswith("reproduced") for line in lines)
    assert any(line.strip().endswith("worse") for line in lines)
    # 8.90 of 10,000 images: 0.56 on either side
    assert "inconclusive: " in shown([record(view(890))], width)


def test_papers_come_in_their_order_and_depths_as_numbers() -> None:
    def network(model: str, **changes: Any) -> Record:
        return record(view(900), model=model, **changes)

    models = ["zebra9", "resnet110", "resnet56", "alexnet", "plain20", "lenet5", "resnet20"]
    found = table(*(network(model) for model in models))
    ordered = ["lenet5", "alexnet", "plain20", "resnet20", "resnet56", "resnet110", "zebra9"]
    assert [row.network for row in found] == ordered


def test_networks_are_told_apart_by_what_is_not_their_papers() -> None:
    as_paper = record(view(900))
    projections = record(view(890), options={"depth": 20, "shortcut": "B"})
    other_recipe = record(view(890), recipe="alexnet")
    ablated = record(view(890), ablation="shortcuts")
    assert [row.label for row in table(as_paper)] == [("resnet20",)]
    assert [row.label for row in table(as_paper, projections)] == [
        ("resnet20", "shortcut=A"),
        ("resnet20", "shortcut=B"),
    ]
    assert ("resnet20", "recipe=alexnet") in [row.label for row in table(as_paper, other_recipe)]
    assert ("resnet20", "ablation=shortcuts") in [row.label for row in table(ablated)]


EVERYTHING = [
    record(
        view(921, 40), path=Path("outputs/resnet20/resnet_cifar/2026-11-20_12-00-00/result.json")
    ),
    *(record(view(k), seed=s, **RESNET110) for s, k in enumerate((650, 660, 671))),
    record(
        Score("dense_multiscale", "val", 50000, 11000, 2900, 3),
        **RESNET34,
        departures=("recipe.shorten=40 (paper: null)", "colors=[red, green]"),
    ),
]


@pytest.mark.parametrize("width", [50, 80, 100, 149, 150, 160, 240])
def test_no_number_is_cut_or_broken_at_any_width(width: int) -> None:
    lines = shown(EVERYTHING, width).splitlines()
    numbers = [re.sub(r" {2,}", "  ", line) for line in lines]
    for expected in (
        "top-1  8.75  9.21  8.66–9.79  +0.46  10,000  1",
        "top-1  6.61 ± 0.16  6.60  6.34–6.86  -0.01  10,000  3",
        "top-1  21.84  22.00  21.64–22.37  —  50,000  1",
        "top-5  5.71  5.80  5.60–6.01  —  50,000  1",
    ):
        assert any(expected in line for line in numbers), expected
    assert "…" not in "".join(lines)


@pytest.mark.parametrize("width", [80, 160])
def test_nothing_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, shown(EVERYTHING, width).splitlines())) <= width


@pytest.mark.parametrize("width", [80, 160])
def test_below_the_table_stand_departures_sources_runs_unreadable_and_skipped(width: int) -> None:
    skipped = [Skipped(Path("outputs/bad/result.json"), "is not whole JSON")]
    text = " ".join(shown(EVERYTHING, width, skipped).split())
    assert "[1] recipe.shorten=40 (paper: null); colors=[red, green]" in text
    assert "arXiv:1512.03385; CVPR 2016: Table 6, Table 4" in text
    assert "outputs/resnet20/resnet_cifar/2026-11-20_12-00-00" in text
    assert "resnet34, imagenet, dense_multiscale, val: 3" in text
    assert "outputs/bad/result.json: is not whole JSON" in text


def test_a_difference_that_rounds_to_nothing_has_no_minus() -> None:
    run = record(Score("ten_crop", "val", 50000, 12260, 3730), **RESNET34)
    assert table(run)[0].difference == pytest.approx(0)
    assert "-0.00" not in shown([run], 160)


def test_the_command_prints_the_table_of_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "outputs" / "run").mkdir(parents=True)
    write(record(view(921)), tmp_path / "outputs" / "run" / "result.json")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    assert main([]) == main(["outputs"]) == 0
    out = capsys.readouterr().out
    assert out.count("8.66–9.79") == 2
    assert "outputs/run\n" in out


def test_the_command_without_a_folder_says_where_to_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([]) == 1
    assert "Neither outputs/ nor results/" in capsys.readouterr().err


def test_the_command_finding_nothing_names_what_it_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "result.json").write_text('{"schema": 1')
    assert main([str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert "No finished run below" in error
    assert "result.json: is not whole JSON" in error
    assert main([str(tmp_path / "absent")]) == 1
    assert "neither a folder nor a record" in capsys.readouterr().err


def test_help_is_printed_without_importing_a_library(tmp_path: Path) -> None:
    code = (
        "import runpy, sys\n"
        "sys.argv = ['report', '--help']\n"
        "try: runpy.run_module('topfive.report', run_name='__main__')\n"
        "except SystemExit as end: print('status', end.code)\n"
        "print([n for n in ('torch', 'scipy', 'rich', 'hydra', 'yaml') if n in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "python -m topfive.report" in out.stdout
    assert out.stdout.endswith("status 0\n[]\n")


def test_a_multirun_without_results_prints_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = MultirunTable()
    for folder in (tmp_path, tmp_path / "never_made"):
        config = OmegaConf.create({"hydra": {"sweep": {"dir": str(folder)}}})
        table.on_multirun_start(config)
        table.on_multirun_end(config)
    assert capsys.readouterr().out == ""
