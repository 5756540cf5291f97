"""Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift.

Ioffe, Szegedy; arXiv:1502.03167, ICML 2015. The network of the appendix (Fig. 5), where batch normalization
precedes every nonlinearity (section 3.2); there is no auxiliary head.

Readings. 4c and 4d print a projection of 128, with which their 608 maps are not the printed 576: the
default is 96, as in Google's TF-slim; projection=128 makes 608 and, in 4e, 1056 (Caffe's). Rows 3c and 4e
print the size of their input. The poolings at stride 2 have as many outputs as TensorFlow's SAME (Caffe's
ceil mode, where the input is even), the averages leave the padding out, and the convolutions pad the same
on every side. The paper's 13.6M parameters fit no reading. eps is TF-slim's. The running averages are
torch's: TF-slim's 0.0003 keeps a part of the first values for some 10,000 steps. Departures, as values:
stem="dense", projection=128, conv_bias=True and count_include_pad=True are the Caffe model's;
batch_norm=False, lrn=True, dropout=0.4 together are the "Inception" of Fig. 3, batch_norm=True with the
other two BN-Baseline, and activation="sigmoid" BN-x5-Sigmoid.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from topfive.layers import Dropout, FullyConnected, LocalResponseNorm, SlidingAverage

Stem = Literal["separable", "dense"]
Activation = Literal["relu", "sigmoid"]
Head = Literal["global", "sliding"]
Projection = Literal[96, 128]
Pool = Literal["avg", "max"]
Row = tuple[int, int, int, int, int, Pool, int]

# Fig. 5: #1x1 (0: the stride is 2), #3x3 reduce, #3x3, double #3x3 reduce, double #3x3, pool, proj
FIG_5: dict[str, Row] = {
    "3a": (64, 64, 64, 64, 96, "avg", 32),
    "3b": (64, 64, 96, 64, 96, "avg", 64),
    "3c": (0, 128, 160, 64, 96, "max", 0),
    "4a": (224, 64, 96, 96, 128, "avg", 128),
    "4b": (192, 96, 128, 96, 128, "avg", 128),
    "4c": (160, 128, 160, 128, 160, "avg", 128),
    "4d": (96, 128, 192, 160, 192, "avg", 128),
    "4e": (0, 128, 192, 192, 256, "max", 0),
    "5a": (352, 192, 320, 160, 224, "avg", 128),
    "5b": (352, 192, 320, 192, 224, "max", 128),
}


class Conv(nn.Module):
    """A convolution that keeps the size at stride 1, batch normalization, the nonlinearity."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        *,
        bias: bool,
        bn: Callable[[int], nn.Module],
        activation: Callable[[Tensor], Tensor],
    ):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=bias)
        self.bn, self.activation = bn(outputs), activation

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.bn(self.conv(x)))


class SameMaxPool2d(nn.MaxPool2d):
    """3x3 at stride 2, half the size rounded up: no padding on an even size, 1 on an odd one."""

    def __init__(self) -> None:
        super().__init__(3, stride=2, ceil_mode=True)

    def forward(self, x: Tensor) -> Tensor:
        odd = (x.shape[2] % 2, x.shape[3] % 2)
        return F.max_pool2d(x, 3, 2, odd, ceil_mode=True)


class Inception(nn.Module):
    """A row of Fig. 5: 1x1 | 3x3 | two 3x3 | pool and projection; no first and no last at stride 2."""

    def __init__(self, inputs: int, row: Row, conv: Callable[..., Conv], count_include_pad: bool):
        super().__init__()
        one, reduce3, three, reduce_double, double, pool, proj = row
        stride = 1 if one else 2
        self.conv1x1 = conv(inputs, one, 1) if one else None
        self.reduce3x3 = conv(inputs, reduce3, 1)
        self.conv3x3 = conv(reduce3, three, 3, stride)
        self.reduce_double3x3 = conv(inputs, reduce_double, 1)
        self.double3x3_1 = conv(reduce_double, double, 3)
        self.double3x3_2 = conv(double, double, 3, stride)
        average = nn.AvgPool2d(3, 1, 1, count_include_pad=count_include_pad)
        same = average if pool == "avg" else nn.MaxPool2d(3, 1, 1)
        self.pool = same if stride == 1 else SameMaxPool2d()
        self.pool_proj = conv(inputs, proj, 1) if proj else None
        self.outputs = one + three + double + (proj or inputs)

    def forward(self, x: Tensor) -> Tensor:
        three = self.conv3x3(self.reduce3x3(x))
        double = self.double3x3_2(self.double3x3_1(self.reduce_double3x3(x)))
        pooled = self.pool(x)
        if self.conv1x1 is None or self.pool_proj is None:
            return torch.cat((three, double, pooled), 1)
        return torch.cat((self.conv1x1(x), three, double, self.pool_proj(pooled)), 1)


