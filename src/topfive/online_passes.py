"""LeNet-5's passes through the training set: curvature before each, then one update per image, in blocks."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from topfive.loaders.batch import Batch
from topfive.losses import LeNetLoss
from topfive.models.lenet import LeNet5
from topfive.online import gauss_newton_diagonal, train_online
from topfive.optimizers import StochasticDiagonalLevenbergMarquardt
from topfive.problems import Problem

if TYPE_CHECKING:
    from topfive.classifier import Classifier
    from topfive.loaders.datamodule import DataModule


class OnlinePasses:
    """Runs one training step as a block of `block` single-image updates, so that overhead is paid per block.

    Before every pass of length `each` the curvature is estimated on `samples` training images (LeCun et
    al. 1998, Appendix C).
    """

    def __init__(self, module: "Classifier", block: int, samples: int, each: Mapping[str, float]):
        if not isinstance(module.net, LeNet5) or not isinstance(module.loss, LeNetLoss):
            raise Problem(
                "recipe.online is LeNet-5's own training and needs model=lenet5 with one of its losses; choose "
                "another recipe for this network."
            )
        self.module, self.samples = module, samples
        self.net, self.loss = module.net, module.loss
        self.steps_each = replace(module.clock, shorten=1.0).steps(each)

    def step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """One block; its mean loss and the scores (block, classes) that each image had before its update."""
        wrapped = self.module.optimizers()
        optimizer = cast(StochasticDiagonalLevenbergMarquardt, wrapped.optimizer)  # type: ignore[union-attr]
        step = self.module.global_step
        if step % self.steps_each == 0:
            optimizer.set_curvature(self._curvature(step // self.steps_each))
        images = self.module.pipeline(batch.images, batch, self.module.dtype)
        # Lightning counts this as one step; the optimizer's own update finds no gradients.
        losses, scores = wrapped.step(  # type: ignore[union-attr]
            closure=lambda: train_online(self.net, self.loss, optimizer, images, batch.labels)
        )
        return cast(Tensor, losses).mean(), scores

    def _curvature(self, number: int) -> Mapping[Tensor, Tensor]:
        data = cast("DataModule", self.module.trainer.datamodule)  # type: ignore[attr-defined]
        batch = data.sample(self.samples, number)
        with torch.no_grad():
            images = self.module.pipeline(batch.images, batch, self.module.dtype)
        return gauss_newton_diagonal(self.net, self.loss, images, batch.labels)
