"""`python -m topfive.report compare RUN RUN`: what two runs were told otherwise, and what came of it."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from topfive.problems import Problem, exit_code

DESCRIPTION = """\
Sets two finished runs beside each other: what their configurations differ in, their test errors with intervals and
a paired test where the predictions of both are on file, and their curves at common iterations.

  python -m topfive.report compare results/cifar-depth/plain20-0 results/cifar-depth/resnet20-0
  python -m topfive.report compare outputs/resnet20/resnet_cifar/TIME outputs/plain20/resnet_cifar/TIME --chart both.svg
  python -m topfive.report compare results/lenet5-mnist-map results/lenet5-mnist-mse --markdown losses.md

Of other data sets, splits or protocols no numbers are compared; what the runs were told is shown all the same.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 where something is not as it should be (one line on stderr)."""
    asked = _parser().parse_args(argv)
    return exit_code("topfive.report compare", lambda: _compare(asked))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m topfive.report compare",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name in ("first", "second"):
        what = f"the {name} run: its directory, or its record"
        parser.add_argument(name, type=Path, metavar="RUN", help=what)
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the same as Markdown")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="draw both curves, as SVG")
    return parser


def _compare(asked: argparse.Namespace) -> None:
    from rich.console import Console

    from topfive.inspect.formats import markdown, terminal
    from topfive.report.compare.curves import curves
    from topfive.report.compare.overlay import overlay
    from topfive.report.compare.scores import scores
    from topfive.report.compare.settings import settings
    from topfive.report.compare.sides import side

    first, second = side(asked.first), side(asked.second)
    head = [f"first   {first}", f"second  {second}"]
    tables = [*settings(first, second), scores(first, second), curves(first, second)]
    console = Console()
    for line in head:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    for table in tables:
        console.print()
        terminal(table, console)
    if asked.markdown:
        _write("\n\n".join([*head, *map(markdown, tables)]), asked.markdown)
    if asked.chart:
        overlay(first, second, asked.chart)


def _write(text: str, file: Path) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Problem(f"--markdown {file}: {error.strerror}. Name a file to write.") from error
