"""How the papers set the first weights: each is a function of the network that a recipe names.

Touched are all layers whose `weight` has two or more dimensions (convolutions, fully and locally
connected layers), and their biases; batch normalization keeps torch's scale 1 and shift 0. The random
numbers are torch's, after the run's seed was set. A fan is counted in the weight's own shape: the
inputs, or outputs, of one group of a grouped convolution.
"""

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from topfive.problems import Problem
from topfive.runs import CHECKPOINT

# The first four convolutions of VGG's net A and its three fully connected layers.
FROM_A = ("conv1_1", "conv2_1", "conv3_1", "conv3_2", "fc6", "fc7", "fc8")
NONE: Mapping[str, float] = {}


def he_normal(
    net: nn.Module, fan: Literal["fan_in", "fan_out"] = "fan_in", zero_gamma: bool = False
) -> None:
    """N(0, 2 / fan), biases 0, BN scale 1 and shift 0 (He et al., arXiv:1502.01852, section 2.2).

    zero_gamma: the last scale ahead of each addition to a shortcut is 0, so that a residual block begins
    as its shortcut (Goyal et al., arXiv:1706.02677; not in He et al. 2015). Raises Problem where the
    network has no such block.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            # For a linear layer the two fans are its inputs and outputs.
            nn.init.kaiming_normal_(module.weight, mode=fan, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    if zero_gamma:
        _begin_as_shortcuts(net)


def _begin_as_shortcuts(net: nn.Module) -> None:
    blocks = [module for module in net.modules() if getattr(module, "shortcut", None) is not None]
    if not blocks:
        raise Problem(
            "recipe.initialization.zero_gamma=true takes residual blocks that end in batch normalization "
            "(model=resnet50), of which this network has none: leave it out."
        )
    for block in blocks:
        *_, last = (layer for layer in block.children() if isinstance(layer, nn.BatchNorm2d))
        nn.init.zeros_(last.weight)


def gaussian(
    net: nn.Module,
    std: float,
    stds: Mapping[str, float] = NONE,
    biases: Mapping[str, float] = NONE,
) -> None:
    """N(0, std^2), of a deviation of its own where `stds` names the layer; biases as `biases` says, else 0.

    Krizhevsky et al. 2012, section 5. Layers are named by patterns (*, ?), the first that fits
    counting. Raises Problem where the network has no layer of such a name.
    """
    layers = _layers(net)
    _known(layers, stds, "stds")
    _known(layers, biases, "biases")
    for name, layer in layers.items():
        nn.init.normal_(_weight(layer), std=_for(name, stds, std))
        _set_bias(layer, _for(name, biases, 0.0))


def caffe_xavier(net: nn.Module, bias: float = 0.0, biases: Mapping[str, float] = NONE) -> None:
    """Caffe's filler "xavier": uniform within +-sqrt(3 / fan_in), a variance of 1 / fan_in.

    Every bias is `bias` unless a pattern of `biases` (*, ?) fits its layer. Raises Problem where one
    fits none.
    """
    layers = _layers(net)
    _known(layers, biases, "biases")
    for name, layer in layers.items():
        weight = _weight(layer)
        bound = (3 / _fan_in(weight)) ** 0.5
        nn.init.uniform_(weight, -bound, bound)
        _set_bias(layer, _for(name, biases, bias))


def glorot_uniform(net: nn.Module) -> None:
    """Uniform within +-sqrt(6 / (fan_in + fan_out)), biases 0 (Glorot and Bengio 2010, eq. 16)."""
    for layer in _layers(net).values():
        nn.init.xavier_uniform_(_weight(layer))
        _set_bias(layer, 0.0)


def truncated_normal(net: nn.Module, stds: Mapping[str, float] = NONE) -> None:
    """TF-slim's for Inception: N(0, std^2) cut at two deviations, which leaves 0.88 std; biases 0.

    `stds` maps patterns of layer names (*, ?) to std, the first that fits counting. Elsewhere std^2 is
    1.3 x 2 / fan_in, which the cut makes He's 2 / fan_in (slim.variance_scaling_initializer). Raises
    Problem where a pattern fits no layer.
    """
    layers = _layers(net)
    _known(layers, stds, "stds")
    for name, layer in layers.items():
        weight = _weight(layer)
        std = _for(name, stds, (1.3 * 2 / _fan_in(weight)) ** 0.5)
        nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)
        _set_bias(layer, 0.0)


def efficientnet(net: nn.Module) -> None:
    """The authors' code: convolutions N(0, 2 / fan_out), a depthwise one's fan being its k x k alone;
    linear layers uniform within +-1 / sqrt(outputs), a variance of (1 / 3) / outputs; biases 0.
    """
    for layer in _layers(net).values():
        weight = _weight(layer)
        if isinstance(layer, nn.Conv2d):
            fan_out = len(weight) // layer.groups * weight[0, 0].numel()
            nn.init.normal_(weight, std=(2 / fan_out) ** 0.5)
        else:
            bound = len(weight) ** -0.5
            nn.init.uniform_(weight, -bound, bound)
        _set_bias(layer, 0.0)


def from_net_a(
    net: nn.Module, std: float, checkpoint: str | None, layers: Sequence[str] = FROM_A
) -> None:
    """VGG's deeper nets (arXiv:1409.1556, section 3.1): N(0, std^2), biases 0, then `layers` of a trained A.

    "The first four convolutional layers" of A fit a deeper net by name only. `checkpoint`: the directory
    of A's run, or its checkpoint file. Raises Problem where it is None, absent, damaged or of another
    shape.
    """
    own = _layers(net)
    _known(own, layers, "layers")
    if checkpoint is None:
        raise Problem(
            "this recipe starts from a trained net A (arXiv:1409.1556, section 3.1). Train it first: python train.py "
            "model=vgg11. Then give its run: recipe.initialization.checkpoint=outputs/vgg11/vgg/TIME. Or start "
            "without it, from recipe=vgg_glorot."
        )
    trained, file = _trained(Path(checkpoint))
    gaussian(net, std)
    for name in (n for n in own if any(fnmatchcase(n, pattern) for pattern in layers)):
        for part, parameter in own[name].named_parameters():
            value = trained.get(f"net.{name}.{part}")
            if value is None:
                raise Problem(
                    f"the checkpoint {file} has no {name}.{part}: it is not of net A. Name a run of model=vgg11 in "
                    f"recipe.initialization.checkpoint, or fewer layers in recipe.initialization.layers."
                )
            if value.shape != parameter.shape:
                raise Problem(
                    f"{name}.{part} is {tuple(value.shape)} in the checkpoint {file} and {tuple(parameter.shape)} "
                    f"here. Train net A on data of as many classes and with the same recipe.crop.size, or leave "
                    f"{name} out of recipe.initialization.layers."
                )
            with torch.no_grad():
                parameter.copy_(value)


def _trained(path: Path) -> tuple[Mapping[str, Tensor], Path]:
    """The weights of a run, and the file that they are from."""
    file = path / CHECKPOINT if path.is_dir() else path
    if not file.exists():
        raise Problem(
            f"recipe.initialization.checkpoint={path}: there is no {file}. Train net A first (python train.py "
            f"model=vgg11), and name its run directory, relative to where you stand."
        )
    try:
        state = torch.load(file, weights_only=True, map_location="cpu")["state_dict"]
    except Exception as error:
        raise Problem(
            f"the checkpoint {file} is damaged or not one of ours ({type(error).__name__}): name another run of "
            f"model=vgg11 in recipe.initialization.checkpoint."
        ) from error
    assert isinstance(state, Mapping)
    return state, file


def _layers(net: nn.Module) -> dict[str, nn.Module]:
    """By name, every layer with a weight of two or more dimensions, normalizations excepted."""
    return {
        name: module
        for name, module in net.named_modules()
        if isinstance(getattr(module, "weight", None), nn.Parameter)
        and _weight(module).dim() >= 2
        and not isinstance(module, nn.modules.batchnorm._BatchNorm | nn.LayerNorm | nn.GroupNorm)
    }


def _weight(layer: nn.Module) -> Tensor:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight


def _fan_in(weight: Tensor) -> int:
    return weight[0].numel()


def _set_bias(layer: nn.Module, value: float) -> None:
    if isinstance(layer.bias, Tensor):
        nn.init.constant_(layer.bias, value)


def _for(name: str, values: Mapping[str, float], default: float) -> float:
    """The value of the first pattern that fits the layer's name."""
    fits = (value for pattern, value in values.items() if fnmatchcase(name, pattern))
    return next(fits, default)


def _known(layers: Collection[str], patterns: Collection[str], key: str) -> None:
    unknown = [p for p in patterns if not any(fnmatchcase(name, p) for name in layers)]
    if unknown:
        shown = ", ".join(list(layers)[:8]) + (", ..." if len(layers) > 8 else "")
        raise Problem(
            f"no layer of this network is called {', '.join(sorted(unknown))}: name others in "
            f"recipe.initialization.{key}, of {shown}."
        )
