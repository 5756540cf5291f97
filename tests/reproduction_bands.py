"""Short trainings on fixed parts of CIFAR-10, and the bands in which their errors must lie.

    python tests/reproduction_bands.py NAME --seeds 0 1 2 3 4 5 6 7 [--fault KEY=VALUE] [--data FOLDER]

trains NAME under every seed by train.py's own path and keeps the errors in tests/reproduction/NAME.json.
Each run is its paper's recipe squeezed to some hundred steps (recipe.shorten), whole: every rate of its
schedule has its share. Two errors are held: on the test images at the end, and on the training images as
they are seen, averaged over the whole run, which differs less between seeds. A band is Student's
prediction interval for seeds that were not among the kept ones. With --fault the recipe is spoilt on
purpose: what one of the bands must not hold.
"""

import argparse
import csv
import json
import os
import runpy
import sys
import tempfile
from collections.abc import Collection, Sequence
from contextlib import chdir
from pathlib import Path
from statistics import fmean, stdev
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from scipy.special import stdtrit

from topfive import results
from topfive.datasets import Dataset, Images, Pixels, torchvision_sets
from topfive.intervals import Interval

ROOT = Path(__file__).parents[1]
KEPT = Path(__file__).parent / "reproduction"
TESTED = 1000  # of CIFAR-10's 10,000 test images
LEVEL = 0.99

COMMON = [
    "trainer.accelerator=cpu", "trainer.channels_last=true", "trainer.progress=false", "trainer.check_every=1000",
    "loader.workers=0", "logger=csv",
]  # fmt: skip
TEN_CLASSES = ["data._target_=reproduction_bands.cifar10", "data.per_class=500"]
TWO_CLASSES = ["data._target_=reproduction_bands.airplanes_and_frogs", "data.per_class=2500"]
# A quarter of the batch at a quarter of the rate: at 0.1 some seeds stumble in the first steps.
RESIDUAL = [
    "recipe.shorten={iterations:300}",
    "recipe.batch_size=32",
    "recipe.bn_batch=32",
    "recipe.schedule.rate=0.025",
]
# What was tried, and what each costs, is in tests/reproduction/README.md.
NETWORKS = {
    "resnet20": RESIDUAL,
    "plain20": RESIDUAL,
    # One view for ten: testing would take longer than training.
    "cuda_convnet": [
        "recipe.shorten={iterations:300}",
        "recipe.batch_size=32",
        "protocol=one_view",
    ],
    # Whitened, from its own first weights, or with a ReLU over its class maps (which lets one class of the two
    # live at a time), it does not tell the two apart in so few steps. The rates that its recipe holds constant
    # are as much lower as the rest.
    "nin_cifar": [
        "recipe.shorten={iterations:120}",
        "recipe.batch_size=32",
        "recipe.whitening=null",
        "recipe.schedule.rate=0.02",
        "recipe.rates={biases:{rate:0.04},cccp6.bias:{rate:0.004}}",
        "recipe.initialization._target_=topfive.initializers.he_normal",
        "~recipe.initialization.std",
        "model.class_relu=false",
    ],
    # As above, but from its own first weights.
    "allcnn_c": [
        "recipe.shorten={iterations:150}",
        "recipe.batch_size=32",
        "recipe.whitening=null",
        "recipe.schedule.rate=0.02",
        "model.class_relu=false",
    ],
}
ON_TWO_CLASSES = ("nin_cifar", "allcnn_c")


class Errors(NamedTuple):
    """Fractions: of the test images at the end; of the training images as they were seen."""

    test: float
    train: float


def cifar10(root: str, download: bool = False) -> Dataset:
    """CIFAR-10 with the first TESTED of its test images, which are in no order of classes."""
    return part(range(10), root, download)


def airplanes_and_frogs(root: str, download: bool = False) -> Dataset:
    """Two of the ten classes, still told from ten: networks that end in class maps begin to learn sooner."""
    return part([0, 6], root, download)


def part(classes: Collection[int], root: str, download: bool) -> Dataset:
    def chosen(split: Images) -> Pixels:
        assert isinstance(split, Pixels)
        labels = np.asarray(split.labels)
        rows = np.flatnonzero(np.isin(labels, list(classes)))
        return Pixels(split.pixels[rows], labels[rows])

    whole = torchvision_sets.cifar10(root, download)
    tested = chosen(whole.reported).take(np.arange(TESTED))
    return Dataset(whole.classes, chosen(whole.train), tested, whole.reported_name)


