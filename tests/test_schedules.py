import math

import pytest
import torch
from timm.scheduler import CosineLRScheduler

from topfive.clock import Clock
from topfive.problems import Problem
from topfive.schedules import (
    Constant,
    Cosine,
    Decay,
    Divide,
    Plateau,
    Poly,
    SlowStart,
    Table,
    WarmUp,
)

CIFAR = Clock(images=50_000, batch=128)
IMAGENET = Clock(images=1_281_167, batch=256)
AT_32K_AND_48K = {"iterations": [32_000, 48_000]}  # He et al. 2015, section 4.2


def test_the_rate_is_divided_by_ten_at_32k_and_48k_iterations():
    rate = Divide(CIFAR, 0.1, AT_32K_AND_48K)
    assert rate(0) == rate(31_999) == 0.1
    assert rate(32_000) == rate(47_999) == pytest.approx(0.01, rel=1e-15)
    assert rate(48_000) == rate(63_999) == pytest.approx(0.001, rel=1e-15)


def test_30_epochs_of_imagenet_are_150_137_iterations():
    rate = Divide(IMAGENET, 0.1, {"epochs": [30, 60]})
    # 30 x 1,281,167 / 256 = 150,136.8 and 300,273.5
    assert [rate(150_136), rate(150_137)] == [0.1, pytest.approx(0.01)]
    assert [rate(300_273), rate(300_274)] == pytest.approx([0.01, 0.001])


def test_a_rate_is_divided_by_what_the_recipe_says():
    assert Divide(CIFAR, 0.5, {"iterations": [10]}, by=5)(10) == 0.1


def test_shorten_divides_every_milestone():
    clock = Clock(50_000, 128, shorten=40)
    rate = Divide(clock, 0.1, AT_32K_AND_48K)
    assert [rate(799), rate(800)] == [0.1, pytest.approx(0.01)]
    assert [rate(1_199), rate(1_200)] == pytest.approx([0.01, 0.001])


def test_a_table_holds_each_rate_until_its_milestone():
    # LeCun et al. 1998, section III-B: two passes, three, three, four, and the rest
    rates = [0.0005, 0.0002, 0.0001, 0.00005, 0.00001]
    rate = Table(Clock(60_000, 1, updates=100), rates, {"epochs": [2, 5, 8, 12]})
    a_pass = 600
    per_pass = [rate(number * a_pass) for number in range(20)]
    assert per_pass == [0.0005] * 2 + [0.0002] * 3 + [0.0001] * 3 + [0.00005] * 4 + [0.00001] * 8
    assert rate(2 * a_pass - 1) == 0.0005


def test_a_table_needs_a_milestone_between_any_two_rates():
    with pytest.raises(Problem, match="3 rates and 1 milestones"):
        Table(CIFAR, [3, 2, 1], {"epochs": [2]})


def warm_up():
    return WarmUp(CIFAR, 0.1, AT_32K_AND_48K, low=0.01, until_error=0.8)  # section 4.2


def test_the_first_400_iterations_of_preactivation_resnets_are_at_a_tenth_of_the_rate():
    rate = SlowStart(CIFAR, 0.1, AT_32K_AND_48K, low=0.01, lasting={"iterations": 400})
    assert rate(0) == rate(399) == 0.01
    assert rate(400) == rate(31_999) == 0.1
    assert rate(32_000) == pytest.approx(0.01)
    assert rate(63_999) == pytest.approx(0.001)


def test_the_rate_falls_by_4_percent_every_8_epochs():
    clock = Clock(images=1_281_167, batch=32)
    rate = Decay(clock, 0.01, 0.96, {"epochs": 8})
    # 8 x 1,281,167 / 32 = 320,291.75; BVLC's solver has 320,000 (Szegedy et al. 2014, section 6)
    assert rate(0) == rate(320_291) == 0.01
    assert rate(320_292) == rate(640_582) == pytest.approx(0.0096, rel=1e-15)
    assert rate(960_874) == pytest.approx(0.009216, rel=1e-15)
    assert rate(960_875) == pytest.approx(0.00884736, rel=1e-15)  # 3 x 320,291.75 = 960,875.25
    assert rate(10_000_000) == pytest.approx(0.01 * 0.96**31)  # 31.2 times 8 epochs


def test_a_decay_shrinks_with_the_schedule():
    rate = Decay(Clock(images=100, batch=10, shorten=2), 1.0, 0.5, {"epochs": 2})  # 10 steps
    assert [rate(step) for step in (0, 9, 10, 19, 20, 30)] == [1, 1, 0.5, 0.5, 0.25, 0.125]


