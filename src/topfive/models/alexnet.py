"""ImageNet Classification with Deep Convolutional Neural Networks.

Krizhevsky, Sutskever, Hinton; NIPS 2012. CaffeNet (Jia et al., arXiv:1408.5093) is the same network
under other options (conf/model/caffenet.yaml).

The two-GPU network: conv2, conv4 and conv5 see only the maps of their own GPU's half (two groups), and
so do the neighborhoods of local response normalization. The original convolution rounds its output size
up, which zeros at the right and lower edge reproduce: three for an image of 224, none for Caffe's 227.
Where the authors' code departs from the paper, or Caffe from both, an option says so.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from topfive.layers import Dropout, FullyConnected, LocalResponseNorm

Order = Literal["norm_pool", "pool_norm", "code"]
Activation = Literal["relu", "tanh"]
REMOVABLE = ("conv3", "conv4", "fc6", "fc7")  # Zeiler and Fergus, arXiv:1311.2901, Table 3


class WithinMapNorm(nn.Module):
    """b = a / (1 + 0.001 / 25 * sum of a^2 over 5 x 5 pixels of the same map) ^ 0.75.

    `cnorm2` of the authors' code. Pixels beyond the edge are zeros that count among the 25.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x / (1 + 0.001 * F.avg_pool2d(x * x, 5, stride=1, padding=2)) ** 0.75


