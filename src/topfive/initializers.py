"""How the papers set the first weights: each is a function of the network that a recipe names.

Touched are all layers whose `weight` has two or more dimensions (convolutions, fully and locally
connected layers), and their biases; batch normalization keeps torch's scale 1 and shift 0. The random
numbers are torch's, after the run's seed was set. A fan is counted in the weight's own shape: the
inputs, or outputs, of one group of a grouped convolution. What starts from another run is in warm_starts.py.
"""

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import Literal

from torch import Tensor, nn

from topfive.problems import Problem

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
    layers = layers_of(net)
    known(layers, stds, "stds")
    known(layers, biases, "biases")
    for name, layer in layers.items():
        nn.init.normal_(_weight(layer), std=_for(name, stds, std))
        _set_bias(layer, _for(name, biases, 0.0))


def caffe_xavier(net: nn.Module, bias: float = 0.0, biases: Mapping[str, float] = NONE) -> None:
    """Caffe's filler "xavier": uniform within +-sqrt(3 / fan_in), a variance of 1 / fan_in.

    Every bias is `bias` unless a pattern of `biases` (*, ?) fits its layer. Raises Problem where one
    fits none.
    """
    layers = layers_of(net)
    known(layers, biases, "biases")
    for name, layer in layers.items():
        weight = _weight(layer)
        bound = (3 / _fan_in(weight)) ** 0.5
        nn.init.uniform_(weight, -bound, bound)
        _set_bias(layer, _for(name, biases, bias))


def glorot_uniform(net: nn.Module) -> None:
    """Uniform within +-sqrt(6 / (fan_in + fan_out)), biases 0 (Glorot and Bengio 2010, eq. 16)."""
    for layer in layers_of(net).values():
        nn.init.xavier_uniform_(_weight(layer))
        _set_bias(layer, 0.0)


def truncated_normal(net: nn.Module, stds: Mapping[str, float] = NONE) -> None:
    """TF-slim's for Inception: N(0, std^2) cut at two deviations, which leaves 0.88 std; biases 0.

    `stds` maps patterns of layer names (*, ?) to std, the first that fits counting. Elsewhere std^2 is
    1.3 x 2 / fan_in, which the cut makes He's 2 / fan_in (slim.variance_scaling_initializer). Raises
    Problem where a pattern fits no layer.
    """
    layers = layers_of(net)
    known(layers, stds, "stds")
    for name, layer in layers.items():
        weight = _weight(layer)
        std = _for(name, stds, (1.3 * 2 / _fan_in(weight)) ** 0.5)
        nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)
        _set_bias(layer, 0.0)


def efficientnet(net: nn.Module) -> None:
    """The authors' code: convolutions N(0, 2 / fan_out), a depthwise one's fan being its k x k alone;
    linear layers uniform within +-1 / sqrt(outputs), a variance of (1 / 3) / outputs; biases 0.
    """
    for layer in layers_of(net).values():
        weight = _weight(layer)
        if isinstance(layer, nn.Conv2d):
            fan_out = len(weight) // layer.groups * weight[0, 0].numel()
            nn.init.normal_(weight, std=(2 / fan_out) ** 0.5)
        else:
            bound = len(weight) ** -0.5
            nn.init.uniform_(weight, -bound, bound)
        _set_bias(layer, 0.0)


def layers_of(net: nn.Module) -> dict[str, nn.Module]:
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


def known(layers: Collection[str], patterns: Collection[str], key: str) -> None:
    """Raises Problem where a pattern, one of recipe.initialization's `key`, fits none of the layers."""
    unknown = [p for p in patterns if not any(fnmatchcase(name, p) for name in layers)]
    if unknown:
        shown = ", ".join(list(layers)[:8]) + (", ..." if len(layers) > 8 else "")
        raise Problem(
            f"no layer of this network is called {', '.join(sorted(unknown))}: name others in "
            f"recipe.initialization.{key}, of {shown}."
        )
