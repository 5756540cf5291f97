"""Which parameters are decayed: decided by the type of the module that holds them."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from topfive.problems import Problem

KINDS = ("weights", "biases", "normalization")


def kind(module: nn.Module, parameter: str) -> str:
    """Of KINDS: a layer's weights or biases, or the scale and shift of a normalization."""
    if isinstance(module, nn.modules.batchnorm._NormBase):
        return "normalization"
    return "biases" if parameter == "bias" else "weights"


def parameter_groups(
    net: nn.Module, weight_decay: float, decayed: Sequence[str]
) -> list[dict[str, Any]]:
    """Two groups for a torch optimizer: the kinds in `decayed` at `weight_decay`, the others at 0.

    Raises Problem where `decayed` names no kind.
    """
    unknown = set(decayed) - set(KINDS)
    if unknown:
        raise Problem(
            f"recipe.decayed names {', '.join(sorted(unknown))}; it may name {', '.join(KINDS)}."
        )
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for module in net.modules():
        for name, parameter in module.named_parameters(recurse=False):
            groups[kind(module, name) in decayed].append(parameter)
    return [
        {"params": params, "weight_decay": weight_decay if decay else 0.0}
        for decay, params in groups.items()
        if params
    ]
