"""What a recipe does to a uint8 batch on the device, made for the data at hand."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate

from topfive import whitening
from topfive.batch_transforms import MeanImage, Pipeline, Until
from topfive.clock import Clock
from topfive.color_statistics import NAMES, ColorStatistics, color_statistics
from topfive.crops import Crop, Warp
from topfive.loaders.datamodule import DataModule
from topfive.mean_image import mean_image
from topfive.problems import Problem


def transform(
    entry: dict[str, Any], clock: Clock, colors: Callable[[], ColorStatistics] | None = None
) -> torch.nn.Module:
    """A recipe's entry under `transforms`.

    `until` beside its `_target_` is the length after which it ends. A value "data" is what `colors`
    gives under that name.
    """
    entry = dict(entry)
    until = entry.pop("until", None)
    for name in [name for name, value in entry.items() if value == "data"]:
        entry[name] = _of_the_data(name, colors)
    module: torch.nn.Module = instantiate(entry, _convert_="all")
    return module if until is None else Until(module, clock.steps(until))


def _of_the_data(name: str, colors: Callable[[], ColorStatistics] | None) -> list[Any]:
    if name not in NAMES or colors is None:
        raise Problem(
            f"recipe.transforms has {name}: data, and of the data come {', '.join(NAMES)}: give a value."
        )
    values: list[Any] = getattr(colors(), name).tolist()
    return values


def _mean_side(mean: dict[str, Any], crop: Crop) -> int:
    """Side of the mean of resized images: the crop's, or its whole frame's where the mean follows it."""
    if not (mean["follows_crop"] and crop.resizes):
        return crop.size
    if crop.frame is None:
        raise Problem(
            "recipe.mean.follows_crop=true, and this crop has no place in a square of one size: choose "
            "recipe.mean.follows_crop=false, which subtracts the mean's central window, or another crop."
        )
    if crop.frame != mean["shorter"]:
        raise Problem(
            f"recipe.mean.shorter={mean['shorter']}, and the crop that the mean image follows lies in a square "
            f"of {crop.frame}: set recipe.mean.shorter={crop.frame}."
        )
    return crop.frame


def pipeline(config: dict[str, Any], data: DataModule, clock: Clock) -> Pipeline:
    """What is done to a uint8 batch on the device before the network sees it."""
    recipe, progress = config["recipe"], config["trainer"]["progress"]
    mean, root = recipe["mean"], config["data"].get("root")
    folder = Path(root) / ".topfive" if root else Path("outputs") / ".topfive"
    # Once, where several values are of the data and the folder of `root` cannot keep them.
    colors = cache(partial(color_statistics, data.dataset.train, data.train_ids, folder, progress))
    transforms = [transform(entry, clock, colors) for entry in recipe["transforms"]]
    if mean is not None:
        image = mean_image(
            data.dataset.train,
            data.train_ids,
            _mean_side(mean, data.crop),
            mean["shorter"],
            folder,
            progress,
            warped=isinstance(data.crop, Warp),
        )
        stretch = mean["shorter"] is not None
        transforms.insert(0, MeanImage(image, mean["follows_crop"], stretch))
    if recipe.get("whitening") is not None:  # older runs were made without the key
        white = whitening.fitted(
            data.dataset.train,
            data.train_ids,
            data.crop,
            Pipeline(transforms),
            {key: recipe[key] for key in ("mean", "transforms")},
            recipe["whitening"]["bias"],
            folder,
            progress,
        )
        transforms.append(white)
    layout = torch.channels_last if config["trainer"]["channels_last"] else torch.contiguous_format
    return Pipeline(transforms, layout)
