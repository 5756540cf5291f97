"""`python -m topfive.predict`: images found, seen as the test sees them, and named."""

import csv
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import draw_photograph
from PIL import Image
from small_runs import SMALL, fit
from torch import Tensor, nn

from topfive import trained
from topfive.batch_transforms import Pipeline
from topfive.class_names import words
from topfive.config import compose
from topfive.predict import files, formats, pictures
from topfive.predict.__main__ import main
from topfive.predict.chosen import protocol_of
from topfive.predict.classify import Guess, Prediction, predictions
from topfive.problems import Diverged, Problem
from topfive.protocols import Dense, OneCrop, OneView, SquaresOfScales, TenCrop
from topfive.runs import CONFIG
from topfive.trained import Trained

# timm's tables: ids of ILSVRC, and what the fifth and the last are
CLASSES = ["n01440764", "n01443537", "n01484850", "n01491361", "n01494475", "n15075141"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A residual network of 8 layers after two steps on photographs of six classes."""
    folder = tmp_path_factory.mktemp("predict")
    for split in ("train", "val"):
        for label, name in enumerate(CLASSES):
            (folder / "data" / split / name).mkdir(parents=True)
            picture = Image.fromarray(draw_photograph(50, 60, label % 2, label))
            picture.save(folder / "data" / split / name / "a.png")
    overrides = [
        "data=folder", f"data.root={folder}/data", "data.per_class=null", "recipe.mean=null",
        "recipe.crop.size=32", "recipe.batch_size=4", "recipe.bn_batch=4",
        "recipe.duration={iterations:2}", "recipe.schedule.at={iterations:[1]}", "loader.workers=0",
    ]  # fmt: skip
    (folder / "run").mkdir()
    fit(folder / "run", *overrides)
    (folder / "run" / CONFIG).write_text(yaml.safe_dump(compose([*SMALL, *overrides])))
    return folder / "run"


@pytest.fixture(scope="module")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 x 56 pixels."""
    path = tmp_path_factory.mktemp("photograph") / "photograph.png"
    Image.fromarray(draw_photograph(40, 56, 0, 1)).save(path)
    return path


class OfMeans(nn.Module):
    """Scores that are linear in the means of the channels."""

    def __init__(self, weight: list[list[float]]):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3)) @ self.weight.T


def by_hand(weight: list[list[float]], classes: list[str] | None = None) -> Trained:
    config = {"recipe": {"channels": len(weight[0]), "crop": {"size": 8}}}
    return Trained(
        name="hand", net=OfMeans(weight), pipeline=Pipeline([]), config=config, classes=classes
    )


def predicted(net: Trained, protocol, images: list[Path], top: int = 5, batch: int = 64):
    missed: list = []
    return list(predictions(net, protocol, images, top, batch, missed)), missed


def flat(path: Path, *color: int, size: tuple[int, int] = (8, 8)) -> Path:
    Image.new("RGB", size, color).save(path)
    return path


# -- what is found


