"""The training curve as a CSV file: the durable local truth of a run, whole across resumes."""

import csv
import os
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities import rank_zero_only

COLUMNS = (
    "step",
    "epoch",
    "split",
    "loss",
    "top1_error",
    "top5_error",
    "learning_rate",
    "images_per_second",
)


def drop_after(path: Path, columns: Sequence[str], step: int) -> None:
    """Keeps the rows of a CSV file up to `step`, less one that a crash cut short."""
    if not path.exists():
        return
    with open(path, newline="") as file:
        lines = [line for line in file if line.endswith("\n")]
    whole = [row for row in csv.DictReader(lines) if None not in row.values()]
    kept = [row for row in whole if int(row["step"]) <= step]
    temporary = path.with_suffix(".tmp")
    with open(temporary, "w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(kept)
    os.replace(temporary, path)


class Curve(Logger):
    """One row per split and logging step; `resume_at` drops rows that a resumed run writes again.

    (Lightning's CSVLogger deletes an earlier file when a run is resumed in its directory.)
    """

    def __init__(self, path: Path):
        super().__init__()
        self.path = path

    @property
    def name(self) -> str:
        return "curve"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        pass

    @rank_zero_only
    def resume_at(self, step: int) -> None:
        """Keeps the rows up to `step`, less one that a crash cut short."""
        drop_after(self.path, COLUMNS, step)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        splits: dict[str, dict[str, float]] = {}
        for key, value in metrics.items():
            split, _, quantity = key.partition("/")
            if quantity in COLUMNS:
                splits.setdefault(split, {})[quantity] = value
        with open(self.path, "a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if file.tell() == 0:
                writer.writeheader()
            for split, values in splits.items():
                short = {k: f"{v:.6g}" for k, v in values.items()}
                writer.writerow(
                    {"step": step, "epoch": f"{metrics['epoch']:.4f}", "split": split, **short}
                )
            file.flush()
            os.fsync(file.fileno())  # no checkpoint may survive what this row does not
