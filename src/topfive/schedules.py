"""The laws of the learning rate: each maps the step to a rate, and may listen to an error.

A recipe writes lengths as the paper does, {iterations: 64000} or {epochs: 90}; a `Clock` turns them
into steps of this run, `recipe.shorten` included, so that every milestone scales with the whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from topfive.problems import Problem

UNITS = ("iterations", "epochs")

Length = Mapping[str, float]
Lengths = Mapping[str, Sequence[float]]
Count = TypeVar("Count", float, Sequence[float])


def unit(length: Mapping[str, Count]) -> tuple[str, Count]:
    """ "iterations" or "epochs", and how many; a unit whose count is null is as good as absent.

    Raises Problem where not exactly one unit is left.
    """
    given = [(name, count) for name, count in length.items() if count is not None]
    if len(given) != 1 or given[0][0] not in UNITS:
        raise Problem(
            f"found the length {dict(length)}, expected one of {{iterations: ...}} and {{epochs: ...}}. "
            f"To change the unit: '+recipe.duration={{epochs:90,iterations:null}}'."
        )
    return given[0]


@dataclass(frozen=True)
class Clock:
    """Converts a paper's lengths to steps of this run.

    images: samples an epoch; batch: images an update; updates: updates a step (more than one only
    where a step is a block of single-sample updates); shorten: how many times shorter the whole is
    run. Raises Problem where `shorten` is no positive number.
    """

    images: int
    batch: int
    updates: int = 1
    shorten: float = 1.0

    def __post_init__(self) -> None:
        if not self.shorten > 0:
            raise Problem(f"recipe.shorten={self.shorten}: expected a number of times above 0.")

    def steps(self, length: Length) -> int:
        """Steps of {iterations: k} or {epochs: k}; at least one."""
        return max(1, round(self._exactly(length)))

    def passed(self, length: Length, step: int) -> int:
        """How many such lengths, laid end to end, are over at `step`; each ends at a whole step."""
        return int((step + 0.5) / self._exactly(length))

    def _exactly(self, length: Length) -> float:
        name, count = unit(length)
        iterations = count if name == "iterations" else count * self.images / self.batch
        return iterations / self.updates / self.shorten

    def milestones(self, lengths: Lengths) -> list[int]:
        """The same for a list of milestones."""
        name, counts = unit(lengths)
        return [self.steps({name: count}) for count in counts]

    def epochs(self, step: int) -> float:
        """Epochs that lie before `step`."""
        return step * self.updates * self.batch / self.images


class Schedule(Protocol):
    """What the training loop asks of a law."""

    needs_minival: bool

    def __call__(self, step: int) -> float:
        """The rate of `step`, which is asked for in order."""
        ...

    def hear_training_error(self, error: float) -> None:
        """Top-1 error (fraction) over the last training window."""
        ...

    def hear_minival_error(self, error: float, step: int) -> None:
        """Top-1 error (fraction) after `step` steps on the images held out from training."""
        ...

    def state(self) -> dict[str, float]:
        """What a checkpoint must keep."""
        ...

    def restore(self, state: dict[str, float]) -> None:
        """Takes `state` back."""
        ...


class LawOfTheStep:
    """What a law that decides by the step alone hears and keeps: nothing."""

    needs_minival = False

    def hear_training_error(self, error: float) -> None:
        pass

    def hear_minival_error(self, error: float, step: int) -> None:
        pass

    def state(self) -> dict[str, float]:
        return {}

    def restore(self, state: dict[str, float]) -> None:
        pass


class Table(LawOfTheStep):
    """Rate `rates[i]` until milestone `until[i]`, the last one to the end.

    Milestones are laid on the clock; a rate holds from the step at its milestone on.
    """

    def __init__(self, clock: Clock, rates: Sequence[float], until: Lengths):
        self.rates, self.until = list(rates), clock.milestones(until)
        if len(self.rates) != len(self.until) + 1:
            raise Problem(
                f"recipe.schedule has {len(self.rates)} rates and {len(self.until)} milestones: "
                f"every rate but the last needs one."
            )

    def __call__(self, step: int) -> float:
        return self.rates[sum(step >= milestone for milestone in self.until)]


class Divide(Table):
    """`rate`, divided by `by` at every milestone of `at` (He et al. 2015, section 4.2: 32k and 48k)."""

    def __init__(self, clock: Clock, rate: float, at: Lengths, by: float = 10.0):
        _, milestones = unit(at)
        super().__init__(clock, [rate / by**k for k in range(len(milestones) + 1)], at)


class Decay(LawOfTheStep):
    """`rate`, times `factor` after every length `every` (Szegedy et al. 2014: 0.96 every 8 epochs)."""

    def __init__(self, clock: Clock, rate: float, factor: float, every: Length):
        self.clock, self.rate, self.factor, self.every = clock, rate, factor, every
        unit(every)

    def __call__(self, step: int) -> float:
        return self.rate * self.factor ** self.clock.passed(self.every, step)


class SlowStart(Divide):
    """As Divide, but at `low` for the length `lasting` (He et al. 2016, appendix: 400 iterations)."""

    def __init__(
        self,
        clock: Clock,
        rate: float,
        at: Lengths,
        low: float,
        lasting: Length,
        by: float = 10.0,
    ):
        super().__init__(clock, rate, at, by)
        self.low, self.lasting = low, clock.steps(lasting)

    def __call__(self, step: int) -> float:
        return self.low if step < self.lasting else super().__call__(step)


class WarmUp(Divide):
    """As Divide, but at `low` until the training error falls below `until_error`.

    He et al. 2015, section 4.2: ResNet-110 trains at 0.01 until the error is below 80%.
    """

    def __init__(
        self,
        clock: Clock,
        rate: float,
        at: Lengths,
        low: float,
        until_error: float,
        by: float = 10.0,
    ):
        super().__init__(clock, rate, at, by)
        self.low, self.until_error, self.warm = low, until_error, False

    def __call__(self, step: int) -> float:
        return super().__call__(step) if self.warm else self.low

    def hear_training_error(self, error: float) -> None:
        self.warm = self.warm or error < self.until_error

    def state(self) -> dict[str, float]:
        return {"warm": float(self.warm)}

    def restore(self, state: dict[str, float]) -> None:
        self.warm = bool(state["warm"])


class Plateau:
    """`rate`, divided by `by` whenever the minival error has not improved for the length `patience`.

    Krizhevsky et al. 2012, section 5: divided by 10 "when the validation error rate stopped improving",
    three times in all; the paper did it by hand.
    """

    needs_minival = True

    def __init__(self, clock: Clock, rate: float, times: int, patience: Length, by: float = 10.0):
        self.rate, self.times, self.by = rate, times, by
        self.patience = clock.steps(patience)
        self.divisions, self.best, self.since = 0, 1.0, 0

    def __call__(self, step: int) -> float:
        return self.rate / self.by**self.divisions

    def hear_training_error(self, error: float) -> None:
        pass

    def hear_minival_error(self, error: float, step: int) -> None:
        if error < self.best:
            self.best, self.since = error, step
        elif step - self.since >= self.patience and self.divisions < self.times:
            self.divisions, self.since = self.divisions + 1, step

    def state(self) -> dict[str, float]:
        return {"divisions": self.divisions, "best": self.best, "since": self.since}

    def restore(self, state: dict[str, float]) -> None:
        self.divisions, self.since = int(state["divisions"]), int(state["since"])
        self.best = state["best"]
