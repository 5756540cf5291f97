"""A network that was trained, here or elsewhere, and all that is to be known to use it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from topfive import checkpoints
from topfive.architecture import architecture
from topfive.batch_transforms import MeanImage, Pipeline
from topfive.clock import Clock
from topfive.color_statistics import ColorStatistics
from topfive.crops import Filter
from topfive.preprocessing import transform
from topfive.problems import Problem
from topfive.runs import CONFIG, checkpoint_of, read_config
from topfive.whitening import Whitening

SHAPES = ColorStatistics(torch.zeros(3), torch.zeros(3), torch.zeros(3), torch.zeros(3, 3))


@dataclass(frozen=True, kw_only=True)
class Trained:
    """`net` in evaluation mode behind `pipeline`, which turns uint8 images into its input.

    config: as a run's (config.settle), its options those of `net`. classes: one name per output, None where
    nobody wrote them down. filter: what brings images to their size. origin: None for a run of this project, else
    where the weights are from, and `departures` then begins with a line that says so.
    """

    name: str
    net: nn.Module
    pipeline: Pipeline
    config: dict[str, Any]
    classes: Sequence[str] | None = None
    filter: Filter = "triangle"
    origin: str | None = None
    departures: tuple[str, ...] = ()

    @property
    def channels(self) -> int:
        """1 (gray) or 3 (color)."""
        return int(self.config["recipe"]["channels"])

    def scores(self, images: Tensor) -> Tensor:
        """uint8 (batch, channels, height, width) to the scores of the classes (batch, classes)."""
        scores: Tensor = self.net(self.pipeline(images, None, next(self.net.parameters()).dtype))
        return scores


def load(
    run: str | None, weights: str | None, model: str | None = None, classes: int | None = None
) -> Trained:
    """A run's network (its directory or checkpoint), or foreign weights (see foreign.load).

    model: the network of conf/model, for foreign weights that do not say. classes: as many outputs, where a
    run's checkpoint does not say. Raises Problem where not exactly one of `run` and `weights` is given.
    """
    if (run is None) == (weights is None):
        raise Problem(
            "name either a run (run=outputs/MODEL/RECIPE/TIME, a directory that train.py made, or a "
            "checkpoint in it) or foreign weights (weights=torchvision:resnet50, timm:resnet50.a1_in1k, "
            "caffe:FILE.caffemodel, cifar:FILE)."
        )
    if weights is not None:
        from topfive import foreign

        return foreign.load(weights, model)
    assert run is not None
    return of_run(Path(run), classes)


def of_run(path: Path, classes: int | None = None) -> Trained:
    """The network of the run that `path` is the directory or a checkpoint of."""
    file = checkpoint_of(path)
    config = read_config(file.parent)
    if config is None:
        raise Problem(
            f"run={path}: there is no readable {CONFIG} in {file.parent}. Name a directory that train.py "
            f"made, or a checkpoint in it."
        )
    if not file.exists():
        raise Problem(f"there is no checkpoint {file}: train the run first, or name another.")
    saved = checkpoints.content(file, "name another run.", mmap=True)
    names = saved.get("classes")
    state: Mapping[str, Tensor] = saved["state_dict"]
    wanted = classes if names is None else len(names)
    if wanted is None:
        raise Problem(
            f"the checkpoint {file} is of an earlier version, which did not keep the names of its classes: "
            f"continue its training for a step, or evaluate it on its data (python -m topfive.evaluate)."
        )
    net, pipeline = architecture(config, wanted), _pipeline(config, state)
    for part, module in (("net.", net), ("pipeline.", pipeline)):
        fill(module, {k[len(part) :]: v for k, v in state.items() if k.startswith(part)}, str(file))
    return Trained(
        name=file.parent.name,
        net=net.eval(),
        pipeline=pipeline.eval(),
        config=config,
        classes=names,
    )


def fill(module: nn.Module, state: Mapping[str, Tensor], where: str) -> None:
    """Puts `state` into `module`; a Problem names what is missing, superfluous or of another shape.

    A module on the meta device takes the tensors themselves, any other their values.
    """
    own = module.state_dict()
    differing = [
        *(f"lacks {name}" for name in own.keys() - state.keys()),
        *(f"has {name} besides" for name in state.keys() - own.keys()),
        *(
            f"has {name} of {tuple(state[name].shape)}, expected {tuple(own[name].shape)}"
            for name in own.keys() & state.keys()
            if own[name].shape != state[name].shape
        ),
    ]
    if differing:
        more = f", and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise Problem(
            f"{where} is of another network: it {', '.join(sorted(differing)[:3])}{more}. Name the weights "
            f"of this network, or the network of these weights."
        )
    module.load_state_dict(dict(state), assign=any(value.is_meta for value in own.values()))


def _pipeline(config: dict[str, Any], state: Mapping[str, Tensor]) -> Pipeline:
    """The recipe's, its statistics still to be filled from `state`, which has their shapes."""
    recipe, key = config["recipe"], "pipeline.transforms"
    clock = Clock(1, 1)  # evaluation views pass through a transform whenever it ends
    transforms = [transform(entry, clock, lambda: SHAPES) for entry in recipe["transforms"]]
    if recipe["mean"] is not None:
        blank = torch.empty_like(state.get(f"{key}.0.mean", torch.empty(0)))
        stretch = recipe["mean"]["shorter"] is not None
        transforms.insert(0, MeanImage(blank, recipe["mean"]["follows_crop"], stretch))
    if recipe.get("whitening") is not None:
        place = f"{key}.{len(transforms)}"
        white = (state.get(f"{place}.{name}", torch.empty(0)) for name in ("mean", "matrix"))
        transforms.append(Whitening(*(torch.empty_like(one) for one in white)))
    layout = torch.channels_last if config["trainer"]["channels_last"] else torch.contiguous_format
    return Pipeline(transforms, layout)
