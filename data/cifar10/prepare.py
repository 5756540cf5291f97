"""Write CIFAR-10 as .beton files: python data/cifar10/prepare.py --help."""

import argparse
import os
import sys
from pathlib import Path

from topfive.datasets import beton_options, torchvision_sets
from topfive.datasets.prepare_command import status_of

DESCRIPTION = """\
Write ROOT/cifar10.train.beton and ROOT/cifar10.test.beton, which loader=ffcv reads, from ROOT/cifar-10-batches-py.
loader=memory, which a run takes by itself, is faster still: these files are for comparing loaders.
An interrupted run goes on where it stopped; a second run changes nothing."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    home = Path(os.environ.get("TOPFIVE_DATA", "data"))
    parser.add_argument(
        "--root",
        type=Path,
        default=home,
        help="folder of cifar-10-batches-py/ (default: %(default)s)",
    )
    parser.add_argument("--check", action="store_true", help="only compare with the checksums")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    beton_options.add_options(parser)
    options = vars(parser.parse_args())
    root, quiet = options.pop("root"), options.pop("quiet")

    def work() -> None:
        if options.pop("check"):
            beton_options.check(
                (root / "cifar10.train.beton", root / "cifar10.test.beton"), not quiet
            )
            return
        dataset = torchvision_sets.cifar10(str(root))
        kept_as = beton_options.taken(options)
        beton_options.write(dataset, root, kept_as, not quiet, prefix="cifar10.")

    return status_of(work)


if __name__ == "__main__":
    sys.exit(main())
