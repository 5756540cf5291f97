"""Batch normalization's statistics for the test, measured after training instead of tracked along it.

Ioffe and Szegedy 2015, algorithm 2: of the trained network, over many training batches, the mean of
the batches' means, and the mean of their variances times m / (m - 1). The released models of He et al.
2015 hold such exact averages too (their readme).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytorch_lightning as pl
import torch
from torch import nn

from topfive.batch_norm import average_running_statistics, running_statistics
from topfive.callbacks.weight_averaging import ExponentialAverage
from topfive.classifier import Classifier
from topfive.loaders.datamodule import DataModule
from topfive.problems import Problem


class PreciseStatistics(pl.Callback):
    """Replaces the moving averages, at the end of training, by averages over `images` training views.

    They are the views that training would have gone on with, augmented alike, in whole batches and at
    most an epoch of them; a batch here is what normalized together in training (recipe.bn_batch). The
    number is that of a sample: `recipe.shorten` does not touch it. A network without batch normalization
    is left as it is. Raises Problem where weights are averaged only after this.
    """

    def __init__(self, images: int):
        if images < 1:
            raise Problem(f"exact statistics over {images} images: expected at least 1.")
        self.images = images

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        later = callbacks[callbacks.index(self) :]
        if any(isinstance(callback, ExponentialAverage) for callback in later):
            raise Problem(
                "in recipe.callbacks ExponentialAverage stands after PreciseStatistics, and would replace what it "
                "measures: put it before."
            )

    @torch.no_grad()
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, DataModule)
        assert isinstance(pl_module, Classifier)
        buffers = list(running_statistics(pl_module))
        if not buffers:
            return
        sums = [torch.zeros_like(buffer, dtype=torch.float64) for buffer in buffers]
        steps = -(-min(self.images, len(data.order.ids)) // data.batch)
        first, rounds = trainer.global_step, trainer.accumulate_grad_batches
        with _statistics_of_one_batch(pl_module), trainer.precision_plugin.forward_context():
            for turn, loaded in enumerate(data.training(first, first + steps)):
                batch = trainer.strategy.batch_to_device(loaded)
                pl_module.on_train_batch_start(batch, turn)
                pl_module(batch.images, batch)
                if (turn + 1) % rounds == 0:
                    for total, buffer in zip(sums, buffers, strict=True):
                        total += buffer
        for total, buffer in zip(sums, buffers, strict=True):
            buffer.copy_(total / steps)
        average_running_statistics(pl_module)


@contextmanager
def _statistics_of_one_batch(module: nn.Module) -> Iterator[None]:
    """In training mode; what the running statistics hold is of the last batch alone, by momentum 1."""
    norms = [norm for norm in module.modules() if isinstance(norm, nn.BatchNorm2d)]
    before, training = [norm.momentum for norm in norms], module.training
    module.train()
    for norm in norms:
        norm.momentum = 1.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
        module.train(training)