class BNInception(nn.Module):
    """Input: (batch, 3, height, width), 224 x 224 in the paper; output: (batch, num_classes).

    bn_momentum is torch's, the weight of the newest batch. The separable stem has 8 depthwise 7x7 maps of
    each channel and, behind its 64 of 1x1, the one normalization. lrn=True normalizes where GoogLeNet
    does, after pool1 and before pool2. head="sliding" averages over 7x7 windows at stride 1, "global" over
    everything. Raises ValueError where an option is none of these.
    """

    def __init__(
        self,
        stem: Stem = "separable",
        projection: Projection = 96,
        conv_bias: bool = False,
        count_include_pad: bool = False,
        activation: Activation = "relu",
        batch_norm: bool = True,
        bn_eps: float = 1e-3,
        bn_momentum: float = 0.1,
        lrn: bool = False,
        dropout: float = 0.0,
        head: Head = "global",
        num_classes: int = 1000,
    ):
        super().__init__()
        known = stem in get_args(Stem) and activation in get_args(Activation)
        if not known or head not in get_args(Head) or projection not in get_args(Projection):
            raise ValueError(
                "stem is separable or dense, projection is 96 or 128, activation is relu or sigmoid, head is "
                f"global or sliding, not stem={stem!r}, projection={projection!r}, "
                f"activation={activation!r}, head={head!r}"
            )
        norm = partial(nn.BatchNorm2d, eps=bn_eps, momentum=bn_momentum)
        bn, bias = (norm, conv_bias) if batch_norm else (nn.Identity, True)
        nonlinearity = F.relu if activation == "relu" else torch.sigmoid
        conv, maps = partial(Conv, bias=bias, bn=bn, activation=nonlinearity), 192

        def pool(name: str) -> nn.Module:
            if not lrn:
                return SameMaxPool2d()
            layers = (SameMaxPool2d(), LocalResponseNorm(5, 1e-4, 0.75, k=1.0))
            return nn.Sequential(*(layers if name == "pool1" else layers[::-1]))

        def inception(name: str) -> Inception:
            nonlocal maps
            row = FIG_5[name]
            row = (*row[:-1], projection) if name in ("4c", "4d") else row
            made = Inception(maps, row, conv, count_include_pad)
            maps = made.outputs
            return made

        depthwise = nn.Conv2d(3, 24, 7, stride=2, padding=3, groups=3, bias=False)
        separable = OrderedDict(depthwise=depthwise, pointwise=conv(24, 64, 1))
        self.conv1 = conv(3, 64, 7, 2) if stem == "dense" else nn.Sequential(separable)
        self.pool1 = pool("pool1")
        self.conv2_reduce, self.conv2 = conv(64, 64, 1), conv(64, 192, 3)
        self.pool2 = pool("pool2")
        self.inception_3a, self.inception_3b = inception("3a"), inception("3b")
        self.inception_3c = inception("3c")
        self.inception_4a, self.inception_4b = inception("4a"), inception("4b")
        self.inception_4c, self.inception_4d = inception("4c"), inception("4d")
        self.inception_4e = inception("4e")
        self.inception_5a, self.inception_5b = inception("5a"), inception("5b")
        self.pool5 = nn.AdaptiveAvgPool2d(1) if head == "global" else SlidingAverage(7)
        self.dropout = Dropout(dropout, "dropout", inverted=True)  # as TensorFlow's
        self.fc = FullyConnected(maps, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.class_map(x).mean((2, 3))

    def class_map(self, x: Tensor) -> Tensor:
        """Scores at every window of pool5: (batch, num_classes, height, width), 1 x 1 at 224."""
        x = self.conv1(x)  # 64 x 112 x 112
        x = self.pool1(x)  # 64 x 56 x 56
        x = self.conv2_reduce(x)  # 64 x 56 x 56
        x = self.conv2(x)  # 192 x 56 x 56
        x = self.pool2(x)  # 192 x 28 x 28
        x = self.inception_3a(x)  # 256 x 28 x 28
        x = self.inception_3b(x)  # 320 x 28 x 28
        x = self.inception_3c(x)  # 576 x 14 x 14
        x = self.inception_4a(x)  # 576 x 14 x 14
        x = self.inception_4b(x)  # 576 x 14 x 14
        x = self.inception_4c(x)  # 576 x 14 x 14
        x = self.inception_4d(x)  # 576 x 14 x 14
        x = self.inception_4e(x)  # 1024 x 7 x 7
        x = self.inception_5a(x)  # 1024 x 7 x 7
        x = self.inception_5b(x)  # 1024 x 7 x 7
        x = self.dropout(self.pool5(x))  # 1024 x 1 x 1
        out: Tensor = self.fc(x)  # 1000 x 1 x 1
        return out
