"""ImageNet Classification with Deep Convolutional Neural Networks.

Krizhevsky, Sutskever, Hinton; NIPS 2012.

The two-GPU network: conv2, conv4 and conv5 see only the maps of their own GPU's half (two groups), and
so do the neighborhoods of local response normalization. The input is 224 x 224; the original convolution
rounds its output size up, which three zero pixels at the right and lower edge reproduce. Departures, as
values: lrn=False, overlapping=False (2x2 pooling, with the pads that keep 6 x 6), groups=1.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from topfive.layers import Dropout, LocalResponseNorm


class AlexNet(nn.Module):
    """Input: (batch, 3, 224, 224), 0..255 less the mean; output: (batch, num_classes)."""

    def __init__(
        self,
        lrn: bool = True,
        overlapping: bool = True,
        groups: int = 2,
        dropout: float = 0.5,
        num_classes: int = 1000,
    ):
        super().__init__()

        def norm() -> nn.Module:  # section 3.3
            return LocalResponseNorm(5, 1e-4, 0.75, 2.0, groups=groups) if lrn else nn.Identity()

        def pool() -> nn.Module:  # section 3.4
            return nn.MaxPool2d(3 if overlapping else 2, stride=2, ceil_mode=True)

        # Without overlap pool5 is 6 x 6 only with these pads (the code's run 147): 28, 26, 13, 11, 6.
        pad2, pad4 = (2, 1) if overlapping else (1, 0)
        self.conv1, self.norm1, self.pool1 = nn.Conv2d(3, 96, 11, stride=4), norm(), pool()
        self.conv2 = nn.Conv2d(96, 256, 5, padding=pad2, groups=groups)
        self.norm2, self.pool2 = norm(), pool()
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=pad4, groups=groups)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=groups)
        self.pool5 = pool()
        self.fc6, self.dropout6 = nn.Linear(256 * 6 * 6, 4096), Dropout(dropout, "dropout fc6")
        self.fc7, self.dropout7 = nn.Linear(4096, 4096), Dropout(dropout, "dropout fc7")
        self.fc8 = nn.Linear(4096, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pad(x, (0, 3, 0, 3))  # 3 x 227 x 227
        x = F.relu(self.conv1(x))  # 96 x 55 x 55
        x = self.pool1(self.norm1(x))  # 96 x 27 x 27
        x = F.relu(self.conv2(x))  # 256 x 27 x 27
        x = self.pool2(self.norm2(x))  # 256 x 13 x 13
        x = F.relu(self.conv3(x))  # 384 x 13 x 13
        x = F.relu(self.conv4(x))  # 384 x 13 x 13
        x = F.relu(self.conv5(x))  # 256 x 13 x 13
        x = self.pool5(x).flatten(1)  # 256 x 6 x 6 = 9216
        x = self.dropout6(F.relu(self.fc6(x)))  # 4096
        x = self.dropout7(F.relu(self.fc7(x)))  # 4096
        out: Tensor = self.fc8(x)
        return out
