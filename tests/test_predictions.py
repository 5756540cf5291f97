"""Predictions on file: what is counted in them, and which files are refused."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_predictions import FALLING, predictions

from topfive.predictions import Predictions, file_name, read, write
from topfive.problems import Problem
from topfive.results import Score


@pytest.fixture
def four() -> Predictions:
    """Labels a (first), b (second), f (last) and a, the last image unreadable."""
    return predictions(
        [FALLING] * 4, [0, 1, 5, 0], [True, True, True, False], model="vgg16", seed=3
    )


def test_what_is_written_is_read_back(four: Predictions, tmp_path: Path) -> None:
    path = tmp_path / file_name("one_crop", "val")
    write(replace(four, images=["n1/ä.JPEG", *four.images[1:]]), path)
    found = read(path)
    for name in ("labels", "readable", "top5", "probabilities"):
        array = getattr(found, name)
        assert array.dtype == getattr(four, name).dtype
        assert array.tolist() == getattr(four, name).tolist()
    assert found.images == ["n1/ä.JPEG", "1", "2", "3"]
    assert found.classes == list("abcdef")
    assert found.about == {"split": "val", "protocol": "one_crop", "model": "vgg16", "seed": 3}
    assert [one.name for one in tmp_path.iterdir()] == ["predictions-one_crop-val.npz"]


def test_a_label_in_second_place_is_a_top1_error_only_and_an_unreadable_image_is_both(
    four: Predictions,
) -> None:
    assert four.errors(1).tolist() == [False, True, True, True]
    assert four.errors(2).tolist() == [False, False, True, True]
    assert four.errors(5).tolist() == [False, False, True, True]
    assert four.score() == Score("one_crop", "val", 4, top1_errors=3, top5_errors=2, unreadable=1)
    resized = replace(four, about={**four.about, "filter": "cubic"})
    assert resized.score() == replace(four.score(), filter="cubic")


def test_of_five_classes_there_is_no_top5_error() -> None:
    given = predictions([(0.1, 0.2, 0.3, 0.15, 0.25)] * 2, [2, 4])
    assert given.score() == Score("one_crop", "val", 2, top1_errors=1, top5_errors=None)


@pytest.mark.parametrize("k", [0, 6])
def test_more_than_the_five_best_are_not_kept(four: Predictions, k: int) -> None:
    with pytest.raises(ValueError, match=f"among the {k} best"):
        four.errors(k)


def test_ranks_taken_before_rounding_stand_where_float16_sees_equals(tmp_path: Path) -> None:
    given = predictions([(1e-9, 3e-9, 2e-9, 1 - 6e-9)], [1])
    assert given.probabilities[0].tolist() == [0, 0, 0, 1]
    write(given, tmp_path / "one.npz")
    assert read(tmp_path / "one.npz").top5.tolist() == [[3, 1, 2, 0]]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"none\.npz cannot be read: No such file"):
        read(tmp_path / "none.npz")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_a_file_that_was_cut_short_is_refused(
    four: Predictions, tmp_path: Path, share: float
) -> None:
    path = tmp_path / "cut.npz"
    write(four, path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(Problem, match=r"cut\.npz is not a whole file .* Repeat the test"):
        read(path)


def test_a_file_with_a_flipped_bit_is_refused(four: Predictions, tmp_path: Path) -> None:
    path = tmp_path / "bit.npz"
    write(four, path)
    content = bytearray(path.read_bytes())
    place = content.index(b"probabilities.npy") + len("probabilities.npy") + 40
    content[place] ^= 16
    path.write_bytes(content)
    with pytest.raises(Problem, match=r"bit\.npz is not a whole file"):
        read(path)


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "objects.npz"
    fine = {
        name: np.zeros(1) for name in ("readable", "top5", "probabilities", "images", "classes")
    }
    np.savez(path, labels=np.array([{}], object), about="{}", **fine)
    with pytest.raises(Problem, match="Object arrays cannot be loaded"):
        read(path)


def test_other_arrays_and_other_files_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", labels=np.zeros(3), weights=np.zeros(3))
    with pytest.raises(
        Problem, match=r"it lacks about, classes, images, probabilities, readable, top5"
    ):
        read(tmp_path / "other.npz")
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(Problem, match="is no file of predictions: it lacks about"):
        read(tmp_path / "array.npy")
    (tmp_path / "words.npz").write_text("not an archive")
    with pytest.raises(Problem, match="is not a whole file of predictions"):
        read(tmp_path / "words.npz")


RISING = np.array([FALLING[::-1]] * 4, np.float16)
NAN = np.array([FALLING] * 3 + [[0] * 6], np.float16)
NAN[1, 2] = np.nan


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"images": ["1", "1", "2", "3"]}, "2 of its images are called 1"),
        ({"classes": list("abcdee")}, "2 of its classes are called e"),
        ({"images": ["1", "2", "3"]}, "labels are int64 (4,), expected int64 (3,)"),
        ({"images": [], "classes": []}, "labels are int64 (4,), expected int64 (0,)"),
        ({"labels": np.array([0, 1, 6, 0])}, "labels go from 0 to 6, and there are 6 classes"),
        ({"labels": np.array([0, -1, 5, 0])}, "labels go from -1 to 5"),
        ({"top5": np.full((4, 5), 7, np.int16)}, "top5 go from 7 to 7"),
        ({"top5": np.zeros((4, 5), np.int16)}, "top5 are not the largest"),
        ({"top5": np.array([[0, 1, 2, 4, 3]] * 4, np.int16)}, "top5 are not the largest"),
        ({"top5": np.array([[0, 1, 2, 3, 5]] * 4, np.int16)}, "top5 are not the largest"),
        ({"probabilities": np.float32(RISING)}, "probabilities are float32 (4, 6), expected float16"),
        ({"probabilities": RISING}, "probabilities of 1 images are none, the first of them 3, unreadable"),
        ({"probabilities": NAN}, "the first of them 1, readable, which add up to nan"),
        ({"probabilities": 2 * np.nan_to_num(NAN)}, "of 3 images are none, the first of them 0"),
        ({"readable": np.ones(4, bool)}, "the first of them 3, readable, which add up to 0"),
        ({"about": {"split": "val"}}, "`about` does not say its protocol"),
        ({"about": ["val"]}, "`about` is ['val'], expected keys and values"),
    ],
)  # fmt: skip
def test_contradictions_are_refused_and_nothing_is_written(
    four: Predictions, tmp_path: Path, change: dict[str, Any], found: str
) -> None:
    path = tmp_path / "wrong.npz"
    with pytest.raises(Problem, match=f"wrong.npz contradicts itself: .*{re.escape(found)}"):
        write(replace(four, **change), path)
    assert not path.exists()


def test_contradictions_are_refused_in_a_file_that_something_else_wrote(
    four: Predictions, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.npz"
    write(four, path)
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **arrays | {"labels": np.array([0, 1, 9, 0])})
    with pytest.raises(Problem, match="labels go from 0 to 9"):
        read(path)
    np.savez(path, **arrays | {"about": np.array('{"split": ')})
    with pytest.raises(Problem, match="is not a whole file of predictions"):
        read(path)


def test_to_read_a_file_neither_torch_nor_scipy_is_imported() -> None:
    code = "import sys, topfive.predictions; print({'torch', 'scipy', 'rich'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
