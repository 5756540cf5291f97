"""What trainer.gradient_flow costs: CPU time of steps that all log beside steps that do not.

    OMP_NUM_THREADS=1 python benchmarks/gradient_flow.py model=resnet20 --steps 4 --rounds 3

Rounds alternate, and the median of their ratios is reported; logging every k-th step costs a k-th of it.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
from train_step import Repeated, batch, module

from topfive import build
from topfive.config import compose
from topfive.gradient_flow import GradientFlow
from topfive.inspect.network import CLASSES
from topfive.quiet import quiet_lightning


class Watch(build.Callback):
    """CPU seconds from the end of a fit's first step to the end of its last, without the chart."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx == 0:
            self.start = time.process_time()
        self.end = time.process_time()


def seconds(made, one, steps: int, file: Path | None) -> float:
    watch = Watch()
    flow = [] if file is None else [GradientFlow(1, file)]
    trainer = build.pl.Trainer(
        accelerator="cpu",
        max_steps=steps + 1,
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[*flow, watch],
    )
    trainer.fit(made, Repeated(one, steps + 1))
    return (watch.end - watch.start) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    quiet_lightning()
    config = compose(asked.overrides)
    classes = CLASSES.get(config["choices"]["data"], 1000)
    one, made = batch(config, classes, torch.device("cpu")), module(config, classes)
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(asked.rounds):
            plain = seconds(made, one, asked.steps, None)
            logging = seconds(made, one, asked.steps, Path(folder) / "gradient_flow.csv")
            ratios.append(logging / plain)
    print(
        f"{config['choices']['model']}, batch {config['recipe']['batch_size']}: {plain:.3f} s CPU a step;"
    )
    low, high = min(ratios), max(ratios)
    print(
        f"one that logs takes {statistics.median(ratios):.3f} times that ({low:.3f} to {high:.3f})"
    )


if __name__ == "__main__":
    main()