def command(name: str) -> list[str]:
    """The arguments of train.py, without the seed."""
    data = TWO_CLASSES if name in ON_TWO_CLASSES else TEN_CLASSES
    return [f"model={name}", *data, *COMMON, *NETWORKS[name]]


def train(
    name: str, seed: int, data: Path, folder: Path, faults: Sequence[str] = ()
) -> tuple[results.Record, Errors]:
    """One run, in `folder`; what its recipe computes of the images is kept beside a link to `data`."""
    linked = folder / "data"
    if not linked.exists():
        linked.mkdir(parents=True)
        (linked / "cifar-10-batches-py").symlink_to(data.absolute() / "cifar-10-batches-py")
    run = folder / f"{name}-{seed}"
    arguments = [*command(name), *faults, f"seed={seed}", f"data.root={linked}"]
    with chdir(folder), patch.object(sys, "argv", ["train.py", *arguments, f"hydra.run.dir={run}"]):
        runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
    (run / "last.ckpt").unlink()
    record = results.read(run / "result.json")
    (score,) = record.scores
    assert score.n == TESTED
    with open(run / "curve.csv") as file:
        # Windows of equal length, so that their mean is the mean of all images.
        seen = [float(row["top1_error"]) for row in csv.DictReader(file) if row["split"] == "train"]
    return record, Errors(score.top1_errors / score.n, fmean(seen))


def band(errors: Sequence[float], seeds: int = 1) -> Interval:
    """The 99 % prediction interval, of kept `errors`, for the mean error of so many further seeds.

    m +- t s sqrt(1/k + 1/seeds), with k errors of mean m and deviation s, and Student's t of k - 1
    degrees of freedom: one comparison in a hundred fails without a fault.
    """
    k = len(errors)
    half = float(stdtrit(k - 1, (1 + LEVEL) / 2)) * stdev(errors) * (1 / k + 1 / seeds) ** 0.5
    return Interval(fmean(errors) - half, fmean(errors) + half)


def kept(name: str) -> dict[str, object]:
    return json.loads((KEPT / f"{name}.json").read_text())


def keep(name: str, record: results.Record, errors: Errors, faults: Sequence[str]) -> None:
    """Files the run under its seed, the faulty ones apart, in place of what another command left."""
    content = kept(name) if (KEPT / f"{name}.json").exists() else {}
    if content.get("command") != command(name):
        content = {"command": command(name), "runs": {}, "faults": {}}
    group = content["faults"].setdefault(" ".join(faults), {}) if faults else content["runs"]
    group[str(record.seed)] = {
        "test_error": errors.test,
        "train_error": round(errors.train, 5),
        "threads": record.threads,
        "device": record.device,
        "versions": record.versions,
        "git": record.git,
    }
    KEPT.mkdir(exist_ok=True)
    (KEPT / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def errors(group: dict[str, dict[str, float]]) -> list[Errors]:
    return [Errors(run["test_error"], run["train_error"]) for run in group.values()]


def bands(name: str, seeds: int = 1) -> tuple[Interval, Interval]:
    """Of the test errors and of the training errors kept of `name`, for the mean of so many further seeds."""
    test, train = zip(*errors(kept(name)["runs"]), strict=True)
    return band(test, seeds), band(train, seeds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", choices=NETWORKS)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--fault", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--data", type=Path, default=os.environ.get("TOPFIVE_DATA"))
    asked = parser.parse_args()
    made = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in asked.seeds:
            made.append(train(asked.name, seed, asked.data, Path(folder), asked.fault))
            print(seed, made[-1][1], flush=True)
    # At the end, because what is kept changes the tree that the records name.
    for record, found in made:
        keep(asked.name, record, found, asked.fault)
    if len(kept(asked.name)["runs"]) > 1:
        for what, (low, high) in zip(("test", "training"), bands(asked.name), strict=True):
            print(f"band of one further seed: {100 * low:.1f} to {100 * high:.1f} % {what} error")


if __name__ == "__main__":
    main()
