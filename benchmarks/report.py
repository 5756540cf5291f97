"""Seconds and memory that the table takes over thousands of records, made up here: no result of any run.

    python benchmarks/report.py --count 5000

Each is a committed record, configuration and all, with the network, protocol, seed and counts of some
published number. They lie in a temporary folder, one file in a hundred cut short, and are read and
tabulated in a process of its own.
"""

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from topfive.published import Published, load
from topfive.report.lines import lines
from topfive.report.rows import rows
from topfive.results import Record, Score, find, read, write

PATTERN = Path(__file__).parents[1] / "results" / "alexnet-imagenette" / "result.json"
IMAGES = {"imagenet": 50_000}
SEEDS = 5
BROKEN = 100  # one record of so many is cut short


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=5000, help="records")
    parser.add_argument("--measure", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        measure(asked.measure)
        return
    with tempfile.TemporaryDirectory() as folder:
        for k, record in zip(range(asked.count), made_up(), strict=False):
            path = Path(folder) / f"{k:06}" / "result.json"
            path.parent.mkdir()
            write(record, path)
            if k % BROKEN == BROKEN - 1:
                path.write_bytes(path.read_bytes()[:500])
        subprocess.run([sys.executable, __file__, "--measure", folder], check=True)


def made_up() -> Iterator[Record]:
    """Five seeds of every published network, and those again with another departure, without end."""
    pattern, stream = read(PATTERN), random.Random(0)
    usable = [one for one in load() if one.home and one.members and one.role == "target"]
    departure = 0
    while True:
        departures = (f"recipe.shorten={departure} (paper: 1)",) if departure else ()
        for one in usable:
            for seed in range(SEEDS):
                yield replace(_record(one, seed, pattern, stream), departures=departures)
        departure += 1


def _record(one: Published, seed: int, pattern: Record, stream: random.Random) -> Record:
    assert one.home is not None
    n = IMAGES.get(one.data, 10_000)
    top1 = stream.randrange(n // 20, n // 3)
    return replace(
        pattern,
        identity=f"{stream.getrandbits(48):012x}",
        model=one.network,
        options={**one.home.options, **one.options},
        recipe=one.recipes[0],
        data=one.data,
        seed=seed,
        scores=(Score(one.protocol, one.split, n, top1, top1 // 4),),
    )


def measure(folder: Path) -> None:
    """Prints what each step takes, and the peak of the memory held."""
    published = load()
    clocks = [_clocks()]
    records, skipped = find([folder])
    clocks.append(_clocks())
    table, _ = rows(records, published)
    clocks.append(_clocks())
    found = lines(records, published)
    clocks.append(_clocks())
    beside = sum(one.ours is not None for one in found)
    said = [
        f"{len(records):,} records read, {len(skipped)} skipped",
        f"{len(table):,} rows",
        f"{len(found):,} lines, {beside} of them with runs",
    ]
    for what, start, end in zip(said, clocks, clocks[1:], strict=False):
        print(f"{what}: {_spent(start, end)}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"all of it: {_spent(clocks[0], clocks[-1])}; {peak:.0f} MB at most")


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _spent(start: tuple[float, float], end: tuple[float, float]) -> str:
    wall, cpu = (after - before for before, after in zip(start, end, strict=True))
    return f"{wall:.2f} s ({cpu:.2f} s CPU)"


if __name__ == "__main__":
    main()
