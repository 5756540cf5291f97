"""Injects faults into a small training and says what became of it.

python tests/faults/bench.py [--only NAME ...] [--seed N] [--scratch FOLDER] [--write]

Ctrl-C ends it with the table of what is done. --write puts what was injected into the table of README.md beside it.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from injection import Bench, Fault  # noqa: E402
from scenarios import FAULTS  # noqa: E402
from started import NotHere, Unexpected  # noqa: E402
from table import Row, markdown, write  # noqa: E402


def main(arguments: Sequence[str] | None = None) -> int:
    """1 where an outcome is not as expected."""
    asked = parser().parse_args(arguments)
    chosen = [fault for fault in FAULTS if not asked.only or fault.name in asked.only]
    rows: list[Row] = []
    with nullcontext(asked.scratch) if asked.scratch else TemporaryDirectory() as folder:
        bench = Bench(Path(folder).resolve(), asked.seed)
        try:
            for fault in chosen:
                print(f"{len(rows) + 1}/{len(chosen)} {fault.what} ...", file=sys.stderr)
                rows.append(injected(bench, fault))
                print(f"    {rows[-1].verdict}: {rows[-1].happened}", file=sys.stderr)
        except KeyboardInterrupt:
            print("stopped; this far:", file=sys.stderr)
    print(markdown(rows))
    if asked.write:
        write(rows, asked.seed, [fault.name for fault in FAULTS])
    return int(any(row.verdict == "FAULT" for row in rows))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)  # fmt: skip
    names = [fault.name for fault in FAULTS]
    made.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    made.add_argument("--seed", type=int, default=0, help="of all that is drawn (default: 0)")
    made.add_argument("--scratch", metavar="FOLDER", help="keeps the trainings (default: nowhere)")
    made.add_argument("--write", action="store_true", help="the table into README.md, too")
    return made


def injected(bench: Bench, fault: Fault) -> Row:
    """One fault, and what became of it."""
    since = time.monotonic()
    try:
        verdict, happened = "as expected", fault.inject(bench, fault.name, fault.times)
    except Unexpected as error:
        verdict, happened = "FAULT", str(error)
    except NotHere as reason:
        verdict, happened = "not run", str(reason)
    return Row(fault, happened, verdict, time.monotonic() - since)


if __name__ == "__main__":
    sys.exit(main())
