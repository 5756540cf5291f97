"""Contrast, brightness and color changed at random, in random order."""

from itertools import permutations

import torch
from torch import Tensor, nn

from topfive import streams
from topfive.loaders.batch import Batch

CONTRAST, BRIGHTNESS, COLOR = range(3)
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's


class PhotometricDistortion(nn.Module):
    """Contrast, brightness and color of an RGB image enhanced by random factors, in random order.

    Howard 2013 (arXiv:1312.5402), which Szegedy et al. 2014 (section 6) follow: a factor of its own for
    each, uniform in low .. high, and all six orders alike. Each is an enhancement of the Python Imaging
    Library: the image is mixed with its mean gray level (contrast), with black (brightness) or with its
    gray version (color), and clipped to 0..255, without which the order would not matter. Nothing is
    rounded to whole levels between them.
    """

    orders: Tensor

    def __init__(self, seed: int, low: float = 0.5, high: float = 1.5):
        super().__init__()
        self.seed, self.low, self.high = seed, low, high
        orders = torch.tensor(list(permutations((CONTRAST, BRIGHTNESS, COLOR))))
        self.register_buffer("orders", orders, persistent=False)

    def forward(self, x: Tensor, batch: Batch | None) -> Tensor:
        if batch is None or not self.training:
            return x
        u = streams.uniform(self.seed, "photometric", batch.epoch, batch.index, 4)
        order = self.orders[(u[:, 3] * len(self.orders)).long()]
        # The factors belong to the kinds, whatever their order.
        factors = (self.low + (self.high - self.low) * u[:, :3]).to(x).gather(1, order)
        for kind, factor in zip(order.unbind(1), factors.unbind(1), strict=True):
            x = self._enhance(x, kind[:, None, None, None], factor[:, None, None, None])
        return x

    def _enhance(self, x: Tensor, kind: Tensor, factor: Tensor) -> Tensor:
        """One enhancement of every image, each of its own kind."""
        gray = LUMA[0] * x[:, 0:1] + LUMA[1] * x[:, 1:2] + LUMA[2] * x[:, 2:3]
        level = gray.mean((2, 3), keepdim=True) * (kind == CONTRAST)
        return torch.lerp(torch.where(kind == COLOR, gray, level), x, factor).clamp_(0, 255)
