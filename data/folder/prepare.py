"""Write any class folders as .beton files: python data/folder/prepare.py --help."""

import argparse
import sys
from pathlib import Path

from topfive.datasets import beton_options, folders
from topfive.datasets.prepare_command import status_of

DESCRIPTION = """\
Write ROOT/train.beton and ROOT/val.beton, which loader=ffcv reads, from the class folders of
ROOT/train and ROOT/val. An interrupted run goes on where it stopped; a second run changes nothing."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="folder of train/ and val/")
    parser.add_argument("--check", action="store_true", help="only compare with the checksums")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    beton_options.add_options(parser)
    options = vars(parser.parse_args())
    root, quiet = options.pop("root"), options.pop("quiet")

    def work() -> None:
        if options.pop("check"):
            beton_options.check((root / "train.beton", root / "val.beton"), not quiet)
            return
        beton_options.write(folders.load(str(root)), root, beton_options.taken(options), not quiet)

    return status_of(work)


if __name__ == "__main__":
    sys.exit(main())
