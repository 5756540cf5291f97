"""Writes the traces that test_traces.py compares with: renew_traces.py [NAME ...], all of them without a name.

TOPFIVE_DATA names the folder of real data. Prints how far the losses went from those on file.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

from traces import TRACES, keep, kept, real_images, traced

from topfive.problems import Problem


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TRACES))
    parser.add_argument("--dry-run", action="store_true", help="compare, and write nothing")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(TRACES):
        parser.error(f"no trace is called {', '.join(unknown)}: choose from {', '.join(TRACES)}")
    if not (data := os.environ.get("TOPFIVE_DATA")):
        parser.error("set TOPFIVE_DATA to the folder of real data")
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        images.mkdir()
        real_images(Path(data).resolve(), images)
        for name in asked.names or TRACES:
            start = time.process_time()
            try:
                found = traced(name, images, Path(folder) / name)
            except Problem as problem:
                print(f"{name:18} {problem}", flush=True)
                continue
            seconds = time.process_time() - start
            print(f"{name:18} {described(name, found['losses'])}, {seconds:.1f} s CPU", flush=True)
            if found["still"]:
                print(f"{'':18} did not move: {', '.join(found['still'])}")
            if not asked.dry_run:
                keep(name, found["losses"])


def described(name: str, losses: list[float]) -> str:
    try:
        before = kept(name)["losses"]
    except FileNotFoundError:
        return f"new: {losses[0]:.4f} to {losses[-1]:.4f}"
    pairs = zip(losses, before, strict=True)
    return f"off by {max(abs(a - b) / abs(b) for a, b in pairs):.1e} at most"


if __name__ == "__main__":
    main()
