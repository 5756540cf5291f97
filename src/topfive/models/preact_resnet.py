"""Identity Mappings in Deep Residual Networks (He, Zhang, Ren, Sun; arXiv:1603.05027, ECCV 2016).

ResNets of pre-activation units, and of every other unit and shortcut that the paper compares them with
(preact_units.py). Under pre-activation the first unit's activation comes right after conv1, ahead of
the pooling (fb.resnet.torch's preresnet.lua) and of the split into branch and shortcut, and one more
follows the last addition: BN and ReLU, or ReLU alone in ReLU-only pre-activation. Readings and
departures of the units are in their file; stem_pool="padded" is fb.resnet.torch's, head="sliding" the
authors' earlier nets'.
"""

from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn import functional as F

from topfive.layers import FullyConnected, SlidingAverage
from topfive.models.preact_units import FIGURE_4, Block, Design, Shortcut, StrideOn, Unit, UnitKind

StemPool = Literal["ceil", "padded"]
Head = Literal["global", "sliding"]

# arXiv:1512.03385, Table 1; 200 layers are 152 and 16 units more in conv3_x (Table 5, footnote).
UNITS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}
# Section 4.2 of the same, with 3n, 6n or 9n layers in the stages.
LAYERS = {"1layer": 3, "basic": 6, "bottleneck": 9}


def stage(design: Design, inputs: int, width: int, count: int, stride: int, name: str) -> nn.Module:
    """`count` units, the first of them with the stride; conv2_x begins with the first of the net."""
    outputs = width * (4 if design.block == "bottleneck" else 1)
    return nn.Sequential(
        Unit(design, inputs, width, stride, f"{name}.0", first=name == "conv2_x"),
        *(Unit(design, outputs, width, 1, f"{name}.{k}", first=False) for k in range(1, count)),
    )


def last_norm(unit: UnitKind, maps: int) -> nn.Module:
    """BN of the activation that follows the last addition."""
    return nn.BatchNorm2d(maps) if unit == "full_preact" else nn.Identity()


class CifarPreActResNet(nn.Module):
    """Tables 1 to 4: 3n + 2 (1layer), 6n + 2 (basic) or 9n + 2 (bottleneck) layers on 32 x 32 pixels.

    Input: (batch, 3, 32, 32); output: (batch, num_classes).
    """

    def __init__(
        self,
        depth: int,
        block: Block = "basic",
        unit: UnitKind = "full_preact",
        shortcut: Shortcut = "A",
        shortcut_scale: float = 0.5,
        branch_scale: float = 0.5,
        gate_bias: float = -6.0,
        stride_on: StrideOn = "1x1",
        num_classes: int = 10,
    ):
        super().__init__()
        scales = (shortcut_scale, branch_scale, gate_bias)
        design = Design(block, unit, shortcut, stride_on, *scales)
        if depth % LAYERS[block] != 2 or depth <= 2:
            raise ValueError(f"a net of {block} units has {LAYERS[block]}n + 2 layers, not {depth}")
        n, wide = (depth - 2) // LAYERS[block], 4 if block == "bottleneck" else 1
        self.preact = FIGURE_4[unit][0] != ""
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.conv2_x = stage(design, 16, 16, n, 1, "conv2_x")
        self.conv3_x = stage(design, 16 * wide, 32, n, 2, "conv3_x")
        self.conv4_x = stage(design, 32 * wide, 64, n, 2, "conv4_x")
        self.bn_last = last_norm(unit, 64 * wide)
        self.average_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64 * wide, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))  # 16 x 32 x 32
        x = self.conv2_x(x)  # 16 (64 in bottlenecks) x 32 x 32
        x = self.conv3_x(x)  # 32 (128) x 16 x 16
        x = self.conv4_x(x)  # 64 (256) x 8 x 8
        x = self.bn_last(x)  # 64 (256) x 8 x 8
        x = F.relu(x) if self.preact else x
        x = self.average_pool(x).flatten(1)  # 64 (256)
        out: Tensor = self.fc(x)  # 10
        return out


class PreActResNet(nn.Module):
    """Table 5: 152 or 200 layers of bottlenecks with projections, and 50 or 101 in the same way.

    Input: (batch, 3, height, width), 224 x 224 in training, 320 x 320 in the test of Table 5; output:
    (batch, num_classes). stem_pool and head are those of the authors' ResNet (arXiv:1512.03385).
    """

    def __init__(
        self,
        depth: int,
        unit: UnitKind = "full_preact",
        stride_on: StrideOn = "1x1",
        stem_pool: StemPool = "ceil",
        head: Head = "global",
        num_classes: int = 1000,
    ):
        super().__init__()
        design = Design("bottleneck", unit, "B", stride_on)
        if depth not in UNITS:
            raise ValueError(f"depth is one of {', '.join(map(str, UNITS))}, not {depth}")
        if stem_pool not in get_args(StemPool) or head not in get_args(Head):
            raise ValueError(
                f"stem_pool is ceil or padded and head is global or sliding, not "
                f"stem_pool={stem_pool!r}, head={head!r}"
            )
        counts, padded = UNITS[depth], stem_pool == "padded"
        self.preact = FIGURE_4[unit][0] != ""
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.pool1 = nn.MaxPool2d(3, stride=2, padding=int(padded), ceil_mode=not padded)
        self.conv2_x = stage(design, 64, 64, counts[0], 1, "conv2_x")
        self.conv3_x = stage(design, 256, 128, counts[1], 2, "conv3_x")
        self.conv4_x = stage(design, 512, 256, counts[2], 2, "conv4_x")
        self.conv5_x = stage(design, 1024, 512, counts[3], 2, "conv5_x")
        self.bn_last = last_norm(unit, 2048)
        self.average_pool = nn.AdaptiveAvgPool2d(1) if head == "global" else SlidingAverage(7)
        self.fc = FullyConnected(2048, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.class_map(x).mean((2, 3))

    def class_map(self, x: Tensor) -> Tensor:
        """Scores (batch, num_classes, height, width): 1 x 1 under the global head and at 224 pixels."""
        x = F.relu(self.bn1(self.conv1(x)))  # 64 x 112 x 112
        x = self.pool1(x)  # 64 x 56 x 56
        x = self.conv2_x(x)  # 256 x 56 x 56
        x = self.conv3_x(x)  # 512 x 28 x 28
        x = self.conv4_x(x)  # 1024 x 14 x 14
        x = self.conv5_x(x)  # 2048 x 7 x 7
        x = self.bn_last(x)  # 2048 x 7 x 7
        x = F.relu(x) if self.preact else x
        x = self.average_pool(x)  # 2048 x 1 x 1
        out: Tensor = self.fc(x)  # 1000 x 1 x 1
        return out
