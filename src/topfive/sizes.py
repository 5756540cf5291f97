"""Progressive resizing: training begins with small views, which cost less, and ends with large ones."""

from typing import Any

import torch

from topfive.architecture import architecture
from topfive.clock import Clock, Length
from topfive.problems import Problem
from topfive.targets import partial


class Ramp:
    """Views of side `smallest` until `start`, of the crop's own size from `end` on, linear between.

    Rounded to the nearest multiple of `multiple`, half to even, as ffcv-imagenet has it (commit
    4dd291a, train_imagenet.py, get_resolution); there the size changes between epochs only.
    """

    def __init__(
        self,
        clock: Clock,
        largest: int,
        smallest: int,
        start: Length,
        end: Length,
        multiple: int = 32,
    ):
        self.smallest, self.largest, self.multiple = smallest, largest, multiple
        self.start, self.end = clock.steps(start), clock.steps(end)
        if not 0 < smallest <= largest or self.start > self.end:
            raise Problem(
                f"recipe.sizes runs from {smallest} at {dict(start)} to the crop's {largest} at {dict(end)}: "
                f"expected a smallest size of at most recipe.crop.size, and a start that is not after the end."
            )

    def __call__(self, step: int) -> int:
        """The side of the views of `step`, in pixels."""
        if step <= self.start:
            return self.smallest
        if step >= self.end:
            return self.largest
        part = (step - self.start) / (self.end - self.start)
        exact = self.smallest + part * (self.largest - self.smallest)
        rounded = round(exact / self.multiple) * self.multiple
        return min(max(rounded, self.smallest), self.largest)


def sizes_of_views(config: dict[str, Any], clock: Clock, largest: int) -> Ramp | None:
    """`recipe.sizes` laid on `clock`, up to the crop's size `largest`; None where it says nothing.

    Raises Problem where the recipe or the loader needs views of one size.
    """
    recipe = config["recipe"]
    if recipe.get("sizes") is None:
        return None
    for key in ("mean", "whitening"):
        if recipe.get(key) is not None:
            raise Problem(
                f"recipe.{key} is made for views of one size, which recipe.sizes changes: set recipe.{key}=null "
                f"(and subtract a color by topfive.batch_transforms.Standardize), or '~recipe.sizes'."
            )
    if config["loader"]["kind"] == "memory":
        raise Problem(
            "loader=memory cuts views of one size, which recipe.sizes changes: choose loader=torch, or "
            "'~recipe.sizes'."
        )
    laid: Ramp = partial(recipe["sizes"])(clock, largest)
    return laid


def refuse_smaller_views(config: dict[str, Any], classes: int, smallest: int) -> None:
    """Raises Problem where the network cannot take views of `smallest` pixels."""
    with torch.device("meta"):
        net = architecture(config, classes).train()
        try:
            net(torch.empty(2, config["recipe"]["channels"], smallest, smallest))
        except (Problem, RuntimeError) as error:
            raise Problem(
                f"recipe.sizes begins with views of {smallest} x {smallest}, which this network cannot take "
                f"({error}). Choose a larger recipe.sizes.smallest, or '~recipe.sizes'."
            ) from error
