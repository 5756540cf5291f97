"""EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks (arXiv:1905.11946, ICML 2019).

Tan, Le. B0 alone, as what came after the networks reproduced here: the layers are timm's, the children
are the stages of Table 1. Dropout and stochastic depth are not timm's, which draws from torch's
generator, but functions of seed, step and sample; the k-th of the 16 blocks is dropped with probability
drop_path k / 16, k from 0, as in the authors' code. Departures, as values: padding="symmetric"
(torchvision's and timm's own), where TensorFlow's "SAME" has an odd pixel at the right and lower edge.
"""

from typing import Literal, get_args

from torch import Tensor, nn

from topfive.layers import Dropout, FullyConnected

Padding = Literal["same", "symmetric"]


class StochasticDepth(Dropout):
    """Drops all of a sample's maps or none: with inverted=True, those that stay are divided by 1 - p."""

    def kept(self, x: Tensor) -> Tensor:
        return super().kept(x[:, :1, :1, :1])


class EfficientNetB0(nn.Module):
    """Input: (batch, 3, height, width), 224 x 224 in the paper; output: (batch, num_classes)."""

    def __init__(
        self,
        padding: Padding = "same",
        dropout: float = 0.2,
        drop_path: float = 0.2,
        num_classes: int = 1000,
    ):
        super().__init__()
        if padding not in get_args(Padding):
            raise ValueError(f"padding is same or symmetric, not {padding!r}")
        # Here, or every command would wait for timm.
        from timm.layers.norm_act import BatchNormAct2d
        from timm.models.efficientnet import efficientnet_b0

        net = efficientnet_b0(pad_type="same" if padding == "same" else "")
        for module in list(net.modules()):
            for name, norm in module.named_children():
                if isinstance(norm, BatchNormAct2d):
                    # torch's own class, which a recipe's bn_batch reaches. eps and momentum are the
                    # authors' code's: 0.99 in TensorFlow's sense.
                    plain = nn.BatchNorm2d(norm.num_features, eps=1e-3, momentum=0.01)
                    module.add_module(name, nn.Sequential(plain, norm.act))
        blocks = [block for stage in net.blocks for block in stage]
        for k, block in enumerate(blocks):
            if block.has_skip:
                rate = drop_path * k / len(blocks)
                block.drop_path = StochasticDepth(rate, f"drop path {k}", inverted=True)
        self.stage1 = nn.Sequential(net.conv_stem, net.bn1)
        self.stage2, self.stage3, self.stage4, self.stage5, *deeper = net.blocks
        self.stage6, self.stage7, self.stage8 = deeper
        self.stage9 = nn.Sequential(net.conv_head, net.bn2)
        self.average_pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = Dropout(dropout, "dropout", inverted=True)
        self.fc = FullyConnected(1280, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.class_map(x).mean((2, 3))

    def class_map(self, x: Tensor) -> Tensor:
        """Scores (batch, num_classes, 1, 1), of an image of any size."""
        x = self.stage1(x)  # 32 x 112 x 112
        x = self.stage2(x)  # 16 x 112 x 112
        x = self.stage3(x)  # 24 x 56 x 56
        x = self.stage4(x)  # 40 x 28 x 28
        x = self.stage5(x)  # 80 x 14 x 14
        x = self.stage6(x)  # 112 x 14 x 14
        x = self.stage7(x)  # 192 x 7 x 7
        x = self.stage8(x)  # 320 x 7 x 7
        x = self.stage9(x)  # 1280 x 7 x 7
        x = self.dropout(self.average_pool(x))  # 1280 x 1 x 1
        out: Tensor = self.fc(x)  # 1000 x 1 x 1
        return out
