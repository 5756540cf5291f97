"""Images per second of a training step: through Lightning, and through a bare torch loop on the same objects.

    python benchmarks/train_step.py model=resnet20
    python benchmarks/train_step.py model=alexnet recipe.batch_size=16 --steps 6
    python benchmarks/train_step.py model=resnet50 trainer.precision=bf16-mixed trainer.channels_last=true

Takes the keys of train.py. The images are random uint8 crops that already lie on the device, so the step is
measured and not the loader (that is benchmarks/loaders.py). Both loops do the same work: preprocessing, forward,
loss, error counts, backward, update. They alternate, round by round, and the ratio is taken within each round,
because machines drift; the median over the rounds is reported.
"""

import argparse
import json
import platform
import statistics
import time
from typing import Any

import torch

from topfive import build
from topfive.batch_norm import group_statistics
from topfive.batch_transforms import MeanImage, Pipeline
from topfive.classifier import Classifier, Tally
from topfive.clock import Clock
from topfive.config import compose
from topfive.inspect.network import CLASSES
from topfive.loaders.batch import Batch
from topfive.preprocessing import transform
from topfive.quiet import quiet_lightning
from topfive.whitening import Whitening

HALVES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="*", help="keys of train.py, for example model=resnet20")
    parser.add_argument("--steps", type=int, default=20, help="steps a round (default 20)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of both loops (default 5)")
    parser.add_argument("--classes", type=int, default=None, help="default: the data set's own")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def batch(config: dict[str, Any], classes: int, device: torch.device) -> Batch:
    """One batch of random crops under plausible addresses."""
    recipe, generator = config["recipe"], torch.Generator().manual_seed(0)
    n, size = recipe["batch_size"], recipe["crop"]["size"]
    images = torch.randint(0, 256, (n, recipe["channels"], size, size), generator=generator)
    labels = torch.randint(0, classes, (n,), generator=generator)
    zeros = torch.zeros(n, dtype=torch.int64)
    index = torch.arange(n)
    made = Batch(images.to(torch.uint8), labels, index, zeros, zeros, zeros, zeros, zeros.bool())
    return Batch(*(field.to(device) for field in made))


def module(config: dict[str, Any], classes: int) -> Classifier:
    """The classifier of `config`, with a flat mean image and an idle whitening in place of the data's."""
    recipe = config["recipe"]
    clock = Clock(images=50_000, batch=recipe["batch_size"])
    transforms = [transform(entry, clock) for entry in recipe["transforms"]]
    if recipe["mean"] is not None:
        size = recipe["crop"]["size"]
        mean = torch.full((recipe["channels"], size, size), 120.0)
        transforms.insert(0, MeanImage(mean, recipe["mean"]["follows_crop"]))
    if recipe["whitening"] is not None:
        values = recipe["channels"] * recipe["crop"]["size"] ** 2
        transforms.append(Whitening(torch.zeros(values), torch.eye(values)))
    last = config["trainer"]["channels_last"]
    layout = torch.channels_last if last else torch.contiguous_format
    net = build.network(config, classes)
    made = Classifier(
        net, Pipeline(transforms, layout), recipe, clock, classes, 0, 1.0, recipe["batch_size"]
    )
    if last:
        net.to(memory_format=torch.channels_last)
    if config["trainer"]["compile"]:
        net.compile()
    return made


class Repeated:
    """The same batch, `steps` times: what Lightning iterates over."""

    def __init__(self, batch: Batch, steps: int):
        self.batch, self.steps = batch, steps

    def __len__(self) -> int:
        return self.steps

    def __iter__(self):
        return iter([self.batch] * self.steps)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


class Stopwatch(build.Callback):
    """Seconds from the end of the first step of a fit to the end of its last."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx == 0 or batch_idx == trainer.num_training_batches - 1:
            wait(pl_module.device)
            setattr(self, "start" if batch_idx == 0 else "end", time.perf_counter())


def lightning_seconds(config: dict[str, Any], made: Classifier, one: Batch, steps: int) -> float:
    """Seconds a step inside Trainer.fit; the first step, which sets things up, is left out."""
    watch = Stopwatch()
    trainer = build.pl.Trainer(
        **build._hardware({**config["trainer"], "progress": False}),
        max_steps=steps + 1,
        max_epochs=1,
        num_sanity_val_steps=0,
        logger=False,
        log_every_n_steps=1,
        callbacks=[watch],
    )
    trainer.fit(made, Repeated(one, steps + 1))
    return (watch.end - watch.start) / steps


def update(
    config: dict[str, Any],
    made: Classifier,
    optimizer: torch.optim.Optimizer,
    one: Batch,
    step: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """One step of a plain loop: the scores and the loss, detached."""
    half = HALVES.get(config["trainer"]["precision"])
    for dropout in made.dropouts:
        dropout.address = (0, step, one.index)
    with torch.autocast(one.images.device.type, half or torch.float32, enabled=half is not None):
        scores = made.net(made.pipeline(one.images, one, torch.float32))
        loss = made.loss(scores, one.labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    scores = scores[0] if isinstance(scores, tuple) else scores
    return scores.detach(), loss.detach()


def bare_seconds(config: dict[str, Any], made: Classifier, one: Batch, steps: int) -> float:
    """Seconds a step of a plain loop over the same module, loss and optimizer."""
    device = one.images.device
    made.train().to(device)
    recipe = made.recipe
    group_statistics(
        made.net, recipe["bn_batch"] or recipe["batch_size"], recipe["batch_size"], 0, 1
    )
    optimizer = made.configure_optimizers()
    tally = Tally(device, made.num_classes)
    start = 0.0
    for step in range(steps + 1):
        scores, loss = update(config, made, optimizer, one, step)
        tally.add(loss, scores, one.labels)
        if step == 0:
            wait(device)
            start = time.perf_counter()
    wait(device)
    return (time.perf_counter() - start) / steps


def main() -> None:
    asked = arguments()
    quiet_lightning()
    config = compose(asked.overrides)
    classes = asked.classes or CLASSES.get(config["choices"]["data"], 1000)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    one, made = batch(config, classes, device), module(config, classes)
    through, bare = [], []
    for _ in range(asked.rounds):
        through.append(lightning_seconds(config, made, one, asked.steps))
        bare.append(bare_seconds(config, made, one, asked.steps))
    images = config["recipe"]["batch_size"]
    ratios = [a / b for a, b in zip(through, bare, strict=True)]
    result = {
        "model": config["choices"]["model"],
        "batch": images,
        "precision": config["trainer"]["precision"],
        "channels_last": config["trainer"]["channels_last"],
        "compile": config["trainer"]["compile"],
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.processor(),
        "threads": torch.get_num_threads(),
        "lightning images/s": round(images / statistics.median(through), 1),
        "bare images/s": round(images / statistics.median(bare), 1),
        "lightning / bare, time": round(statistics.median(ratios), 4),
        "overhead ms/step": round(
            1e3 * statistics.median(a - b for a, b in zip(through, bare, strict=True)), 3
        ),
        "ratio range": [round(min(ratios), 3), round(max(ratios), 3)],
        "rounds": asked.rounds,
        "steps": asked.steps,
    }
    if asked.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
