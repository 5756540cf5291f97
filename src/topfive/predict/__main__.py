"""`python -m topfive.predict IMAGE...`: the most probable classes of images, by a trained network."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from topfive.network_arguments import add_network
from topfive.problems import Problem, exit_code

if TYPE_CHECKING:
    from topfive.datasets.images import Unreadable
    from topfive.predict.classify import Prediction

DESCRIPTION = """\
Prints the five most probable classes of every image. IMAGE is a file, a folder (with all below it) or a
glob in quotes.

  python -m topfive.predict photograph.jpg --run outputs/resnet50/resnet/TIME
  python -m topfive.predict photographs 'more/**/*.png' --weights torchvision:resnet50 --csv classes.csv
  python -m topfive.predict photographs --run RUN --protocol ten_crop --json - > classes.json
  python -m topfive.predict photographs --run RUN --annotate annotated
"""
EPILOG = """\
An image is seen as the network's own test sees it, by one view: the protocol of its run where that is
one view, else the central crop. Probabilities are the mean over the views. What one_view shows of an
image is its central pixels, unresized. Images that cannot be decoded are listed and left out, and the
exit code is then 1.
"""
STDOUT = "-"
MANY = 20  # images that are worth a progress bar


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 where something is not as it should be (a line each on stderr)."""
    asked = _parser().parse_intermixed_args(argv)
    return exit_code("topfive.predict", lambda: _answer(asked))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m topfive.predict",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("image", nargs="+", metavar="IMAGE", help="a file, a folder or a glob")
    add_network(parser)
    parser.add_argument("--protocol", metavar="NAME", help="one of conf/protocol")
    parser.add_argument("--top", type=int, default=5, metavar="K", help="classes (default: 5)")
    parser.add_argument("--csv", metavar="FILE", help="a class a row; - is standard output")
    parser.add_argument("--json", metavar="FILE", help="an image an entry; - is standard output")
    parser.add_argument(
        "--annotate",
        type=Path,
        metavar="FOLDER",
        help="write a copy of each image with its classes",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--batch", type=int, default=64, metavar="N", help="views at once (default: 64)"
    )
    return parser


def _answer(asked: argparse.Namespace) -> int:
    """How many images could not be read."""
    from topfive.predict import files, pictures

    _check(asked)
    images = files.found(asked.image)
    predicted, missed = _predict(asked, images)
    for error in missed:
        print(f"topfive.predict: {error}", file=sys.stderr)
    _write(asked, predicted)
    if asked.annotate is not None:
        pictures.write(predicted, asked.annotate)
    if missed:
        print(
            f"topfive.predict: {len(missed)} of {len(images)} images could not be read: repair them, or leave "
            f"them out.",
            file=sys.stderr,
        )
    return len(missed)


def _check(asked: argparse.Namespace) -> None:
    """What can be refused before any work."""
    for name in ("top", "batch"):
        if getattr(asked, name) < 1:
            raise Problem(f"--{name} {getattr(asked, name)}: expected a number of 1 or more.")
    if asked.csv == asked.json == STDOUT:
        raise Problem("--csv - and --json - both go to standard output: write one to a file.")
    for name in ("csv", "json"):
        file = getattr(asked, name)
        if file not in (None, STDOUT) and not Path(file).parent.is_dir():
            raise Problem(
                f"--{name} {file}: there is no folder {Path(file).parent}. Make it first."
            )


def _predict(
    asked: argparse.Namespace, images: Sequence[Path]
) -> "tuple[list[Prediction], list[Unreadable]]":
    from topfive import trained
    from topfive.datasets.progress import bar
    from topfive.predict.chosen import protocol_of
    from topfive.predict.classify import predictions

    device = _device(asked.device)
    network = trained.load(asked.run, asked.weights, asked.model)
    protocol = protocol_of(network.config, asked.protocol)
    network.net.to(device)
    network.pipeline.to(device)
    predicted: list[Prediction] = []
    missed: list[Unreadable] = []
    with bar(len(images) >= MANY and sys.stderr.isatty()) as progress:
        task = progress.add_task(f"{network.name}, {protocol.name}", total=len(images))
        for one in predictions(network, protocol, images, asked.top, asked.batch, missed):
            predicted.append(one)
            progress.update(task, completed=len(predicted) + len(missed))
    place = {image: number for number, image in enumerate(images)}
    return sorted(predicted, key=lambda one: place[one.image]), missed


def _device(asked: str) -> str:
    import torch

    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise Problem("--device cuda: torch finds no GPU here. Use --device cpu, or leave it out.")
    return "cuda" if there and asked != "cpu" else "cpu"


def _write(asked: argparse.Namespace, predicted: "list[Prediction]") -> None:
    """To the files that were asked for; to the screen where none of them is standard output."""
    from topfive import whole_files
    from topfive.predict import formats

    if STDOUT not in (asked.csv, asked.json):
        print(formats.plain(predicted), end="")
    for name, made in (("csv", formats.as_csv), ("json", formats.as_json)):
        file = getattr(asked, name)
        if file == STDOUT:
            print(made(predicted), end="")
        elif file is not None:
            try:
                whole_files.write(Path(file), made(predicted).encode())
            except OSError as error:
                raise Problem(f"--{name} {file}: {error.strerror}. Name another file.") from error


if __name__ == "__main__":
    sys.exit(main())
