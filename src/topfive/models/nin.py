"""Network In Network (Lin, Chen, Yan; arXiv:1312.4400, ICLR 2014).

Three mlpconv layers, each a convolution and two 1x1 convolutions (cccp, "cascaded cross-channel
parametric pooling") with ReLU after every one, the class maps included; then the average of each
class map. The paper omits the widths: they are those of the authors' cuda-convnet files. The ImageNet
network, four mlpconv layers, is not in the paper: it is the author's Caffe release. Pooling is 3x3 at
stride 2, its output size rounded up. Departures, as values: class_relu=False, pool2="average" (ports),
head="fc" (Table 5).
"""

from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn import functional as F

from topfive.layers import Dropout, FullyConnected

Net = Literal["cifar", "mnist", "svhn"]
Pool = Literal["max", "average"]
Head = Literal["average", "fc"]

# The authors' files: input channels, maps of each mlpconv layer, kernel of conv3 (conv1 and conv2: 5x5).
NETS = {
    "cifar": (3, (192, 160, 96), (192, 192, 192), (192, 192), 3),
    "mnist": (1, (96, 64, 48), (128, 96, 48), (128, 96), 5),
    "svhn": (3, (128, 96, 64), (320, 256, 128), (384, 256), 5),
}


def max_pool() -> nn.Module:
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


