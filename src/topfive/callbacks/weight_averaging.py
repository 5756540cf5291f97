"""The average of the weights along training, which is the network that is tested and kept."""

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch.optim.swa_utils import PARAM_LIST, AveragedModel

from topfive.batch_norm import average_running_statistics
from topfive.classifier import Classifier
from topfive.clock import Length, unit


class ExponentialAverage(WeightAveraging):
    """Lightning's average of the weights, exponential over the length `over`.

    The decay is 1 - 1 / steps of `over`, 0.9999 for {iterations: 10000}, and after t updates at most
    (1 + t) / (10 + t), so that a young or short run is averaged over its last tenth or so and keeps
    nothing of its first weights: TensorFlow's rule (ExponentialMovingAverage given num_updates).
    Buffers are averaged with the weights, the statistics of batch normalization among them, as the
    official code of EfficientNet has it.

    Every test sees the average, during training and after it, and a checkpoint has it in `state_dict`,
    beside `current_model_state` to continue from. At the end the average becomes the network.
    """

    def __init__(self, over: Length):
        super().__init__()
        unit(over)
        self.over, self.least = over, 0.0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        assert isinstance(pl_module, Classifier)
        self.least = 1 / pl_module.clock.steps(self.over)
        # Lightning's own would configure the module first, which brings process groups that cannot be
        # copied, and would keep the average as the module still is: in float32, on the CPU.
        average = AveragedModel(pl_module, multi_avg_fn=self._approach, use_buffers=True)
        average.module = trainer.precision_plugin.convert_module(average.module)
        average.module.to(trainer.strategy.root_device)
        self._average_model = average  # its counter stays on the CPU: no step waits for the device

    @torch.no_grad()
    def _approach(self, average: PARAM_LIST, current: PARAM_LIST, _: object) -> None:
        """Moves tensors of one type towards the current ones; what is not a fraction is copied."""
        assert self._average_model is not None
        if average[0].is_floating_point():
            updates = int(self._average_model.n_averaged)
            # As a step towards the other end, which leaves constants (mean image, whitening) as they are.
            torch._foreach_lerp_(average, current, max(self.least, 9 / (10 + updates)))
        else:
            torch._foreach_copy_(average, current)

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._average_model is not None:
            average_running_statistics(self._average_model)
        super().on_validation_epoch_start(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        super().on_train_end(trainer, pl_module)
        # What follows, exact statistics for instance, is done to the network itself.
        self._average_model = None

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self._average_model is not None:
            average_running_statistics(self._average_model)
            super().on_save_checkpoint(trainer, pl_module, checkpoint)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if "averaging_state" in checkpoint:
            super().on_load_checkpoint(trainer, pl_module, checkpoint)
        else:
            self._average_model = None  # training had ended: the network is the average
