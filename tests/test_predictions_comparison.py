"""Two tests of the same images: McNemar's test and the interval against printed figures, images by hand."""

from math import comb
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_predictions import answering, predictions

from topfive.predictions.comparison import Pairs, compare, pairs
from topfive.problems import Problem


def test_a_published_table_has_the_published_p_value_and_interval() -> None:
    # Cavo et al. 2012 (59, 6, 16 and 80 of 161 pairs), as evaluated in Fagerland, Lydersen and Laake,
    # Statistical Analysis of Contingency Tables, 2017, chapter 8 (figures of its R package contingencytables).
    found = Pairs(161, only_first=16, only_second=6)
    assert found.difference == pytest.approx(-0.0621, abs=5e-5)
    assert found.p == pytest.approx(0.052479, abs=5e-7)
    assert found.interval() == pytest.approx((-0.1195, -0.0032), abs=5e-5)


@given(st.integers(0, 30), st.integers(0, 30))
def test_p_is_the_two_tails_of_a_fair_coin(first: int, second: int) -> None:
    flips, fewer = first + second, min(first, second)
    tails = 2 * sum(comb(flips, k) for k in range(fewer + 1)) / 2**flips
    assert Pairs(100, first, second).p == pytest.approx(min(1.0, tails))


@given(st.integers(0, 30), st.integers(0, 30))
def test_exchanged_networks_exchange_the_sign_and_nothing_else(first: int, second: int) -> None:
    forth, back = Pairs(70, first, second), Pairs(70, second, first)
    assert forth.p == back.p
    assert forth.difference == -back.difference
    low, high = back.interval()
    assert forth.interval() == pytest.approx((-high, -low))


def test_an_interval_does_not_leave_what_is_possible() -> None:
    assert Pairs(1, 0, 1).interval().high == 1
    assert Pairs(1, 1, 0).interval().low == -1


def test_images_that_both_or_neither_got_wrong_are_not_counted() -> None:
    first = np.array([True, True, True, False, False])
    second = np.array([True, False, False, True, False])
    assert pairs(first, second) == Pairs(5, only_first=2, only_second=1)


def test_two_networks_that_agree_do_not_differ() -> None:
    test = (Path("one.npz"), answering([0, 5], [0, 1]))
    tests, images = compare([test, test], limit=5)
    assert [row["p"] for row in tests.rows] == [1.0, 1.0]
    assert images.rows == []


def test_the_images_that_only_one_has_wrong_are_shown_with_both_answers() -> None:
    labels = [0, 1, 2, 3]
    first = answering([0, 4, 4, 4], labels)
    second = predictions(
        [[0.5 if k == answer else 0.1 for k in range(6)] for answer in (4, 1, 2, 4)],
        labels,
        [False, True, True, True],
    )
    tests, images = compare([(Path("one"), first), (Path("two"), second)], limit=1)
    top1 = tests.rows[0]
    assert [top1[key] for key in ("error", "first", "second", "only_first", "only_second")] == [
        *("top-1", 0.75, 0.5, 2, 1)
    ]
    assert top1["p"] == 1.0  # two against one of three flips: half of all outcomes on either side
    difference = top1["difference"]
    assert isinstance(difference, tuple)
    assert difference[0] == -0.25
    assert [tuple(row.values()) for row in images.rows] == [
        ("first", "1", "b", "e", "b"),
        ("second", "0", "a", "a", "unreadable"),
    ]


def test_of_five_classes_only_the_first_answer_is_compared() -> None:
    few = predictions([(0.1, 0.2, 0.3, 0.15, 0.25)], [2])
    tests, _ = compare([(Path("one"), few), (Path("two"), few)], limit=1)
    assert [row["error"] for row in tests.rows] == ["top-1"]


def test_tests_of_other_images_are_not_compared() -> None:
    tests = [(Path("one"), answering([0], [0])), (Path("two"), answering([0, 1], [0, 1]))]
    with pytest.raises(
        Problem, match="two and one are not of the same images: 0 images are only in"
    ):
        compare(tests, limit=5)
