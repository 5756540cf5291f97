"""Is the loader or the device the limit? A network's training steps fed by FFCV's loader from a .beton.

    python benchmarks/feed.py train.beton model=resnet50 trainer.precision=bf16-mixed trainer.channels_last=true

Takes the keys of train.py after the file, which prepare.py of a set writes. Three rates, in turn, round by round:
steps on one batch that stays on the device, the loader alone, and steps fed by the loader. Medians are reported.
"""

import argparse
import os
import statistics
import time
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path

import numpy as np
import torch
from hydra.utils import instantiate
from train_step import module, update, wait

from topfive.batch_norm import group_statistics
from topfive.config import compose
from topfive.datasets import beton
from topfive.loaders.batch import Batch
from topfive.loaders.ffcv_loader import FFCVTraining
from topfive.order import Share, TrainingOrder
from topfive.quiet import quiet_lightning


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("beton", type=Path)
    parser.add_argument("overrides", nargs="*", help="keys of train.py, for example model=resnet50")
    parser.add_argument("--steps", type=int, default=30, help="steps a round (default 30)")
    parser.add_argument("--rounds", type=int, default=3, help="default 3")
    threads = len(os.sched_getaffinity(0))
    parser.add_argument("--threads", type=int, default=threads, help="of the loader (default: all)")
    asked = parser.parse_args()
    quiet_lightning()
    config, images = compose(asked.overrides), beton.load(asked.beton)
    recipe, precision = config["recipe"], config["trainer"]["precision"]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    size, steps = recipe["batch_size"], asked.steps
    crop = instantiate(recipe["crop"])
    order = TrainingOrder(np.arange(len(images)), size, 0)
    loader = FFCVTraining(images, crop, 0, order, Share(), steps + 1, 0, asked.threads, device)
    made = module(config, 1000).train().to(device)
    group_statistics(made.net, recipe["bn_batch"] or recipe["batch_size"], size, 0, 1)
    optimizer = made.configure_optimizers()

    def rate(batches: Iterable[Batch], trains: bool) -> float:
        """Images a second, but for the first batch."""
        began = 0.0
        for number, batch in enumerate(batches):
            if trains:
                update(config, made, optimizer, batch, number)
            if number == 0:
                wait(device)
                began = time.perf_counter()
        wait(device)
        return steps * size / (time.perf_counter() - began)

    found: dict[str, list[float]] = {"step alone": [], "loader alone": [], "fed": []}
    resident = next(iter(loader))
    for _ in range(asked.rounds):
        found["step alone"].append(rate(repeat(resident, steps + 1), True))
        found["loader alone"].append(rate(loader, False))
        found["fed"].append(rate(loader, True))
    what = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(
        f"{config['choices']['model']}, batch {size}, {precision}, {what}, {asked.threads} threads"
    )
    for name, rates in found.items():
        low, high = min(rates), max(rates)
        print(f"{name:14}{statistics.median(rates):10,.1f} images/s ({low:,.1f} to {high:,.1f})")


if __name__ == "__main__":
    main()
