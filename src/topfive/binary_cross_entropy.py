"""A class at a time: every class is present in an image or not, whatever the others are."""

import torch
from timm.loss.binary_cross_entropy import BinaryCrossEntropy as TimmBinaryCrossEntropy
from torch import Tensor, nn

from topfive.losses import at_least_one_part, membership


class BinaryCrossEntropy(nn.Module):
    """timm's, in nats: the mean over all classes, and over the labelled samples.

    Targets and weights are as in `topfive.losses`. threshold: a share above it counts as all of the
    class, one below as none of it, so that of a mixed image both classes are present, as Wightman et
    al. (arXiv:2110.00476) want it; None keeps the shares as they are.
    """

    def __init__(self, threshold: float | None = None) -> None:
        super().__init__()
        self.each = TimmBinaryCrossEntropy(
            smoothing=0.0, target_threshold=threshold, reduction="none"
        )

    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        # 16 bits do not even hold the number of images in a batch.
        wide = scores.to(torch.promote_types(scores.dtype, torch.float32))
        shares = membership(wide, targets) if targets.ndim == 1 else targets.to(wide.dtype)
        weights = shares.sum(1)
        losses: Tensor = self.each(wide, shares).mean(1)
        return (losses * weights).sum() / at_least_one_part(weights.sum())
