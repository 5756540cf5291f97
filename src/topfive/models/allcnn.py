"""Striving for Simplicity: The All Convolutional Net.

Springenberg, Dosovitskiy, Brox, Riedmiller; arXiv:1412.6806, ICLR 2015 workshop.

The twelve networks of Table 3 for CIFAR-10 and CIFAR-100, and All-CNN-B for ImageNet (Table 6). ReLU
follows every convolution, the class maps included; the score of a class is the average of its map. The
3x3 convolution of the head is not padded: 6 x 6 is what the paper averages over. Read where the paper is
silent: pooling rounds up, replacing convolutions pad by 1, dropout scales in training (Caffe's form) and
follows the stride-2 convolution where nothing replaces the pooling, ImageNet's sizes are those of NiN's
Caffe release. Departures, as values: class_relu=False, head_padding="same", pooling="padded".
"""

from collections.abc import Sequence
from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn import functional as F

from topfive.layers import Dropout

Letter = Literal["A", "B", "C"]
Variant = Literal["base", "strided", "convpool", "all"]
HeadPadding = Literal["valid", "same"]
Pooling = Literal["ceil", "padded"]

# Table 3's networks: one stage, (kernel, stride) of its convolutions; "max" is 3x3 max-pooling at stride 2.
# The second stage is the first with 192 maps for 96.
STAGE: dict[str, dict[str, list[tuple[int, int] | Literal["max"]]]] = {
    "base": {
        "A": [(5, 1), "max"],
        "B": [(5, 1), (1, 1), "max"],
        "C": [(3, 1), (3, 1), "max"],
    },
    "strided": {
        "A": [(5, 2)],
        "B": [(5, 1), (1, 2)],
        "C": [(3, 1), (3, 2)],
    },
    "convpool": {
        "A": [(5, 1), (3, 1), "max"],
        "B": [(5, 1), (1, 1), (3, 1), "max"],
        "C": [(3, 1), (3, 1), (3, 1), "max"],
    },
    "all": {
        "A": [(5, 1), (3, 2)],
        "B": [(5, 1), (1, 1), (3, 2)],
        "C": [(3, 1), (3, 1), (3, 2)],
    },
}


