"""Short trainings on fixed parts of CIFAR-10, and the band in which their test error must lie.

    python tests/reproduction_bands.py NAME --seeds 0 1 2 3 4 5 6 7 [--fault KEY=VALUE] [--data FOLDER]

trains NAME under every seed by train.py's own path and keeps the errors in tests/reproduction/NAME.json.
Each run is its paper's recipe squeezed to a few dozen steps (recipe.shorten), whole: every rate of its
schedule has its share. The band is Student's prediction interval for seeds that were not among the kept
ones. With --fault the recipe is spoilt on purpose: what the band must not hold.
"""

import argparse
import json
import os
import runpy
import sys
import tempfile
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path
from statistics import fmean, stdev
from unittest.mock import patch

import numpy as np
from scipy.special import stdtrit

from topfive import results
from topfive.datasets import Dataset, Pixels, torchvision_sets
from topfive.intervals import Interval

ROOT = Path(__file__).parents[1]
KEPT = Path(__file__).parent / "reproduction"
TESTED = 1000  # of CIFAR-10's 10,000 test images
LEVEL = 0.99

COMMON = [
    "data._target_=reproduction_bands.cifar10", "data.per_class=100", "trainer.accelerator=cpu",
    "trainer.channels_last=true", "trainer.progress=false", "trainer.check_every=1000",
    "loader.workers=0", "logger=csv",
]  # fmt: skip
# What was tried, and what each costs, is in tests/reproduction/README.md.
NETWORKS = {
    "resnet20": ["recipe.shorten={iterations:160}", "recipe.batch_size=64"],
    "plain20": ["recipe.shorten={iterations:160}", "recipe.batch_size=64"],
    # One view for ten: testing would take longer than training.
    "cuda_convnet": [
        "recipe.shorten={iterations:300}",
        "recipe.batch_size=32",
        "protocol=one_view",
    ],
}


def cifar10(root: str, download: bool = False) -> Dataset:
    """CIFAR-10 with the first TESTED of its test images, which are in no order of classes."""
    whole = torchvision_sets.cifar10(root, download)
    assert isinstance(whole.reported, Pixels)
    tested = Pixels(whole.reported.pixels[:TESTED], np.asarray(whole.reported.labels)[:TESTED])
    return Dataset(whole.classes, whole.train, tested, whole.reported_name)


def command(name: str) -> list[str]:
    """The arguments of train.py, without the seed."""
    return [f"model={name}", *COMMON, *NETWORKS[name]]


def train(
    name: str, seed: int, data: Path, folder: Path, faults: Sequence[str] = ()
) -> results.Record:
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
    return results.read(run / "result.json")


def error(record: results.Record) -> float:
    (score,) = record.scores
    assert score.n == TESTED
    return score.top1_errors / score.n


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


def keep(name: str, record: results.Record, faults: Sequence[str]) -> None:
    """Files the run under its seed, the faulty ones apart, in place of what another command left."""
    content = kept(name) if (KEPT / f"{name}.json").exists() else {}
    if content.get("command") != command(name):
        content = {"command": command(name), "runs": {}, "faults": {}}
    group = content["faults"].setdefault(" ".join(faults), {}) if faults else content["runs"]
    group[str(record.seed)] = {
        "top1_errors": record.scores[0].top1_errors,
        "n": record.scores[0].n,
        "train_error": round(record.train["top1_error"], 4),  # of the last steps, at most 50
        "threads": record.threads,
        "device": record.device,
        "versions": record.versions,
        "git": record.git,
    }
    KEPT.mkdir(exist_ok=True)
    (KEPT / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")


def rates(group: dict[str, dict[str, int]]) -> list[float]:
    return [run["top1_errors"] / run["n"] for run in group.values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name", choices=NETWORKS)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--fault", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--data", type=Path, default=os.environ.get("TOPFIVE_DATA"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for seed in asked.seeds:
            keep(
                asked.name,
                train(asked.name, seed, asked.data, Path(folder), asked.fault),
                asked.fault,
            )
    content = kept(asked.name)
    for title, group in {"as it is": content["runs"], **content["faults"]}.items():
        print(title, [f"{100 * rate:.2f}" for rate in rates(group)])
    if len(content["runs"]) > 1:
        low, high = band(rates(content["runs"]))
        print(f"band of one further seed: {100 * low:.2f} to {100 * high:.2f} %")


if __name__ == "__main__":
    main()
