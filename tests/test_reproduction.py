"""Networks learn on parts of CIFAR-10 as they did when their bands were kept.

A fault that leaves every unit test green (a gradient scaled, a momentum lost, wrong first weights)
shows here, if it moves an error by more than seeds do. The seeds are none of the kept runs'.
"""

from statistics import fmean

import pytest
from reproduction_bands import KEPT, band, bands, command, errors, kept, train

SEEDS = (100, 101, 102)
NAMES = sorted(file.stem for file in KEPT.glob("*.json"))


@pytest.mark.parametrize("name", NAMES)
def test_the_kept_runs_are_of_the_commands_that_are_tested(name):
    assert kept(name)["command"] == command(name)
    assert not {str(seed) for seed in SEEDS} & kept(name)["runs"].keys()
    assert len(kept(name)["runs"]) >= 5


@pytest.mark.parametrize("name", NAMES)
def test_every_kept_run_has_learned(name):
    """Of ten classes, nine in ten are wrong by chance."""
    assert max(error.test for error in errors(kept(name)["runs"])) < 0.8


@pytest.mark.parametrize("name", NAMES)
def test_the_bands_do_not_hold_the_kept_faults(name):
    assert kept(name)["faults"]
    for fault, runs in kept(name)["faults"].items():
        for error in errors(runs):
            within = [low <= e <= high for (low, high), e in zip(bands(name), error, strict=True)]
            assert not all(within), fault


def test_the_band_is_students_prediction_interval():
    """By hand, of 1, 2, 3, 4, 5: s = 1.5811, t of 4 degrees of freedom at 99.5 % = 4.6041."""
    assert band([1, 2, 3, 4, 5]) == pytest.approx((3 - 7.9745, 3 + 7.9745), abs=1e-3)
    assert band([1, 2, 3, 4, 5], seeds=5) == pytest.approx((3 - 4.6041, 3 + 4.6041), abs=1e-3)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_a_further_seed_errs_as_the_kept_ones(name, real_data, tmp_path):
    _, found = train(name, SEEDS[0], real_data, tmp_path)
    for (low, high), error in zip(bands(name), found, strict=True):
        assert low <= error <= high


@pytest.mark.reproduction
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", NAMES)
def test_further_seeds_and_their_mean_err_as_the_kept_ones(name, real_data, tmp_path):
    found = [train(name, seed, real_data, tmp_path)[1] for seed in SEEDS]
    means = map(fmean, zip(*found, strict=True))
    for single, of_mean, values, mean in zip(
        bands(name), bands(name, len(SEEDS)), zip(*found, strict=True), means, strict=True
    ):
        assert all(single.low <= error <= single.high for error in values)
        assert of_mean.low <= mean <= of_mean.high
