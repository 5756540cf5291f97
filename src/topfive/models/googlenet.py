"""Going Deeper with Convolutions.

Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke, Rabinovich; arXiv:1409.4842, CVPR 2015.

GoogLeNet (Table 1, Fig. 3): ReLU follows every convolution, reductions and projections included. Readings
where the paper is silent, all as in BVLC's Caffe replica: the constants of local response normalization
(k = 1); dropout of the inverted kind, with which the replica's rate and first weights go; a padding of 3
in conv1, of 0 in the pooling at stride 2, whose sizes are rounded up. conv1 is 7 x 7 x 3 x 64, as drawn:
the 2.7K parameters and 34M operations that Table 1 prints for it fit stem="separable" alone (8 depthwise
7x7 maps of each channel, then 64 of 1x1). Departures, as values: auxiliary=False, lrn=False,
batch_norm=True (torchvision's), inverted_dropout=False, module="naive" (see NaiveInception).
"""

from collections import OrderedDict
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from topfive.layers import Dropout, FullyConnected, LocalResponseNorm, SlidingAverage

ModuleKind = Literal["inception", "naive"]
Stem = Literal["dense", "separable"]
Head = Literal["global", "sliding"]
Widths = tuple[int, int, int, int, int, int]

# Table 1: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj
TABLE_1: dict[str, Widths] = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, bn: bool = False) -> nn.Module:
    """A convolution that keeps the size at stride 1; with `bn` it has no bias and BN follows it."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=not bn)
    if not bn:
        return layer
    return nn.Sequential(OrderedDict(conv=layer, bn=nn.BatchNorm2d(outputs, eps=1e-3)))


def separable(bn: bool) -> nn.Module:
    """The 7x7 convolution whose weights and multiply-adds are those of Table 1: 2,712 and 34.0M."""
    depthwise = nn.Conv2d(3, 24, 7, stride=2, padding=3, groups=3, bias=False)
    return nn.Sequential(OrderedDict(depthwise=depthwise, pointwise=conv(24, 64, 1, bn=bn)))


class Inception(nn.Module):
    """Fig. 2b: 1x1, 3x3 and 5x5 convolutions and a 3x3 max pool, each but the first with a 1x1 one."""

    def __init__(self, inputs: int, widths: Widths, bn: bool):
        super().__init__()
        one, reduce3, three, reduce5, five, proj = widths
        self.conv1x1 = conv(inputs, one, 1, bn=bn)
        self.reduce3x3 = conv(inputs, reduce3, 1, bn=bn)
        self.conv3x3 = conv(reduce3, three, 3, bn=bn)
        self.reduce5x5 = conv(inputs, reduce5, 1, bn=bn)
        self.conv5x5 = conv(reduce5, five, 5, bn=bn)
        self.pool, self.pool_proj = nn.MaxPool2d(3, 1, 1), conv(inputs, proj, 1, bn=bn)
        self.outputs = one + three + five + proj

    def forward(self, x: Tensor) -> Tensor:
        three = self.conv3x3(F.relu(self.reduce3x3(x)))
        five = self.conv5x5(F.relu(self.reduce5x5(x)))
        return F.relu(torch.cat((self.conv1x1(x), three, five, self.pool_proj(self.pool(x))), 1))


class NaiveInception(nn.Module):
    """Fig. 2a: the convolutions straight on the input, whose pooled maps pass through as they are.

    The widths of Table 1 then only add up: 192 maps become 416 and 832 (3a, 3b), 1280, 1728, 2176, 2640
    and 3344 (4a to 4e), 4048 and 4944 (5a, 5b). Without the auxiliary heads, which keep their widths on
    inputs of 1280 and 2640 maps: 97,526,008 parameters and 12,568,061,056 multiply-adds, 14 and 8 times
    those of GoogLeNet.
    """

    def __init__(self, inputs: int, widths: Widths, bn: bool):
        super().__init__()
        one, _, three, _, five, _ = widths
        self.conv1x1 = conv(inputs, one, 1, bn=bn)
        self.conv3x3 = conv(inputs, three, 3, bn=bn)
        self.conv5x5 = conv(inputs, five, 5, bn=bn)
        self.pool = nn.MaxPool2d(3, 1, 1)
        self.outputs = one + three + five + inputs

    def forward(self, x: Tensor) -> Tensor:
        maps = F.relu(torch.cat((self.conv1x1(x), self.conv3x3(x), self.conv5x5(x)), 1))
        return torch.cat((maps, self.pool(x)), 1)


class Auxiliary(nn.Module):
    """Section 5: a classifier on the maps of 4a or 4d, in training only; (batch, num_classes).

    On images larger than `input_size` its scores are the mean over every window of that size.
    """

    def __init__(self, inputs: int, input_size: int, bn: bool, dropout: Dropout, num_classes: int):
        super().__init__()
        side = (input_size + 1) // 2 // 8  # of 4a and 4d: 14 at 224
        if side < 5:
            raise ValueError(
                f"input_size={input_size} leaves {side} x {side} to the auxiliary heads, which pool "
                "5 x 5: it is 79 at least, or auxiliary=false"
            )
        self.pool = nn.AvgPool2d(5, stride=3)
        self.conv = conv(inputs, 128, 1, bn=bn)
        self.hidden = FullyConnected(128, 1024, (side - 5) // 3 + 1)
        self.dropout = dropout
        self.fc = FullyConnected(1024, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(self.pool(x)))  # 128 x 4 x 4
        x = self.dropout(F.relu(self.hidden(x)))  # 1024 x 1 x 1
        out: Tensor = self.fc(x)  # 1000 x 1 x 1
        return out.mean((2, 3))


class GoogLeNet(nn.Module):
    """Input: (batch, 3, height, width), 224 x 224 in the paper, 0..255 less the mean.

    Output: scores (batch, num_classes); in training, with auxiliary heads, those of the net, of the head
    on 4a and of the head on 4d, which else are not run. `input_size` is the side of the images that the
    heads are made for. head="sliding" averages over 7x7 windows (Caffe's pool5), "global" over everything.
    """

    def __init__(
        self,
        module: ModuleKind = "inception",
        auxiliary: bool = True,
        stem: Stem = "dense",
        lrn: bool = True,
        batch_norm: bool = False,
        head: Head = "global",
        dropout: float = 0.4,
        auxiliary_dropout: float = 0.7,
        inverted_dropout: bool = True,
        input_size: int = 224,
        num_classes: int = 1000,
    ):
        super().__init__()
        known = module in get_args(ModuleKind) and stem in get_args(Stem)
        if not known or head not in get_args(Head):
            raise ValueError(
                "module is inception or naive, stem is dense or separable, head is global or sliding, "
                f"not module={module!r}, stem={stem!r}, head={head!r}"
            )
        bn, maps = batch_norm, 192

        def norm() -> nn.Module:
            return LocalResponseNorm(5, 1e-4, 0.75, k=1.0) if lrn else nn.Identity()

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, stride=2, ceil_mode=True)

        def inception(name: str) -> Inception | NaiveInception:
            nonlocal maps
            made = (Inception if module == "inception" else NaiveInception)(maps, TABLE_1[name], bn)
            maps = made.outputs
            return made

        def aux(inputs: int, name: str) -> Auxiliary | None:
            drop = Dropout(auxiliary_dropout, name, inverted_dropout)
            return Auxiliary(inputs, input_size, bn, drop, num_classes) if auxiliary else None

        self.conv1 = conv(3, 64, 7, 2, bn) if stem == "dense" else separable(bn)
        self.pool1, self.norm1 = pool(), norm()
        self.conv2_reduce, self.conv2 = conv(64, 64, 1, bn=bn), conv(64, 192, 3, bn=bn)
        self.norm2, self.pool2 = norm(), pool()
        self.inception_3a, self.inception_3b = inception("3a"), inception("3b")
        self.pool3 = pool()
        self.inception_4a, self.inception_4b = inception("4a"), inception("4b")
        self.inception_4c, self.inception_4d = inception("4c"), inception("4d")
        self.inception_4e, self.pool4 = inception("4e"), pool()
        self.inception_5a, self.inception_5b = inception("5a"), inception("5b")
        self.pool5 = nn.AdaptiveAvgPool2d(1) if head == "global" else SlidingAverage(7)
        self.dropout = Dropout(dropout, "dropout", inverted_dropout)
        self.fc = FullyConnected(maps, num_classes)
        self.aux1 = aux(self.inception_4a.outputs, "dropout aux1")
        self.aux2 = aux(self.inception_4d.outputs, "dropout aux2")

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        class_map, maps_4a, maps_4d = self.trunk(x)
        scores = class_map.mean((2, 3))
        if not self.training or self.aux1 is None or self.aux2 is None:
            return scores
        return scores, self.aux1(maps_4a), self.aux2(maps_4d)

    def class_map(self, x: Tensor) -> Tensor:
        """Scores at every window of pool5: (batch, num_classes, height, width), 1 x 1 at 224."""
        return self.trunk(x)[0]

    def trunk(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The class map, and the maps of 4a and 4d that the auxiliary heads see."""
        x = F.relu(self.conv1(x))  # 64 x 112 x 112
        x = self.norm1(self.pool1(x))  # 64 x 56 x 56
        x = F.relu(self.conv2_reduce(x))  # 64 x 56 x 56
        x = F.relu(self.conv2(x))  # 192 x 56 x 56
        x = self.pool2(self.norm2(x))  # 192 x 28 x 28
        x = self.inception_3a(x)  # 256 x 28 x 28
        x = self.inception_3b(x)  # 480 x 28 x 28
        x = self.pool3(x)  # 480 x 14 x 14
        x = maps_4a = self.inception_4a(x)  # 512 x 14 x 14
        x = self.inception_4b(x)  # 512 x 14 x 14
        x = self.inception_4c(x)  # 512 x 14 x 14
        x = maps_4d = self.inception_4d(x)  # 528 x 14 x 14
        x = self.inception_4e(x)  # 832 x 14 x 14
        x = self.pool4(x)  # 832 x 7 x 7
        x = self.inception_5a(x)  # 832 x 7 x 7
        x = self.inception_5b(x)  # 1024 x 7 x 7
        x = self.dropout(self.pool5(x))  # 1024 x 1 x 1
        return self.fc(x), maps_4a, maps_4d  # 1000 x 1 x 1
