"""`python -m topfive.report outputs/`: the table of all runs below, beside what was published."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from topfive.problems import Problem

USUAL = ("outputs", "results")


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 if there was nothing to show (the reason goes to stderr)."""
    parser = argparse.ArgumentParser(
        prog="python -m topfive.report",
        description="Prints every run found beside the number its paper published: same network, "
        "data, split and protocol, with a 95% interval. Nothing is written.",
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
    asked = parser.parse_args(argv)
    try:
        _print(asked.roots or _usual(), asked.candidates)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def _usual() -> list[Path]:
    roots = [Path(name) for name in USUAL if Path(name).is_dir()]
    if not roots:
        raise Problem(
            f"Neither outputs/ nor results/ is in {Path.cwd()}. Run this from the root of the "
            "repository, or name the folder: python -m topfive.report FOLDER"
        )
    return roots


def _print(roots: Sequence[Path], candidates: bool) -> None:
    from rich.console import Console

    from topfive.choice import is_candidate
    from topfive.published import load
    from topfive.report.table import render
    from topfive.results import find

    records, skipped = find(roots)
    if not records:
        named = "".join(f"\n  {one.path}: {one.reason}" for one in skipped)
        raise Problem(
            f"No finished run below {', '.join(map(str, roots))}: a run writes its result.json "
            f"when it ends. Train one, for example: python train.py model=lenet5{named}"
        )
    shown = [record for record in records if candidates or not is_candidate(record)]
    hidden = f"{len(records) - len(shown)} candidates of sweeps, tested on the minival only"
    if not shown:
        raise Problem(f"There is no result yet, but {hidden}: --candidates shows them.")
    render(shown, load(), Console(), skipped)
    if len(shown) < len(records):
        print(f"\nNot shown: {hidden} (--candidates).")


if __name__ == "__main__":
    sys.exit(main())
