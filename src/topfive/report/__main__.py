"""`python -m topfive.report outputs/`: the table of all runs below, beside what was published."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from topfive.problems import Problem
from topfive.report.roots import usual

COMMANDS = ("compare", "plan", "wandb")
EXAMPLES = """
commands of their own, each with --help:
  python -m topfive.report compare RUN RUN         what two runs differ in, and by how much
  python -m topfive.report plan device=h100 count=8    what the whole table would take
  python -m topfive.report wandb=ENTITY/PROJECT    the comparison as a report of Weights & Biases
"""


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 if there was nothing to show (the reason goes to stderr)."""
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        name, value, rest = _command(given)
        if name in COMMANDS:
            module = importlib.import_module(f"topfive.report.{name}")
            return int(module.main([*value, *rest]))
        _report(_parser().parse_args(given))
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def _command(given: Sequence[str]) -> tuple[str, list[str], list[str]]:
    """What the first argument names, with what stands after its "=", and the rest."""
    first, *rest = given or [""]
    name, equals, value = first.partition("=")
    return name, [value] if equals else [], rest


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m topfive.report",
        description="Sets every run found beside the number its paper published: same network, "
        "data, split and protocol, with a 95%% interval and a verdict. Prints the table, or writes the "
        "files that are named.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "roots",
        nargs="*",
        type=Path,
        help="folders of runs, or single records (default: outputs/ and results/ if they exist)",
    )
    parser.add_argument(
        "--candidates",
        action="store_true",
        help="also the candidates of sweeps, which were tested on the minival: no published number is "
        "of such images",
    )
    files = parser.add_argument_group("files")
    files.add_argument(
        "--html",
        nargs="?",
        type=Path,
        const=Path("report.html"),
        metavar="FILE",
        help="one page that needs no other file and no network (default: report.html)",
    )
    for name, what in (
        ("markdown", "in short between <!-- results --> and <!-- /results --> where FILE has them"),
        ("latex", "a longtable with booktabs' rules"),
        ("csv", "one line for each published number and each other result"),
        ("parquet", "the same; needs pyarrow"),
    ):
        files.add_argument(f"--{name}", type=Path, metavar="FILE", help=what)
    return parser


def _report(asked: argparse.Namespace) -> None:
    roots = asked.roots or usual()
    formats = ("html", "markdown", "latex", "csv", "parquet")
    files = {name: getattr(asked, name) for name in formats if getattr(asked, name)}
    if files:
        _write(roots, asked.candidates, files)
    else:
        _print(roots, asked.candidates)


def _print(roots: Sequence[Path], candidates: bool) -> None:
    from rich.console import Console

    from topfive.published import load
    from topfive.report.contents import CANDIDATES, read
    from topfive.report.table import render

    with Console(stderr=True).status("reading records"):
        found = read(roots, candidates)
    render(found.records, load(), Console(), found.skipped)
    if found.hidden:
        print(f"\nNot shown: {found.hidden} {CANDIDATES} (--candidates).")


def _write(roots: Sequence[Path], candidates: bool, files: dict[str, Path]) -> None:
    for option, path in files.items():
        if path.is_dir() or not path.parent.is_dir():
            what = "is a folder" if path.is_dir() else f"cannot be made: there is no {path.parent}"
            raise Problem(f"--{option} {path} {what}. Name a file in a folder that exists.")
    from rich.console import Console

    from topfive.report.contents import gather
    from topfive.report.outputs import WRITERS

    with Console(stderr=True).status("reading records") as status:
        contents = gather(roots, candidates, status.update)
        for name, path in files.items():
            status.update(f"writing {path}")
            WRITERS[name](contents, path)
            print(f"{path}: {contents.summary}")


if __name__ == "__main__":
    sys.exit(main())
