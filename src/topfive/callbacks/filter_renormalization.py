"""Filters of convolutions kept from growing (Zeiler and Fergus 2013, section 3.1)."""

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from topfive.problems import Problem


class FilterRenormalization(pl.Callback):
    """After every update, brings each filter whose root mean square exceeds `largest` back to it.

    A filter is the weights of one output map over all of its inputs; fully connected layers have none.
    Raises Problem where the network has no convolution.
    """

    def __init__(self, largest: float):
        if not largest > 0:
            raise Problem(f"the root mean square {largest} must be above 0: the paper's is 0.1.")
        self.largest, self.step = largest, 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.step = trainer.global_step
        self.weights = [m.weight for m in pl_module.modules() if isinstance(m, nn.Conv2d)]
        if not self.weights:
            raise Problem(
                "recipe.callbacks renormalizes the filters of convolutions, and this network has none: choose "
                "another recipe, or leave the entry of FilterRenormalization null."
            )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *batch: Any
    ) -> None:
        if trainer.global_step == self.step:
            return  # the gradients of this step are still being gathered
        self.step = trainer.global_step
        for weight in self.weights:
            renormalize(weight, self.largest)


@torch.no_grad()
def renormalize(weight: Tensor, largest: float) -> None:
    """Scales, in place, the filters of (outputs, inputs, height, width) that are too large.

    Those within the limit are multiplied by exactly 1, so that the host need not ask which they are.
    """
    rms = weight.square().mean((1, 2, 3), keepdim=True).sqrt()
    weight.mul_((largest / rms).clamp(max=1.0))
