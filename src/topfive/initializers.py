"""How the papers set the first weights: each is a function of the network that a recipe names.

Only convolutions, linear layers and batch normalization are touched; the random numbers are torch's,
after the run's seed was set.
"""

from collections.abc import Sequence
from typing import Literal

from torch import nn

from topfive.problems import Problem


def he_normal(net: nn.Module, fan: Literal["fan_in", "fan_out"] = "fan_in") -> None:
    """N(0, 2 / fan), biases 0, BN scale 1 and shift 0 (He et al., arXiv:1502.01852, section 2.2)."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            # For a linear layer the two fans are its inputs and outputs.
            nn.init.kaiming_normal_(module.weight, mode=fan, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def gaussian(net: nn.Module, std: float, ones: Sequence[str] = ()) -> None:
    """N(0, std^2); biases 1 in the layers named in `ones`, 0 elsewhere.

    Krizhevsky et al. 2012, section 5. Raises Problem where the network has no such layer.
    """
    layers = {n: m for n, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    unknown = set(ones) - set(layers)
    if unknown:
        raise Problem(
            f"no layer of this network is called {', '.join(sorted(unknown))}: name others in "
            f"recipe.initialization.ones, [] for none."
        )
    for name, module in layers.items():
        nn.init.normal_(module.weight, std=std)
        if module.bias is not None:
            nn.init.constant_(module.bias, 1.0 if name in ones else 0.0)
