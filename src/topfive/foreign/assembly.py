"""A network with foreign weights, and what sets it apart from one that was trained as its paper says."""

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from topfive.config import compose
from topfive.foreign.preprocessing import Preprocessing
from topfive.trained import Trained


def assembled(
    net: nn.Module,
    config: dict[str, Any],
    preprocessing: Preprocessing,
    *,
    name: str,
    origin: str,
    classes: Sequence[str],
) -> Trained:
    """`net`, of the options in `config`, behind `preprocessing`; `origin` as in weights=, without folders."""
    return Trained(
        name=name,
        net=net.eval(),
        pipeline=preprocessing.pipeline().eval(),
        config=config,
        classes=classes,
        filter=preprocessing.filter,
        origin=origin,
        departures=tuple(_departures(config, preprocessing, origin)),
    )


def _departures(config: dict[str, Any], preprocessing: Preprocessing, origin: str) -> Iterator[str]:
    """One line for the weights, one for every value that they need and the paper has otherwise."""
    name, recipe = config["choices"]["model"], config["choices"]["recipe"]
    yield f"weights={origin} (paper: trained as recipe={recipe} says)"
    for key, value in compose([f"model={name}"])["model"].items():
        if config["model"][key] != value:
            yield f"model.{key}={config['model'][key]} (paper: {value})"
    mean, deviation = _papers(config["recipe"])
    values = [
        ("mean", str(list(preprocessing.mean)), mean),
        ("deviation", str(list(preprocessing.deviation)), deviation),
        ("filter", preprocessing.filter, "triangle"),
    ]
    for key, here, paper in values:
        if here != paper:
            yield f"{key}={here} (paper: {paper})"


def _papers(recipe: dict[str, Any]) -> tuple[str, str]:
    """What the paper subtracts and divides by."""
    for entry in recipe["transforms"]:
        if entry["_target_"] == "topfive.batch_transforms.Standardize":
            return str(entry["mean"]), str(entry["deviation"])
    return "the mean image" if recipe["mean"] is not None else "none", "none"
