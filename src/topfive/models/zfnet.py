"""Visualizing and Understanding Convolutional Networks (Zeiler, Fergus; ECCV 2014, arXiv:1311.2901).

Fig. 3: AlexNet with a finer first convolution and without groups; contrast is normalized across maps
after pooling (caption). Readings where the paper is silent: conv1 leaves 110 x 110 because its output
size is rounded up as in Krizhevsky's code (conv1_padding="symmetric" is the other way to get there);
pooling rounds up; the normalization has AlexNet's constants and dropout its form. Departures, as
values: lrn=False, order="norm_pool" (many ports).
"""

from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn import functional as F

from topfive.layers import Dropout, FullyConnected, LocalResponseNorm

Padding = Literal["ceil", "symmetric"]
Order = Literal["pool_norm", "norm_pool"]


class ZFNet(nn.Module):
    """Input: (batch, 3, 224, 224), 0..255 less the mean, or larger; output: (batch, num_classes).

    input_size: the image of which 1 x 1 is left. maps: of conv3, conv4 and conv5; fc: units of fc6 and
    fc7 (Table 3 changes both). conv1_padding: "ceil" pads at the right and lower edge by what rounds
    the size up, "symmetric" by one pixel all around. Raises ValueError for values that make no network.
    """

    def __init__(
        self,
        input_size: int = 224,
        maps: Sequence[int] = (384, 384, 256),
        fc: int = 4096,
        conv1_padding: Padding = "ceil",
        lrn: bool = True,
        lrn_size: int = 5,
        lrn_alpha: float = 1e-4,
        lrn_beta: float = 0.75,
        lrn_k: float = 2.0,
        order: Order = "pool_norm",
        dropout: float = 0.5,
        num_classes: int = 1000,
    ):
        super().__init__()
        if conv1_padding not in get_args(Padding) or order not in get_args(Order):
            raise ValueError(
                f"conv1_padding is ceil or symmetric, order is pool_norm or norm_pool, "
                f"not conv1_padding={conv1_padding!r}, order={order!r}"
            )
        if len(maps) != 3:
            raise ValueError(f"maps has the counts of conv3, conv4 and conv5, not {list(maps)}")
        self.order, self.ceil = order, conv1_padding == "ceil"

        def norm() -> nn.Module:
            constants = (lrn_size, lrn_alpha, lrn_beta, lrn_k)
            return LocalResponseNorm(*constants) if lrn else nn.Identity()

        def pool() -> nn.Module:
            return nn.MaxPool2d(3, stride=2, ceil_mode=True)

        m3, m4, m5 = maps
        self.conv1 = nn.Conv2d(3, 96, 7, stride=2, padding=0 if self.ceil else 1)
        if order == "pool_norm":
            self.pool1, self.norm1 = pool(), norm()
        else:
            self.norm1, self.pool1 = norm(), pool()
        self.conv2 = nn.Conv2d(96, 256, 5, stride=2)
        if order == "pool_norm":
            self.pool2, self.norm2 = pool(), norm()
        else:
            self.norm2, self.pool2 = norm(), pool()
        self.conv3 = nn.Conv2d(256, m3, 3, padding=1)
        self.conv4 = nn.Conv2d(m3, m4, 3, padding=1)
        self.conv5 = nn.Conv2d(m4, m5, 3, padding=1)
        self.pool5 = pool()

        # conv1, pool1, conv2, pool2, pool5: pooling leaves half of the pixels, rounded down.
        side = (input_size - 4) // 2 if self.ceil else (input_size - 3) // 2
        side = ((side // 2 - 3) // 2) // 2 // 2
        if side < 1:
            raise ValueError(
                f"nothing is left of an image of input_size={input_size}: 224 is ZFNet's"
            )
        self.fc6, self.dropout6 = FullyConnected(m5, fc, side), Dropout(dropout, "dropout fc6")
        self.fc7, self.dropout7 = FullyConnected(fc, fc), Dropout(dropout, "dropout fc7")
        self.fc8 = FullyConnected(fc, num_classes)

    def reduced(self, x: Tensor, norm: nn.Module, pool: nn.Module) -> Tensor:
        reduced: Tensor = norm(pool(x)) if self.order == "pool_norm" else pool(norm(x))
        return reduced

    def class_map(self, x: Tensor) -> Tensor:
        """(batch, num_classes, h, w), 1 x 1 for an image of input_size."""
        if self.ceil:
            height, width = x.shape[2:]
            x = F.pad(x, (0, (width - 7) % 2, 0, (height - 7) % 2))  # 3 x 225 x 225
        x = F.relu(self.conv1(x))  # 96 x 110 x 110
        x = self.reduced(x, self.norm1, self.pool1)  # 96 x 55 x 55
        x = F.relu(self.conv2(x))  # 256 x 26 x 26
        x = self.reduced(x, self.norm2, self.pool2)  # 256 x 13 x 13
        x = F.relu(self.conv3(x))  # 384 x 13 x 13
        x = F.relu(self.conv4(x))  # 384 x 13 x 13
        x = F.relu(self.conv5(x))  # 256 x 13 x 13
        x = self.pool5(x)  # 256 x 6 x 6
        x = self.dropout6(F.relu(self.fc6(x)))  # 4096 x 1 x 1
        x = self.dropout7(F.relu(self.fc7(x)))  # 4096 x 1 x 1
        scores: Tensor = self.fc8(x)  # 1000 x 1 x 1
        return scores

    def forward(self, x: Tensor) -> Tensor:
        return self.class_map(x).mean((2, 3))
