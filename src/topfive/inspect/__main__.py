"""`python -m topfive.inspect NAME`: the layer table of a network, as its paper would print it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from topfive.problems import Problem, exit_code

if TYPE_CHECKING:
    from topfive.inspect.table import Table

DESCRIPTION = """\
Prints the layer table of a network: what each layer is, its output, parameters, multiply-adds,
receptive field, and the memory that it takes in inference and in training. Nothing is computed.

  python -m topfive.inspect alexnet
  python -m topfive.inspect resnet34 shortcut=C             an option of the network
  python -m topfive.inspect resnet50 stride_on=3x3 --batch 32
  python -m topfive.inspect vgg16 --input 384               a larger image: a class map
  python -m topfive.inspect googlenet --layers              every layer inside the modules
  python -m topfive.inspect resnet110 --latex --output resnet110.tex
  python -m topfive.inspect --all                           all networks beside the papers' figures
  python -m topfive.inspect --chart charts                  error against cost, depth by year
"""
EPILOG = """\
Receptive fields are in pixels of the image and do not stop at its edge: padding counts as pixels.
Inference memory is the most that a forward pass of eager torch has alive at once: images, outputs
that something still refers to, temporary results. Training memory is what autograd keeps of one
forward pass for the backward pass, each storage once: images, activations, masks, indices of
max-pooling. Neither counts parameters, buffers, gradients, the optimizer's state or the working
space of a convolution. Where the code does otherwise on a CPU (local response normalization works
on fewer images at a time), it is the GPU's.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 where something is not as it should be (one line on stderr)."""
    asked = _parser().parse_intermixed_args(argv)
    return exit_code("topfive.inspect", lambda: _answer(asked))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m topfive.inspect",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", nargs="?", help="a network: the name of a file in conf/model")
    parser.add_argument(
        "options",
        nargs="*",
        metavar="key=value",
        help="options of the network, or keys of train.py (those have a dot or name a group)",
    )
    parser.add_argument("--layers", action="store_true", help="every layer, not the paper's rows")
    parser.add_argument(
        "--input", type=int, metavar="SIZE", help="side of the image; the network stays what it is"
    )
    parser.add_argument("--classes", type=int, metavar="N", help="default: the data set's")
    parser.add_argument(
        "--batch", type=int, metavar="N", help="images; default: the recipe's batch"
    )
    parser.add_argument("--all", action="store_true", help="an overview of all networks")
    parser.add_argument("--chart", type=Path, metavar="FOLDER", help="draw charts: SVG and PNG")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="print Markdown")
    form.add_argument("--latex", action="store_true", help="print LaTeX (booktabs)")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write to FILE: .md, .tex or text"
    )
    return parser


def _answer(asked: argparse.Namespace) -> None:
    for name in ("input", "classes", "batch"):
        value = getattr(asked, name)
        if value is not None and value < 1:
            raise Problem(f"--{name} {value}: expected a number of 1 or more.")
    if asked.name and asked.all:
        raise Problem(f"either one network or --all: leave out {asked.name} or --all.")
    if not (asked.name or asked.all or asked.chart):
        from topfive.config import options

        raise Problem(f"name a network, or --all. There are: {', '.join(options('model'))}")
    if asked.chart:
        from topfive.inspect.charts import draw

        for file in draw(asked.chart):
            print(file)
    if asked.all:
        from topfive.inspect.overview import overview

        _write(overview(), asked)
    elif asked.name:
        from topfive.inspect.measure import measure
        from topfive.inspect.network import network
        from topfive.inspect.table import layer_table

        chosen = network(asked.name, asked.options, asked.classes)
        size = asked.input or chosen.size
        shape = (asked.batch or chosen.batch, chosen.channels, size, size)
        try:
            measured = measure(chosen.net, shape, asked.layers)
        except (RuntimeError, ValueError) as error:  # as torch says it
            said = str(error).splitlines()[0].rstrip(".")
            raise Problem(
                f"{asked.name} does not run on a batch of {shape[0]} images, {shape[1]}×{size}×{size}: "
                f"{said}. Give another --input or --batch."
            ) from error
        _write(layer_table(chosen, measured), asked)


def _write(table: "Table", asked: argparse.Namespace) -> None:
    """To the terminal or the file, in the form that was asked for or that the file's name ends in."""
    from rich.console import Console

    from topfive.inspect import formats

    ending = asked.output.suffix if asked.output else ""
    if asked.latex or (ending == ".tex" and not asked.markdown):
        text = formats.latex(table)
    elif asked.markdown or ending == ".md":
        text = formats.markdown(table)
    elif not asked.output:
        formats.terminal(table, Console())
        return
    else:
        text = formats.plain(table)
    if not asked.output:
        print(text, end="")
        return
    try:
        asked.output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Problem(
            f"--output {asked.output}: {error.strerror}. Name a file in a folder that is there."
        ) from error


if __name__ == "__main__":
    sys.exit(main())
