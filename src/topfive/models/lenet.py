"""LeNet-5: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-Based Learning Applied to Document
Recognition, Proc. IEEE 86(11):2278-2324, 1998; §II-B and Appendix A.

60,000 trainable parameters. The codes of the output units exist only as a picture (Fig. 3), see
lenet_codes.txt. The initial weights are the one departure, and a value:

- "fan_in" is Appendix A to the letter, +-2.4 / F_i for F_i inputs of the unit, read as not counting
  the bias, which is drawn like the unit's weights, and with F_i = 4 in S2 and S4. The states are then
  so small at first that the second derivatives of the first pass allow steps near their limit of
  0.025, and within some 20 updates at the paper's rates every unit saturates, for good.
- "sqrt_fan_in" is that of EBLearn's LeNet-5 (demos/mnist), by the same laboratory and with the same
  learning rule: +-1 / sqrt(F_i), biases 0, coefficients of S2 and S4 1 / sqrt(4). The largest step of
  the first pass is then 0.014 to 0.019; the paper states 0.016 (Appendix C).
"""

from importlib.resources import files
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from topfive.problems import Problem

# Table I: the maps of S2 that each of the 16 maps of C3 sees.
C3_INPUTS = (
    (0, 1, 2),
    (1, 2, 3),
    (2, 3, 4),
    (3, 4, 5),
    (0, 4, 5),
    (0, 1, 5),
    (0, 1, 2, 3),
    (1, 2, 3, 4),
    (2, 3, 4, 5),
    (0, 3, 4, 5),
    (0, 1, 4, 5),
    (0, 1, 2, 5),
    (0, 1, 3, 4),
    (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)

AMPLITUDE = 1.7159  # Appendix A: the squashing function A tanh(Sa), so that f(1) = 1 and f(-1) = -1
SLOPE = 2 / 3


def squash(a: Tensor) -> Tensor:
    """1.7159 tanh(2a/3), of every unit up to and including F6 (§II-B, Appendix A)."""
    return AMPLITUDE * torch.tanh(SLOPE * a)


class Subsampling(nn.Module):
    """The sum (not the mean) of 2x2 inputs, times a coefficient per map, plus a bias per map."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.empty(maps, 1, 1))
        self.bias = nn.Parameter(torch.empty(maps, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.coefficient * F.avg_pool2d(x, 2, divisor_override=1) + self.bias


class PartialConv2d(nn.Module):
    """A 5x5 convolution whose output map m sees the input maps `inputs[m]` only (Table I).

    `weight` holds the kernels that exist, shape (60, 5, 5) for C3: map 0's first, inputs in order.
    """

    index: Tensor

    def __init__(self, inputs: tuple[tuple[int, ...], ...], in_maps: int) -> None:
        super().__init__()
        self.inputs, self.in_maps = inputs, in_maps
        kernels = [m * in_maps + i for m, seen in enumerate(inputs) for i in seen]
        self.weight = nn.Parameter(torch.empty(len(kernels), 5, 5))
        self.bias = nn.Parameter(torch.empty(len(inputs)))
        self.register_buffer("index", torch.tensor(kernels), persistent=False)

    def dense(self) -> Tensor:
        """The weight as F.conv2d takes it, (out, in, 5, 5), zero where nothing is connected."""
        kernels = self.weight.new_zeros(len(self.inputs) * self.in_maps, 5, 5)
        kernels = kernels.index_copy(0, self.index, self.weight)
        return kernels.view(len(self.inputs), self.in_maps, 5, 5)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.dense(), self.bias)


class LeNet5(nn.Module):
    """Images (N, 1, 32, 32), background -0.1 and foreground 1.175, to scores (N, num_classes).

    A score is minus the squared Euclidean distance of F6 from the class's code, so the class is the
    largest score, where the paper takes the smallest output. The codes are fixed (§II-B).
    """

    codes: Tensor

    def __init__(
        self,
        num_classes: int = 10,
        initialization: Literal["fan_in", "sqrt_fan_in"] = "sqrt_fan_in",
    ) -> None:
        super().__init__()
        if initialization not in ("fan_in", "sqrt_fan_in"):
            raise Problem(
                f"LeNet-5 has no initialization {initialization!r}: "
                "set model.initialization to fan_in or sqrt_fan_in"
            )
        if not 1 <= num_classes <= 10:
            raise Problem(
                f"LeNet-5 has codes for the ten digits only, and num_classes is {num_classes}: "
                "choose data of at most 10 classes (data=mnist), or another model"
            )
        self.c1 = nn.Conv2d(1, 6, 5)
        self.s2 = Subsampling(6)
        self.c3 = PartialConv2d(C3_INPUTS, 6)
        self.s4 = Subsampling(16)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)
        self.register_buffer("codes", digit_codes()[:num_classes])
        if initialization == "fan_in":
            self.draw_by_fan_in()
        else:
            self.draw_by_sqrt_fan_in()

    def forward(self, x: Tensor) -> Tensor:
        return -(self.features(x)[:, None] - self.codes).square().sum(2)

    def features(self, x: Tensor) -> Tensor:
        """The states of F6, which are compared with the codes."""
        x = squash(self.c1(x))  # 6 x 28 x 28
        x = squash(self.s2(x))  # 6 x 14 x 14
        x = squash(self.c3(x))  # 16 x 10 x 10
        x = squash(self.s4(x))  # 16 x 5 x 5
        x = squash(self.c5(x)).flatten(1)  # 120
        return squash(self.f6(x))  # 84

    def layers(self) -> tuple[nn.Module, ...]:
        """Every layer with trainable parameters, in order; each is followed by `squash`."""
        return self.c1, self.s2, self.c3, self.s4, self.c5, self.f6

    def units(self) -> list[tuple[Tensor, Tensor, int]]:
        """Weights, biases and F_i of C1, C5, F6 and each map of C3; views, to be set in place."""
        kernels = torch.split(self.c3.weight, [len(seen) for seen in C3_INPUTS])
        biases = torch.split(self.c3.bias, 1)
        return [
            (self.c1.weight, self.c1.bias, 25),
            *((w, b, 25 * len(w)) for w, b in zip(kernels, biases, strict=True)),  # 75, 100 or 150
            (self.c5.weight, self.c5.bias, 400),
            (self.f6.weight, self.f6.bias, 120),
        ]

    @torch.no_grad()
    def draw_by_fan_in(self) -> None:
        """Uniform within +-2.4 / F_i, biases too; F_i = 4 in S2 and S4."""
        for weight, bias, fan_in in self.units():
            weight.uniform_(-2.4 / fan_in, 2.4 / fan_in)
            bias.uniform_(-2.4 / fan_in, 2.4 / fan_in)
        for layer in (self.s2, self.s4):
            layer.coefficient.uniform_(-2.4 / 4, 2.4 / 4)
            layer.bias.uniform_(-2.4 / 4, 2.4 / 4)

    @torch.no_grad()
    def draw_by_sqrt_fan_in(self) -> None:
        """Uniform within +-1 / sqrt(F_i), biases 0; the coefficients of S2 and S4 are 1 / sqrt(4)."""
        for weight, bias, fan_in in self.units():
            weight.uniform_(-(fan_in**-0.5), fan_in**-0.5)
            bias.zero_()
        for layer in (self.s2, self.s4):
            layer.coefficient.fill_(4**-0.5)
            layer.bias.zero_()


def digit_codes() -> Tensor:
    """The codes of the digits 0-9, (10, 84): 12 rows of 7 pixels, +1 black, -1 white (Fig. 3)."""
    lines = files("topfive.models").joinpath("lenet_codes.txt").read_text("utf-8").splitlines()
    rows = [
        [1.0 if pixel == "X" else -1.0 for pixel in line]
        for line in lines
        if line[:1] in ("X", ".")
    ]
    return torch.tensor(rows).view(10, 84)
