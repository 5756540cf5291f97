"""Compositions of conf/ that several tests look at; Hydra takes a fifth of a second for each."""

from functools import cache
from importlib.util import find_spec

from topfive import ablations
from topfive.config import compose, options


@cache
def composed(*overrides):
    """The composition of `overrides`; whoever changes it copies it first."""
    return compose(overrides)


def is_whole(name):
    """Whether what the sides name is there: two of them name what is made elsewhere at this time."""
    return {
        "bn_inception": "bn_inception_baseline" in options("recipe"),
        "gradient_clipping": find_spec("topfive.callbacks") is not None,
    }.get(name, True)


def every_side():
    """The command of every side of every ablation, with ResNet-20 where it chooses no network."""
    for name in ablations.names():
        ablation = ablations.load(name)
        if not is_whole(name):
            continue
        for side, overrides in ablation.sides.items():
            chosen = any(one.startswith("model=") for one in (*ablation.common, *overrides))
            yield (*(() if chosen else ("model=resnet20",)), f"ablation={name}/{side}")
