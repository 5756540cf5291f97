"""A law of the learning rate that goes in straight lines from rate to rate."""

from collections.abc import Sequence

from topfive.clock import Clock, Lengths
from topfive.problems import Problem
from topfive.schedules import LawOfTheStep


class PiecewiseLinear(LawOfTheStep):
    """`rates[0]` at the first step, `rates[k + 1]` at milestone `until[k]`, the last one from there on.

    ffcv-imagenet's "cyclic" law (train_imagenet.py, get_cyclic_lr): up in two epochs, then down to 0.
    """

    def __init__(self, clock: Clock, rates: Sequence[float], until: Lengths):
        self.rates, self.points = list(rates), [0, *clock.milestones(until)]
        if len(self.rates) != len(self.points) or self.points != sorted(set(self.points)):
            raise Problem(
                f"recipe.schedule has {len(self.rates)} rates and the milestones {dict(until)}: expected one "
                f"rate for the first step and one for each milestone, and milestones that increase."
            )

    def __call__(self, step: int) -> float:
        for k, (left, right) in enumerate(zip(self.points, self.points[1:], strict=False)):
            if step < right:
                part = (step - left) / (right - left)
                return self.rates[k] + part * (self.rates[k + 1] - self.rates[k])
        return self.rates[-1]
