"""Networks learn on parts of CIFAR-10 as they did when their bands were kept.

A fault that leaves every unit test green (a gradient scaled, a momentum lost, wrong first weights)
shows here, if it moves an error by more than seeds do. The seeds are none of the kept runs'.
"""

from statistics import fmean

import pytest
from reproduction_bands import (
    NETWORKS,
    ON_TWO_CLASSES,
    Errors,
    band,
    bands,
    command,
    errors,
    kept,
    train,
)

SEEDS = (100, 101, 102)
NAMES = sorted(NETWORKS)


def holds(name: str, found: list[Errors]) -> bool:
    """Whether the means of both errors lie in the bands for the mean of so many seeds."""
    means = map(fmean, zip(*found, strict=True))
    limits = bands(name, len(found))
    return all(low <= mean <= high for (low, high), mean in zip(limits, means, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_the_kept_runs_are_of_the_commands_that_are_tested(name):
    assert kept(name)["command"] == command(name)
    assert not {str(seed) for seed in SEEDS} & kept(name)["runs"].keys()
    assert len(kept(name)["runs"]) >= 5


@pytest.mark.parametrize("name", NAMES)
def test_every_kept_run_has_learned(name):
    """Of ten classes, nine in ten are wrong by chance; of two, half."""
    by_chance = 0.5 if name in ON_TWO_CLASSES else 0.9
    assert max(error.test for error in errors(kept(name)["runs"])) < 0.9 * by_chance


@pytest.mark.parametrize("name", NAMES)
def test_the_bands_do_not_hold_the_kept_faults(name):
    assert kept(name)["faults"]
    for fault, runs in kept(name)["faults"].items():
        assert not holds(name, errors(runs)), fault


def test_the_band_is_students_prediction_interval():
    """By hand, of 1, 2, 3, 4, 5: s = 1.5811, t of 4 degrees of freedom at 99.5 % = 4.6041."""
    assert band([1, 2, 3, 4, 5]) == pytest.approx((3 - 7.9745, 3 + 7.9745), abs=1e-3)
    assert band([1, 2, 3, 4, 5], seeds=5) == pytest.approx((3 - 4.6041, 3 + 4.6041), abs=1e-3)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["cuda_convnet", "resnet20"])
def test_a_further_seed_errs_as_the_kept_ones(name, real_data, tmp_path):
    assert holds(name, [train(name, SEEDS[0], real_data, tmp_path)[1]])


@pytest.mark.reproduction
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
def test_further_seeds_err_in_the_mean_as_the_kept_ones(name, real_data, tmp_path):
    assert holds(name, [train(name, seed, real_data, tmp_path)[1] for seed in SEEDS])
