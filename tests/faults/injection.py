"""What a fault is, and what the bench lends to the function that injects it."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from small_training import Training


@dataclass
class Bench:
    """folder: scratch; seed: of every draw. The undisturbed trainings are made once."""

    folder: Path
    seed: int
    undisturbed: dict[tuple[str, ...], Training] = field(default_factory=dict)

    def draws(self, fault: str) -> random.Random:
        """A generator of this fault's own: one fault alone is injected as in the whole bench."""
        return random.Random(f"{self.seed} {fault}")

    def reference(self, *overrides: str) -> Training:
        """The training that nothing disturbs."""
        if overrides not in self.undisturbed:
            made = Training(self.folder / f"undisturbed-{len(self.undisturbed)}", overrides)
            made.finish()
            self.undisturbed[overrides] = made
        return self.undisturbed[overrides]


@dataclass(frozen=True)
class Fault:
    """inject: does it, raises Unexpected or NotHere, and says in a few words what happened.

    times: how often it is injected.
    """

    name: str
    what: str
    times: int
    expected: str
    inject: Callable[[Bench, str, int], str]