def test_a_decay_needs_a_length():
    with pytest.raises(Problem, match="expected one of"):
        Decay(CIFAR, 0.1, 0.96, {"steps": 8})


def test_efficientnets_code_climbs_for_5_epochs_while_the_decay_is_counted():
    # arXiv:1905.11946, section 5.2: 0.256, 0.97 every 2.4 epochs; 5 epochs of warm-up: models/official/efficientnet
    rate = Decay(Clock(1_024_000, 4096), 0.256, 0.97, {"epochs": 2.4}, warmup={"epochs": 5})
    # An epoch is 250 steps: the climb has 1250 of them, the decay falls every 600.
    assert rate(0) == 0
    assert rate(1) == pytest.approx(0.0002048, rel=1e-12)  # 0.256 / 1250
    assert rate(600) == pytest.approx(0.12288, rel=1e-12)  # 0.256 x 600 / 1250, not yet times 0.97
    assert rate(1_249) == pytest.approx(0.2557952, rel=1e-12)
    assert rate(1_250) == rate(1_799) == pytest.approx(0.2408704, rel=1e-12)  # 0.256 x 0.97^2
    assert rate(1_800) == pytest.approx(0.233644288, rel=1e-12)  # 0.256 x 0.97^3


def test_a_warm_up_shrinks_with_the_schedule_and_starts_from_0_all_the_same():
    clock = Clock(images=100, batch=10, shorten=5)  # two steps an epoch
    rate = Decay(clock, 1.0, 0.5, {"epochs": 3}, warmup={"epochs": 2})
    assert [rate(step) for step in range(7)] == [0, 0.25, 0.5, 0.75, 1, 1, 0.5]
    shortest = Decay(Clock(100, 10, shorten=1e9), 1.0, 0.5, {"epochs": 1e9}, warmup={"epochs": 2})
    assert [shortest(0), shortest(1)] == [0, 1]


def test_a_constant_rate_is_constant():
    rate = Constant(CIFAR, 0.02)
    assert rate(0) == rate(64_000) == 0.02


def test_the_root_of_what_is_left_as_in_bvlcs_quick_solver():
    # models/bvlc_googlenet/quick_solver.prototxt: 0.01 (1 - step / 2.4 million)^0.5
    rate = Poly(Clock(1_281_167, 32), 0.01, 0.5, {"iterations": 2_400_000})
    assert rate(0) == 0.01
    assert rate(1) == pytest.approx(0.01 * (1 - 0.5 / 2_400_000), rel=1e-12)
    assert rate(864_000) == pytest.approx(0.008, rel=1e-12)  # 0.64 is left
    assert rate(1_800_000) == pytest.approx(0.005, rel=1e-12)  # 0.25 is left
    assert rate(2_399_999) == pytest.approx(6.454972e-6, rel=1e-6)  # 0.01 / sqrt(2.4e6)
    assert rate(2_400_000) == rate(2_400_001) == 0


def test_a_polynomial_shrinks_with_the_schedule():
    rate = Poly(Clock(100, 10, shorten=10), 1.0, 2, {"epochs": 4})  # 4 steps
    assert [rate(step) for step in range(6)] == [1, 0.5625, 0.25, 0.0625, 0, 0]


def test_a_cosine_is_halfway_down_in_the_middle():
    rate = Cosine(Clock(100, 10), 0.8, {"epochs": 60})  # 600 steps
    assert rate(0) == 0.8
    assert rate(200) == pytest.approx(0.6, rel=1e-12)  # cos 60 degrees = 1/2
    assert rate(300) == pytest.approx(0.4, rel=1e-12)
    assert rate(400) == pytest.approx(0.2, rel=1e-12)
    assert 0 < rate(599) < 1e-5
    assert rate(600) == rate(601) == 0


def test_a_cosine_ends_at_its_low_rate():
    rate = Cosine(Clock(100, 10), 0.9, {"epochs": 60}, low=0.1)
    assert rate(200) == pytest.approx(0.7, rel=1e-12)  # 0.1 + 0.8 x 3/4
    assert rate(600) == rate(9_999) == 0.1


def test_a_cosines_warm_up_lies_within_it_as_timm_has_it():
    # timm.scheduler.CosineLRScheduler with warmup_prefix=False, its default
    rate = Cosine(Clock(100, 10), 0.8, {"epochs": 60}, warmup={"epochs": 10})
    assert [rate(0), rate(25)] == [0, pytest.approx(0.2)]
    assert rate(99) == pytest.approx(0.792)
    # At 100 of 600 steps, 30 degrees of the cosine are over.
    assert rate(100) == pytest.approx(0.4 * (1 + math.sqrt(3) / 2), rel=1e-12)
    assert rate(300) == pytest.approx(0.4)
    assert rate(600) == 0


