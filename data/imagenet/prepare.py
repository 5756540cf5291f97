"""Make ImageNet (ILSVRC-2012) ready for use: python data/imagenet/prepare.py --help."""

import argparse
import os
import sys
from pathlib import Path

from topfive.datasets import beton_options, folders
from topfive.datasets.prepare_command import status_of
from topfive.datasets.prepare_imagenet import Expected, prepare

DESCRIPTION = """\
Unpack the official archives (or take folders that are unpacked), sort the validation images into
class folders, count, and check every file. Nothing is downloaded. An interrupted run goes on where
it stopped; a second run changes nothing. Writes ROOT/prepared.json, and with --beton the files that
loader=ffcv reads."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    home, official = Path(os.environ.get("TOPFIVE_DATA", "data")) / "imagenet", Expected()
    add = parser.add_argument
    add("--root", type=Path, default=home, help=f"folder of train/ and val/ (default: {home})")
    add("--train-tar", type=Path, metavar="FILE", help="default: ROOT/ILSVRC2012_img_train.tar")
    add("--val-tar", type=Path, metavar="FILE", help="default: ROOT/ILSVRC2012_img_val.tar")
    add(
        "--labels",
        type=Path,
        metavar="FILE",
        help="of the validation images: the development kit (.tar.gz), class indices from 0 or "
        "ILSVRC ids from 1, one a line, or lines of 'file wordnet-id' "
        "(default: the kit, LOC_val_solution.csv or val_labels.txt in ROOT)",
    )
    add("--synsets", type=Path, metavar="FILE", help="the kit's meta.mat, for ILSVRC ids")
    add("--check", action="store_true", dest="check_only", help="only check, change nothing")
    add(
        "--expect-train",
        type=int,
        default=official.train,
        metavar="N",
        help="%(default)s; 0: val alone, which is enough to test trained networks",
    )
    add("--expect-val", type=int, default=official.val, metavar="N", help="%(default)s")
    add("--expect-classes", type=int, default=official.classes, metavar="N", help="%(default)s")
    add("--beton", action="store_true", help="also write ROOT/train.beton and ROOT/val.beton")
    add("--quiet", action="store_true", help="no progress bar")
    beton_options.add_options(parser)
    options = vars(parser.parse_args())
    with_beton, kept_as = options.pop("beton"), beton_options.taken(options)
    options["progress"] = not options.pop("quiet")
    options["expected"] = Expected(
        options.pop("expect_train"), options.pop("expect_val"), options.pop("expect_classes")
    )

    def work() -> None:
        report = prepare(**options)
        print(
            f"{options['root']}: {len(report.wordnet_ids):,} classes, {report.train:,} training and "
            f"{report.val:,} validation images, all whole; fingerprint {report.fingerprint[:16]}"
        )
        for name, verdict in report.unusual.items():
            print(f"  {name} is a {verdict}")
        root = options["root"]
        if with_beton and options["check_only"]:
            beton_options.check((root / "train.beton", root / "val.beton"), options["progress"])
        elif with_beton:
            beton_options.write(folders.load(str(root)), root, kept_as, options["progress"])

    return status_of(work)


if __name__ == "__main__":
    sys.exit(main())
