"""Deep Residual Learning for Image Recognition (He, Zhang, Ren, Sun; arXiv:1512.03385, CVPR 2016).

ResNet and its plain twin, for ImageNet (Table 1) and for CIFAR-10 (section 4.2). A convolution has no
bias and is followed by BN; ReLU follows BN, except that the last BN of a block is added to the
shortcut first. Readings where the paper is silent: pool1 has no padding and rounds its size up, as in
the authors' prototxt, and an image larger than 224 is averaged over all of its last maps. Departures,
as values: stride_on="3x3" ("v1.5") and stem_pool="padded", both torchvision's and fb.resnet.torch's;
head="sliding", the released nets'; added_channels="around", those of many CIFAR-10 repositories.
"""

from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn import functional as F

from topfive.layers import FullyConnected, SlidingAverage

Shortcut = Literal["A", "B", "C"]
StrideOn = Literal["1x1", "3x3"]
StemPool = Literal["ceil", "padded"]
Head = Literal["global", "sliding"]
AddedChannels = Literal["after", "around"]

# Table 1: blocks in conv2_x, conv3_x, conv4_x, conv5_x, and whether they are bottlenecks.
TABLE_1 = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size at stride 1 and has no bias: BN follows it."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


class SubsampleAndPad(nn.Module):
    """Option A (section 3.3): the identity at every `stride`-th pixel, zeros for added channels.

    `before` of the added channels come ahead of the image's own, the rest behind them.
    """

    def __init__(self, added: int, stride: int):
        super().__init__()
        self.added, self.stride, self.before = added, stride, 0

    def forward(self, x: Tensor) -> Tensor:
        # Of one pixel each: x[:, :, ::stride, ::stride], whose gradient would lose channels_last.
        x = F.avg_pool2d(x, 1, self.stride)
        return F.pad(x, (0, 0, 0, 0, self.before, self.added - self.before))


def shortcut(option: Shortcut, inputs: int, outputs: int, stride: int) -> nn.Module:
    """Section 4.1: A, no parameters; B, projections where the shape changes; C, always projections."""
    if option not in get_args(Shortcut):
        raise ValueError(f"shortcut is A, B, C or null (plain), not {option!r}")
    same = inputs == outputs and stride == 1
    if option == "C" or (option == "B" and not same):
        return nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
    return nn.Identity() if same else SubsampleAndPad(outputs - inputs, stride)


class Block(nn.Module):
    """Two 3x3 convolutions (Fig. 5, left)."""

    def __init__(self, inputs: int, width: int, stride: int, option: Shortcut | None, _: StrideOn):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3), nn.BatchNorm2d(width)
        self.shortcut = shortcut(option, inputs, width, stride) if option else None

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y if self.shortcut is None else y + self.shortcut(x))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions (Fig. 5, right); the paper's stride is on the first 1x1."""

    def __init__(
        self, inputs: int, width: int, stride: int, option: Shortcut | None, stride_on: StrideOn
    ):
        super().__init__()
        first, second = (stride, 1) if stride_on == "1x1" else (1, stride)
        self.conv1, self.bn1 = conv(inputs, width, 1, first), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3, second), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = conv(width, 4 * width, 1), nn.BatchNorm2d(4 * width)
        self.shortcut = shortcut(option, inputs, 4 * width, stride) if option else None

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return F.relu(y if self.shortcut is None else y + self.shortcut(x))


def stage(
    block: type[Block] | type[Bottleneck],
    inputs: int,
    width: int,
    count: int,
    stride: int,
    option: Shortcut | None,
    stride_on: StrideOn = "1x1",
) -> nn.Sequential:
    """`count` blocks, the first of them with the stride."""
    outputs = width * (4 if block is Bottleneck else 1)
    return nn.Sequential(
        block(inputs, width, stride, option, stride_on),
        *(block(outputs, width, 1, option, stride_on) for _ in range(count - 1)),
    )