class AlexNet(nn.Module):
    """Input: (batch, 3, 224, 224), 0..255 less the mean, or larger; output: (batch, num_classes).

    input_size: the image of which 1 x 1 is left. maps: of conv1 to conv5; a sixth makes CNN*'s conv6
    (section 6.1), which sees all of pool5. fc: units of fc6 and fc7. without: layers taken out. linked:
    conv3, fc6 and fc7 see both halves; False with maps [96, 320, 384, 384, 256] and fc 8192 is the
    code's run 150. lrn_crosses: neighborhoods cross between the halves (Caffe). order: "norm_pool"
    (section 3.5), "pool_norm" (CaffeNet) or "code" (conv1 is linear: normalization, pooling, ReLU).
    within_map: the code's second, unpublished normalization after norm2. inverted_dropout: Caffe's.
    Raises ValueError for values that make no network.
    """

    def __init__(
        self,
        input_size: int = 224,
        maps: Sequence[int] = (96, 256, 384, 384, 256),
        fc: int = 4096,
        without: Sequence[str] = (),
        groups: int = 2,
        linked: bool = True,
        activation: Activation = "relu",
        lrn: bool = True,
        lrn_k: float = 2.0,
        lrn_crosses: bool = False,
        order: Order = "norm_pool",
        within_map: bool = False,
        overlapping: bool = True,
        dropout: float = 0.5,
        inverted_dropout: bool = False,
        num_classes: int = 1000,
    ):
        super().__init__()
        if order not in get_args(Order) or activation not in get_args(Activation):
            raise ValueError(
                f"order is norm_pool, pool_norm or code, activation is relu or tanh, "
                f"not order={order!r}, activation={activation!r}"
            )
        if not set(without) <= set(REMOVABLE):
            raise ValueError(f"without takes any of {', '.join(REMOVABLE)}, not {list(without)}")
        if len(maps) not in (5, 6) or any(count % groups for count in (*maps, fc)):
            raise ValueError(
                f"maps has the counts of conv1 to conv5, or to CNN*'s conv6, and they and fc divide by "
                f"groups={groups}: not maps={list(maps)}, fc={fc}"
            )
        self.order = order
        self.activation = F.relu if activation == "relu" else torch.tanh
        links = 1 if linked else groups
        kernel = 3 if overlapping else 2
        # Without overlap pool5 is 6 x 6 only with these pads (the code's run 147): 28, 26, 13, 11, 6.
        pad2, pad4 = (2, 1) if overlapping else (1, 0)

        def norm(within: bool = False) -> nn.Module:  # section 3.3
            halves = 1 if lrn_crosses else groups
            layer = LocalResponseNorm(5, 1e-4, 0.75, lrn_k, halves) if lrn else nn.Identity()
            return nn.Sequential(layer, WithinMapNorm()) if within else layer

        def pool() -> nn.Module:  # section 3.4
            return nn.MaxPool2d(kernel, stride=2, ceil_mode=True)

        def pooled(size: int) -> int:
            return -(-(size - kernel) // 2) + 1

        def hidden(inputs: int, size: int) -> nn.Module:
            if links == 1:
                return FullyConnected(inputs, fc, size)
            return nn.Conv2d(inputs, fc, size, groups=links)

        def drop(name: str) -> nn.Module:  # section 4.2
            return Dropout(dropout, f"dropout {name}", inverted_dropout)

        def kept(name: str, layer: nn.Module) -> nn.Module | None:
            return None if name in without else layer

        m1, m2, m3, m4, m5, *m6 = maps
        m3 = m2 if "conv3" in without else m3
        m4 = m3 if "conv4" in without else m4
        self.conv1 = nn.Conv2d(3, m1, 11, stride=4)
        if order == "pool_norm":
            self.pool1, self.norm1 = pool(), norm()
        else:
            self.norm1, self.pool1 = norm(), pool()
        self.conv2 = nn.Conv2d(m1, m2, 5, padding=pad2, groups=groups)
        if order == "pool_norm":
            self.pool2, self.norm2 = pool(), norm(within_map)
        else:
            self.norm2, self.pool2 = norm(within_map), pool()
        self.conv3 = kept("conv3", nn.Conv2d(m2, m3, 3, padding=1, groups=links))
        self.conv4 = kept("conv4", nn.Conv2d(m3, m4, 3, padding=pad4, groups=groups))
        self.conv5 = nn.Conv2d(m4, m5, 3, padding=1, groups=groups)
        self.pool5 = pool()
        self.conv6 = nn.Conv2d(m5, m6[0], 3, padding=1, groups=links) if m6 else None

        side = pooled(-(-(input_size - 11) // 4) + 1) + 2 * pad2 - 4  # conv2
        side = pooled(side) + (0 if self.conv4 is None else 2 * pad4 - 2)  # conv4
        side = pooled(side)  # pool5
        if side < 1:
            raise ValueError(
                f"nothing is left of an image of input_size={input_size}: 224 is AlexNet's"
            )
        seen = (m6[0] if m6 else m5, side)
        self.fc6, self.dropout6 = kept("fc6", hidden(*seen)), kept("fc6", drop("fc6"))
        seen = seen if self.fc6 is None else (fc, 1)
        self.fc7, self.dropout7 = kept("fc7", hidden(*seen)), kept("fc7", drop("fc7"))
        seen = seen if self.fc7 is None else (fc, 1)
        self.fc8 = FullyConnected(seen[0], num_classes, seen[1])

    def active(
        self, layer: nn.Module | None, x: Tensor, dropout: nn.Module | None = None
    ) -> Tensor:
        """The layer, its nonlinearity and its dropout; `x` itself where the layer was taken out."""
        if layer is None:
            return x
        x = self.activation(layer(x))
        return x if dropout is None else dropout(x)

    def reduced(self, x: Tensor, norm: nn.Module, pool: nn.Module) -> Tensor:
        reduced: Tensor = norm(pool(x)) if self.order == "pool_norm" else pool(norm(x))
        return reduced

    def class_map(self, x: Tensor) -> Tensor:
        """(batch, num_classes, h, w), 1 x 1 for an image of input_size."""
        height, width = x.shape[2:]
        x = F.pad(x, (0, -(width - 11) % 4, 0, -(height - 11) % 4))  # 3 x 227 x 227
        if self.order == "code":
            x = self.reduced(self.conv1(x), self.norm1, self.pool1)
            x = self.activation(x)  # 96 x 27 x 27
        else:
            x = self.active(self.conv1, x)  # 96 x 55 x 55
            x = self.reduced(x, self.norm1, self.pool1)  # 96 x 27 x 27
        x = self.active(self.conv2, x)  # 256 x 27 x 27
        x = self.reduced(x, self.norm2, self.pool2)  # 256 x 13 x 13
        x = self.active(self.conv3, x)  # 384 x 13 x 13
        x = self.active(self.conv4, x)  # 384 x 13 x 13
        x = self.active(self.conv5, x)  # 256 x 13 x 13
        x = self.pool5(x)  # 256 x 6 x 6
        x = self.active(self.conv6, x)  # in CNN* only: 256 x 6 x 6
        x = self.active(self.fc6, x, self.dropout6)  # 4096 x 1 x 1
        x = self.active(self.fc7, x, self.dropout7)  # 4096 x 1 x 1
        scores: Tensor = self.fc8(x)  # 1000 x 1 x 1
        return scores

    def forward(self, x: Tensor) -> Tensor:
        return self.class_map(x).mean((2, 3))
