"""Two runs beside each other: what differs in what they were told, in their tests, and in their curves."""

from io import StringIO
from pathlib import Path

import pytest
from records import record
from rich.console import Console
from scipy.stats import binomtest
from small_predictions import answering

from topfive import results
from topfive.inspect.formats import terminal
from topfive.inspect.table import Table
from topfive.predictions import file_name, write
from topfive.problems import Problem
from topfive.report.compare import main
from topfive.report.compare.curves import curve, curves, spread
from topfive.report.compare.scores import scores
from topfive.report.compare.settings import settings
from topfive.report.compare.sides import Side, side
from topfive.results import Score

RESULTS = Path(__file__).parents[1] / "results"
HEAD = "step,epoch,split,loss,top1_error,top5_error,learning_rate,images_per_second\n"


def configuration(**changes):
    """What a record of ResNet-20 holds, as far as it is read here; keys of `changes` have __ for a dot."""
    config = {
        "model": {"depth": 20, "shortcut": "A"},
        "recipe": {
            "batch_size": 128,
            "online": None,
            "schedule": {"_target_": "topfive.schedules.Constant", "rate": 0.1},
            "transforms": [{"_target_": "Mean", "shift": 1}, {"_target_": "Color", "seed": 0}],
        },
        "data": {"fraction": None, "minival": 5000, "max_unreadable": 0.001},
        "trainer": {"devices": 1, "precision": "32-true", "check_every": 1},
        "loader": {"kind": "auto", "workers": None},
        "protocol": {"_target_": "topfive.protocols.OneView", "size": 32},
        "seed": 0,
        "choices": {"model": "resnet20", "recipe": "r", "data": "cifar10", "protocol": "one_view",
                    "ablation": None},
    }  # fmt: skip
    for place, value in changes.items():
        *parents, last = place.split("__")
        tree = config
        for parent in parents:
            tree = tree[parent]
        tree[last] = value
    return config


def run(folder, name, *tests, curve="", predictions=None, config=None, **changes) -> Side:
    """The directory of a finished run, as train.py leaves it."""
    directory = folder / name
    directory.mkdir()
    made = record(*tests, config=config or configuration(), **changes)
    results.write(made, directory / results.FILE_NAME)
    if curve:
        (directory / "curve.csv").write_text(HEAD + curve)
    if predictions is not None:
        write(predictions, directory / file_name("one_crop", "val"))
    return side(directory)


def cells(table, row=0):
    return dict(zip(table.columns, table.rows[row], strict=True))


# ---- configurations


def test_only_what_differs_is_shown_and_what_only_carries_a_run_out_stands_apart(tmp_path):
    first = run(tmp_path, "a")
    config = configuration(recipe__batch_size=64, loader__workers=4, trainer__devices=2, seed=3)
    decides, carries = settings(first, run(tmp_path, "b", config=config, world_size=2))
    assert decides.rows == [("recipe.batch_size", "128", "64"), ("seed", "0", "3")]
    assert ("trainer.devices", "1", "2") in carries.rows
    assert ("loader.workers", "null", "4") in carries.rows
    assert ("world_size", "1", "2") in carries.rows


def test_a_key_that_one_run_does_not_have_is_a_dash_and_null_is_null(tmp_path):
    config = configuration(model={"depth": 20, "shortcut": None, "unit": "original"})
    decides, _ = settings(run(tmp_path, "a"), run(tmp_path, "b", config=config))
    assert decides.rows == [("model.shortcut", "A", "null"), ("model.unit", "—", "original")]


def test_of_a_list_of_transforms_only_the_value_that_differs_is_shown(tmp_path):
    changed = [{"_target_": "Mean", "shift": 1}, {"_target_": "Color", "seed": 7}]
    config = configuration(recipe__transforms=changed)
    decides, _ = settings(run(tmp_path, "a"), run(tmp_path, "b", config=config))
    assert decides.rows == [("recipe.transforms[1].seed", "0", "7")]


def test_how_often_a_run_is_looked_at_decides_only_where_a_schedule_listens(tmp_path):
    often = configuration(trainer__check_every=5)
    decides, carries = settings(run(tmp_path, "a"), run(tmp_path, "b", config=often))
    assert (decides.rows, decides.notes) == ([], ("No difference.",))
    assert carries.rows == [("trainer.check_every", "1", "5")]
    plateau = {"_target_": "topfive.schedules.Plateau", "rate": 0.1}
    listening = [configuration(recipe__schedule=plateau, trainer__check_every=n) for n in (1, 5)]
    both = [run(tmp_path, f"listens{n}", config=one) for n, one in enumerate(listening)]
    assert settings(*both)[0].rows == [("trainer.check_every", "1", "5")]


# ---- tests


