"""Where a network is wrong: classes, confusions and images by hand, ReaL labels against timm's evaluator."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_predictions import answering, predictions
from timm.data import RealLabelsImagenet

from topfive.datasets.imagenet_classes import wordnet_ids
from topfive.predictions import Predictions
from topfive.predictions.mistakes import classes, confusions, worst
from topfive.predictions.real_labels import read_labels, real
from topfive.problems import Problem


def wilson(errors: int, n: int) -> tuple[float, float]:
    """The textbook formula (Wilson 1927)."""
    z, p = 1.959964, errors / n
    middle, half = p + z**2 / (2 * n), z * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
    return (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


def test_every_class_has_its_own_error_and_the_worst_comes_first() -> None:
    # a: 1 of 3 wrong; b: 2 of 2, one of them even below the five best; c: none of 1; d, e, f: no image
    test = answering([0, 0, 2, 5, 0, 2], [0, 0, 0, 1, 1, 2])
    hidden = test.top5.copy()
    hidden[3] = [5, 0, 2, 3, 4]
    found = classes(replace(test, top5=hidden))
    assert [(row["class"], row["n"]) for row in found.rows] == [("b", 2), ("a", 3), ("c", 1)]
    expected = [(1.0, *wilson(2, 2)), (1 / 3, *wilson(1, 3)), (0.0, *wilson(0, 1))]
    for row, figures in zip(found.rows, expected, strict=True):
        assert row["top1_error"] == pytest.approx(figures, abs=1e-6)
    assert found.rows[0]["top5_error"] == pytest.approx((0.5, *wilson(1, 2)), abs=1e-6)
    assert "3 classes have no image." in found.notes


def test_confusions_are_counted_by_label_and_answer_and_unreadable_images_are_none() -> None:
    labels, answers = [0, 0, 0, 0, 1, 1, 2], [1, 1, 1, 0, 0, 2, 2]
    rows = [[0.5 if k == answer else 0.1 for k in range(6)] for answer in answers]
    readable = [True, True, False, True, True, True, True]
    found = confusions(predictions(rows, labels, readable), limit=2)
    assert [tuple(row.values()) for row in found.rows] == [("a", "b", 2, 0.5), ("b", "a", 1, 0.5)]
    assert found.title == "Most frequent of 3 confusions, in 4 images"


def test_the_worst_images_are_those_whose_label_is_least_likely() -> None:
    rows = [(0.5, 0.25, 0.25), (0.75, 0.0, 0.25), (1.0, 0.0, 0.0), (1.0, 0.0, 0.0)]
    found = worst(predictions(rows, [2, 1, 1, 2], [True, True, True, False]), limit=2)
    # Both labels have nothing; image 2 is the surer of its answer. Image 3 is unreadable.
    assert [tuple(row.values()) for row in found.rows] == [
        ("2", "b", 0.0, "a", 1.0),
        ("1", "b", 0.0, "a", 0.75),
    ]
    assert "1 unreadable images are left out." in found.notes


def test_wordnet_ids_are_printed_with_their_first_name() -> None:
    test = answering([0, 1], [1, 0])
    found = confusions(replace(test, classes=["n01440764", "n02071294", *"cdef"]), limit=1)
    assert found.rows[0]["label"] == "n01440764 tench"
    assert found.rows[0]["answer"] == "n02071294 killer whale"


def validation(answers: list[int], labels: list[int]) -> Predictions:
    """The first images of ILSVRC-2012's val, all 1,000 classes; the answers are certain."""
    rows = np.zeros((len(answers), 1000), np.float16)
    rows[np.arange(len(answers)), answers] = 1
    others = [[k for k in range(5) if k != answer][:4] for answer in answers]
    ids = wordnet_ids()
    return Predictions(
        images=[f"{ids[k]}/ILSVRC2012_val_{i:08d}.JPEG" for i, k in enumerate(labels, start=1)],
        labels=np.array(labels),
        readable=np.ones(len(answers), bool),
        top5=np.array([[a, *rest] for a, rest in zip(answers, others, strict=True)], np.int16),
        probabilities=rows,
        classes=ids,
        about={"split": "val", "protocol": "one_crop"},
    )


