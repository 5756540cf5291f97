"""The four-layer network of cuda-convnet for CIFAR-10 (Krizhevsky, 2011).

Krizhevsky, Sutskever, Hinton (NIPS 2012) argue local response normalization with it in section 3.3:
13 % test error without, 11 % with. "Specified precisely by the code and parameter files", of which this
is example-layers/layers-conv-local-11pct.cfg as it last stood (normalization over 9 maps, its scale
divided by 9 and k = 1 in the code; pooling with the size rounded up). The file of the 13 %,
layers-conv-local-13pct.cfg, has no normalization (lrn=False), but also half the maps in local3
(local3=32), so that the two figures differ by more than the normalization that they argue for.
"""

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from topfive.layers import LocalResponseNorm
from topfive.problems import Problem

Activation = Literal["relu", "tanh"]


class LocallyConnected2d(nn.Module):
    """A convolution at stride 1 with weights of its own at every position of the output.

    (batch, inputs, height, width) to (batch, outputs, *size), where size is (height + 2 padding -
    kernel + 1, and the width likewise). weight: (positions, outputs, inputs x kernel x kernel), rows of
    positions first; bias: (outputs, *size). First values as nn.Conv2d's. Raises ValueError on an input
    that leaves another size.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, padding: int, size: tuple[int, int]):
        super().__init__()
        self.kernel, self.padding, self.size = kernel, padding, size
        self.weight = nn.Parameter(torch.empty(math.prod(size), outputs, inputs * kernel * kernel))
        self.bias = nn.Parameter(torch.empty(outputs, *size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = 1 / math.sqrt(self.weight.shape[2])
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        left = tuple(side + 2 * self.padding - self.kernel + 1 for side in x.shape[2:])
        if left != self.size:
            raise ValueError(f"there are weights for {self.size} positions, not for {left}")
        windows = F.unfold(x, self.kernel, padding=self.padding)  # (batch, what is seen, positions)
        y = torch.einsum("nip,poi->nop", windows, self.weight)
        return y.reshape(x.shape[0], -1, *self.size) + self.bias

    def extra_repr(self) -> str:
        outputs, seen = self.weight.shape[1:]
        geometry = f"kernel={self.kernel}, padding={self.padding}, size={self.size}"
        return f"{seen // self.kernel**2}, {outputs}, {geometry}"


class CudaConvnet(nn.Module):
    """Input: (batch, 3, input_size, input_size), 0..255 less the mean; output: (batch, num_classes).

    The files train on 24 x 24 crops of 32 x 32. Raises ValueError for values that make no network,
    Problem on images of another size: locally connected layers cannot slide.
    """

    def __init__(
        self,
        input_size: int = 24,
        lrn: bool = True,
        local3: int = 64,
        activation: Activation = "relu",
        num_classes: int = 10,
    ):
        super().__init__()
        if activation not in get_args(Activation):
            raise ValueError(f"activation is relu or tanh, not {activation!r}")
        side = input_size // 2 // 2  # pooling leaves half of the pixels, rounded down
        if side < 1:
            raise ValueError(f"nothing is left of an image of input_size={input_size}: it is 24")
        self.activation = F.relu if activation == "relu" else torch.tanh
        self.input_size = input_size

        def norm() -> nn.Module:
            return LocalResponseNorm(9, 0.001, 0.75, 1.0) if lrn else nn.Identity()

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, stride=2, ceil_mode=True)

        self.conv1 = nn.Conv2d(3, 64, 5, padding=2)
        self.pool1, self.rnorm1 = pool(), norm()
        self.conv2 = nn.Conv2d(64, 64, 5, padding=2)
        self.rnorm2, self.pool2 = norm(), pool()
        self.local3 = LocallyConnected2d(64, local3, 3, padding=1, size=(side, side))
        self.local4 = LocallyConnected2d(local3, 32, 3, padding=1, size=(side, side))
        self.fc10 = nn.Linear(32 * side * side, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        if not height == width == self.input_size:
            raise Problem(
                f"an image of {height} x {width} for a network of model.input_size={self.input_size}, whose "
                f"locally connected layers cannot slide over another: take recipe.crop.size="
                f"{self.input_size} and a protocol of that size, or train with another model.input_size."
            )
        x = self.activation(self.conv1(x))  # 64 x 24 x 24
        x = self.rnorm1(self.pool1(x))  # 64 x 12 x 12
        x = self.activation(self.conv2(x))  # 64 x 12 x 12
        x = self.pool2(self.rnorm2(x))  # 64 x 6 x 6
        x = self.activation(self.local3(x))  # 64 x 6 x 6
        x = self.activation(self.local4(x))  # 32 x 6 x 6
        scores: Tensor = self.fc10(x.flatten(1))  # 10
        return scores