def test_predictions_on_file_are_compared_image_by_image(tmp_path):
    """Ten images: the first run alone is wrong on six, the second alone on one, both on one.

    McNemar by hand: 2 (C(7,0) + C(7,1)) / 2^7 = 0.125. Bonett and Price: (2 - 7) / 12, and 1.96 times the root of
    (7/12 + 2/12 - (5/12)^2) / 12, so -84.62 to +1.29 points.
    """
    labels = [0] * 10
    tests = [
        answering([1] * 7 + [0] * 3, labels),
        answering([1, 0, 0, 0, 0, 0, 0, 1, 0, 0], labels),
    ]
    both = [run(tmp_path, str(n), one.score(), predictions=one) for n, one in enumerate(tests)]
    found = cells(scores(*both))
    assert found["difference"] == "-50.00 (-84.62 to +1.29)"
    assert found["p"] == "0.12"
    assert found["how"] == "paired: 6 wrong in the first alone, 1 in the second"


def test_without_predictions_the_interval_is_newcombes_and_said_to_be_unpaired(tmp_path):
    both = [run(tmp_path, str(k), Score("one_view", "test", 100, k)) for k in (20, 30)]
    p, q = (binomtest(k, 100).proportion_ci(method="wilson") for k in (20, 30))
    low = 0.1 - ((0.3 - q.low) ** 2 + (p.high - 0.2) ** 2) ** 0.5
    high = 0.1 + ((q.high - 0.3) ** 2 + (0.2 - p.low) ** 2) ** 0.5
    table = scores(*both)
    found = cells(table)
    assert found["difference"] == f"+10.00 ({100 * low:+.2f} to {100 * high:+.2f})"
    assert (found["p"], found["how"]) == ("—", "unpaired")
    assert any("no predictions on file" in note for note in table.notes)


def test_predictions_of_another_test_than_the_records_are_not_used(tmp_path):
    given = answering([0, 1, 1], [0, 0, 0])
    stale = Score("one_crop", "val", 3, 1, 0)
    both = [
        run(tmp_path, "a", given.score(), predictions=given),
        run(tmp_path, "b", stale, predictions=given),
    ]
    table = scores(*both)
    assert cells(table)["how"] == "unpaired"
    assert any("of another test than the record" in note for note in table.notes)


def test_tests_of_other_images_are_refused_even_where_their_number_is_the_same(tmp_path):
    from dataclasses import replace

    given = answering([0, 1, 1], [0, 0, 0])
    other = replace(given, images=["x", "y", "z"])
    both = [
        run(tmp_path, n, one.score(), predictions=one) for n, one in (("a", given), ("b", other))
    ]
    table = scores(*both)
    assert [row[5] for row in table.rows] == ["—"] * 4
    assert "not of the same images" in cells(table)["how"]


@pytest.mark.parametrize(
    ("test", "changes", "why"),
    [
        (Score("one_view", "test", 10000, 875, 40), {"data": "cifar100"}, "data: cifar10 against cifar100"),
        (Score("one_view", "val", 10000, 875, 40), {}, "only the first was tested so"),
        (Score("ten_crop", "test", 10000, 875, 40), {}, "only the first was tested so"),
        (Score("one_view", "test", 5000, 875, 40), {}, "images: 10,000 against 5,000"),
    ],
)  # fmt: skip
def test_numbers_of_other_data_splits_protocols_or_images_never_share_a_row(
    tmp_path, test, changes, why
):
    table = scores(run(tmp_path, "a"), run(tmp_path, "b", test, **changes))
    assert cells(table)["how"] == f"not compared: {why}"
    for row in table.rows:
        assert "—" in row[3:5]
        assert row[5:7] == ("—", "—")


def test_two_folders_of_images_are_compared_with_a_warning(tmp_path):
    both = [run(tmp_path, name, data="folder") for name in "ab"]
    assert any("make sure" in note for note in scores(*both).notes)


# ---- curves


def test_curves_are_set_side_by_side_at_iterations_of_both(tmp_path):
    steps = [(100, 0.5), (200, 0.4), (300, 0.3)]
    lines = [f"{step},1,train,2.0,{error},,0.1,9\n" for step, error in steps]
    both = [
        run(tmp_path, "a", curve="".join(lines)),
        run(tmp_path, "b", curve=lines[1] + "250,1,train,1.5,0.35,,0.1,9\n"),
    ]
    errors = [row for row in curves(*both).rows if row[1] == "top-1 error"]
    assert errors == [
        ("train", "top-1 error", "200", "40.00", "40.00"),
        ("train", "top-1 error", "its last", "30.00 at 300", "35.00 at 250"),
    ]


