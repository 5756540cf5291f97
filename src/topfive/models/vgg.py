"""Very Deep Convolutional Networks for Large-Scale Image Recognition.

Simonyan, Zisserman; ICLR 2015, arXiv:1409.1556. Configurations A, A-LRN, B, C, D and E of Table 1.

ReLU follows every convolution, fc6 and fc7. Readings where the paper is silent: A-LRN normalizes after
the ReLU of conv1_1, as Krizhevsky et al. 2012, whose constants it takes; pooling rounds up and dropout
is the inverted kind, as in Caffe, for which the authors released D and E. Departures, as values:
pool_rounding="down", inverted_dropout=False, lrn=True in deeper configurations; pairs="5x5" is the
paper's own comparison.
"""

from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn import functional as F

from topfive.layers import Dropout, FullyConnected, LocalResponseNorm

Configuration = Literal["A", "B", "C", "D", "E"]
Pairs = Literal["3x3", "5x5"]
Rounding = Literal["up", "down"]

# Table 1: the maps of the five blocks, and the sizes of the convolutions in each.
MAPS = (64, 128, 256, 512, 512)
TABLE_1 = {
    "A": ((3,), (3,), (3, 3), (3, 3), (3, 3)),
    "B": ((3, 3), (3, 3), (3, 3), (3, 3), (3, 3)),
    "C": ((3, 3), (3, 3), (3, 3, 1), (3, 3, 1), (3, 3, 1)),
    "D": ((3, 3), (3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    "E": ((3, 3), (3, 3), (3, 3, 3, 3), (3, 3, 3, 3), (3, 3, 3, 3)),
}


class VGG(nn.Module):
    """The children are conv1_1, (norm1_1, conv1_2,) pool1, ..., pool5, fc6, dropout6, ..., fc8.

    Input: (batch, 3, input_size, input_size) or larger, 0..255 less the mean; output: (batch,
    num_classes), the mean of the class map (section 3.2). pairs="5x5" is B with one 5x5 convolution for
    each pair of 3x3 (section 4.1). Raises ValueError for what Table 1 does not have.
    """

    def __init__(
        self,
        configuration: Configuration,
        lrn: bool = False,
        pairs: Pairs = "3x3",
        pool_rounding: Rounding = "up",
        dropout: float = 0.5,
        inverted_dropout: bool = True,
        input_size: int = 224,
        num_classes: int = 1000,
    ):
        super().__init__()
        _check(configuration, pairs, pool_rounding)
        blocks = TABLE_1[configuration] if pairs == "3x3" else ((5,),) * 5
        maps, size = 3, input_size
        for b, (sizes, outputs) in enumerate(zip(blocks, MAPS, strict=True), 1):
            for c, kernel in enumerate(sizes, 1):
                conv = nn.Conv2d(maps, outputs, kernel, padding=kernel // 2)
                self.add_module(f"conv{b}_{c}", conv)
                if lrn and (b, c) == (1, 1):  # section 2.1: A-LRN
                    self.norm1_1 = LocalResponseNorm(5, 1e-4, 0.75, 2.0)
                maps = outputs
            self.add_module(f"pool{b}", nn.MaxPool2d(2, stride=2, ceil_mode=pool_rounding == "up"))
            size = (size + (pool_rounding == "up")) // 2
        if size < 1:
            raise ValueError(f"input_size={input_size} leaves nothing to fc6: it is 32 at least")
        self.fc6 = FullyConnected(512, 4096, size)
        self.dropout6 = Dropout(dropout, "dropout fc6", inverted_dropout)
        self.fc7 = FullyConnected(4096, 4096)
        self.dropout7 = Dropout(dropout, "dropout fc7", inverted_dropout)
        self.fc8 = FullyConnected(4096, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.class_map(x).mean((2, 3))

    def class_map(self, x: Tensor) -> Tensor:
        """Scores at every place of the window, 32 pixels apart: (batch, num_classes, height, width)."""
        x = self.block(1, x)  # 64 x 112 x 112
        x = self.block(2, x)  # 128 x 56 x 56
        x = self.block(3, x)  # 256 x 28 x 28
        x = self.block(4, x)  # 512 x 14 x 14
        x = self.block(5, x)  # 512 x 7 x 7
        x = self.dropout6(F.relu(self.fc6(x)))  # 4096 x 1 x 1
        x = self.dropout7(F.relu(self.fc7(x)))  # 4096 x 1 x 1
        out: Tensor = self.fc8(x)  # 1000 x 1 x 1
        return out

    def block(self, number: int, x: Tensor) -> Tensor:
        """The convolutions of one block of Table 1, in order, and its pooling."""
        for name, layer in self.named_children():
            if name.startswith((f"conv{number}_", f"norm{number}_", f"pool{number}")):
                x = F.relu(layer(x)) if isinstance(layer, nn.Conv2d) else layer(x)
        return x


def _check(configuration: str, pairs: str, pool_rounding: str) -> None:
    if configuration not in TABLE_1:
        raise ValueError(f"Table 1 has configurations {', '.join(TABLE_1)}, not {configuration!r}")
    if pairs not in get_args(Pairs) or pool_rounding not in get_args(Rounding):
        raise ValueError(
            f"pairs is 3x3 or 5x5 and pool_rounding is up or down, not pairs={pairs!r}, "
            f"pool_rounding={pool_rounding!r}"
        )
    if pairs == "5x5" and configuration != "B":
        raise ValueError(
            f"the net of 5x5 convolutions is made of B's pairs (section 4.1), not of {configuration}"
        )
