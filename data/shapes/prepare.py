"""Draw the `shapes` data set: python data/shapes/prepare.py --help."""

import argparse
import os
import sys
import time
from pathlib import Path

from topfive.datasets import beton_options, folders, shapes
from topfive.datasets.prepare_command import status_of


def main() -> int:
    defaults = shapes.Settings()
    parser = argparse.ArgumentParser(
        description="Draw shapes: JPEG pictures of textured, occluded objects on clutter, laid out "
        "as ImageNet is. Nothing is downloaded; an interrupted run goes on where it stopped.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    home = Path(os.environ.get("TOPFIVE_DATA", "data")) / "shapes"
    parser.add_argument("--root", type=Path, default=home, help="folder to write")
    parser.add_argument("--train-per-class", type=int, default=defaults.train_per_class)
    parser.add_argument("--val-per-class", type=int, default=defaults.val_per_class)
    parser.add_argument("--size", type=int, default=defaults.size, help="shorter side in pixels")
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--classes", type=int, default=defaults.classes, help="2 to 24")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.add_argument(
        "--beton", action="store_true", help="also write the .beton files that loader=ffcv reads"
    )
    beton_options.add_options(parser)
    options = vars(parser.parse_args())
    with_beton, kept_as = options.pop("beton"), beton_options.taken(options)
    options["workers"] = kept_as["workers"]
    options["progress"] = not options.pop("quiet")

    def work() -> None:
        began = time.monotonic()
        root = shapes.write(**options)
        total = options["classes"] * (options["train_per_class"] + options["val_per_class"])
        print(f"{root}: {total:,} pictures, ready after {time.monotonic() - began:.1f} s")
        if with_beton:
            beton_options.write(folders.load(str(root)), root, kept_as, options["progress"])

    return status_of(work)


if __name__ == "__main__":
    sys.exit(main())
