"""weights=cifar:FILE: ResNets of section 4.2 (He et al. 2015) from the state dicts of other repositories.

NAMES maps their names to ours. What a file does not tell is taken as in akamaster/pytorch_resnet_cifar10:
half of option A's zero channels on either side (around), and pixels normalized by ImageNet's mean and
deviation (imagenet). cifar:FILE:after and cifar:FILE:cifar10 say otherwise, in any order.
"""

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from topfive.architecture import architecture
from topfive.config import compose, options
from topfive.foreign import states
from topfive.foreign.assembly import assembled
from topfive.foreign.preprocessing import Preprocessing, in_255ths
from topfive.problems import Problem
from topfive.trained import Trained, fill

# states.read has taken away DataParallel's "module." and a wrapper such as {"state_dict": ...}.
NAMES = (
    (r"^layer1\.", "conv2_x."),
    (r"^layer2\.", "conv3_x."),
    (r"^layer3\.", "conv4_x."),
    (r"\.downsample\.", ".shortcut."),  # a projection, option B
    (r"^linear\.", "fc."),
)
# Mean and deviation of red, green and blue, pixels in 0..1.
NORMALIZATIONS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # akamaster's trainer.py
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),  # many others'
}
ADDED_CHANNELS = ("around", "after")
# The order of the labels in batches.meta.
CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def load(spec: str, model: str | None) -> Trained:
    """The network in FILE, FILE:NORMALIZATION or FILE:ADDED_CHANNELS; Problem where it is none of ours."""
    file, *said = spec.split(":")
    normalization, added = _said(said, spec)
    state = renamed(states.read(Path(file)))
    name, depth = _network(state, file)
    if model not in (None, name):
        raise Problem(f"weights=cifar:{file} is model={name}, not model={model}: leave model out.")
    shortcut = "B" if any(".shortcut." in key for key in state) else "A"
    config = compose(
        [f"model={name}", f"model.depth={depth}", f"model.shortcut={shortcut}"]
        + [f"model.added_channels={added}"] * (shortcut == "A")
    )
    with torch.device("meta"):
        net = architecture(config, len(CLASSES))
    fill(net, states.with_counters(state, net), f"weights=cifar:{file}")
    mean, deviation = NORMALIZATIONS[normalization]
    preprocessing = Preprocessing(in_255ths(mean), in_255ths(deviation))
    origin = ":".join(["cifar", Path(file).name, *said])
    return assembled(
        net, config, preprocessing, name=Path(file).stem, origin=origin, classes=CLASSES
    )


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`state` under our names."""
    return {_ours(name): value for name, value in state.items()}


def _ours(name: str) -> str:
    for pattern, ours in NAMES:
        name = re.sub(pattern, ours, name)
    return name


def _said(words: list[str], spec: str) -> tuple[str, str]:
    """The normalization and the place of the added channels: each at most once, else the default."""
    normalizations = [word for word in words if word in NORMALIZATIONS]
    places = [word for word in words if word in ADDED_CHANNELS]
    if len(normalizations) + len(places) < len(words) or max(len(normalizations), len(places)) > 1:
        raise Problem(
            f"weights=cifar:{spec}: behind the file come at most one of {', '.join(NORMALIZATIONS)} and one "
            f"of {', '.join(ADDED_CHANNELS)}."
        )
    return (*normalizations, "imagenet")[0], (*places, "around")[0]


def _network(state: Mapping[str, Tensor], file: str) -> tuple[str, int]:
    """The name in conf/model and the depth: 6n + 2 with n blocks in conv2_x."""
    blocks = sum(bool(re.fullmatch(r"conv2_x\.\d+\.conv1\.weight", name)) for name in state)
    outputs = state["fc.bias"].numel() if "fc.bias" in state else 0
    if not blocks or not outputs:
        raise Problem(
            f"weights=cifar:{file} is no CIFAR ResNet: expected names such as layer1.0.conv1.weight and "
            f"linear.bias or fc.bias, found {', '.join(list(state)[:3])}."
        )
    if outputs != len(CLASSES):
        raise Problem(
            f"weights=cifar:{file} has {outputs} outputs, and CIFAR-10 has {len(CLASSES)} classes: name "
            f"weights trained on CIFAR-10."
        )
    depth = 6 * blocks + 2
    name = f"resnet{depth}"
    return (name if name in options("model") else "resnet20"), depth
