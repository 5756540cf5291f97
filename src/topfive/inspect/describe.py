"""What a layer is, in the words of a paper's table: "11×11, 96, stride 4" or "[3×3, 64 / 3×3, 64] ×3"."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from topfive.inspect.trace import Trace
from topfive.layers import Dropout, FullyConnected, LocalResponseNorm

POOLS = (nn.MaxPool2d, nn.AvgPool2d)
# Between the layers of a block, and not worth a word there.
BETWEEN = (nn.BatchNorm2d, Dropout, nn.ReLU, nn.SiLU, nn.Sigmoid, nn.Tanh)


def describe(name: str, module: nn.Module, trace: Trace) -> str:
    """A line about the module of that name, in a network that ran under `trace`."""
    inner = dict(module.named_modules(prefix=name))
    leaves = [one for one in trace.entered if one in inner and not inner[one]._modules]
    leaves = [one for one in leaves if not isinstance(inner[one], nn.Identity)]
    if leaves == [name]:
        return _leaf(module)
    layers = [one for one in leaves if not isinstance(inner[one], BETWEEN)]
    if len(layers) == 1 and leaves:
        return _leaf(inner[layers[0]])
    blocks = [f"{name}.{child}" for child in module._modules if f"{name}.{child}" in trace.entered]
    if isinstance(module, nn.Sequential) and len({type(inner[one]) for one in blocks}) == 1:
        return _stage([_branches(one, inner, layers, trace) for one in blocks])
    return str(_branches(name, inner, layers, trace))


@dataclass(frozen=True)
class _Branches:
    """Chains of layers that all begin at the input of a block; the longest is the main one."""

    chains: tuple[tuple[nn.Module, ...], ...]

    def __str__(self) -> str:
        return " | ".join(" / ".join(map(_leaf_in_block, chain)) for chain in self.chains)

    @property
    def main(self) -> tuple[nn.Module, ...]:
        return max(self.chains, key=len, default=())


def _branches(
    block: str, inner: dict[str, nn.Module], layers: Sequence[str], trace: Trace
) -> _Branches:
    chains: list[list[str]] = []
    for name in (one for one in layers if f"{one}.".startswith(f"{block}.")):
        source = trace.fed[name]
        while source is not None and source not in layers and source in trace.fed:
            source = trace.fed[source]  # through normalization and dropout
        chain = next((chain for chain in chains if chain[-1] == source), None)
        if chain is None:
            chains.append([name])
        else:
            chain.append(name)
    order = list(inner)  # as the module lists them, which is the paper's order of branches
    chains.sort(key=lambda chain: order.index(chain[0]))
    return _Branches(tuple(tuple(inner[name] for name in chain) for chain in chains))


def _stage(blocks: Sequence[_Branches]) -> str:
    """Equal blocks, as the last of them; what the first one has more is a stride and a projection."""
    first, last = blocks[0], blocks[-1]
    stride = 1
    for layer in first.main:
        stride *= _pair(layer.stride)[0] if isinstance(layer, nn.Conv2d) else 1
    text = f"[{last}] ×{len(blocks)}" if len(blocks) > 1 else str(last)
    text += f", stride {stride}" if stride > 1 and len(blocks) > 1 else ""
    more = first.chains[len(last.chains) :]
    projects = any(isinstance(layer, nn.Conv2d) for chain in more for layer in chain)
    return text + (", projection" if projects else "")


def _leaf(module: nn.Module) -> str:
    if isinstance(module, nn.Conv2d):
        return _window(module.kernel_size, module, str(module.out_channels))
    if isinstance(module, POOLS):
        kind = "max" if isinstance(module, nn.MaxPool2d) else "average"
        return f"{kind} {_window(module.kernel_size, module)}"
    if isinstance(module, FullyConnected) and module.size > 1:
        return f"fully connected, {module.out_features}, over {module.size}×{module.size}"
    if isinstance(module, nn.Linear):
        return f"fully connected, {module.out_features}"
    if isinstance(module, nn.AdaptiveAvgPool2d):
        return "average of all positions"
    if isinstance(module, LocalResponseNorm):
        return f"local response norm, {module.size} maps"
    if isinstance(module, Dropout):
        return f"dropout {module.p:g}"
    return (
        re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", type(module).__name__).removesuffix("2d").lower()
    )


def _leaf_in_block(module: nn.Module) -> str:
    """Shorter: blocks keep the size, or say so by their stride."""
    if isinstance(module, POOLS):
        return _leaf(module).split(", ")[0]
    if not isinstance(module, nn.Conv2d):
        return _leaf(module)
    depthwise = module.groups == module.in_channels > 1
    what = "depthwise" if depthwise else f"{module.out_channels}"
    return f"{_size(module.kernel_size)}, {what}"


def _window(kernel: object, module: nn.Module, *what: str) -> str:
    parts = [_size(kernel), *what]
    stride, pad = _pair(getattr(module, "stride", 1)), _pair(getattr(module, "padding", 0))
    groups = getattr(module, "groups", 1)
    if stride != (1, 1):
        parts.append(f"stride {_one(stride)}")
    if pad != (0, 0):
        parts.append(f"pad {_one(pad)}")
    if groups > 1:
        depthwise = groups == getattr(module, "in_channels", 0)
        parts.append("depthwise" if depthwise else f"groups {groups}")
    if getattr(module, "ceil_mode", False):
        parts.append("rounded up")
    return ", ".join(parts)


def _size(kernel: object) -> str:
    return "×".join(map(str, _pair(kernel)))


def _one(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else "×".join(map(str, pair))


def _pair(value: object) -> tuple[int, int]:
    if isinstance(value, tuple | list):
        return int(value[0]), int(value[1])
    return (int(value), int(value)) if isinstance(value, int) else (0, 0)
