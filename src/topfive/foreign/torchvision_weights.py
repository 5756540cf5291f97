"""weights=torchvision:NAME or NAME.TAG: resnet50, vgg16.IMAGENET1K_V1."""

from typing import Any

from torchvision import models

from topfive.foreign.library import Entry
from topfive.foreign.preprocessing import Preprocessing, filter_of, in_255ths
from topfive.problems import Problem


def entry(name: str) -> Entry:
    """Torchvision's record of the weights; without a tag, of those that it calls DEFAULT."""
    architecture, _, tag = name.partition(".")
    weights = _weights(architecture, tag)
    origin = f"torchvision:{architecture}.{weights.name}"
    said = weights.transforms()
    return Entry(
        library="torchvision",
        name=f"{architecture}.{weights.name}",
        url=weights.url,
        network=lambda: models.get_model(architecture, weights=None),
        download=lambda: weights.get_state_dict(
            check_hash=True, map_location="cpu", weights_only=True
        ),
        preprocessing=Preprocessing(
            mean=in_255ths(said.mean),
            deviation=in_255ths(said.std),
            filter=filter_of(said.interpolation.value, origin),
            size=said.crop_size[0],
            shorter=said.resize_size[0],
        ),
    )


def _weights(architecture: str, tag: str) -> Any:
    there = models.list_models(module=models)
    if architecture not in there:
        raise Problem(
            f"weights=torchvision:{architecture}: torchvision has no such network for images. It has "
            f"{', '.join(there)}."
        )
    known = models.get_model_weights(architecture)
    if tag and tag not in known.__members__:
        raise Problem(
            f"weights=torchvision:{architecture}.{tag}: torchvision has no such weights of it. It has "
            f"{', '.join(known.__members__)}."
        )
    return known[tag] if tag else known.DEFAULT
