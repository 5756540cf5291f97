"""Write any class folders as .beton files: python data/folder/prepare.py --help."""

import argparse
import sys
from pathlib import Path

from topfive.datasets import beton_options, folders, prepare_shards
from topfive.datasets.prepare_command import status_of

DESCRIPTION = """\
Write ROOT/train.beton and ROOT/val.beton, which loader=ffcv reads, or with --shards ROOT/train.shards/ and
ROOT/val.shards/, which loader=webdataset reads, from the class folders of ROOT/train and ROOT/val. An
interrupted run goes on where it stopped; a second run changes nothing."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="folder of train/ and val/")
    parser.add_argument("--check", action="store_true", help="only compare with the checksums")
    parser.add_argument(
        "--shards",
        type=int,
        nargs="?",
        const=0,
        metavar="N",
        help="tar files of the images as they are, N a split (default: of about 128 MB, 32 or more)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    beton_options.add_options(parser)
    options = vars(parser.parse_args())
    root, shards, progress = options.pop("root"), options.pop("shards"), not options.pop("quiet")

    def work() -> None:
        check = options.pop("check")
        if shards is not None and check:
            prepare_shards.check_all(root, ("train", "val"), progress)
        elif shards is not None:
            dataset = folders.load(str(root))
            prepare_shards.write_all(dataset, root, shards, options["workers"], progress)
        elif check:
            beton_options.check((root / "train.beton", root / "val.beton"), progress)
        else:
            kept_as = beton_options.taken(options)
            beton_options.write(folders.load(str(root)), root, kept_as, progress)

    return status_of(work)


if __name__ == "__main__":
    sys.exit(main())
