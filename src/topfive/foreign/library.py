"""Weights that torchvision or timm knows by name, in the network of ours that computes the same.

Names only say which network to try: foreign.graph compares the two, operation by operation, so that
nothing loads that fits key for key and computes something else. Their ResNet-50 has its stride on the
3x3 convolution and a padded stem pool, their VGG rounds its pooling down; each becomes a departure.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from topfive.architecture import architecture
from topfive.config import compose
from topfive.datasets.imagenet_classes import wordnet_ids
from topfive.foreign import states
from topfive.foreign.assembly import assembled
from topfive.foreign.graph import same_weights
from topfive.foreign.preprocessing import Preprocessing
from topfive.problems import Problem
from topfive.trained import Trained, fill

# How the libraries' names begin, which of conf/model that is, and under which options.
FAMILIES = (
    (r"resnet(18|34)", "resnet{}", ("shortcut=B", "stem_pool=padded")),
    (r"resnet(50|101|152)", "resnet{}", ("stride_on=3x3", "stem_pool=padded")),
    (r"vgg(11|13|16|19)", "vgg{}", ("pool_rounding=down",)),
    (r"tf_efficientnet_(b0)", "efficientnet_{}", ()),
    (r"efficientnet_(b0)", "efficientnet_{}", ("padding=symmetric",)),
)
FITTING = "resnet18, 34, 50, 101 and 152, vgg11, 13, 16 and 19, and timm's tf_efficientnet_b0"
UNLIKE = {
    "alexnet": "it has one column of other widths and no local response normalization (arXiv:1404.5997)",
    "googlenet": "it has batch normalization, and 3x3 convolutions where the paper has 5x5",
    "resnetv2": "its first batch normalization comes after the stem's pooling, the paper's code has it ahead",
}


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One set of weights. name: with its tag, as NAME in weights=library:NAME.

    network: builds the library's own, untrained. download: the state of it, or an error of the library's.
    """

    library: str
    name: str
    url: str
    network: Callable[[], nn.Module]
    download: Callable[[], Mapping[str, Tensor]]
    preprocessing: Preprocessing

    @property
    def origin(self) -> str:
        return f"{self.library}:{self.name}"


def load(entry: Entry, file: Path | None, model: str | None) -> Trained:
    """The network of `entry` with the weights in `file`, or downloaded. Problem where it is none of ours."""
    name, options = counterpart(entry)
    if model not in (None, name):
        raise Problem(
            f"weights={entry.origin} is model={name}, not model={model}: leave model out."
        )
    config = compose([f"model={name}", *options, *entry.preprocessing.protocol()])
    with torch.device("meta"):
        theirs, ours = entry.network(), architecture(config, len(wordnet_ids()))
    names = same_weights(theirs, ours, f"weights={entry.origin}")
    state = _downloaded(entry) if file is None else states.read(file)
    fill(theirs, states.with_counters(state, theirs), f"weights={entry.origin}:{file or entry.url}")
    carry(theirs, ours, names)
    origin = entry.origin if file is None else f"{entry.origin}:{file.name}"
    return assembled(
        ours, config, entry.preprocessing, name=entry.name, origin=origin, classes=wordnet_ids()
    )


def counterpart(entry: Entry) -> tuple[str, list[str]]:
    """The name in conf/model that goes with an entry, and the overrides of its options."""
    for beginning, reason in UNLIKE.items():
        if entry.name.startswith(beginning):
            raise Problem(
                f"weights={entry.origin} is another network than this project's: {reason}. Those that fit are "
                f"{FITTING}."
            )
    for pattern, model, options in FAMILIES:
        if found := re.match(pattern + r"(?!\d)", entry.name):
            return model.format(found[1]), [f"model.{option}" for option in options]
    raise Problem(
        f"weights={entry.origin}: no network of conf/model is built like it. Those that fit are {FITTING}."
    )


def carry(source: nn.Module, target: nn.Module, names: Mapping[str, str]) -> None:
    """Gives `target` the tensors of `source`, under `names`; a window's axes are folded or unfolded."""
    shapes = {name: value.shape for name, value in target.state_dict().items()}
    state = {names[name]: value for name, value in source.state_dict().items()}
    fill(target, {n: value.reshape(shapes[n]) for n, value in state.items()}, "the network")


def _downloaded(entry: Entry) -> dict[str, Tensor]:
    try:
        content = entry.download()
    except Exception as error:  # each library's own, and those of what it downloads with
        raise Problem(
            f"weights={entry.origin} could not be downloaded ({type(error).__name__}). Fetch {entry.url} "
            f"where there is a network, and name the file: weights={entry.origin}:FILE."
        ) from error
    return states.table(content, f"weights={entry.origin}")
