"""`python -m topfive.export --output FILE`: a trained network as torch.export's or an ONNX file."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from topfive.network_arguments import add_network
from topfive.problems import Problem, exit_code

DESCRIPTION = """\
Writes a trained network with its preprocessing to a file that runs without this project.

  python -m topfive.export --run outputs/resnet50/resnet/TIME --output resnet50.onnx
  python -m topfive.export --weights torchvision:vgg16 --output vgg16.pt2 --batch 1

It takes uint8 images (batch, channels, size, size), cut and resized, and gives scores, of which softmax
makes probabilities. What the file computes is compared with the network before it is written.
"""
EPILOG = """\
.pt2 is read by torch.export.load, .onnx by onnxruntime and others (writing it takes the extra onnx: uv
sync --extra onnx). The file keeps the names of the classes, the model, the size, the protocol and the
filter of the resizing, and where the weights are from: .pt2 in the extra file metadata.json, .onnx in
metadata_props.
"""
ENDINGS = (".pt2", ".onnx")


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 where something is not as it should be (one line on stderr)."""
    asked = _parser().parse_args(argv)
    return exit_code("topfive.export", lambda: print(_answer(asked)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m topfive.export",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_network(parser)
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help=".pt2 or .onnx")
    parser.add_argument(
        "--batch",
        default="dynamic",
        metavar="N",
        help="images at once (default: dynamic, any number)",
    )
    parser.add_argument(
        "--size", type=int, metavar="S", help="side of the images (default: its protocol's)"
    )
    return parser


def _answer(asked: argparse.Namespace) -> str:
    """What was written, in a line."""
    batch = _batch(asked.batch)
    _check(asked)

    from topfive import trained, whole_files
    from topfive.export import onnx_file, torch_file
    from topfive.export.check import difference
    from topfive.export.program import metadata, program
    from topfive.predict.chosen import usual

    form = onnx_file if asked.output.suffix == ".onnx" else torch_file
    network = trained.load(asked.run, asked.weights, asked.model)
    size = asked.size or usual(network.config).size
    content = form.content(program(network, size, batch), metadata(network, size))
    reader = form.reader(content)
    said = "not checked, because onnxruntime is not installed"
    if reader is not None:
        said = f"differs from {network.name} by {difference(network, reader, size, batch):.1e} of the scores' range"
    try:
        whole_files.write(asked.output, content)
    except OSError as error:
        raise Problem(f"--output {asked.output}: {error.strerror}. Name another file.") from error
    return f"{asked.output}: {len(content) / 2**20:.1f} MiB, {said}"


def _batch(asked: str) -> int | None:
    if asked == "dynamic":
        return None
    if not asked.isdecimal() or int(asked) < 1:
        raise Problem(f"--batch {asked}: expected dynamic or a number of 1 or more.")
    return int(asked)


def _check(asked: argparse.Namespace) -> None:
    """What can be refused before any work."""
    if asked.size is not None and asked.size < 1:
        raise Problem(f"--size {asked.size}: expected a number of 1 or more.")
    if asked.output.suffix not in ENDINGS:
        raise Problem(f"--output {asked.output}: the ending chooses the format: .pt2 or .onnx.")
    if not asked.output.parent.is_dir():
        raise Problem(
            f"--output {asked.output}: there is no folder {asked.output.parent}. Make it first."
        )
    if asked.output.suffix == ".onnx":
        from topfive.export.onnx_file import refuse_without_libraries

        refuse_without_libraries()


if __name__ == "__main__":
    sys.exit(main())
