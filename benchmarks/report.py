"""Seconds and memory that table and page take over thousands of records, made up here: no result of any run.

    python benchmarks/report.py --count 5000

Each is a committed record, configuration and all, with the network, protocol, seed and counts of some
published number. They lie in a temporary folder, one file in a hundred cut short. Both commands are run
as a user would, each in a process of its own; a third one takes the steps one by one.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from topfive.published import Published, load
from topfive.report import page
from topfive.report.contents import gather
from topfive.report.lines import of_rows
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
        _command("table", folder)
        _command("page", folder, "--html", f"{folder}/page.html")
        subprocess.run([sys.executable, __file__, "--measure", folder], check=True)


def _command(what: str, *arguments: str) -> None:
    """Runs python -m topfive.report with `arguments` and prints what that took, imports and all."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "topfive.report", *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    spent = _spent((start, 0.0), (time.perf_counter(), used.ru_utime + used.ru_stime))
    print(f"{what}: {spent}, {used.ru_maxrss / 1024:.0f} MB at most")


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
    """Prints what each step takes, imports among those that need them."""
    published = load()
    clocks = [_clocks()]
    records, skipped = find([folder])
    clocks.append(_clocks())
    table, _ = rows(records, published)
    clocks.append(_clocks())
    found = of_rows(table, published)
    clocks.append(_clocks())
    contents = gather([folder])
    clocks.append(_clocks())
    drawn = page.charts(contents)
    clocks.append(_clocks())
    text = page.render(contents, folder, drawn)
    clocks.append(_clocks())
    beside = sum(one.ours is not None for one in found)
    said = [
        f"{len(records):,} records read, {len(skipped)} skipped",
        f"{len(table):,} rows",
        f"{len(found):,} lines, {beside} of them with runs",
        "all that again, and ablations",
        f"{len(drawn)} charts in two widths",
        f"page of {len(text) / 1e6:.1f} MB",
    ]
    for what, start, end in zip(said, clocks, clocks[1:], strict=False):
        print(f"  {what}: {_spent(start, end)}")


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _spent(start: tuple[float, float], end: tuple[float, float]) -> str:
    wall, cpu = (after - before for before, after in zip(start, end, strict=True))
    return f"{wall:.2f} s ({cpu:.2f} s CPU)"


if __name__ == "__main__":
    main()
