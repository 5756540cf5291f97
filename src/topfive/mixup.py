"""Two images for one: mixup and CutMix of neighbors in the batch, by timm, drawn by address."""

import torch
from timm.data.mixup import Mixup as TimmMixup
from torch import Tensor
from torch.nn import functional as F

from topfive.global_generators import addressed
from topfive.problems import Problem


class Mixup:
    """Mixes every batch, by mixup (Zhang et al., arXiv:1710.09412) or CutMix (Yun et al., 1905.04899).

    An image keeps the share Beta(alpha, alpha) and gets the rest from its partner: blended where
    `mixup` is the alpha, as a pasted rectangle where `cutmix` is. Where both are above 0, `switch` is
    the probability of CutMix.

    What is drawn (which of the two, the share, the rectangle) is one draw a step for the whole global
    batch, a function of (seed, step): timm draws once a process. Partners are rows 2 k and 2 k + 1 of
    the global batch, whose order is random; where the recipe does not reshuffle, they stay the same
    pair. The devices share the batch in consecutive rows, so that neither their number nor that of
    the accumulation rounds changes a mixed image.
    """

    def __init__(self, seed: int, classes: int, mixup: float, cutmix: float, switch: float = 0.5):
        if min(mixup, cutmix) < 0 or max(mixup, cutmix) == 0:
            raise Problem(
                f"recipe.mixup has mixup={mixup:g} and cutmix={cutmix:g}: neither may be negative and one of "
                f"them must be above 0. To mix nothing: '~recipe.mixup'."
            )
        self.seed, self.classes = seed, classes
        self.timm = TimmMixup(  # type: ignore[no-untyped-call]
            mixup,
            cutmix,
            switch_prob=switch,
            label_smoothing=0.0,
            num_classes=classes,
            multi_label=True,
        )

    def __call__(self, images: Tensor, labels: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """The mixed images and the shares of their classes, (batch, classes).

        images: float, (batch, channels, height, width); labels: (batch,). An unreadable image (-1) has
        no share in any class: a row's sum is what the readable images have of the mixed one.
        """
        if len(labels) % 2:
            raise Problem(
                f"recipe.mixup mixes pairs, but a device has {len(labels)} images in one pass: choose "
                f"trainer.devices and trainer.accumulate_grad_batches so that the number is even."
            )
        rows = torch.arange(len(labels), device=labels.device)
        # timm's partners are the first row and the last, the second and the last but one, and so on.
        order = torch.cat([rows[::2], rows[1::2].flip(0)])
        back = order.argsort()
        whole = F.one_hot(labels.clamp(min=0), self.classes) * (labels >= 0)[:, None]
        with addressed(self.seed, "mixup", step):
            mixed, shares = self.timm(images[order], whole[order])
        return mixed[back], shares[back]
