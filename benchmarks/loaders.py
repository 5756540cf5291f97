"""Images per second of loaders, side by side: FFCV's with our decoder, stock FFCV, torch, timm, DALI, WebDataset.

    python benchmarks/loaders.py --images FOLDER --scratch FOLDER [--count 1200] [--only ours ffcv]

Repeats the JPEGs of FOLDER up to --count in ten classes under --scratch, and writes what every loader reads of them:
.beton files by us and by FFCV, tar shards. Then each loader makes a pass in a process of its own, in turn, round by
round, because machines drift. The first pass of a process (page cache, compilation) is timed for the first batch only.
Loaders whose packages are not installed are told and left out. One JSON object a line on standard output with --json,
else a table: medians over the rounds, ratios to "ours, lossless tiles" within the round.
"""

import argparse
import importlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
from loader_contenders import CONTENDERS, Wish
from PIL import Image

REFERENCE = "ours, lossless tiles"
PACKAGES = {
    "timm": "timm",
    "DALI": "nvidia.dali",
    "webdataset": "webdataset",
    "ffcv": "ffcv",
    "ours,": "ffcv",
    "ours from shards": "webdataset",
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--images", type=Path, required=True, help="folder of JPEGs, at any depth")
    add("--scratch", type=Path, required=True, help="folder for what the loaders read; may be kept")
    add("--count", type=int, default=1200, help="images of a pass (default 1200)")
    add("--batch", type=int, default=64, help="default 64")
    add("--size", type=int, default=224, help="default 224")
    add("--workers", type=int, default=len(os.sched_getaffinity(0)), help="threads or processes")
    add("--rounds", type=int, default=3, help="default 3")
    add("--passes", type=int, default=2, help="timed passes of a process (default 2)")
    add("--only", nargs="*", default=[""], metavar="PREFIX", help="loaders whose names begin so")
    add(
        "--float",
        action="store_true",
        dest="normalized",
        help="normalized float32 instead of uint8",
    )
    add("--json", action="store_true")
    add("--one", help=argparse.SUPPRESS)  # what a process is asked for
    return parser.parse_args()


def prepare(asked: argparse.Namespace) -> Path:
    """The material, written once; the folder says by its name what it holds."""
    root: Path = asked.scratch / f"{asked.count}-images"
    if (root / "done").exists():
        return root
    shutil.rmtree(root, ignore_errors=True)
    files = sorted(f for f in asked.images.rglob("*") if f.suffix.lower() in (".jpeg", ".jpg"))
    if not files:
        sys.exit(f"{asked.images} holds no JPEG.")
    for k in range(asked.count):
        for split in ("train", "val") if k < 10 else ("train",):
            place = root / split / f"class{k % 10}" / f"{k:06}.jpeg"
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(files[k % len(files)], place)
    if is_installed("ffcv"):
        write_betons(root, asked.workers)
    if is_installed("webdataset"):
        write_shards(root, asked.workers)
    (root / "done").touch()
    return root


def write_betons(root: Path, workers: int) -> None:
    from ffcv.fields import IntField, RGBImageField
    from ffcv.writer import DatasetWriter

    from topfive.datasets import folders, prepare_beton
    from topfive.datasets.storage import Storage

    dataset = folders.load(str(root))
    for name, storage in (("lossless", Storage()), ("q90", Storage(max_side=500, quality=90))):
        prepare_beton.write(
            dataset.train, dataset.classes, root / f"{name}.beton", storage, workers
        )

    class Images:
        def __len__(self) -> int:
            return len(dataset.train)

        def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
            return np.asarray(dataset.train.read(index)), int(dataset.train.labels[index])

    for name, jpegs in (
        ("stock_jpg", 1.0),
        ("stock_half", 0.5),
    ):  # half raw: ffcv-imagenet's standard
        field = RGBImageField(
            "proportion", max_resolution=500, compress_probability=jpegs, jpeg_quality=90
        )
        fields = {"image": field, "label": IntField()}
        DatasetWriter(
            str(root / f"{name}.beton"), fields, num_workers=workers
        ).from_indexed_dataset(Images())


def write_shards(root: Path, workers: int) -> None:
    from topfive.datasets import folders, prepare_shards

    prepare_shards.write_all(folders.load(str(root)), root, None, workers, progress=True)
    (root / "shards").mkdir()
    files = sorted((root / "train").rglob("*.jpeg"))
    for number in range(workers):
        with tarfile.open(root / "shards" / f"{number:02}.tar", "w") as tar:
            for file in files[number::workers]:
                tar.add(file, f"{file.stem}.jpeg")
                label = file.with_suffix(".cls")
                label.write_text(file.parent.name.removeprefix("class"))
                tar.add(label, label.name)
                label.unlink()


def cpu_seconds() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def peak_mb() -> float:
    """Of this process or its largest worker; getrusage's own peak of a process begins with its parent's."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return max(int(lines["VmHWM"].split()[0]), workers) / 1024


def measure(name: str, wish: Wish, passes: int) -> dict[str, float]:
    """One loader in this process: the first batch of a first pass, then whole passes."""
    for package in (
        "torch",
        "torchvision",
        *(p for prefix, p in PACKAGES.items() if name.startswith(prefix)),
    ):
        importlib.import_module(package)
    if name.startswith("ours,"):
        importlib.import_module("topfive.loaders.ffcv_loader")
    began = time.perf_counter()
    one_pass = CONTENDERS[name](wish)
    batches = iter(one_pass())
    next(batches)
    first = time.perf_counter() - began
    for _ in batches:
        pass
    images, wall, cpu = 0, time.perf_counter(), cpu_seconds()
    for _ in range(passes):
        images += sum(len(batch) for batch in one_pass())
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    return {
        "images_per_second": images / wall,
        "images_per_cpu_second": images / cpu,
        "first_batch_seconds": first,
        "peak_mb": peak_mb(),
    }


def in_a_process(name: str) -> dict[str, float] | None:
    done = subprocess.run(
        [sys.executable, *sys.argv, "--one", name], stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        print(f"{name}: failed, and is left out", file=sys.stderr)
        return None
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def is_installed(name: str) -> bool:
    for package in (p for prefix, p in PACKAGES.items() if name.startswith(prefix)):
        try:
            importlib.import_module(package)
        except ImportError as error:
            print(f"{name}: left out ({error})", file=sys.stderr)
            return False
    return True


def table(rounds: list[dict[str, dict[str, float]]]) -> None:
    print(
        f"{'loader':42} {'images/s':>9} {'a CPU s':>9} {'ratio':>6} {'range':>12} {'first, s':>9} {'MB':>6}"
    )
    for name in rounds[0]:
        seen = [(found[name], found.get(REFERENCE)) for found in rounds if name in found]
        median = {key: statistics.median(one[key] for one, _ in seen) for key in seen[0][0]}
        key = "images_per_cpu_second"
        ratios = sorted(reference[key] / one[key] for one, reference in seen if reference)
        between = f"{ratios[0]:.2f}-{ratios[-1]:.2f}" if ratios else ""
        ratio = f"{statistics.median(ratios):.2f}" if ratios else ""
        print(
            f"{name:42} {median['images_per_second']:9.0f} {median[key]:9.0f} {ratio:>6} {between:>12} "
            f"{median['first_batch_seconds']:9.2f} {median['peak_mb']:6.0f}"
        )


def main() -> None:
    asked = arguments()
    if asked.one:
        root = asked.scratch / f"{asked.count}-images"
        wish = Wish(root, asked.batch, asked.workers, asked.size, asked.normalized)
        print(json.dumps(measure(asked.one, wish, asked.passes)))
        return
    prepare(asked)
    chosen = [n for n in CONTENDERS if any(n.startswith(p) for p in asked.only) and is_installed(n)]
    rounds = []
    for number in range(asked.rounds):
        found = {name: result for name in chosen if (result := in_a_process(name)) is not None}
        rounds.append(found)
        if asked.json:
            for name, result in found.items():
                print(json.dumps({"round": number, "loader": name, **result}), flush=True)
    if not asked.json:
        machine = f"{len(os.sched_getaffinity(0))} processors, {asked.workers} workers"
        print(
            f"{machine}, {'float32' if asked.normalized else 'uint8'}, batch {asked.batch}, {asked.size} pixels"
        )
        table(rounds)


if __name__ == "__main__":
    Image.MAX_IMAGE_PIXELS = None
    main()