class ResNet(nn.Module):
    """Table 1: 18, 34, 50, 101 or 152 layers; shortcut=None is the plain network.

    Input: (batch, 3, height, width), 224 x 224 in the paper; output: (batch, num_classes). The stem
    pool "ceil" has the windows of the authors' prototxt (3 x 3, from the first pixel on), "padded"
    those of torchvision, as many, each one pixel further up and left. The head "sliding" averages
    windows of 7 x 7 at stride 1, as the prototxt: a class map, where the image is larger than 224.
    """

    def __init__(
        self,
        depth: int,
        shortcut: Shortcut | None = "B",
        stride_on: StrideOn = "1x1",
        stem_pool: StemPool = "ceil",
        head: Head = "global",
        num_classes: int = 1000,
    ):
        super().__init__()
        if depth not in TABLE_1 or stride_on not in get_args(StrideOn):
            raise ValueError(
                f"Table 1 has depths {', '.join(map(str, TABLE_1))} and stride_on is 1x1 or 3x3, "
                f"not depth={depth}, stride_on={stride_on!r}"
            )
        if stem_pool not in get_args(StemPool) or head not in get_args(Head):
            raise ValueError(
                f"stem_pool is ceil or padded and head is global or sliding, not "
                f"stem_pool={stem_pool!r}, head={head!r}"
            )
        blocks, deep = TABLE_1[depth]
        block, expansion = (Bottleneck, 4) if deep else (Block, 1)
        padded = stem_pool == "padded"
        self.conv1, self.bn1 = conv(3, 64, 7, stride=2), nn.BatchNorm2d(64)
        self.pool1 = nn.MaxPool2d(3, stride=2, padding=int(padded), ceil_mode=not padded)
        make = (shortcut, stride_on)
        self.conv2_x = stage(block, 64, 64, blocks[0], 1, *make)
        self.conv3_x = stage(block, 64 * expansion, 128, blocks[1], 2, *make)
        self.conv4_x = stage(block, 128 * expansion, 256, blocks[2], 2, *make)
        self.conv5_x = stage(block, 256 * expansion, 512, blocks[3], 2, *make)
        self.average_pool = nn.AdaptiveAvgPool2d(1) if head == "global" else SlidingAverage(7)
        self.fc = FullyConnected(512 * expansion, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.class_map(x).mean((2, 3))

    def class_map(self, x: Tensor) -> Tensor:
        """Scores (batch, num_classes, height, width): 1 x 1 of a 224 x 224 image."""
        x = F.relu(self.bn1(self.conv1(x)))  # 64 x 112 x 112
        x = self.pool1(x)  # 64 x 56 x 56
        x = self.conv2_x(x)  # 64 (256 in bottlenecks) x 56 x 56
        x = self.conv3_x(x)  # 128 (512) x 28 x 28
        x = self.conv4_x(x)  # 256 (1024) x 14 x 14
        x = self.conv5_x(x)  # 512 (2048) x 7 x 7
        x = self.average_pool(x)  # 512 (2048) x 1 x 1
        out: Tensor = self.fc(x)  # 1000 x 1 x 1
        return out


class CifarResNet(nn.Module):
    """Section 4.2: 6n + 2 layers on 32 x 32 pixels; shortcut=None is the plain network.

    Input: (batch, 3, 32, 32); output: (batch, num_classes). Option A appends its zero channels;
    added_channels="around" has half of them ahead, the same network but for the order of its channels.
    """

    def __init__(
        self,
        depth: int,
        shortcut: Shortcut | None = "A",
        added_channels: AddedChannels = "after",
        num_classes: int = 10,
    ):
        super().__init__()
        if depth % 6 != 2 or depth < 8:
            raise ValueError(f"a CIFAR ResNet has 6n + 2 layers (20, 32, 44, ...), not {depth}")
        if added_channels not in get_args(AddedChannels):
            raise ValueError(f"added_channels is after or around, not {added_channels!r}")
        n = (depth - 2) // 6
        self.conv1, self.bn1 = conv(3, 16, 3), nn.BatchNorm2d(16)
        self.conv2_x = stage(Block, 16, 16, n, 1, shortcut)
        self.conv3_x = stage(Block, 16, 32, n, 2, shortcut)
        self.conv4_x = stage(Block, 32, 64, n, 2, shortcut)
        if added_channels == "around":
            for module in self.modules():
                if isinstance(module, SubsampleAndPad):
                    module.before = module.added // 2
        self.average_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(64, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))  # 16 x 32 x 32
        x = self.conv2_x(x)  # 16 x 32 x 32
        x = self.conv3_x(x)  # 32 x 16 x 16
        x = self.conv4_x(x)  # 64 x 8 x 8
        x = self.average_pool(x).flatten(1)  # 64
        out: Tensor = self.fc(x)  # 10
        return out
