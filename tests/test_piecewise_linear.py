import pytest

from topfive.clock import Clock
from topfive.piecewise_linear import PiecewiseLinear
from topfive.problems import Problem


def test_ffcvs_law_climbs_for_two_epochs_and_falls_to_nothing() -> None:
    # get_cyclic_lr, np.interp over [0, 2, 16] and [0.0001 x 1.7, 1.7, 0], here with 100 steps an epoch
    law = PiecewiseLinear(Clock(1000, 10), [0.00017, 1.7, 0], {"epochs": [2, 16]})
    assert law(0) == 0.00017
    assert law(100) == pytest.approx((0.00017 + 1.7) / 2)
    assert law(200) == 1.7
    assert law(900) == pytest.approx(1.7 / 2)
    assert law(1599) == pytest.approx(1.7 / 1400)
    assert law(1600) == law(9999) == 0


def test_its_milestones_are_shortened() -> None:
    law = PiecewiseLinear(Clock(1000, 10, shorten=2.0), [0.0, 1.0, 0.0], {"epochs": [2, 16]})
    assert (law(50), law(100), law(450), law(800)) == (0.5, 1.0, 0.5, 0.0)


@pytest.mark.parametrize(
    ("rates", "until"), [([1, 2], [1, 2]), ([1, 2, 3], [2, 1]), ([1, 2, 3], [1, 1])]
)
def test_rates_without_their_milestones_are_refused(rates: list[float], until: list[int]) -> None:
    with pytest.raises(Problem, match=r"recipe\.schedule has .* rates and the milestones"):
        PiecewiseLinear(Clock(1000, 10), rates, {"iterations": until})
