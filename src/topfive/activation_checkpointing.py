"""Activation checkpointing: the backward pass computes again what the forward pass did not keep.

Chen et al., "Training Deep Nets with Sublinear Memory Cost" (arXiv:1604.06174). A unit keeps its input
alone, a third of what bottlenecks keep otherwise and a quarter of what basic units do. Losses,
gradients, buffers and random masks stay what they are without it, to the bit where the arithmetic is
deterministic, as on the CPU. The price is a second forward pass through the units.

torch.compile keeps as little: the compiler repeats the operations of a unit by itself. Where devices
share the statistics of batch normalization, the second pass sums over them again; all devices run
the same graph, so that their sums meet in the same order, as in any backward pass.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from topfive.problems import Problem


def checkpoint_activations(net: nn.Module) -> None:
    """Makes every unit of `net` keep its input alone, in place; see `units`.

    Names of parameters and buffers stay. Raises Problem where the network has no such unit.
    """
    found = list(units(net))
    if not found:
        raise Problem(
            "this network has no blocks whose activations could be recomputed: set "
            "trainer.checkpoint_activations=false, and to save memory raise "
            "trainer.accumulate_grad_batches."
        )
    for unit in found:
        # A class, and not a function put in the place of forward: copies of the net get it too.
        kind = type(unit)
        unit.__class__ = type(f"Recomputed{kind.__name__}", (_Recomputed, kind), {})


def units(net: nn.Module) -> Iterator[nn.Module]:
    """The blocks of a network: its composite children; of an nn.Sequential of composites, those.

    A module is composite where modules inside of it hold parameters: residual units, Inception
    modules, but not a convolution or a dropout.
    """
    for child in net.children():
        if isinstance(child, nn.Sequential) and any(_is_composite(part) for part in child):
            yield from units(child)
        elif _is_composite(child):
            yield child


def _is_composite(module: nn.Module) -> bool:
    return any(True for child in module.children() for _ in child.parameters())


class _Recomputed(nn.Module):
    """Stands ahead of a unit's own class."""

    def forward(self, *arguments: Any) -> Any:
        forward = super().forward
        if not torch.is_grad_enabled():
            return forward(*arguments)
        passes = 0

        def one_pass(*arguments: Any) -> Any:
            nonlocal passes
            if torch.compiler.is_compiling():
                # The compiler has every buffer written once, and could not follow what comes next.
                return forward(*arguments)
            passes += 1
            if passes == 1:
                return forward(*arguments)
            with _spare_buffers(self):
                return forward(*arguments)

        # The second pass finds torch's random generators as the first; addressed draws repeat anyway.
        return checkpoint(one_pass, *arguments, use_reentrant=False)


@contextmanager
def _spare_buffers(unit: nn.Module) -> Iterator[None]:
    """Whatever is written to buffers, running statistics and counts of batches, is lost at the end."""
    owned = [
        (module, name, buffer)
        for module in unit.modules()
        for name, buffer in module.named_buffers(recurse=False)
    ]
    for module, name, buffer in owned:
        setattr(module, name, buffer.clone())
    try:
        yield
    finally:
        for module, name, buffer in owned:
            setattr(module, name, buffer)