@pytest.fixture(scope="module")
def labels_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """No label for the first image, 7 or 8 for the second, 9 for all others."""
    file = tmp_path_factory.mktemp("real") / "real.json"
    file.write_text(json.dumps([[], [7, 8], *([[9]] * 49_998)]))
    return file


def test_any_of_the_labels_is_right_and_images_without_one_do_not_count(labels_file: Path) -> None:
    test = validation([0, 8, 9, 3, 9], [0, 7, 9, 3, 9])
    blind = replace(test, readable=np.array([True, True, True, True, False]))
    ours, original = real(blind, labels_file).rows
    # Of images 2 to 5: 8 is among 7 and 8, 9 is right, 3 is not 9, and the last is unreadable.
    assert (ours["n"], ours["top1_accuracy"]) == (4, 0.5)
    assert ours["top1_error"] == pytest.approx((0.5, *wilson(2, 4)), abs=1e-6)
    # By its own label 7 the second is wrong, and the fourth is right.
    assert (original["n"], original["top1_accuracy"]) == (4, 0.5)
    assert original["labels"] == "ILSVRC-2012"


def test_the_order_of_the_images_is_nothing_to_their_labels(labels_file: Path) -> None:
    test = validation([0, 8, 9], [0, 7, 9])
    back = replace(
        test,
        images=test.images[::-1],
        **{k: getattr(test, k)[::-1] for k in ("labels", "readable", "top5", "probabilities")},
    )
    assert real(back, labels_file).rows == real(test, labels_file).rows


def test_timms_evaluator_counts_the_same_on_its_own_copy_of_the_labels() -> None:
    rng = np.random.default_rng(0)
    answers = rng.integers(0, 1000, 300)
    theirs = RealLabelsImagenet([f"ILSVRC2012_val_{i:08d}.JPEG" for i in range(1, 50_001)])
    for image, some in enumerate(list(theirs.real_labels.values())[:300]):
        if some and image % 3:  # or nearly all answers were wrong
            answers[image] = some[-1]
    theirs.add_result(torch.eye(1000)[torch.from_numpy(answers)])
    ours, _ = real(validation(answers.tolist(), [0] * 300)).rows
    assert ours["n"] == len(theirs.is_correct[1])
    assert ours["top1_accuracy"] == pytest.approx(theirs.get_accuracy(1) / 100)
    assert 0.5 < theirs.get_accuracy(1) / 100 < 0.9


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("[[1], [2", "is not JSON"),
        ("[[1], [2]]", "expected a list of 50,000 lists of class numbers below 1,000"),
        (json.dumps([[1000]] * 50_000), "expected a list of 50,000 lists"),
        (json.dumps([1] * 50_000), "expected a list of 50,000 lists"),
        ('{"1": [2]}', "expected a list of 50,000 lists"),
    ],
)
def test_a_file_that_holds_no_real_labels_is_refused(
    tmp_path: Path, content: str, found: str
) -> None:
    file = tmp_path / "real.json"
    file.write_text(content)
    with pytest.raises(Problem, match=f"{re.escape(found)}.*google-research/reassessed-imagenet"):
        read_labels(file)


def test_a_missing_file_of_real_labels_says_where_it_is_from(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"none\.json cannot be read: .*reassessed-imagenet"):
        read_labels(tmp_path / "none.json")


@pytest.mark.parametrize(
    "name", ["7", "n01440764/n01440764_18.JPEG", "ILSVRC2012_val_00050001.JPEG"]
)
def test_images_that_have_no_place_in_the_list_are_refused(labels_file: Path, name: str) -> None:
    test = replace(validation([0], [0]), images=[name])
    with pytest.raises(Problem, match=f"{re.escape(name)} is no validation image of ILSVRC-2012"):
        real(test, labels_file)


def test_other_classes_are_refused(labels_file: Path) -> None:
    with pytest.raises(
        Problem, match="predictions are of 6 classes, a the first: ReaL labels are of"
    ):
        real(answering([0], [0]), labels_file)


def test_images_without_any_real_label_have_no_error(labels_file: Path) -> None:
    with pytest.raises(Problem, match="none of these images has a ReaL label"):
        real(validation([0], [0]), labels_file)
