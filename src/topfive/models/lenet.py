"""LeNet-5: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-Based Learning Applied to Document
Recognition, Proc. IEEE 86(11):2278-2324, 1998; §II-B and Appendix A.

60,000 trainable parameters. Departures: none known. Readings where the paper is silent:

- the initial weights lie within +-2.4 / F_i, F_i the number of inputs of the unit (Appendix A); the
  bias is not counted in F_i and is drawn from the same interval as the unit's weights;
- the coefficient and the bias of S2 and S4 have F_i = 4, the four inputs that are summed;
- the codes of the output units exist only as a picture (Fig. 3), see lenet_codes.txt.
"""

from importlib.resources import files

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
        # A factor of four rounds nothing; avg_pool2d's divisor_override is lost by the export to ONNX.
        return 4 * self.coefficient * F.avg_pool2d(x, 2) + self.bias


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

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
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
        self.reset_parameters()

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

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Uniform within +-2.4 / F_i (Appendix A): divided by F_i, not by its square root."""
        kernels = torch.split(self.c3.weight, [len(seen) for seen in C3_INPUTS])
        for layer, fan_in in (
            (self.c1, 25),
            (self.s2, 4),
            (self.s4, 4),
            (self.c5, 400),
            (self.f6, 120),
        ):
            for parameter in layer.parameters():
                parameter.uniform_(-2.4 / fan_in, 2.4 / fan_in)
        for weight, bias in zip(kernels, torch.split(self.c3.bias, 1), strict=True):
            fan_in = 25 * len(weight)  # 75, 100 or 150
            weight.uniform_(-2.4 / fan_in, 2.4 / fan_in)
            bias.uniform_(-2.4 / fan_in, 2.4 / fan_in)


def digit_codes() -> Tensor:
    """The codes of the digits 0-9, (10, 84): 12 rows of 7 pixels, +1 black, -1 white (Fig. 3)."""
    lines = files("topfive.models").joinpath("lenet_codes.txt").read_text("utf-8").splitlines()
    rows = [
        [1.0 if pixel == "X" else -1.0 for pixel in line]
        for line in lines
        if line[:1] in ("X", ".")
    ]
    return torch.tensor(rows).view(10, 84)
