"""Lengths of a recipe, in its paper's units, and what they are in steps of a run.

A recipe writes {iterations: 64000} or {epochs: 90}; a `Clock` turns them into steps of this run,
`recipe.shorten` included, so that every milestone scales with the whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

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
