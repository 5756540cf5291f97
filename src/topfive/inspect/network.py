"""The network that a command line names, on the meta device."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import torch
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from topfive.architecture import architecture
from topfive.config import GROUPS, compose, options
from topfive.problems import Problem

CLASSES = {"digits": 10, "mnist": 10, "cifar10": 10, "cifar100": 100, "imagenet": 1000}
TOP = {*GROUPS, "trainer", "loader", "logger", "seed", "resume"}


@dataclass(frozen=True)
class Network:
    """A network without weights, and what its recipe feeds it with."""

    name: str
    options: tuple[str, ...]  # as given
    net: nn.Module
    channels: int
    size: int
    batch: int


def network(name: str, given: Sequence[str] = (), classes: int | None = None) -> Network:
    """The network of conf/model/NAME.yaml under `given`: options of it, or keys of train.py.

    A key without a dot that names no group is an option: shortcut=C is model.shortcut=C. `classes`
    None is as many as the data set has. Raises Problem where name, key or value is unknown.
    """
    known = options("model")
    if name not in known:
        close = get_close_matches(name, known, 3, 0.5)
        meant = f" Did you mean {' or '.join(close)}?" if close else ""
        raise Problem(f"there is no network {name!r}.{meant} There are: {', '.join(known)}")
    config = _composed(name, given)
    if classes is None:
        classes = CLASSES.get(config["choices"]["data"])
    config["model"].pop("num_classes", None)
    with torch.device("meta"):
        net = architecture(config, classes)
    recipe = config["recipe"]
    return Network(
        name, tuple(given), net, recipe["channels"], recipe["crop"]["size"], recipe["batch_size"]
    )


def _composed(name: str, given: Sequence[str]) -> dict[str, Any]:
    try:
        return compose([f"model={name}", *map(_override, given)])
    except (HydraException, OmegaConfBaseException) as error:
        own = sorted(compose([f"model={name}"])["model"].keys() - {"_target_"})
        for option in map(_key, given):
            if _is_option(option) and option not in own:
                has = f"it has {', '.join(own)}" if own else "it has none"
                raise Problem(
                    f"{name} has no option {option!r}: {has}. A key of train.py has its group before "
                    f"a dot, for example recipe.crop.size=256."
                ) from error
        said = next(line for line in str(error).splitlines() if line.strip())
        raise Problem(
            f"{' '.join(given)}: {said.rstrip('.')}. Keys are those of train.py: python train.py "
            f"model={name} --cfg job lists them."
        ) from error


def _override(given: str) -> str:
    key, equals, value = given.partition("=")
    if not equals:
        raise Problem(
            f"{given!r} is no option: expected key=value, for example recipe.crop.size=256."
        )
    if key == "num_classes":
        raise Problem(f"the number of classes follows the data: --classes {value} sets it.")
    return f"model.{given}" if _is_option(_key(given)) else given


def _key(given: str) -> str:
    return given.partition("=")[0].lstrip("+~")


def _is_option(key: str) -> bool:
    return "." not in key and key not in TOP
