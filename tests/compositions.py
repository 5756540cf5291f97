"""Compositions of conf/ that several tests look at; Hydra takes a fifth of a second for each."""

from functools import cache

from topfive import ablations
from topfive.config import compose


@cache
def composed(*overrides):
    """The composition of `overrides`; whoever changes it copies it first."""
    return compose(overrides)


def every_side():
    """The command of every side of every ablation, with ResNet-20 where it chooses no network."""
    for name in ablations.names():
        ablation = ablations.load(name)
        for side, overrides in ablation.sides.items():
            chosen = any(one.startswith("model=") for one in (*ablation.common, *overrides))
            yield (*(() if chosen else ("model=resnet20",)), f"ablation={name}/{side}")
