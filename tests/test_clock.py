import pytest

from topfive.clock import Clock
from topfive.problems import Problem

CIFAR = Clock(images=50_000, batch=128)
IMAGENET = Clock(images=1_281_167, batch=256)


def test_lengths_in_epochs_and_iterations_are_steps_of_the_run():
    assert CIFAR.steps({"iterations": 64_000}) == 64_000
    assert CIFAR.steps({"epochs": 1}) == 391  # 50,000 / 128 = 390.6
    assert CIFAR.steps({"epochs": 90}) == 35_156  # 35,156.25
    assert IMAGENET.steps({"iterations": 600_000}) == 600_000


def test_64k_iterations_are_163_84_epochs_of_cifar():
    assert CIFAR.epochs(64_000) == 163.84


def test_a_step_can_be_a_block_of_updates():
    mnist = Clock(images=60_000, batch=1, updates=100)
    assert mnist.steps({"epochs": 20}) == 12_000
    assert mnist.steps({"iterations": 60_000}) == 600
    assert mnist.epochs(600) == 1


def test_shorten_divides_every_length():
    clock = Clock(50_000, 128, shorten=40)
    assert clock.steps({"iterations": 64_000}) == 1_600
    assert clock.milestones({"iterations": [32_000, 48_000]}) == [800, 1_200]


def test_no_length_is_shorter_than_a_step():
    assert Clock(50_000, 128, shorten=1e9).steps({"epochs": 90}) == 1


def test_a_unit_that_is_nulled_makes_room_for_the_other():
    assert CIFAR.steps({"iterations": None, "epochs": 90}) == 35_156


@pytest.mark.parametrize(
    "length", [{"iterations": 10, "epochs": 2}, {"steps": 10}, {}, {"epochs": None}]
)
def test_a_length_of_no_or_two_units_is_refused(length):
    with pytest.raises(Problem, match=r"one of \{iterations: ...\} and \{epochs: ...\}"):
        CIFAR.steps(length)


@pytest.mark.parametrize("shorten", [0, -2, float("nan")])
def test_shorten_must_be_positive(shorten):
    with pytest.raises(Problem, match=r"recipe.shorten=.*above 0"):
        Clock(50_000, 128, shorten=shorten)
