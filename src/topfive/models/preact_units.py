"""The residual units of Identity Mappings in Deep Residual Networks (arXiv:1603.05027).

He, Zhang, Ren, Sun; ECCV 2016. Fig. 4 moves BN and ReLU about in a unit, Table 1 obstructs its
shortcut; either can be had with the other. Readings where the paper is silent, for units that change
the shape:

- a constant, gate or dropout is applied to what the shortcut is without it: option A in nets of one or
  two 3x3 convolutions a unit, a projection in nets of bottlenecks;
- a gate has the output's maps and the unit's stride, and reads what the shortcut reads;
- the ReLU of ReLU-only pre-activation is shared by branch and shortcut, as BN and ReLU of full
  pre-activation are, and that holds for option A too (fb.resnet.torch's preresnet.lua);
- a projection is followed by BN, as in arXiv:1512.03385, except in full pre-activation.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from topfive.layers import Dropout

Block = Literal["1layer", "basic", "bottleneck"]
UnitKind = Literal["original", "bn_after_add", "relu_before_add", "relu_only_preact", "full_preact"]
Shortcut = Literal[
    "A", "B", "conv1x1", "constant", "exclusive_gating", "shortcut_only_gating", "dropout"
]
StrideOn = Literal["1x1", "3x3"]

# Fig. 4 (a) to (e): what stands ahead of the first convolution, between the last one and the addition,
# and behind the addition. Between two convolutions it is always BN and ReLU.
FIGURE_4 = {
    "original": ("", "BN", "ReLU"),
    "bn_after_add": ("", "", "BN ReLU"),
    "relu_before_add": ("", "BN ReLU", ""),
    "relu_only_preact": ("ReLU", "BN", ""),
    "full_preact": ("BN ReLU", "", ""),
}


@dataclass(frozen=True)
class Design:
    """What all units of a net have in common; raises ValueError for what the paper does not have.

    The scales are read by the constant shortcut alone, gate_bias (b_g) by the gates.
    """

    block: Block
    unit: UnitKind
    shortcut: Shortcut
    stride_on: StrideOn = "1x1"
    shortcut_scale: float = 0.5
    branch_scale: float = 0.5
    gate_bias: float = -6.0

    def __post_init__(self) -> None:
        kinds = {"block": Block, "unit": UnitKind, "shortcut": Shortcut, "stride_on": StrideOn}
        for name, kind in kinds.items():
            if getattr(self, name) not in get_args(kind):
                raise ValueError(
                    f"{name} is one of {', '.join(get_args(kind))}, not {getattr(self, name)!r}"
                )


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size at stride 1 and has no bias."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


def layers(names: str, maps: int) -> list[nn.Module]:
    """Those that FIGURE_4 names."""
    return [nn.BatchNorm2d(maps) if name == "BN" else nn.ReLU() for name in names.split()]


def sequence(names: str, maps: int) -> nn.Module:
    return nn.Sequential(*layers(names, maps)) if names else nn.Identity()


def convolutions(design: Design, inputs: int, width: int, stride: int) -> list[nn.Conv2d]:
    """The branch's: 3x3; two 3x3; or 1x1, 3x3 and a 1x1 to four times the width."""
    if design.block == "bottleneck":
        first, second = (stride, 1) if design.stride_on == "1x1" else (1, stride)
        return [
            conv(inputs, width, 1, first),
            conv(width, width, 3, second),
            conv(width, 4 * width, 1),
        ]
    further = [conv(width, width, 3)] if design.block == "basic" else []
    return [conv(inputs, width, 3, stride), *further]


class SubsampleAndPad(nn.Module):
    """Option A: the identity at every `stride`-th pixel, zeros for added channels."""

    def __init__(self, added: int, stride: int):
        super().__init__()
        self.added, self.stride = added, stride

    def forward(self, x: Tensor) -> Tensor:
        # Of one pixel each: x[:, :, ::stride, ::stride], whose gradient would lose channels_last.
        return F.pad(F.avg_pool2d(x, 1, self.stride), (0, 0, 0, 0, 0, self.added))


def carry(design: Design, inputs: int, outputs: int, stride: int) -> nn.Module:
    """What brings a shortcut to the shape of the branch: option A, option B or a 1x1 convolution."""
    same = inputs == outputs and stride == 1
    option = design.shortcut
    if option not in ("A", "B", "conv1x1"):
        option = "B" if design.block == "bottleneck" else "A"
    if option == "conv1x1" or (option == "B" and not same):
        norm = [] if design.unit == "full_preact" else layers("BN", outputs)
        return nn.Sequential(conv(inputs, outputs, 1, stride), *norm)
    return nn.Identity() if same else SubsampleAndPad(outputs - inputs, stride)


class Addition(nn.Module):
    """Ends a unit: forward(x, y) adds the shortcut of x to y, the branch's output (Fig. 2 and Table 1)."""

    def __init__(self, design: Design, inputs: int, outputs: int, stride: int, name: str):
        super().__init__()
        self.design, self.option = design, design.shortcut
        self.carry = carry(design, inputs, outputs, stride)
        if self.option in ("exclusive_gating", "shortcut_only_gating"):
            self.gate = nn.Conv2d(inputs, outputs, 1, stride)
        if self.option == "dropout":
            self.dropout = Dropout(0.5, f"dropout {name}")

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        carried: Tensor = self.carry(x)
        if self.option == "constant":
            return self.design.shortcut_scale * carried + self.design.branch_scale * y
        if self.option == "exclusive_gating":
            g = self.gated(x)
            return (1 - g) * carried + g * y
        if self.option == "shortcut_only_gating":
            return (1 - self.gated(x)) * carried + y
        if self.option == "dropout":
            carried = self.dropout(carried)
        return carried + y

    def gated(self, x: Tensor) -> Tensor:
        """g(x). b_g is added here: a recipe's initialization sets the bias, which learns from it, to 0."""
        return torch.sigmoid(self.gate(x) + self.design.gate_bias)


class Unit(nn.Module):
    """A unit of Fig. 4. The first of a net finds its input activated: see `activation`."""

    def __init__(
        self, design: Design, inputs: int, width: int, stride: int, name: str, first: bool
    ):
        super().__init__()
        ahead, end, behind = FIGURE_4[design.unit]
        *convs, last = convolutions(design, inputs, width, stride)
        outputs = last.out_channels
        self.reshapes = inputs != outputs or stride != 1
        self.activation = nn.Identity() if first else sequence(ahead, inputs)
        between = [layer for c in convs for layer in (c, *layers("BN ReLU", width))]
        self.branch = nn.Sequential(*between, last, *layers(end, outputs))
        self.addition = Addition(design, inputs, outputs, stride, name)
        self.after = sequence(behind, outputs)

    def forward(self, x: Tensor) -> Tensor:
        activated = self.activation(x)
        y = self.branch(activated)
        y = self.addition(activated if self.reshapes else x, y)
        out: Tensor = self.after(y)
        return out
