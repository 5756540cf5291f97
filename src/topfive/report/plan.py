"""`python -m topfive.report plan device=h100 count=8`: what the whole table would take."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from topfive.problems import Problem, exit_code

DESCRIPTION = """\
Prints what it would take to measure every published number that can be measured: the runs that the table needs, the
longest first, with device-hours, energy and disk. Speeds are measured where there is a record of the network on such a
device, and else estimated from its multiply-adds, and marked so. Nothing is run.

  python -m topfive.report plan device=h100 count=8
  python -m topfive.report plan --device a100 --precision bf16-mixed --csv plan.csv
"""
KEYS = ("device", "count", "precision")
USUAL = ("outputs", "results")


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0, or 1 where something is not as it should be (one line on stderr)."""
    asked = _parser().parse_args(argv)
    return exit_code("topfive.report plan", lambda: _plan(asked))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m topfive.report plan",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help=", ".join(KEYS))
    parser.add_argument("--device", default="h100", help="a key of devices.yaml (h100)")
    parser.add_argument("--count", default="1", metavar="N", help="how many of it there are (1)")
    parser.add_argument("--precision", default="32-true", help="trainer.precision (32-true)")
    parser.add_argument(
        "--records",
        nargs="+",
        type=Path,
        metavar="ROOT",
        help="folders of runs whose speed is known (outputs/ and results/ if they exist)",
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a row per training")
    return parser


def _plan(asked: argparse.Namespace) -> None:
    for setting in asked.settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in KEYS:
            raise Problem(f"{setting}: expected KEY=VALUE, of {', '.join(KEYS)}.")
        setattr(asked, key, value)
    if not asked.count.isdecimal() or int(asked.count) < 1:
        raise Problem(f"count={asked.count}: expected a number of devices, 1 or more.")

    from rich.console import Console

    from topfive.inspect.formats import terminal
    from topfive.plan.devices import device
    from topfive.plan.measured import known
    from topfive.plan.whole import whole
    from topfive.published import load
    from topfive.report import planned
    from topfive.report.lines import lines
    from topfive.results import find

    place = device(asked.device)
    place.rate(asked.precision)  # refused before anything is counted
    roots = asked.records or [Path(name) for name in USUAL if Path(name).is_dir()]
    found = whole(lines([], load()), place, known(find(roots)[0]), asked.precision)
    for table in planned.tables(found, place, int(asked.count), asked.precision):
        terminal(table, Console())
        print()
    if asked.csv:
        planned.write_csv(found, asked.csv)