def test_a_cosine_is_timms_at_every_step():
    weight = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.4)
    theirs = CosineLRScheduler(optimizer, 60, lr_min=0.02, warmup_t=10, t_in_epochs=False)
    ours = Cosine(Clock(100, 10), 0.4, {"iterations": 60}, warmup={"iterations": 10}, low=0.02)
    for step in range(61):
        theirs.step_update(step)
        assert ours(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)


def test_a_cosine_shrinks_with_the_schedule():
    rate = Cosine(Clock(100, 10, shorten=10), 1.0, {"epochs": 6}, warmup={"epochs": 1})  # 6 steps
    assert [rate(step) for step in (0, 2, 3, 6)] == [0, *map(pytest.approx, (0.75, 0.5, 0))]


def test_warm_up_waits_until_the_training_error_is_below_80_percent():
    rate = warm_up()
    assert rate(0) == 0.01
    rate.hear_training_error(0.85)
    rate.hear_training_error(0.8)
    assert rate(100) == 0.01
    rate.hear_training_error(0.79)
    assert rate(150) == 0.1


def test_warm_up_is_over_for_good():
    rate = warm_up()
    rate.hear_training_error(0.7)
    rate.hear_training_error(0.9)
    assert [rate(200), rate(32_000), rate(48_000)] == pytest.approx([0.1, 0.01, 0.001])


@pytest.mark.parametrize("error", [0.7, 0.9])
def test_a_resumed_warm_up_goes_on_where_it_was(error):
    before, after = warm_up(), warm_up()
    before.hear_training_error(error)
    after.restore(before.state())
    assert after(500) == before(500) == (0.1 if error < 0.8 else 0.01)


def plateau(patience=2, clock=IMAGENET):
    # Krizhevsky et al. 2012, section 5
    return Plateau(clock, 0.01, times=3, patience={"iterations": patience})


def rates_after(rate, errors, first=0):
    found = []
    for step, error in enumerate(errors, first):
        rate.hear_minival_error(error, step)
        found.append(round(rate(step), 9))
    return found


def test_the_rate_is_divided_when_the_error_has_not_improved_for_patience_steps():
    errors = [0.9, 0.8, 0.8, 0.85, 0.7, 0.75, 0.7]
    # 0.8 came again and 0.85: two steps without progress; then 0.7 is progress, 0.75 and 0.7 not
    assert rates_after(plateau(), errors) == [0.01, 0.01, 0.01, 0.001, 0.001, 0.001, 0.0001]


def test_patience_starts_anew_after_a_division():
    assert rates_after(plateau(3), [0.5] * 7) == [0.01] * 3 + [0.001] * 3 + [0.0001]


def test_the_rate_is_divided_three_times_at_most():
    assert rates_after(plateau(1), [0.5] * 9)[-1] == 1e-5


def test_patience_shrinks_with_the_schedule_but_stays_a_step():
    assert rates_after(plateau(10, Clock(100, 10, shorten=5)), [0.5] * 3)[-1] == 0.001
    assert rates_after(plateau(10, Clock(100, 10, shorten=99)), [0.5] * 2)[-1] == 0.001


def test_five_looks_of_rounded_epochs_are_five_epochs():
    # 1,271,167 / 256 = 4,965.5 steps: five looks, 4,965 apart, fall 2.5 steps short of five epochs.
    clock = Clock(1_271_167, 256)
    rate = Plateau(clock, 0.01, times=3, patience={"epochs": 5})
    found = []
    for look in range(1, 8):
        rate.hear_minival_error(0.5, 4_965 * look)
        found.append(rate(4_965 * look))
    assert found == [0.01] * 5 + [0.001] * 2


def test_a_resumed_plateau_goes_on_where_it_was():
    errors = [0.9, 0.8, 0.85, 0.8, 0.82, 0.7, 0.75, 0.71, 0.72]
    whole = rates_after(plateau(), errors)
    for cut in range(len(errors)):
        first, second = plateau(), plateau()
        start = rates_after(first, errors[:cut])
        second.restore(first.state())
        assert start + rates_after(second, errors[cut:], cut) == whole


def test_only_the_plateau_needs_a_minival():
    laws = (Constant, Table, Divide, Decay, Poly, Cosine, SlowStart, WarmUp)
    assert not any(law.needs_minival for law in laws)
    assert Plateau.needs_minival


def test_laws_that_do_not_listen_are_deaf():
    rate = Divide(CIFAR, 0.1, AT_32K_AND_48K)
    rate.hear_training_error(0.1)
    rate.hear_minival_error(1.0, 7)
    assert rate(5) == 0.1
    assert rate.state() == {}
