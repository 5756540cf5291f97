"""What excites a unit, in pixels: the deconvnet of Zeiler and Fergus 2013 (arXiv:1311.2901, section 2.1).

A network's activations are sent back to the image: through max-pooling to where each maximum was (its
switches), rectified at every ReLU, and through every convolution's filters transposed. The contrast
normalization is left out on the way down, as there. This is the backward pass with two changes (Simonyan
et al. 2013, arXiv:1312.6034, section 4), so autograd does it, whatever the network. Where windows of
pooling overlap, what comes back to one place is added, which is our reading.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from topfive.inspect.fields import Axis, Field
from topfive.layers import LocalResponseNorm
from topfive.problems import Problem

Unit = tuple[int, int, int]  # image, row and column of a unit of one map


class Deconvnet:
    """One pass of images (n, channels, height, width) up to `layer`, and the way back down.

    features: what `layer` puts out, rectified: (n, maps, rows, columns). `net` is in evaluation mode and
    stays as it is; what it has above `layer` is not run, so that the images may have any size that goes
    through the layers below. Raises Problem where `net` has no such layer, or does not reach it.
    """

    def __init__(self, net: nn.Module, images: Tensor, layer: str):
        self.images = images.detach().requires_grad_()
        self.top = _output(net, self.images, layer)
        self.features = self.top.detach().clamp(min=0)
        for node in _nodes(self.top.grad_fn):
            if node.name() == "ReluBackward0":
                node.register_hook(_rectify)

    def project(self, kept: Tensor) -> Tensor:
        """The features where `kept` is 1, all others being 0, as pixels: of the images' shape.

        kept: 0 and 1, of a shape that broadcasts to the features'.
        """
        signal = self.features * kept
        (pixels,) = torch.autograd.grad(self.top, self.images, signal, retain_graph=True)
        return pixels


def strongest(features: Tensor, field: Field, size: tuple[int, int], count: int) -> list[Unit]:
    """Of one map at most `count` excited units, the most excited first, whose fields share no pixel.

    features: (n, rows, columns), of units with the receptive field `field` in images of `size` (height,
    width); units that see beyond the edge are left out.
    """
    found: list[Unit] = []
    for place in features.flatten().argsort(descending=True, stable=True).tolist():
        image, row, column = (int(i) for i in np.unravel_index(place, features.shape))
        if len(found) == count or features[image, row, column] <= 0:
            break
        seen = [window(field, *unit[1:]) for unit in found if unit[0] == image]
        own = window(field, row, column)
        if _inside(own, size) and not any(_share(own, other) for other in seen):
            found.append((image, row, column))
    return found


def window(field: Field, row: int, column: int) -> tuple[slice, slice]:
    """The pixels, rows and columns, that the unit sees; below 0 where it sees beyond the edge."""
    return _pixels(field.height, row), _pixels(field.width, column)


def _pixels(axis: Axis, unit: int) -> slice:
    start = axis.start + unit * axis.stride
    return slice(start, start + axis.size)


def _inside(own: tuple[slice, slice], size: tuple[int, int]) -> bool:
    return all(one.start >= 0 and one.stop <= side for one, side in zip(own, size, strict=True))


def _share(own: tuple[slice, slice], other: tuple[slice, slice]) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(own, other, strict=True))


class _Reached(Exception):
    """The layer has put out what it has to."""

    def __init__(self, output: Tensor):
        self.output = output


def _output(net: nn.Module, images: Tensor, layer: str) -> Tensor:
    """What `layer` puts out, with the graph down to the images; normalization is the identity in it."""
    modules = dict(net.named_modules())
    if layer not in modules:
        raise Problem(
            f"there is no layer {layer!r}: the network has {', '.join(filter(None, modules))}."
        )

    def stop(module: nn.Module, given: Any, output: Tensor) -> None:
        raise _Reached(output)

    with ExitStack() as hooks, torch.enable_grad():
        for module in modules.values():
            if isinstance(module, LocalResponseNorm):
                hooks.enter_context(module.register_forward_hook(_as_identity))
        hooks.enter_context(modules[layer].register_forward_hook(stop))
        try:
            net(images)
        except _Reached as reached:
            return reached.output
    raise Problem(
        f"the network does not call its layer {layer!r} on such images: name another one."
    )


def _as_identity(module: nn.Module, given: tuple[Tensor], output: Tensor) -> Tensor:
    """The same numbers, of which the gradient passes to the input as it is."""
    return output.detach() + (given[0] - given[0].detach())


def _rectify(inputs: Any, outputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    return (outputs[0].clamp(min=0),)


def _nodes(last: Node | None) -> Iterator[Node]:
    """The operations that a tensor comes from, each once."""
    waiting, seen = [last], set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node
            waiting += [before for before, _ in node.next_functions]
