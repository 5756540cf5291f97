"""The progress bar: steps of the whole run, error and images per second."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import TQDMProgressBar


class Progress(TQDMProgressBar):
    """Lightning's bar with the figures that the classifier keeps at hand."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=10)

    def on_train_epoch_start(self, trainer: pl.Trainer, *_: Any) -> None:
        super().on_train_epoch_start(trainer)
        self.train_progress_bar.set_description("training")

    @property
    def predict_description(self) -> str:
        return "testing"

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        latest: dict[str, Any] = pl_module.latest  # type: ignore[assignment]
        return {
            name.replace("_", " "): f"{value:.0f}"
            if name == "images_per_second"
            else f"{value:.2%}"
            for name, value in latest.items()
        }