def test_a_step_of_a_hundred_updates_is_a_hundred_iterations(tmp_path):
    line = "3,1,train,2.0,0.5,,0.1,9\n"
    online = configuration(recipe__online={"block": 100})
    both = [run(tmp_path, name, curve=line, config=online) for name in "ab"]
    assert {row[2] for row in curves(*both).rows} == {"300"}


def test_a_line_that_a_crash_cut_short_is_left_out(tmp_path):
    line = "3,1,train,2.0,0.5,,0.1,9\n"
    both = [run(tmp_path, "a", curve=line + "6,1,tra"), run(tmp_path, "b", curve=line)]
    assert {row[2] for row in curves(*both).rows} == {"3"}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (HEAD + "3,1,train,much,0.5,,0.1,9\n", "line 2: could not convert"),
        ("a,b\n1,2\n", "lacks the columns"),
    ],
)
def test_a_damaged_curve_is_named_with_its_line(tmp_path, text, match):
    both = [run(tmp_path, name, curve="3,1,train,2.0,0.5,,0.1,9\n") for name in "ab"]
    (both[0].path / "curve.csv").write_text(text)
    with pytest.raises(Problem, match=match):
        curve(both[0])


def test_of_runs_that_are_tested_otherwise_only_the_training_curves_are_compared(tmp_path):
    lines = "3,1,train,2.0,0.5,,0.1,9\n3,1,reported,2.0,0.6,,0.1,9\n"
    other = configuration(protocol={"_target_": "topfive.protocols.TenCrop", "size": 24})
    table = curves(run(tmp_path, "a", curve=lines), run(tmp_path, "b", curve=lines, config=other))
    assert {row[0] for row in table.rows} == {"train"}
    assert any("other protocols" in note for note in table.notes)


def test_five_iterations_are_taken_as_evenly_as_can_be_and_the_last_is_one():
    assert spread(list(range(100, 1100, 100))) == [200, 400, 600, 800, 1000]
    assert spread([7, 9]) == [7, 9]
    assert spread([]) == []


# ---- the command


def test_committed_records_are_compared_on_the_screen_in_markdown_and_in_a_chart(tmp_path, capsys):
    folders = [str(RESULTS / "cifar-depth" / name) for name in ("plain20-0", "resnet20-0")]
    files = [str(tmp_path / name) for name in ("both.md", "both.svg")]
    assert main([*folders, "--markdown", files[0], "--chart", files[1]]) == 0
    printed, text = capsys.readouterr().out, Path(files[0]).read_text()
    for shown in ("43.09 (42.12–44.06)", "30.95 (30.05–31.86)", "choices.model"):
        assert shown in printed
        assert shown in text
    assert "| model.shortcut | null | A |" in text
    assert Path(files[1]).read_text().count("<svg") == 1


def test_runs_on_other_data_keep_their_configurations_and_lose_their_chart(tmp_path, capsys):
    both = [run(tmp_path, "a"), run(tmp_path, "b", data="cifar100")]
    paths = [str(one.path) for one in both]
    assert main(paths) == 0
    assert "What decides the result" in capsys.readouterr().out
    assert main([*paths, "--chart", str(tmp_path / "both.svg")]) == 1
    assert "data: cifar10 against cifar100" in capsys.readouterr().err
    assert not (tmp_path / "both.svg").exists()


@pytest.mark.parametrize(
    ("made", "said"),
    [({}, "not the directory of a run"), ({"config.yaml": "seed: 0"}, "is not finished"),
     ({"result.json": "{"}, "not whole JSON")],
)  # fmt: skip
def test_a_directory_without_a_whole_record_is_one_line(tmp_path, capsys, made, said):
    (tmp_path / "run").mkdir()
    for name, text in made.items():
        (tmp_path / "run" / name).write_text(text)
    assert main([str(tmp_path / "run")] * 2) == 1
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1


def test_a_record_without_its_configuration_is_refused(tmp_path, capsys):
    one = run(tmp_path, "a", config={"seed": 0})
    assert main([str(one.path)] * 2) == 1
    assert "its configuration lacks choices" in capsys.readouterr().err


@pytest.mark.parametrize(("width", "found"), [(60, 57), (300, 117)])
def test_both_columns_of_words_fold_before_lines_grow_longer_than_the_terminal(
    width: int, found: int
) -> None:
    # A key of 3, a word of 8 and one of 100, with 3 between: of 60, less 3 at the edge, the long one has 40.
    table = Table("Keys", ("key", "first", "second"), [("one", "a" * 8, "b" * 100)], (), (),
                  frozenset({0, 1, 2}), frozenset({1, 2}))  # fmt: skip
    console = Console(width=width, file=StringIO(), color_system=None)
    terminal(table, console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) == found
    assert "a" * 8 in "".join(lines)