class CifarAllCNN(nn.Module):
    """Table 3: model A, B or C, with max-pooling or what stands in its place.

    Input: (batch, 3, height, width), 32 x 32 in the paper; output: (batch, num_classes). Table 3 gives
    C and Strided-C 1.3 million parameters, but the layers that the paper describes have 0.95 million.
    """

    def __init__(
        self,
        letter: Letter = "C",
        variant: Variant = "all",
        head_padding: HeadPadding = "valid",
        pooling: Pooling = "ceil",
        class_relu: bool = True,
        dropout_input: float = 0.2,
        dropout: float = 0.5,
        inverted_dropout: bool = True,
        num_classes: int = 10,
    ):
        super().__init__()
        if letter not in get_args(Letter) or variant not in STAGE:
            raise ValueError(
                f"letter is A, B or C and variant is {', '.join(STAGE)}, "
                f"not letter={letter!r}, variant={variant!r}"
            )
        if head_padding not in get_args(HeadPadding) or pooling not in get_args(Pooling):
            raise ValueError(
                "head_padding is valid or same and pooling is ceil or padded, "
                f"not head_padding={head_padding!r}, pooling={pooling!r}"
            )
        self.class_relu = class_relu
        self.dropout0 = Dropout(dropout_input, "dropout0", inverted_dropout)
        inputs, convs = 3, 0
        for stage, maps in enumerate((96, 192), start=1):  # at 32 x 32 and 16 x 16
            for layer in STAGE[variant][letter]:
                if layer == "max":
                    padded = pooling == "padded"
                    pool = nn.MaxPool2d(3, 2, padding=int(padded), ceil_mode=not padded)
                    self.add_module(f"pool{stage}", pool)
                    continue
                kernel, stride = layer
                convs += 1
                conv = nn.Conv2d(inputs, maps, kernel, stride, padding=kernel // 2)
                self.add_module(f"conv{convs}", conv)
                inputs = maps
            name = f"dropout{stage}"
            self.add_module(name, Dropout(dropout, name, inverted_dropout))
        pad = 1 if head_padding == "same" else 0
        self.add_module(f"conv{convs + 1}", nn.Conv2d(192, 192, 3, padding=pad))
        self.add_module(f"conv{convs + 2}", nn.Conv2d(192, 192, 1))
        self.add_module(f"conv{convs + 3}", nn.Conv2d(192, num_classes, 1))

    def class_map(self, x: Tensor) -> Tensor:
        # 3 x 32 x 32; stage 1: 96 x 32 x 32, then 96 x 16 x 16; stage 2: 192 x 16 x 16, then 192 x 8 x 8
        *layers, classes = self.children()
        for layer in layers:
            x = layer(x)
            x = F.relu(x) if isinstance(layer, nn.Conv2d) else x  # at the end: 192 x 6 x 6
        x = classes(x)  # classes x 6 x 6
        return F.relu(x) if self.class_relu else x

    def forward(self, x: Tensor) -> Tensor:
        return self.class_map(x).mean((2, 3))


class AllCNN(nn.Module):
    """Table 6: All-CNN-B for ImageNet, which is NiN's network with a convolution for each pooling.

    Input: (batch, 3, height, width), 224 x 224 in the paper; output: (batch, num_classes).
    downsampling_padding: of conv3, conv6, conv9, the convolutions at stride 2. The paper does not state
    it; [0, 0, 0] makes 54, 26, 12, 5 and [1, 1, 1] makes 54, 27, 14, 7 of NiN's 54, 27, 13, 6.
    """

    def __init__(
        self,
        downsampling_padding: Sequence[int] = (1, 0, 0),
        class_relu: bool = True,
        dropout: float = 0.5,
        inverted_dropout: bool = True,
        num_classes: int = 1000,
    ):
        super().__init__()
        if len(downsampling_padding) != 3 or not set(downsampling_padding) <= {0, 1}:
            raise ValueError(
                "downsampling_padding is three numbers, 0 or 1 (conv3, conv6, conv9), "
                f"not {list(downsampling_padding)}"
            )
        pad3, pad6, pad9 = downsampling_padding
        self.class_relu = class_relu
        self.conv1 = nn.Conv2d(3, 96, 11, stride=4)
        self.conv2 = nn.Conv2d(96, 96, 1)
        self.conv3 = nn.Conv2d(96, 96, 3, stride=2, padding=pad3)
        self.conv4 = nn.Conv2d(96, 256, 5, padding=2)
        self.conv5 = nn.Conv2d(256, 256, 1)
        self.conv6 = nn.Conv2d(256, 256, 3, stride=2, padding=pad6)
        self.conv7 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv8 = nn.Conv2d(384, 384, 1)
        self.conv9 = nn.Conv2d(384, 384, 3, stride=2, padding=pad9)
        self.dropout9 = Dropout(dropout, "dropout9", inverted_dropout)
        self.conv10 = nn.Conv2d(384, 1024, 3, padding=1)
        self.conv11 = nn.Conv2d(1024, 1024, 1)
        self.conv12 = nn.Conv2d(1024, num_classes, 1)

    def class_map(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))  # 96 x 54 x 54
        x = F.relu(self.conv2(x))  # 96 x 54 x 54
        x = F.relu(self.conv3(x))  # 96 x 27 x 27
        x = F.relu(self.conv4(x))  # 256 x 27 x 27
        x = F.relu(self.conv5(x))  # 256 x 27 x 27
        x = F.relu(self.conv6(x))  # 256 x 13 x 13
        x = F.relu(self.conv7(x))  # 384 x 13 x 13
        x = F.relu(self.conv8(x))  # 384 x 13 x 13
        x = self.dropout9(F.relu(self.conv9(x)))  # 384 x 6 x 6
        x = F.relu(self.conv10(x))  # 1024 x 6 x 6
        x = F.relu(self.conv11(x))  # 1024 x 6 x 6
        x = self.conv12(x)  # classes x 6 x 6
        return F.relu(x) if self.class_relu else x

    def forward(self, x: Tensor) -> Tensor:
        return self.class_map(x).mean((2, 3))
