"""Ensembles from files: means and ranks by hand, what is told apart, and published numbers beside them."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_predictions import answering, predictions

from topfive.predictions import Predictions
from topfive.predictions.aligned import aligned
from topfive.predictions.averages import average, comparable
from topfive.predictions.ensemble import ensemble, networks
from topfive.problems import Problem

A = predictions([(0.6, 0.3, 0.1), (0.5, 0.4, 0.1)], [1, 0])
B = predictions([(0.1, 0.7, 0.2), (0.5, 0.2, 0.3)], [1, 0])


@st.composite
def members(draw: st.DrawFn) -> list[Predictions]:
    """One to four networks on three images of seven classes, many of whose probabilities are equal."""
    shares = st.lists(st.integers(0, 3), min_size=7, max_size=7).filter(any)
    tests = draw(st.lists(st.lists(shares, min_size=3, max_size=3), min_size=1, max_size=4))
    return [predictions([[k / sum(row) for k in row] for row in rows], [0, 1, 2]) for rows in tests]


def test_the_mean_of_two_networks_is_right_where_one_of_them_was_wrong() -> None:
    mean = ensemble([A, B])
    # (0.6 + 0.1) / 2, (0.3 + 0.7) / 2, (0.1 + 0.2) / 2, and so on
    expected = [[0.35, 0.5, 0.15], [0.5, 0.3, 0.2]]
    np.testing.assert_allclose(mean.probabilities, expected, atol=3e-4)
    assert mean.top5.tolist() == [[1, 0, 2], [0, 1, 2]]
    assert [one.score().top1_errors for one in (A, B, mean)] == [1, 0, 0]


def test_weights_count_by_their_ratio() -> None:
    for weights in ((3, 1), (0.75, 0.25)):
        mean = ensemble([A, B], weights)
        # (3 * 0.6 + 0.1) / 4 = 0.475, (3 * 0.3 + 0.7) / 4 = 0.4: now the label is second
        np.testing.assert_allclose(mean.probabilities[0], [0.475, 0.4, 0.125], atol=3e-4)
        assert mean.score().top1_errors == 1


def test_probabilities_are_averaged_and_not_their_logarithms() -> None:
    sure = predictions([(0.9, 0.09, 0.01)], [0])
    other = predictions([(0.005, 0.495, 0.5)], [0])
    # 0.4525 against 0.2925; the geometric means are 0.067 and 0.211, which would answer b
    assert ensemble([sure, other]).top5[0].tolist() == [0, 1, 2]


@given(members())
def test_an_ensemble_of_one_is_that_one(tests: list[Predictions]) -> None:
    one = tests[0]
    for weights in (None, [0.3]):
        mean = ensemble([one], weights)
        assert mean.top5.tolist() == one.top5.tolist()
        assert mean.probabilities.tolist() == one.probabilities.tolist()


@given(members())
def test_with_equal_weights_the_order_of_the_members_changes_nothing(
    tests: list[Predictions],
) -> None:
    forth, back = ensemble(tests), ensemble(tests[::-1], [0.1] * len(tests))
    assert forth.top5.tolist() == back.top5.tolist()
    assert forth.probabilities.tolist() == back.probabilities.tolist()


@given(members())
def test_no_class_of_larger_mean_is_left_out_of_the_five_best(tests: list[Predictions]) -> None:
    mean = ensemble(tests)
    for image in range(3):
        sums = [sum(float(one.probabilities[image, k]) for one in tests) for k in range(7)]
        ranked = [sums[k] for k in mean.top5[image]]
        assert ranked == sorted(sums, reverse=True)[:5]


def test_where_float16_sees_equals_the_networks_own_ranks_decide() -> None:
    sure = predictions([(1e-9, 3e-9, 2e-9, 1 - 6e-9)], [1])
    assert ensemble([sure]).top5.tolist() == [[3, 1, 2, 0]]
    other = predictions([(1e-9, 2e-9, 3e-9, 1 - 6e-9)], [1])
    assert ensemble([sure, other], [2, 1]).top5.tolist() == [[3, 1, 2, 0]]
    assert ensemble([sure, other], [1, 2]).top5.tolist() == [[3, 2, 1, 0]]


def test_three_tenths_each_are_equal_weights() -> None:
    # Places 2, 3 and 4 once each for b, c and d, whose probabilities round to zero: no one is before another.
    places = [(2, 3, 4), (3, 4, 2), (4, 2, 3)]
    rows = [(1 - 1e-8, *(1e-9 * (5 - place) for place in some)) for some in places]
    mean = ensemble([predictions([row], [0]) for row in rows], [0.1] * 3)
    assert mean.top5.tolist() == [[0, 1, 2, 3]]


def test_an_image_that_one_member_could_not_read_is_wrong() -> None:
    blind = predictions([(0.1, 0.7, 0.2), (0.5, 0.2, 0.3)], [1, 0], [True, False])
    score = ensemble([A, blind]).score()
    assert (score.n, score.top1_errors, score.unreadable) == (2, 1, 1)


def test_more_images_than_are_averaged_at_a_time_are_all_averaged() -> None:
    rng = np.random.default_rng(0)
    many = [predictions(rng.dirichlet([1] * 6, 2500).tolist(), [0] * 2500) for _ in range(2)]
    summed = many[0].probabilities.astype(float) + many[1].probabilities
    mean = ensemble(many)
    np.testing.assert_allclose(mean.probabilities, summed / 2, rtol=1e-3)
    assert mean.top5[:, 0].tolist() == summed.argmax(axis=1).tolist()


@pytest.mark.parametrize(
    ("weights", "found"),
    [
        ([1], "1 weights for 2 files: give one for each"),
        ([1, 1, 1], "3 weights for 2 files"),
        ([1, -1], "weights 1, -1: expected positive numbers"),
        ([1, 0], "weights 1, 0: expected positive numbers"),
        ([1, float("nan")], "weights 1, nan: expected positive numbers"),
        ([1, float("inf")], "weights 1, inf: expected positive numbers"),
        ([1, 1e-300], "none more than 1,000 times another"),
    ],
)
def test_weights_that_are_none_are_refused(weights: list[float], found: str) -> None:
    with pytest.raises(Problem, match=re.escape(found)):
        ensemble([A, B], weights)


def test_images_in_another_order_are_found_by_their_names() -> None:
    rows = [(0.6, 0.3, 0.1), (0.1, 0.7, 0.2), (0.2, 0.3, 0.5), (0.5, 0.2, 0.3)]
    here = predictions(rows, [0, 1, 2, 1], [True, True, False, True])
    order = [2, 0, 3, 1]  # not its own inverse
    moved = {
        name: getattr(here, name)[order] for name in ("labels", "readable", "top5", "probabilities")
    }
    there = replace(here, images=[here.images[k] for k in order], **moved)
    _, found = aligned([(Path("a"), here), (Path("b"), there)])
    assert found.images == here.images
    for name in moved:
        assert getattr(found, name).tolist() == getattr(here, name).tolist()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"images": ["0", "7"]}, "1 images are only in the second and 1 only in the first (1)"),
        ({"labels": np.array([1, 2])}, "1 images have another label (1)"),
        ({"classes": ["a", "b", "x"]}, "they differ in their classes"),
        ({"classes": ["a", "c", "b"]}, "they differ in their classes (their order)"),
    ],
)
def test_tests_of_other_images_are_refused(change: dict[str, Any], found: str) -> None:
    expected = f"b and a are not of the same images: {found}"
    with pytest.raises(Problem, match=re.escape(expected)):
        aligned([(Path("a"), A), (Path("b"), replace(B, **change))])


def said(*tests: tuple[str, str, int]) -> list[dict[str, Any]]:
    return [
        {"model": model, "seed": seed, "data": "imagenet", "split": "val", "protocol": protocol}
        for model, protocol, seed in tests
    ]


def test_a_network_under_two_protocols_is_one_network_and_another_seed_is_another() -> None:
    dense, crops = "dense_256_384_512", "crops150"
    assert networks(said(("vgg16", dense, 0), ("vgg16", crops, 0))) == 1
    assert networks(said(("vgg16", dense, 0), ("vgg16", dense, 1))) == 2
    assert networks(said(("vgg16", dense, 0), ("vgg16", dense, 0))) == 2  # say, two snapshots
    assert networks(said(("vgg16", dense, 0), ("vgg16", crops, 0), ("vgg19", dense, 0))) == 2
    inner: dict[str, Any] = {"members": said(("vgg16", dense, 0), ("vgg19", dense, 0))}
    assert networks([inner, *said(("alexnet", "ten_crop", 0))]) == 3


def test_the_end_of_a_training_is_its_last_checkpoint() -> None:
    # train.py keeps a test without saying where its weights are from, python -m topfive.evaluate says last.ckpt.
    own, later = said(("vgg16", "dense_256_384_512", 0), ("vgg16", "crops150", 0))
    assert networks([own, later | {"origin": "last.ckpt"}]) == 1
    assert networks([own, later | {"origin": "step-1000.ckpt"}]) == 2


def test_an_ensemble_says_what_it_is_of() -> None:
    about = [
        {"model": "vgg16", "protocol": "dense_384"},
        {"model": "vgg19", "protocol": "crops150"},
    ]
    mean = ensemble([replace(A, about={**A.about, **one}) for one in about], [2, 1])
    assert mean.about["protocol"] == "crops150_and_dense_384"
    assert mean.about["model"] == "vgg16_and_vgg19"
    assert mean.about["split"] == "val"
    assert mean.about["weights"] == [2, 1]
    assert mean.about["networks"] == 2
    assert mean.about["members"] == [{**A.about, **one} for one in about]


def numbers(tests: Sequence[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(one.network, one.value) for one in comparable(tests) if one.quantity == "top5_error"}


def test_published_ensembles_of_as_many_networks_stand_beside() -> None:
    # VGG's Table 6; Krizhevsky's Table 2; GoogLeNet's Table 3
    dense, crops = "dense_256_384_512", "crops150"
    mixed = said(*((model, how, 0) for model in ("vgg16", "vgg19") for how in (dense, crops)))
    assert numbers(mixed) == {("VGG D and E, [256;512]", "6.8")}
    assert numbers([one for one in mixed if one["protocol"] == dense]) == {
        ("VGG D and E, [256;512]", "7.1")
    }
    five = said(*(("alexnet", "ten_crop_square", seed) for seed in range(5)))
    assert ("alexnet", "16.4") in numbers(five)
    assert numbers(five[:4]) == set()
    assert ("googlenet", "6.67") in numbers(
        said(*(("googlenet", "crops144", seed) for seed in range(7)))
    )
    assert ("googlenet", "6.67") not in numbers(said(*(("vgg16", "crops144", k) for k in range(7))))


def test_members_and_mean_have_a_row_each() -> None:
    labels = [0, 1, 2, 3]
    tests = [
        (Path("one.npz"), answering([0, 1, 5, 5], labels, model="vgg16")),
        (Path("two.npz"), answering([0, 5, 2, 5], labels, model="vgg19")),
    ]
    mean, (table, published) = average(tests, [3, 2])
    rows = [(row["file"], row["model"], row["weight"], row["n"]) for row in table.rows]
    assert rows == [
        ("one.npz", "vgg16", 3, 4),
        ("two.npz", "vgg19", 2, 4),
        ("mean", "vgg16_and_vgg19", None, 4),
    ]
    # Where they disagree the heavier one is followed: the mean has the first's errors.
    errors = [row["top1_error"] for row in table.rows]
    assert [one[0] for one in errors if isinstance(one, tuple)] == [0.5, 0.5, 0.5]
    assert mean.errors(1).tolist() == [False, False, True, True]
    assert table.title.startswith("Mean of the probabilities of 2 networks in 2 files, one_crop")
    assert published.rows == []
    assert published.title.endswith("nothing")


def test_a_file_that_is_named_twice_is_refused() -> None:
    with pytest.raises(Problem, match=r"one\.npz is named twice: .* twice the weight"):
        average([(Path("one.npz"), A), (Path("./one.npz"), B)])
