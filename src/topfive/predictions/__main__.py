"""`python -m topfive.predictions COMMAND FILE...`: what files of predictions say, without their networks."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from topfive.problems import Problem, exit_code

if TYPE_CHECKING:
    from topfive.predictions.aligned import Tested
    from topfive.predictions.tables import Table

DESCRIPTION = """\
Reads the predictions that python -m topfive.evaluate keeps, of one network or of several.

  python -m topfive.predictions score outputs/vgg16/vgg/*/predictions-*.npz
  python -m topfive.predictions ensemble RUN1 RUN2 RUN3 --weights 2,1,1 --output mean.npz
  python -m topfive.predictions ensemble RUN1 RUN2 --record outputs/ensembles/NAME    for the report
  python -m topfive.predictions compare RUN1 RUN2        McNemar's test
  python -m topfive.predictions classes RUN              the error of every class
  python -m topfive.predictions confusions RUN           what is most often taken for what
  python -m topfive.predictions worst RUN --limit 50     the images that are furthest off
  python -m topfive.predictions real RUN                 by ReaL labels (ILSVRC-2012 val)

A directory stands for the one file of predictions in it.
"""
PATTERN = "predictions-*.npz"


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 where something is not as it should be (one line on stderr)."""
    asked = _parser().parse_args(argv)
    return exit_code("topfive.predictions", lambda: _write(_tables(asked), asked))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m topfive.predictions",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, files: str | int, what: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=what, description=f"Prints {what}.")
        command.add_argument("files", nargs=files, type=Path, metavar="FILE", help="or a directory")
        command.add_argument("--csv", type=Path, metavar="FILE", help="write the first table")
        command.add_argument("--json", type=Path, metavar="FILE", help="write all tables")
        return command

    add("score", "+", "top-1 and top-5 error with their intervals")
    mean = add("ensemble", "+", "the error of the mean of the probabilities")
    mean.add_argument("--weights", metavar="2,1,1", help="one per file (default: equal)")
    mean.add_argument(
        "--output", type=Path, metavar="FILE", help="keep the mean, a file as the others"
    )
    mean.add_argument(
        "--record",
        type=Path,
        metavar="FOLDER",
        help="keep it as a run with a result.json, which python -m topfive.report sets beside its paper",
    )
    compare = add(
        "compare", 2, "McNemar's test of two networks, and images that only one got wrong"
    )
    add("classes", 1, "the error of every class, the worst first")
    confusions = add("confusions", 1, "the most frequent pairs of label and wrong answer")
    worst = add("worst", 1, "the images with the least probability of their label")
    for command in (compare, confusions, worst):
        command.add_argument("--limit", type=int, default=20, metavar="N", help="rows (20)")
    real = add("real", 1, "the top-1 error by ReaL labels")
    real.add_argument(
        "--labels", type=Path, metavar="FILE", help="real.json (default: timm's copy)"
    )
    return parser


def _tables(asked: argparse.Namespace) -> "list[Table]":
    from topfive.predictions import comparison, mistakes, real_labels, scores
    from topfive.predictions.file import read

    if getattr(asked, "limit", 1) < 1:
        raise Problem(f"--limit {asked.limit}: expected a number of 1 or more.")
    tests = ((path, read(path)) for path in map(located, asked.files))
    match asked.command:
        case "score":
            return [scores.scores(tests)]
        case "ensemble":
            return _ensemble(list(tests), asked)
        case "compare":
            return comparison.compare(list(tests), asked.limit)
    ((_, given),) = tests
    match asked.command:
        case "classes":
            return [mistakes.classes(given)]
        case "confusions":
            return [mistakes.confusions(given, asked.limit)]
        case "worst":
            return [mistakes.worst(given, asked.limit)]
        case _:
            return [real_labels.real(given, asked.labels)]


def located(path: Path) -> Path:
    """The file of predictions that `path` is, or that is the only one in the directory `path`."""
    if not path.is_dir():
        return path
    found = sorted(path.glob(PATTERN))
    if len(found) != 1:
        names = ", ".join(one.name for one in found) or "none"
        raise Problem(
            f"{path} holds {len(found)} files of predictions ({names}), expected one: name the file, or make "
            f"one with python -m topfive.evaluate run={path}"
        )
    return found[0]


def _ensemble(tests: "list[Tested]", asked: argparse.Namespace) -> "list[Table]":
    from topfive.predictions.averages import average, judged
    from topfive.predictions.file import write
    from topfive.predictions.recorded import write_record

    mean, tables = average(tests, _numbers(asked.weights))
    if asked.output is not None:
        if asked.output.resolve() in [path.resolve() for path, _ in tests]:
            raise Problem(f"--output {asked.output} is one of the members: name another file.")
        write(mean, asked.output)
    if asked.record is not None:
        tables.append(judged(write_record(mean, tests, asked.record)))
    return tables


def _numbers(text: str | None) -> list[float] | None:
    try:
        return None if text is None else [float(one) for one in text.split(",")]
    except ValueError as error:
        raise Problem(f"--weights {text}: expected numbers with commas between, 2,1,1.") from error


def _write(tables: "list[Table]", asked: argparse.Namespace) -> None:
    from rich.console import Console

    from topfive.predictions.exported import write_csv, write_json
    from topfive.predictions.printed import show

    console = Console()
    for table in tables:
        show(table, console)
    if asked.csv:
        write_csv(tables[0], asked.csv)
    if asked.json:
        write_json(tables, asked.json)


if __name__ == "__main__":
    sys.exit(main())
