"""Gradients of a bounded length."""

import pytorch_lightning as pl
import torch

from topfive.problems import Problem


class GradientClip(pl.Callback):
    """Scales the gradient of every update to the Euclidean norm `norm` over all parameters, if larger.

    It is the gradient of the whole batch: gathered over accumulation rounds, averaged over devices, and
    under mixed precision already unscaled. Raises Problem where the recipe updates without Lightning.
    """

    def __init__(self, norm: float):
        if not norm > 0:
            raise Problem(f"the largest norm of the gradient is {norm}: expected a number above 0.")
        self.norm = norm

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if not pl_module.automatic_optimization:
            raise Problem(
                "recipe.callbacks clips gradients, and this recipe updates by single images (recipe.online), whose "
                "gradients nothing clips: leave the entry of GradientClip null, or choose another recipe."
            )

    def on_before_optimizer_step(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        torch.nn.utils.clip_grad_norm_(pl_module.parameters(), self.norm)
