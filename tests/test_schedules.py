import pytest

from topfive.problems import Problem
from topfive.schedules import Clock, Decay, Divide, Plateau, SlowStart, Table, WarmUp

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


def test_shorten_divides_the_whole_and_every_milestone():
    clock = Clock(50_000, 128, shorten=40)
    assert clock.steps({"iterations": 64_000}) == 1_600
    rate = Divide(clock, 0.1, AT_32K_AND_48K)
    assert [rate(799), rate(800)] == [0.1, pytest.approx(0.01)]
    assert [rate(1_199), rate(1_200)] == pytest.approx([0.01, 0.001])


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


def test_a_resumed_plateau_goes_on_where_it_was():
    errors = [0.9, 0.8, 0.85, 0.8, 0.82, 0.7, 0.75, 0.71, 0.72]
    whole = rates_after(plateau(), errors)
    for cut in range(len(errors)):
        first, second = plateau(), plateau()
        start = rates_after(first, errors[:cut])
        second.restore(first.state())
        assert start + rates_after(second, errors[cut:], cut) == whole


def test_only_the_plateau_needs_a_minival():
    laws = (Table, Divide, WarmUp, Plateau)
    assert [law.needs_minival for law in laws] == [False, False, False, True]


def test_laws_that_do_not_listen_are_deaf():
    rate = Divide(CIFAR, 0.1, AT_32K_AND_48K)
    rate.hear_training_error(0.1)
    rate.hear_minival_error(1.0, 7)
    assert rate(5) == 0.1
    assert rate.state() == {}