def test_a_folder_stands_for_all_images_below_it_but_hidden_ones(tmp_path: Path):
    for name in ("b.PNG", "a/c.jpg", "a/.hidden.jpg", ".cache/d.jpg", "notes.txt", "a/deep/e.webp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    names = {str(path.relative_to(tmp_path)) for path in files.found([str(tmp_path)])}
    assert names == {"b.PNG", "a/c.jpg", "a/deep/e.webp"}


def test_a_glob_reaches_below_and_each_image_counts_once(tmp_path: Path, monkeypatch):
    for name in ("b.png", "a/c.png", "a/[1].png", "a/notes.txt", "e.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    found = files.found(["a/[1].png", "**/*.png", "./b.png"])
    assert sorted(map(str, found)) == ["a/[1].png", "a/c.png", "b.png"]
    assert found[0] == Path("a/[1].png")
    assert list(map(str, files.found(["a/*"]))) == ["a/[1].png", "a/c.png"]


def test_a_name_without_an_image_is_refused(tmp_path: Path):
    flat(tmp_path / "there.png", 0, 0, 0)
    with pytest.raises(Problem, match=r"absent/\*\.png: no image is there\. Name image files"):
        files.found([str(tmp_path / "there.png"), str(tmp_path / "absent/*.png")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(Problem, match="empty: no image is there"):
        files.found([str(tmp_path / "empty")])


# -- what is seen


def test_the_usual_protocol_is_the_runs_own_by_one_view():
    def config(**protocol):
        return {"protocol": protocol, "recipe": {"crop": {"size": 224}}}

    one = config(_target_="topfive.protocols.OneView", size=32)
    assert protocol_of(one, None) == OneView(32)
    ten = config(_target_="topfive.protocols.TenCrop", size=64, shorter=73, square=True)
    assert protocol_of(ten, None) == OneCrop(64, 73)
    many = config(_target_="topfive.protocols.SquaresOfScales", size=64, shorters=[80, 70])
    assert protocol_of(many, None) == OneCrop(64, 70)
    assert protocol_of(one, "crops144") == SquaresOfScales()


def test_an_unknown_protocol_is_refused():
    config = {"recipe": {"crop": {"size": 32}}, "protocol": {}}
    with pytest.raises(Problem, match=r"--protocol ten: expected one of .*one_crop, .*ten_crop"):
        protocol_of(config, "ten")


# -- what is answered


def test_probabilities_are_those_worked_out_by_hand(tmp_path: Path):
    # red 0.02 of it for class a, blue 0.01 for class b: scores 2, 1 and 0
    net = by_hand([[0.02, 0, 0], [0, 0, 0.01], [0, 0, 0]], ["a", "b", "c"])
    [one], missed = predicted(net, OneView(8), [flat(tmp_path / "x.png", 100, 30, 100)], top=2)
    assert not missed
    e = np.exp([2.0, 1.0, 0.0])
    assert [guess.class_name for guess in one.guesses] == ["a", "b"]
    assert [guess.probability for guess in one.guesses] == pytest.approx(list(e[:2] / e.sum()))


def test_probabilities_of_views_are_averaged_and_not_their_scores(tmp_path: Path):
    # Left half black, right half white, 2 x 4: of ten views of 2 x 2 four are white, four black, two mixed.
    picture = np.zeros((2, 4, 3), np.uint8)
    picture[:, 2:] = 255
    Image.fromarray(picture).save(tmp_path / "x.png")
    net = by_hand([[3 / 255, 0, 0], [0, 0, 0]], ["white", "black"])
    [one], _ = predicted(net, TenCrop(2, 2), [tmp_path / "x.png"])
    of = [1 / (1 + np.exp(-score)) for score in (3.0, 0.0, 1.5)]
    assert one.guesses[0].class_name == "white"
    assert one.guesses[0].probability == pytest.approx(0.4 * of[0] + 0.4 * of[1] + 0.2 * of[2])


def test_a_gray_network_sees_the_luma_of_a_color_image(tmp_path: Path):
    net = by_hand([[0.01], [0.0]], ["light", "dark"])
    [one], _ = predicted(net, OneView(8), [flat(tmp_path / "x.png", 255, 0, 0)])
    luma = round(0.299 * 255)
    assert one.guesses[0].probability == pytest.approx(1 / (1 + np.exp(-0.01 * luma)))


@pytest.mark.parametrize("batch", [1, 3, 10, 25, 64])
def test_batches_change_neither_answers_nor_their_order(tmp_path: Path, batch: int):
    images = [flat(tmp_path / f"{k}.png", 20 * k, 0, 0) for k in range(7)]
    net = by_hand([[0.01, 0, 0], [0, 0, 0]], ["red", "other"])
    answers, _ = predicted(net, TenCrop(4, 8), images, top=1, batch=batch)
    assert [one.image for one in answers] == images
    found = [one.guesses[0].probability for one in answers]
    assert found == pytest.approx([1 / (1 + np.exp(-0.2 * k)) for k in range(7)])


def test_classes_are_called_by_timms_words_where_it_knows_them():
    assert words(["n01440764", "cat", "n15075141"])[0] == "tench, Tinca tinca"
    assert words(["n01440764", "cat", "n15075141"])[1] == "cat"
    assert words(["n15075141"])[0].startswith("toilet tissue")


def test_classes_without_names_are_called_by_their_number(tmp_path: Path):
    net = by_hand([[0.0, 0, 0], [0.01, 0, 0]], None)
    [one], _ = predicted(net, OneView(8), [flat(tmp_path / "x.png", 9, 9, 9)], top=1)
    assert one.guesses[0][:2] == ("1", "1")


def test_scores_that_are_no_numbers_are_refused(tmp_path: Path):
    net = by_hand([[float("nan"), 0, 0], [0, 0, 0]])
    with pytest.raises(Diverged, match="the scores of hand are not finite"):
        predicted(net, OneView(8), [flat(tmp_path / "x.png", 9, 9, 9)])


# -- what is written

TWO = [
    Prediction(
        Path("a, b.png"), [Guess("n01440764", "tench, Tinca tinca", 0.75), Guess("x", "x", 0.25)]
    ),
    Prediction(Path("c.png"), [Guess("x", "x", 1.0)]),
]


def test_csv_has_a_row_for_every_class():
    rows = list(csv.reader(io.StringIO(formats.as_csv(TWO))))
    assert rows == [
        ["image", "rank", "class", "name", "probability"],
        ["a, b.png", "1", "n01440764", "tench, Tinca tinca", "0.75"],
        ["a, b.png", "2", "x", "x", "0.25"],
        ["c.png", "1", "x", "x", "1.0"],
    ]


def test_json_has_an_entry_for_every_image():
    tench = {"class": "n01440764", "name": "tench, Tinca tinca", "probability": 0.75}
    assert json.loads(formats.as_json(TWO)) == [
        {
            "image": "a, b.png",
            "predictions": [tench, {"class": "x", "name": "x", "probability": 0.25}],
        },
        {"image": "c.png", "predictions": [{"class": "x", "name": "x", "probability": 1.0}]},
    ]


def test_the_text_has_a_line_for_every_class():
    assert formats.plain(TWO) == (
        "a, b.png\n   75.00%  tench, Tinca tinca (n01440764)\n   25.00%  x\n\nc.png\n  100.00%  x\n\n"
    )


@pytest.mark.parametrize("size", [(700, 500), (40, 32), (1500, 90), (90, 1500)])
def test_a_picture_is_kept_whole_above_bars_as_long_as_the_probabilities(size: tuple[int, int]):
    picture = Image.fromarray(draw_photograph(size[1], size[0], 0, 1))
    made = pictures.annotated(picture, TWO[0])
    factor = 480 // 40 if size == (40, 32) else 1
    high, left = size[1] * factor, (made.width - size[0] * factor) // 2
    above = made.crop((left, 0, left + size[0] * factor, high))
    enlarged = np.asarray(picture).repeat(factor, 0).repeat(factor, 1)
    assert np.array_equal(np.asarray(above), enlarged)
    line = (made.height - high) // 2
    assert line >= 20
    for row, guess in enumerate(TWO[0].guesses):
        # just below its upper edge, where no letter reaches
        bar = np.asarray(made)[high + row * line + 2]
        assert (bar == pictures.BAR).all(1).sum() == pytest.approx(
            guess.probability * made.width, abs=2
        )


def test_a_long_name_ends_before_the_probability():
    long = Prediction(Path("x"), [Guess("x", "x" * 300, 0.5)])
    made = np.asarray(pictures.annotated(Image.new("RGB", (480, 480)), long))[480:]
    light = np.flatnonzero((made.astype(int).sum(2) > 600).any(0))
    assert np.diff(light).max() > 6  # a gap between the name and its probability
    assert light.max() < 480 - 4


def test_no_annotated_picture_takes_the_name_of_another_or_of_an_image(tmp_path: Path):
    images = [tmp_path / "a" / "x.png", tmp_path / "b" / "x.jpg", tmp_path / "x.predicted.png"]
    names = [path.name for path in pictures.names(images, tmp_path)]
    assert names == ["x.predicted-2.png", "x.predicted-3.png", "x.predicted.predicted.png"]


# -- the command


def test_a_run_names_the_classes_of_a_photograph(run: Path, photograph: Path, capsys):
    assert main([str(photograph), "--run", str(run)]) == 0
    printed = capsys.readouterr().out.splitlines()
    crop = np.asarray(Image.open(photograph))[4:36, 12:44].transpose(2, 0, 1)
    with torch.no_grad():
        scores = trained.of_run(run).scores(torch.from_numpy(crop.copy())[None])[0]
    expected = scores.double().softmax(0)
    assert printed[0] == str(photograph)
    lines = [re.fullmatch(r" +(\d+\.\d\d)%  (.+) \((n\d{8})\)", line) for line in printed[1:6]]
    assert [line[3] for line in lines] == [
        CLASSES[k] for k in expected.argsort(descending=True)[:5]
    ]
    found = [float(line[1]) / 100 for line in lines]
    assert found == pytest.approx(expected.sort(descending=True)[0][:5].tolist(), abs=6e-5)


def test_standard_output_is_nothing_but_what_was_asked_for(
    run: Path, photograph: Path, tmp_path, capsys
):
    command = [str(photograph), "--run", str(run), "--top", "2"]
    assert main([*command, "--json", "-", "--csv", str(tmp_path / "found.csv")]) == 0
    printed = capsys.readouterr()
    [found] = json.loads(printed.out)
    assert printed.err == ""
    rows = list(csv.DictReader(io.StringIO((tmp_path / "found.csv").read_text())))
    assert [row["rank"] for row in rows] == ["1", "2"]
    for row, one in zip(rows, found["predictions"], strict=True):
        assert row["class"] == one["class"]
        assert float(row["probability"]) == one["probability"]
    assert main([*command, "--protocol", "ten_crop_24", "--csv", "-"]) == 0
    again = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert again[0]["probability"] != rows[0]["probability"]


def test_an_unreadable_image_is_named_and_the_others_go_on(
    run: Path, photograph: Path, tmp_path, capsys
):
    whole = photograph.read_bytes()
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "b.png").write_bytes(whole)
    (tmp_path / "c.png").write_text("no image")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    arguments = [str(tmp_path), "--run", str(run), "--annotate", str(tmp_path)]
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{tmp_path / 'b.png'}\n")
    assert "a.png" not in printed.out
    assert "c.png" not in printed.out
    first, second, last = printed.err.splitlines()
    assert first.startswith(f"topfive.predict: {tmp_path / 'a.png'}: ")
    assert second == f"topfive.predict: {tmp_path / 'c.png'}: is not an image"
    assert "2 of 3 images could not be read" in last
    assert {path: path.read_bytes() for path in before} == before
    assert {path.name for path in tmp_path.iterdir() - before.keys()} == {"b.predicted.png"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--run", "absent"], r"run=absent: there is no readable config.yaml"),
        (["--run", "{run}", "--protocol", "ten"], r"--protocol ten: expected one of"),
        (["--run", "{run}", "--top", "0"], r"--top 0: expected a number of 1 or more"),
        (["--run", "{run}", "--batch", "-1"], r"--batch -1: expected a number of 1 or more"),
        (["--run", "{run}", "--csv", "-", "--json", "-"], r"both go to standard output"),
        (
            ["--run", "{run}", "--csv", "absent/x.csv"],
            r"--csv absent/x.csv: there is no folder absent",
        ),
        (
            ["--run", "{run}", "--json", "/proc/x.json"],
            r"--json /proc/x.json: .+ Name another file",
        ),
        (
            ["--run", "{run}", "--annotate", "{image}"],
            r"--annotate .+: .*exists.* Name another folder",
        ),
    ],
)
def test_bad_input_ends_in_one_line(run: Path, photograph: Path, capsys, arguments, said):
    given = [argument.format(run=run, image=photograph) for argument in arguments]
    assert main([str(photograph), *given]) == 1
    line = capsys.readouterr().err
    assert re.fullmatch(f"topfive\\.predict: .*{said}.*\n", line), line


def test_whole_images_of_several_shapes_are_answered_each_with_its_own(tmp_path: Path):
    # red above blue: class a; the mean of two scales and their mirrors is that of the flat picture.
    net = by_hand([[0.02, 0, 0], [0, 0, 0.02]], ["a", "b"])
    shapes = {"wide.png": (100, 20), "high.png": (20, 90), "square.png": (30, 30)}
    images = [
        flat(tmp_path / name, 10 * k, 0, 50, size=size)
        for k, (name, size) in enumerate(shapes.items(), 3)
    ]
    found, missed = predicted(net, Dense((16, 24)), images, batch=1)
    assert not missed
    answers = {one.image: one.guesses for one in found}
    for k, image in enumerate(images, 3):
        red = 1 / (1 + np.exp(-0.02 * (10 * k - 50)))
        of = {guess.class_name: guess.probability for guess in answers[image]}
        assert of["a"] == pytest.approx(red, abs=1e-6)


def test_views_that_the_network_does_not_take_are_refused(tmp_path: Path):
    fixed = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
    config = {"recipe": {"channels": 3, "crop": {"size": 8}}}
    net = Trained(name="fixed", net=fixed, pipeline=Pipeline([]), config=config)
    with pytest.raises(Problem, match=r"fixed does not take views of 10 x 10 pixels .*--protocol"):
        predicted(net, OneView(10), [flat(tmp_path / "x.png", 9, 9, 9)])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused(run: Path, photograph: Path, capsys):
    assert main([str(photograph), "--run", str(run), "--device", "cuda"]) == 1
    assert "--device cuda: torch finds no GPU here" in capsys.readouterr().err
