import pytest

from topfive.clock import Clock
from topfive.config import compose
from topfive.identity import subject
from topfive.problems import Problem
from topfive.rates import Rates, listens

CLOCK = Clock(images=100, batch=10)
DIVIDE = {"_target_": "topfive.schedules.Divide", "rate": 0.5, "at": {"iterations": [10]}}
FREEZE = {"_target_": "topfive.schedules.Table", "rates": [0.25, 0], "until": {"epochs": [2]}}
PLATEAU = {
    "_target_": "topfive.schedules.Plateau",
    "rate": 1.0,
    "times": 2,
    "patience": {"iterations": 5},
}
WARM_UP = {
    "_target_": "topfive.schedules.WarmUp",
    "rate": 0.8,
    "at": {"iterations": [100]},
    "low": 0.2,
    "until_error": 0.5,
}


def test_a_multiple_follows_the_main_law_and_a_law_its_own():
    rates = Rates({"schedule": DIVIDE, "rates": {"biases": 2, "conv1.*": FREEZE}}, CLOCK)
    assert [rates(9), rates(10)] == [0.5, 0.05]
    assert [rates.of(1.0, 9), rates.of(2.0, 9), rates.of(2.0, 10)] == [0.5, 1.0, 0.1]
    assert [rates.of("conv1.*", step) for step in (0, 10, 19, 20, 99)] == [0.25] * 3 + [0, 0]


def test_own_laws_shrink_with_the_schedule():
    clock = Clock(images=100, batch=10, shorten=4)  # two epochs are 5 steps
    rates = Rates({"schedule": DIVIDE, "rates": {"conv1.*": FREEZE}}, clock)
    assert [rates.of("conv1.*", step) for step in (4, 5)] == [0.25, 0]


def listening():
    return Rates({"schedule": PLATEAU, "rates": {"a.*": WARM_UP, "b.*": PLATEAU, "c": 2}}, CLOCK)


def all_of(rates, step):
    return [rates(step), *(rates.of(key, step) for key in ("a.*", "b.*", 2.0))]


def test_every_law_hears_the_errors():
    rates = listening()
    assert all_of(rates, 0) == [1, 0.2, 1, 2]
    rates.hear_training_error(0.4)
    assert all_of(rates, 1) == [1, 0.8, 1, 2]
    rates.hear_minival_error(0.9, 1)
    rates.hear_minival_error(0.9, 6)
    assert all_of(rates, 6) == [0.1, 0.8, 0.1, 0.2]


def test_the_state_of_every_law_is_kept_and_restored():
    before, after = listening(), listening()
    before.hear_training_error(0.4)
    before.main.hear_minival_error(0.9, 1)  # unlike the other plateau, to see that none is confused
    before.main.hear_minival_error(0.9, 6)
    after.restore(before.state())
    assert all_of(after, 7) == all_of(before, 7) == [0.1, 0.8, 1, 0.2]
    after.hear_minival_error(0.9, 8)
    after.hear_minival_error(0.9, 12)
    assert all_of(after, 12) == pytest.approx([0.01, 0.8, 1, 0.02])


def test_without_rates_the_state_is_the_main_laws_as_in_older_checkpoints():
    rates = Rates({"schedule": WARM_UP}, CLOCK)
    rates.restore({"warm": 1.0})
    assert rates(5) == 0.8
    assert rates.state() == {"warm": 1.0}


@pytest.mark.parametrize(
    ("schedule", "rates", "heard"),
    [
        (DIVIDE, {}, False),
        (DIVIDE, {"biases": 2, "a.*": WARM_UP}, False),
        (DIVIDE, {"biases": 2, "a.*": PLATEAU}, True),
        (DIVIDE, {"a.*": None}, False),
        (DIVIDE, None, False),
        (PLATEAU, {"a.*": FREEZE}, True),
    ],
)
def test_a_minival_is_held_out_where_any_law_listens(schedule, rates, heard):
    recipe = {"schedule": schedule, "rates": rates}
    assert listens(recipe) == heard
    assert Rates(recipe, CLOCK).needs_minival == heard


def test_how_often_a_run_looks_is_a_part_of_it_where_any_law_listens():
    config = compose(["model=resnet20"])
    assert "check_every" not in subject(config)["trainer"]
    config["recipe"]["rates"] = {"conv1.*": PLATEAU}
    assert "check_every" in subject(config)["trainer"]


@pytest.mark.parametrize("rate", ["twice", -1, [1, 2], {"rate": 0.1}, float("nan")])
def test_what_is_no_rate_is_refused(rate):
    with pytest.raises(
        Problem, match=r"recipe.rates has biases: .*a number of times the main rate"
    ):
        Rates({"schedule": DIVIDE, "rates": {"biases": rate}}, CLOCK)


def test_rates_and_decays_can_be_given_on_the_command_line():
    recipe = compose(["model=cuda_convnet", "+recipe.rates={conv1.*:0.5}"])["recipe"]
    assert list(recipe["rates"]) == ["biases", "conv1.*"]
    assert "decays" not in compose(["model=cuda_convnet", "~recipe.decays"])["recipe"]
