"""Layers that several papers share and torch lacks."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from topfive import streams


class LocalResponseNorm(nn.Module):
    """b = a / (k + alpha / size * sum of a^2 over `size` adjacent maps) ^ beta.

    Krizhevsky et al. 2012, section 3.3. The printed formula has no division by `size`; the original
    code (and Caffe's, and torch's) divides, and it is the code that scored. `groups`: neighborhoods
    end at the borders of that many equal runs of maps, as they did at each GPU's half. Input and
    output: (batch, channels, height, width).
    """

    def __init__(
        self,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 2.0,
        groups: int = 1,
    ):
        super().__init__()
        self.size, self.alpha, self.beta, self.k, self.groups = size, alpha, beta, k, groups

    def forward(self, x: Tensor) -> Tensor:
        runs = x.reshape(len(x) * self.groups, -1, *x.shape[2:])
        y = F.local_response_norm(runs, self.size, self.alpha, self.beta, self.k)
        return y.reshape(x.shape)

    def extra_repr(self) -> str:
        values = f"alpha={self.alpha}, beta={self.beta}, k={self.k}"
        return f"{self.size}, {values}, groups={self.groups}"


class Dropout(nn.Module):
    """Classic dropout: zeroes a unit with probability p in training, times 1 - p in evaluation.

    Hinton et al. 2012 and Krizhevsky et al. 2012, section 4.2. (torch.nn.Dropout scales in training
    instead, which doubles what the next layer sees at initialization.) Where `address` is set to
    (seed, step, sample indices), a sample's mask is a function of it and of the layer's name alone;
    where it is None, as outside this project's training, torch's generator is used. (The step may
    be a tensor: torch.compile takes it for a constant where it is a number, and compiles anew.)
    """

    def __init__(self, p: float = 0.5, name: str = "dropout"):
        super().__init__()
        self.p, self.name = p, name
        self.address: tuple[int, int | Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x * (1.0 - self.p)
        if self.address is None:
            return x * (torch.rand_like(x) >= self.p)
        seed, step, index = self.address
        u = streams.uniform(seed, self.name, step, index, x[0].numel())
        return x * (u >= self.p).view_as(x)

    def extra_repr(self) -> str:
        return f"p={self.p}, name={self.name!r}"
