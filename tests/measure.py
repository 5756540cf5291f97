"""What a network is made of, counted on the meta device by torch's own counter."""

from typing import NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


class Measured(NamedTuple):
    parameters: int
    multiply_adds: int
    shapes: dict[str, tuple[int, ...]]  # what each child puts out, without the batch


def on_meta(kind, *arguments, **options) -> nn.Module:
    with torch.device("meta"):
        return kind(*arguments, **options)


def measured(net: nn.Module, size: int, channels: int = 3) -> Measured:
    """`net` on the meta device, in the mode that it is in, on one image of size x size."""
    shapes: dict[str, tuple[int, ...]] = {}
    hooks = [
        child.register_forward_hook(
            lambda module, inputs, output, name=name: shapes.update({name: tuple(output.shape[1:])})
        )
        for name, child in net.named_children()
    ]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.empty(1, channels, size, size, device="meta"))
    for hook in hooks:
        hook.remove()
    return Measured(parameters(net), counter.get_total_flops() // 2, shapes)


def multiply_adds(net: nn.Module, size: int = 224) -> dict[str, int]:
    """By module, of one image; of all of them under "Global". In the mode that `net` is in."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.empty(1, 3, size, size, device="meta"))
    prefix = f"{type(net).__name__}."
    counts = counter.get_flop_counts().items()
    return {name.removeprefix(prefix): sum(flops.values()) // 2 for name, flops in counts}


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())
