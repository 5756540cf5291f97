"""How far our FFCV loader is from what it cannot go below, on the same crops of the same lossless tiles.

    python benchmarks/loader_limit.py --images FOLDER --scratch FOLDER [--count 1200]

The limit is loader_limit.c: libjpeg-turbo on the tiles under each crop, and the resize, in a bare loop of one thread.
Both are timed in turn, round by round, by the processor time of one worker.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import loaders
import numpy as np
import torch

from topfive.crops import AreaAspect
from topfive.datasets import beton
from topfive.loaders.ffcv_loader import FFCVTraining
from topfive.loaders.native_views import TrainingViews
from topfive.order import Share, TrainingOrder

HERE = Path(__file__).parent
NATIVE = HERE.parent / "src" / "jpeg_tiles" / "native"
BATCH, SIZE = 50, 224
# As job_t of loader_limit.c.
JOB = np.dtype(
    [(name, "<u8") for name in ("pointer", "size")]
    + [(name, "<f8") for name in ("left", "top", "width", "height")]
    + [(name, "<i4") for name in ("image_width", "image_height", "mirrored", "output")]
)


def build(program: Path) -> None:
    """With the flags of the extension itself."""
    asked = ["pkg-config", "--cflags", "--libs", "libturbojpeg"]
    flags = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()
    parts = [NATIVE / f"{name}.c" for name in ("axis", "frame", "resample", "splice")]
    common = ["-std=gnu11", "-O3", "-ffp-contract=off", f"-I{NATIVE}"]
    sources = map(str, (HERE / "loader_limit.c", *parts))
    subprocess.run(["cc", *common, *sources, "-o", str(program), *flags, "-lm"], check=True)


class Recorder(TrainingViews):
    """Keeps what every view was asked to be."""

    jobs: list[tuple[Any, ...]]

    def cut(self, file: np.ndarray, index: np.ndarray, boxes: Any, size: int, resizes: bool) -> Any:
        for image, (box,) in zip(index, boxes, strict=True):
            where = self.pointers[image], self.sizes[image]
            shape = self.widths[image], self.heights[image]
            self.jobs.append((*where, *box[:4], *shape, box.flip, size))
        return super().cut(file, index, boxes, size, resizes)


def loader(images: beton.Beton) -> FFCVTraining:
    steps = len(images) // BATCH
    order = TrainingOrder(np.arange(len(images)), BATCH, 0)
    where = Share(), steps, 0, 1, torch.device("cpu")
    return FFCVTraining(images, AreaAspect(SIZE), 0, order, *where)


def jobs(images: beton.Beton, file: Path) -> None:
    """Writes the crops of one pass."""
    one = loader(images)
    purpose = one.rounds.order.crop_purpose
    recorder = Recorder(images, AreaAspect(SIZE), 0, purpose, 1, torch.device("cpu"))
    recorder.jobs = []
    content = np.memmap(images.path, np.uint8, "r")
    for addresses in one.rounds:
        recorder(addresses, content)
    np.array(recorder.jobs, JOB).tofile(file)


def ours(one: FFCVTraining, passes: int) -> float:
    """Microseconds of processor time an image."""
    images, began = 0, time.process_time()
    for _ in range(passes):
        images += sum(len(batch.images) for batch in one)
    return 1e6 * (time.process_time() - began) / images


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=Path, required=True, help="folder of JPEGs")
    parser.add_argument("--scratch", type=Path, required=True, help="as of loaders.py")
    parser.add_argument("--count", type=int, default=1200, help="default 1200")
    parser.add_argument("--rounds", type=int, default=5, help="default 5")
    parser.add_argument("--passes", type=int, default=2, help="timed passes a round (default 2)")
    asked = parser.parse_args()
    asked.workers = 1
    images = beton.load(loaders.prepare(asked) / "lossless.beton")
    one, seen = loader(images), []
    ours(one, 1)
    with tempfile.TemporaryDirectory() as folder:
        program, list_ = Path(folder, "loader_limit"), Path(folder, "jobs")
        build(program)
        jobs(images, list_)
        command = [str(part) for part in (program, images.path, list_, asked.passes)]
        for _ in range(asked.rounds):
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr)
            seen.append((ours(one, asked.passes), float(done.stdout)))
            print("{:.0f} us ours, {:.0f} us the limit".format(*seen[-1]), flush=True)
    ratios = sorted(a / b for a, b in seen)
    print(
        f"ours takes {statistics.median(ratios):.2f} times the limit "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f}), {len(images)} images, {SIZE} pixels"
    )


if __name__ == "__main__":
    main()
