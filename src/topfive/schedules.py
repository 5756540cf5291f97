"""The laws of the learning rate: each maps the step to a rate, and may listen to an error.

Their lengths are laid on the run's clock (topfive.clock), so that all of them follow recipe.shorten.
"""

import math
from collections.abc import Sequence
from typing import Protocol

from topfive.clock import Clock, Length, Lengths, unit
from topfive.problems import Problem


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


class Constant(LawOfTheStep):
    """`rate` to the end: what authors' code does not lower, as cuda-convnet's epsB."""

    def __init__(self, clock: Clock, rate: float):
        self.rate = rate

    def __call__(self, step: int) -> float:
        return self.rate


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
    """`rate`, times `factor` after every length `every` (Szegedy et al. 2014: 0.96 every 8 epochs).

    Over the length `warmup` it climbs from 0 to `rate` in a straight line instead, while the decay is
    counted from the first step all the same: EfficientNet's code, which goes on at 0.97^2 of the rate
    after 5 epochs.
    """

    def __init__(
        self, clock: Clock, rate: float, factor: float, every: Length, warmup: Length | None = None
    ):
        self.clock, self.rate, self.factor, self.every = clock, rate, factor, every
        self.warmup = 0 if warmup is None else clock.steps(warmup)
        unit(every)

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return self.rate * step / self.warmup
        return self.rate * self.factor ** self.clock.passed(self.every, step)


class Poly(LawOfTheStep):
    """`rate` times (1 - step / `over`)^`power`, 0 from there on (Caffe's "poly").

    BVLC's GoogLeNet, quick_solver.prototxt: power 0.5 over 2.4 million iterations.
    """

    def __init__(self, clock: Clock, rate: float, power: float, over: Length):
        self.rate, self.power, self.over = rate, power, clock.steps(over)

    def __call__(self, step: int) -> float:
        return self.rate * math.pow(max(0.0, 1 - step / self.over), self.power)


class Cosine(LawOfTheStep):
    """Half a cosine from `rate` at the first step to `low` at `over`, and `low` from there on.

    Over the length `warmup` it climbs from 0 to `rate` in a straight line instead; that length is a
    part of `over`, and the cosine begins at the first step all the same (timm's scheduler as it comes,
    warmup_prefix=False; Loshchilov & Hutter, arXiv:1608.03983, without restarts).
    """

    def __init__(
        self,
        clock: Clock,
        rate: float,
        over: Length,
        warmup: Length | None = None,
        low: float = 0.0,
    ):
        self.rate, self.low, self.over = rate, low, clock.steps(over)
        self.warmup = 0 if warmup is None else clock.steps(warmup)

    def __call__(self, step: int) -> float:
        if step < self.warmup:
            return self.rate * step / self.warmup
        angle = math.pi * min(1.0, step / self.over)
        return self.low + (self.rate - self.low) * (1 + math.cos(angle)) / 2


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
        # Looks come at whole steps, so that five of them may fall short of five epochs by a few.
        self.patience = 0.99 * clock.steps(patience)
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
