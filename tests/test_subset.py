import numpy as np
import pytest

from topfive.datasets import Pixels
from topfive.datasets.subset import draw, hold_out
from topfive.problems import Problem


def labeled(counts: list[int]) -> Pixels:
    """So many one-pixel images of every class, in no order."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    return Pixels(np.zeros((len(labels), 1, 1, 1), dtype=np.uint8), labels)


def test_without_a_fraction_all_images_train() -> None:
    for fraction in (None, 1.0):
        assert draw(labeled([3, 4]), 0, fraction, None).tolist() == list(range(7))


def test_a_fraction_takes_the_same_share_of_every_class() -> None:
    images = labeled([100, 40, 6, 1])
    part = draw(images, 0, 0.25, None)
    # 25, 10, 1.5 rounded to even, and at least one.
    assert np.bincount(images.labels[part]).tolist() == [25, 10, 2, 1]
    assert (np.diff(part) > 0).all()


def test_so_many_a_class_are_taken_of_every_class() -> None:
    images = labeled([30, 7, 50])
    assert np.bincount(images.labels[draw(images, 0, None, 7)]).tolist() == [7, 7, 7]


def test_a_part_is_decided_by_its_seed() -> None:
    images = labeled([30, 30])
    first = draw(images, 0, None, 5).tolist()
    assert draw(images, 0, None, 5).tolist() == first
    assert draw(images, 1, None, 5).tolist() != first
    # A smaller part lies within a larger one.
    assert set(draw(images, 0, None, 3)) < set(first)


@pytest.mark.parametrize(
    ("fraction", "per_class", "match"),
    [
        (0.5, 3, r"exclude each other"),
        (None, 8, r"class 1 has 7 images, 8 were asked for: lower data\.per_class"),
        (None, 0, r"data\.per_class=0 is not a number of images"),
        (0.0, None, r"data\.fraction=0\.0 is not within 0 and 1"),
        (1.5, None, r"data\.fraction=1\.5 is not within 0 and 1"),
    ],
)
def test_a_part_that_cannot_be_had_is_a_problem(
    fraction: float | None, per_class: int | None, match: str
) -> None:
    with pytest.raises(Problem, match=match):
        draw(labeled([30, 7]), 0, fraction, per_class)


def test_the_minival_of_cifar_is_500_images_a_class() -> None:
    # He et al. 2015, section 4.2: "a 45k/5k train/val split".
    images = labeled([5000] * 10)
    train, minival = hold_out(images, np.arange(50_000), 0, 5000)
    assert np.bincount(images.labels[minival]).tolist() == [500] * 10
    assert len(train) == 45_000
    assert sorted(np.concatenate([train, minival]).tolist()) == list(range(50_000))
    again = hold_out(images, np.arange(50_000), 0, 5000)[1]
    other = hold_out(images, np.arange(50_000), 1, 5000)[1]
    assert np.array_equal(minival, again)
    assert not np.array_equal(minival, other)


def test_the_minival_of_a_part_is_the_same_share_of_it() -> None:
    images = labeled([500] * 10)
    part = draw(images, 0, 0.1, None)
    train, minival = hold_out(images, part, 0, 500)
    assert np.bincount(images.labels[minival]).tolist() == [5] * 10
    assert np.array_equal(np.union1d(train, minival), part)
    assert not np.intersect1d(train, minival).size


def test_a_minival_that_leaves_nothing_to_train_on_is_a_problem() -> None:
    images = labeled([10, 4])
    with pytest.raises(
        Problem, match=r"takes 4 images .* smallest class has 4: lower data\.minival"
    ):
        hold_out(images, np.arange(14), 0, 8)
    with pytest.raises(Problem, match=r"takes 1 images .* smallest class has 1: .* larger part"):
        hold_out(images, draw(images, 0, None, 1), 0, 2)
