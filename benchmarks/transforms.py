"""What is done to a batch on the device, beside a training step: milliseconds of each transform.

    OMP_NUM_THREADS=1 python benchmarks/transforms.py
    python benchmarks/transforms.py model=alexnet recipe.batch_size=128 --threads 2

Takes the keys of train.py; they name the network whose step (preprocessing included) is the measure. The transforms
get the images of that step, but whitening, which is CIFAR's, those of 32 x 32 pixels. Step and transforms
alternate, round by round, and each ratio is taken within its round, because machines drift; medians are reported,
and the range of the ratios.
"""

import argparse
import json
import statistics
import time
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from train_step import batch, module, wait

from topfive.batch_norm import group_statistics
from topfive.batch_transforms import (
    GlobalContrastNormalization,
    MeanImage,
    PCAColor,
    PlanarDistortion,
    Standardize,
)
from topfive.classifier import Classifier
from topfive.config import compose
from topfive.loaders.batch import Batch
from topfive.photometric import PhotometricDistortion
from topfive.quiet import quiet_lightning
from topfive.whitening import Whitening

SMALL = 32  # pixels, CIFAR's


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = ["model=alexnet", "recipe.batch_size=32"]
    parser.add_argument("overrides", nargs="*", default=default, help=f"default {default}")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of all (default 5)")
    parser.add_argument("--calls", type=int, default=10, help="calls of a transform a round (10)")
    parser.add_argument("--threads", type=int, default=None, help="default: torch's")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def transforms(size: int) -> dict[str, nn.Module]:
    """Every transform that photographs or CIFAR's pixels go through, by its name."""
    values = 3 * SMALL**2
    return {
        "Standardize": Standardize([123.0, 117.0, 104.0], [1.0, 1.0, 1.0]),
        "MeanImage": MeanImage(torch.full((3, size, size), 120.0)),
        "PCAColor": PCAColor([122.0, 37.0, 20.0], torch.eye(3).tolist(), 0),
        "PhotometricDistortion": PhotometricDistortion(0),
        "PlanarDistortion": PlanarDistortion(0, 2.0, 0.15, 0.15, 0.2),
        "GlobalContrastNormalization": GlobalContrastNormalization(),
        "Whitening, 3 x 32 x 32": Whitening(torch.zeros(values), torch.eye(values)),
    }


def train(config: dict[str, Any], made: Classifier, one: Batch) -> Any:
    """One training step of `made`, to be called again and again."""
    made.train().to(one.images.device)
    recipe = made.recipe
    group_statistics(
        made.net, recipe["bn_batch"] or recipe["batch_size"], recipe["batch_size"], 0, 1
    )
    optimizer = made.configure_optimizers()
    half = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(
        config["trainer"]["precision"]
    )

    def step() -> None:
        for dropout in made.dropouts:
            dropout.address = (0, 0, one.index)
        kind = one.images.device.type
        with torch.autocast(kind, half or torch.float32, enabled=half is not None):
            loss = made.loss(made(one.images, one), one.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def seconds(call: Any, device: torch.device, calls: int) -> float:
    wait(device)
    start = time.perf_counter()
    for _ in range(calls):
        call()
    wait(device)
    return (time.perf_counter() - start) / calls


def main() -> None:
    asked = arguments()
    quiet_lightning()
    if asked.threads is not None:
        torch.set_num_threads(asked.threads)
    config = compose(asked.overrides)
    recipe = config["recipe"]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    one = batch(config, 1000, device)
    one = one._replace(copy=torch.ones_like(one.copy))  # copies are what PlanarDistortion distorts
    step = train(config, module(config, 1000), one)
    size = recipe["crop"]["size"]
    large: Tensor = one.images.float()
    small = torch.rand(len(large), 3, SMALL, SMALL, device=device) * 255
    calls: dict[str, Any] = {}
    for name, transform in transforms(size).items():
        x = small if isinstance(transform, Whitening) else large
        calls[name] = partial(transform.to(device), x, one)
    step()
    for call in calls.values():
        call()
    steps: list[float] = []
    spent: dict[str, list[float]] = {name: [] for name in calls}
    with torch.no_grad():
        for _ in range(asked.rounds):
            with torch.enable_grad():
                steps.append(seconds(step, device, 1))
            for name, call in calls.items():
                spent[name].append(seconds(call, device, asked.calls))
    rows = {}
    for name, times in spent.items():
        ratios = [a / b for a, b in zip(times, steps, strict=True)]
        rows[name] = {
            "ms": round(1e3 * statistics.median(times), 3),
            "% of a step": round(100 * statistics.median(ratios), 3),
            "range": [round(100 * min(ratios), 3), round(100 * max(ratios), 3)],
        }
    result = {
        "model": config["choices"]["model"],
        "batch": recipe["batch_size"],
        "images": f"3 x {size} x {size}",
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "CPU",
        "threads": torch.get_num_threads(),
        "rounds": asked.rounds,
        "step ms": round(1e3 * statistics.median(steps), 1),
        "transforms": rows,
    }
    if asked.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        if name != "transforms":
            print(f"{name:30} {value}")
    for name, row in rows.items():
        print(f"{name:30} {row['ms']:10} ms {row['% of a step']:8} % of a step {row['range']}")


if __name__ == "__main__":
    main()
