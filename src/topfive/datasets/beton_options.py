"""What the prepare.py of every set offers for writing .beton files, and how it tells what it wrote."""

import argparse
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from topfive.datasets.images import Dataset
from topfive.problems import Problem

INSTALL = "the extra ffcv is not installed: uv sync --extra ffcv (README.md says what it needs)"

OPTIONS = ("max_side", "quality", "raw", "page_size", "workers")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds OPTIONS."""
    group = parser.add_argument_group(
        "how images are kept",
        "Without an option, the bytes of every JPEG, rearranged in tiles: the very pixels, 3 percent larger.",
    )
    add = group.add_argument
    add("--max-side", type=int, metavar="N", help="shrink to a longest side of N pixels")
    add("--quality", type=int, metavar="N", help="encode anew, 1 to 100 (90 with --max-side)")
    add("--raw", action="store_true", help="pixels instead of JPEGs: faster to read, much larger")
    add("--page-size", type=int, metavar="BYTES", help="of FFCV's pages (default: from the images)")
    add("--workers", type=int, metavar="N", help="threads (default: one per processor)")


def taken(options: dict[str, Any]) -> dict[str, Any]:
    """The options that `add_options` added, taken out of all that were parsed."""
    return {name: options.pop(name) for name in OPTIONS}


def check(paths: Iterable[Path], progress: bool) -> None:
    """Reads the bytes of every image again and compares them with the checksums of when they were written.

    Raises Problem where a file is missing, damaged or has changed, and names the images.
    """
    from topfive.datasets import beton, prepare_beton

    for path in paths:
        report = beton.report(path)
        prepare_beton.check(path, report, progress)
        print(f"{path}: {report['images']:,} images, unchanged")


def write(
    dataset: Dataset, root: Path, options: dict[str, Any], progress: bool, prefix: str = ""
) -> None:
    """Writes root/train.beton and the reported split's, `prefix` before their names, and says what is in them.

    options: as `taken` gives them. Raises Problem where the extra ffcv is not installed.
    """
    try:
        from topfive.datasets import prepare_beton
        from topfive.datasets.storage import Storage
    except ImportError as error:
        raise Problem(f"{error}: {INSTALL}.") from error
    storage = Storage(options["max_side"], options["quality"], options["raw"])
    threads = options["workers"] or len(os.sched_getaffinity(0))
    for name, images in (("train", dataset.train), (dataset.reported_name, dataset.reported)):
        path = root / f"{prefix}{name}.beton"
        report = prepare_beton.write(
            images, dataset.classes, path, storage, threads, progress, options["page_size"]
        )
        print("\n".join(told(path, report)))


def told(path: Path, report: dict[str, Any]) -> list[str]:
    """A line on the file, one on what was found, and one for each image that could not be read."""
    kept = ", ".join(f"{count:,} {how}" for how, count in report["stored"].items())
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in report["kinds"].items())
    size = f"{report['images']:,} images, {report['bytes'] / 1e6:,.1f} MB ({kept})"
    lines = [f"{path}: {size}; fingerprint {report['fingerprint']}", f"  {kinds}"]
    return lines + [f"  unreadable: {name}: {why}" for name, why in report["unreadable"].items()]
