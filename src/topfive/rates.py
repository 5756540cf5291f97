"""The rates of a recipe: its schedule, the main law, and the groups that `rates` takes out of it."""

from collections.abc import Mapping
from typing import Any

from hydra.utils import get_class

from topfive.clock import Clock
from topfive.problems import Problem
from topfive.schedules import Schedule
from topfive.targets import partial


def own_laws(recipe: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The entries of recipe.rates that are laws, not multiples of the main one.

    Raises Problem where an entry is neither; one that is null is as good as absent.
    """
    laws = {}
    for key, rate in (recipe.get("rates") or {}).items():
        if isinstance(rate, Mapping) and "_target_" in rate:
            laws[key] = rate
        elif rate is not None and (not isinstance(rate, int | float) or not rate >= 0):
            raise Problem(
                f"recipe.rates has {key}: {rate}; expected a number of times the main rate, 0 or above, or a law: "
                f"{{_target_: topfive.schedules.Constant, rate: 0.02}}."
            )
    return laws


def listens(recipe: Mapping[str, Any]) -> bool:
    """Whether a law of the recipe decides by the minival error, so that a minival must be held out."""
    laws = (recipe["schedule"], *own_laws(recipe).values())
    classes: list[type[Schedule]] = [get_class(law["_target_"]) for law in laws]
    return any(law.needs_minival for law in classes)


class Rates:
    """The main law of a recipe, as a Schedule, and with it all others: they hear and keep together.

    A rate of 0 freezes a layer as the authors' code does: under a rule that has the rate inside the
    velocity (CaffeSGD) the layer still coasts while its velocity fades, by momentum / (1 - momentum)
    times the last step; under torch.optim.SGD it stops at once.
    """

    def __init__(self, recipe: Mapping[str, Any], clock: Clock):
        self.main: Schedule = partial(recipe["schedule"])(clock)
        self.own: dict[str, Schedule] = {k: partial(v)(clock) for k, v in own_laws(recipe).items()}
        self.needs_minival = any(law.needs_minival for law in (self.main, *self.own.values()))

    def __call__(self, step: int) -> float:
        """The main rate of `step`."""
        return self.main(step)

    def of(self, rate: float | str, step: int) -> float:
        """The rate of a group (see parameter_groups): a multiple of the main one, or the law of a key."""
        return self.own[rate](step) if isinstance(rate, str) else rate * self.main(step)

    def hear_training_error(self, error: float) -> None:
        for law in (self.main, *self.own.values()):
            law.hear_training_error(error)

    def hear_minival_error(self, error: float, step: int) -> None:
        for law in (self.main, *self.own.values()):
            law.hear_minival_error(error, step)

    def state(self) -> dict[str, float]:
        """The main law's by its own names; another law's after its key and a slash."""
        others = {
            f"{key}/{name}": value
            for key, law in self.own.items()
            for name, value in law.state().items()
        }
        return {**self.main.state(), **others}

    def restore(self, state: dict[str, float]) -> None:
        self.main.restore(state)
        for key, law in self.own.items():
            mine = f"{key}/"
            law.restore({k.removeprefix(mine): v for k, v in state.items() if k.startswith(mine)})
