"""Layers that several papers share and torch lacks."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from topfive import streams
from topfive.local_response_norm import LocalResponseNorm as LocalResponseNorm
from topfive.problems import Problem


class FullyConnected(nn.Linear):
    """A fully connected layer over `maps` maps of `size` x `size`, at every such window of its input.

    (batch, maps, height, width) to (batch, outputs, height - size + 1, width - size + 1): 1 x 1 on
    an image of the size that the network was made for, a class map on a larger one (Sermanet et al.,
    OverFeat; Simonyan and Zisserman 2014, section 3.2). The weight is nn.Linear's, maps first.
    Raises Problem where the input is smaller than one window.
    """

    def __init__(self, maps: int, outputs: int, size: int = 1):
        super().__init__(maps * size * size, outputs)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        if height == width == self.size:
            return F.linear(x.flatten(1), self.weight, self.bias)[:, :, None, None]
        _refuse_smaller(x, self.size, "a larger recipe.crop.size, or a smaller model.input_size")
        window = (self.out_features, -1, self.size, self.size)
        return F.conv2d(x, self.weight.view(window), self.bias)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, size={self.size}"


class SlidingAverage(nn.AvgPool2d):
    """The average of every `size` x `size` window, one pixel apart: a Caffe network's last pooling.

    Raises Problem where the input is smaller than one window.
    """

    def __init__(self, size: int = 7):
        super().__init__(size, stride=1)
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        _refuse_smaller(x, self.size, "model.head=global, or a larger recipe.crop.size")
        return super().forward(x)


def _refuse_smaller(x: Tensor, size: int, remedy: str) -> None:
    height, width = x.shape[2:]
    if min(height, width) < size:
        raise Problem(
            f"the image is too small for this network: {height} x {width} is left of it where {size} x {size} "
            f"is needed. Take {remedy}."
        )


class Dropout(nn.Module):
    """Classic dropout: zeroes a unit with probability p in training, times 1 - p in evaluation.

    Hinton et al. 2012 and Krizhevsky et al. 2012, section 4.2. `inverted` is Caffe's and torch's
    form, which divides by 1 - p in training instead: the next layer then sees twice as much at
    initialization (p = 0.5). Where `address` is set to (seed, step, sample indices), a sample's mask
    is a function of it and of the layer's name alone; where it is None, as outside this project's
    training, torch's generator is used. (The step may be a tensor: torch.compile takes it for a
    constant where it is a number, and compiles anew.)
    """

    def __init__(self, p: float = 0.5, name: str = "dropout", inverted: bool = False):
        super().__init__()
        self.p, self.name, self.inverted = p, name, inverted
        self.address: tuple[int, int | Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x if self.inverted else x * (1.0 - self.p)
        kept = self.kept(x)
        return x * kept / (1.0 - self.p) if self.inverted else x * kept

    def kept(self, x: Tensor) -> Tensor:
        """Which units of x stay: a mask of its shape."""
        if self.address is None:
            return torch.rand_like(x) >= self.p
        seed, step, index = self.address
        u = streams.uniform(seed, self.name, step, index, x[0].numel())
        return (u >= self.p).view_as(x)

    def extra_repr(self) -> str:
        return f"p={self.p}, name={self.name!r}" + (", inverted=True" if self.inverted else "")