class CifarNiN(nn.Module):
    """The networks for CIFAR-10 and CIFAR-100 (Tables 1, 2), MNIST (Table 4) and SVHN (Table 3).

    Input: (batch, channels, height, width), 32 x 32 (MNIST: 1 channel, 28 x 28); output: (batch,
    num_classes). head="fc" puts a fully connected layer in the place of the average, with dropout_fc
    ahead of it (Table 5). What it is connected to is read as the class maps, all of them at
    `input_size`, ReLU kept; ahead of it and in training nothing else changes. The authors' dropout
    scales in evaluation, hence inverted_dropout=False.
    """

    def __init__(
        self,
        net: Net = "cifar",
        pool2: Pool = "max",
        head: Head = "average",
        class_relu: bool = True,
        dropout: float = 0.5,
        dropout_fc: float = 0.0,
        inverted_dropout: bool = False,
        input_size: int = 32,
        num_classes: int = 10,
    ):
        super().__init__()
        if net not in NETS or pool2 not in get_args(Pool) or head not in get_args(Head):
            raise ValueError(
                f"net is {', '.join(NETS)}, pool2 is max or average, head is average or fc, "
                f"not net={net!r}, pool2={pool2!r}, head={head!r}"
            )
        channels, maps1, maps2, maps3, kernel = NETS[net]
        self.class_relu = class_relu
        self.conv1 = nn.Conv2d(channels, maps1[0], 5, padding=2)
        self.cccp1 = nn.Conv2d(maps1[0], maps1[1], 1)
        self.cccp2 = nn.Conv2d(maps1[1], maps1[2], 1)
        self.pool1 = max_pool()
        self.dropout1 = Dropout(dropout, "dropout1", inverted_dropout)
        self.conv2 = nn.Conv2d(maps1[2], maps2[0], 5, padding=2)
        self.cccp3 = nn.Conv2d(maps2[0], maps2[1], 1)
        self.cccp4 = nn.Conv2d(maps2[1], maps2[2], 1)
        self.pool2 = max_pool() if pool2 == "max" else nn.AvgPool2d(3, stride=2, ceil_mode=True)
        self.dropout2 = Dropout(dropout, "dropout2", inverted_dropout)
        self.conv3 = nn.Conv2d(maps2[2], maps3[0], kernel, padding=kernel // 2)
        self.cccp5 = nn.Conv2d(maps3[0], maps3[1], 1)
        self.cccp6 = nn.Conv2d(maps3[1], num_classes, 1)
        self.dropout3: nn.Module | None = None
        self.fc: nn.Module | None = None
        if head == "fc":
            self.dropout3 = Dropout(dropout_fc, "dropout3", inverted_dropout)
            self.fc = FullyConnected(num_classes, num_classes, input_size // 4)

    def class_map(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))  # 192 x 32 x 32
        x = F.relu(self.cccp1(x))  # 160 x 32 x 32
        x = F.relu(self.cccp2(x))  # 96 x 32 x 32
        x = self.dropout1(self.pool1(x))  # 96 x 16 x 16
        x = F.relu(self.conv2(x))  # 192 x 16 x 16
        x = F.relu(self.cccp3(x))  # 192 x 16 x 16
        x = F.relu(self.cccp4(x))  # 192 x 16 x 16
        x = self.dropout2(self.pool2(x))  # 192 x 8 x 8
        x = F.relu(self.conv3(x))  # 192 x 8 x 8
        x = F.relu(self.cccp5(x))  # 192 x 8 x 8
        x = self.cccp6(x)  # classes x 8 x 8
        x = F.relu(x) if self.class_relu else x
        if self.dropout3 is not None and self.fc is not None:
            x = self.fc(self.dropout3(x))  # classes x 1 x 1
        return x

    def forward(self, x: Tensor) -> Tensor:
        return self.class_map(x).mean((2, 3))


class NiN(nn.Module):
    """The ImageNet network of the Caffe release; conv1 rounds down, to 54 x 54.

    Input: (batch, 3, height, width), 224 x 224 in the release; output: (batch, num_classes). Caffe's
    dropout scales in training, hence inverted_dropout=True.
    """

    def __init__(
        self,
        class_relu: bool = True,
        dropout: float = 0.5,
        inverted_dropout: bool = True,
        num_classes: int = 1000,
    ):
        super().__init__()
        self.class_relu = class_relu
        self.conv1 = nn.Conv2d(3, 96, 11, stride=4)
        self.cccp1, self.cccp2 = nn.Conv2d(96, 96, 1), nn.Conv2d(96, 96, 1)
        self.pool1 = max_pool()
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2)
        self.cccp3, self.cccp4 = nn.Conv2d(256, 256, 1), nn.Conv2d(256, 256, 1)
        self.pool2 = max_pool()
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.cccp5, self.cccp6 = nn.Conv2d(384, 384, 1), nn.Conv2d(384, 384, 1)
        self.pool3 = max_pool()
        self.dropout3 = Dropout(dropout, "dropout3", inverted_dropout)
        self.conv4 = nn.Conv2d(384, 1024, 3, padding=1)
        self.cccp7, self.cccp8 = nn.Conv2d(1024, 1024, 1), nn.Conv2d(1024, num_classes, 1)

    def class_map(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))  # 96 x 54 x 54
        x = F.relu(self.cccp1(x))  # 96 x 54 x 54
        x = F.relu(self.cccp2(x))  # 96 x 54 x 54
        x = self.pool1(x)  # 96 x 27 x 27
        x = F.relu(self.conv2(x))  # 256 x 27 x 27
        x = F.relu(self.cccp3(x))  # 256 x 27 x 27
        x = F.relu(self.cccp4(x))  # 256 x 27 x 27
        x = self.pool2(x)  # 256 x 13 x 13
        x = F.relu(self.conv3(x))  # 384 x 13 x 13
        x = F.relu(self.cccp5(x))  # 384 x 13 x 13
        x = F.relu(self.cccp6(x))  # 384 x 13 x 13
        x = self.dropout3(self.pool3(x))  # 384 x 6 x 6
        x = F.relu(self.conv4(x))  # 1024 x 6 x 6
        x = F.relu(self.cccp7(x))  # 1024 x 6 x 6
        x = self.cccp8(x)  # classes x 6 x 6
        return F.relu(x) if self.class_relu else x

    def forward(self, x: Tensor) -> Tensor:
        return self.class_map(x).mean((2, 3))
