"""What a training is made of: counted once for every number of the table, and kept in trainings.jsonl.

Counting composes a configuration and traces a network, a second each; the file, which python -m topfive.plan writes,
spares it. A training that is not in it is counted when it is asked for.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from topfive import whole_files
from topfive.config import compose
from topfive.plan.jobs import Job
from topfive.plan.lengths import data_set, images
from topfive.problems import Problem
from topfive.results import Json

FILE = Path(__file__).with_name("trainings.jsonl")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """options: of the model. batch: images an update. images: shown in training. side, channels: of a view.

    multiply_adds, operations (calls of torch): of one view forward. views: by protocol ("" is the training's own), what
    is shown of a usual image, in such views.
    """

    overrides: tuple[str, ...]
    model: str
    options: Mapping[str, Json]
    data: str
    online: bool
    batch: int
    images: int
    side: int
    channels: int
    multiply_adds: int
    operations: int
    parameters: int
    views: Mapping[str, float]


def facts_of(job: Job) -> Facts:
    """Of a training and its tests; a Problem where its network or its data are not known."""
    kept = _kept().get(job.overrides)
    if kept is not None and kept.views.keys() >= set(job.protocols):
        return kept
    return counted(job)


def counted(job: Job) -> Facts:
    """The same, composed and traced now."""
    config = _composed(job.overrides)
    choices, recipe = config["choices"], config["recipe"]
    data = data_set(choices["data"])
    side, channels = recipe["crop"]["size"], recipe["channels"]
    multiply_adds, operations, parameters = _traced(config, data.classes, (1, channels, side, side))

    from topfive.plan.views import shown

    return Facts(
        overrides=job.overrides,
        model=choices["model"],
        options=options(config["model"]),
        data=choices["data"],
        online=recipe["online"] is not None,
        batch=recipe["batch_size"],
        images=images(config),
        side=side,
        channels=channels,
        multiply_adds=multiply_adds,
        operations=operations,
        parameters=parameters,
        views={name: shown(config, name, data.shape) for name in ("", *job.protocols)},
    )


def options(model: Mapping[str, Json]) -> dict[str, Json]:
    """Of a configuration's model, without what the data decide."""
    return {k: v for k, v in model.items() if k not in ("_target_", "num_classes")}


def keep(several: list[Facts], file: Path = FILE) -> None:
    """Writes a line each, in the order of their overrides."""
    ordered = sorted(several, key=lambda one: one.overrides)
    text = "".join(json.dumps(asdict(one)) + "\n" for one in ordered)
    whole_files.write(file, text.encode())


@cache
def _kept() -> Mapping[tuple[str, ...], Facts]:
    lines = FILE.read_text(encoding="utf-8").splitlines() if FILE.exists() else []
    found = (Facts(**json.loads(line)) for line in lines)
    tupled = (replace(one, overrides=tuple(one.overrides)) for one in found)
    return {one.overrides: one for one in tupled}


def _composed(overrides: tuple[str, ...]) -> dict[str, Any]:
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        return compose(overrides)
    except (HydraException, OmegaConfBaseException) as error:
        said = next(line for line in str(error).splitlines() if line.strip())
        raise Problem(f"{' '.join(overrides)}: {said.rstrip('.')}.") from error


def _traced(
    config: dict[str, Any], classes: int, shape: tuple[int, int, int, int]
) -> tuple[int, int, int]:
    """Multiply-adds, operations and parameters, in evaluation."""
    import torch

    from topfive.architecture import architecture
    from topfive.inspect.trace import trace

    config["model"].pop("num_classes", None)
    with torch.device("meta"):
        net = architecture(config, classes).eval()
    events = trace(net, shape).events
    weights = sum(parameter.numel() for parameter in net.parameters())
    return sum(event.multiply_adds for event in events), len(events), weights
