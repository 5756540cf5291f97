"""Images per second, time of a batch and peak memory of every network, against the size of the batch.

    python benchmarks/networks.py                                all networks, batches 1, 4, 16
    python benchmarks/networks.py alexnet vgg16 --batch 1 8 64   some of them
    python benchmarks/networks.py --train --dtype bfloat16 --channels-last
    python benchmarks/networks.py --chart charts                 draw what the CSV has

A row is written to the CSV (--csv) as soon as it is measured, and one that is there is not measured again: an
interrupted run goes on. Runs on the GPU where there is one.

time      seconds of a batch, the median of --repeats; fastest and slowest beside it. A repeat is as many passes as
          take 0.2 s, after one that is not counted. --max-seconds ends a point early, with fewer repeats; a point
          whose first pass takes longer is "too slow", and larger batches of that network are left out.
memory    MiB that a pass adds at its peak: activations, temporary results and working space, not weights. On a CPU
          every point is a process of its own, whose resident set is read before its first pass and at its highest.
          On a GPU it is what torch's allocator handed out.
training  forward and backward with cross-entropy, without an update.
"""

import argparse
import csv
import math
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch.nn import functional as F

from topfive import build
from topfive.config import compose, options
from topfive.inspect.network import CLASSES
from topfive.problems import Problem

CSV = Path(__file__).parent / "networks.csv"
MIB = 1 << 20
SET_UP = 120  # seconds that building a network may take, beside --max-seconds
LONG_ENOUGH = 0.2  # seconds of a repeat


@dataclass(frozen=True)
class Point:
    """What is measured."""

    network: str
    batch: int
    machine: str
    threads: int
    dtype: str
    channels_last: bool
    mode: str  # inference | training


@dataclass(frozen=True)
class Row(Point):
    """What was found; empty where `status` is not done."""

    status: str = "done"  # done | too slow | out of memory | failed: why
    input: str = ""
    repeats: int = 0
    passes: int = 0  # in a repeat
    seconds: float = math.nan
    fastest: float = math.nan
    slowest: float = math.nan
    images_per_second: float = math.nan
    memory_mib: float = math.nan
    weights_mib: float = math.nan
    load: float = math.nan  # of the machine before, processes that ran or waited
    torch: str = torch.__version__


def measure(point: Point, repeats: int, max_seconds: float) -> Row:
    """In this process; the network has torch's first weights, and the images are noise."""
    before = os.getloadavg()[0]
    cuda = point.machine != processor()
    device, dtype = torch.device("cuda" if cuda else "cpu"), getattr(torch, point.dtype)
    torch.manual_seed(0)
    config = compose([f"model={point.network}"])
    classes = CLASSES[config["choices"]["data"]]
    with device:
        net = build.architecture(config, classes).to(dtype)
    recipe = config["recipe"]
    shape = (point.batch, recipe["channels"], recipe["crop"]["size"], recipe["crop"]["size"])
    images = torch.randn(shape, device=device).to(dtype)
    labels = torch.randint(classes, shape[:1], device=device)
    if point.channels_last:
        net, images = (
            net.to(memory_format=torch.channels_last),
            images.contiguous(memory_format=torch.channels_last),
        )
    training = point.mode == "training"
    net.train(training)

    def one_pass() -> None:
        scores = net(images)
        if training:
            outputs = scores if isinstance(scores, tuple) else (scores,)  # GoogLeNet's heads
            sum(F.cross_entropy(out.float(), labels) for out in outputs).backward()
            net.zero_grad()

    def passes(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            one_pass()
        if cuda:
            torch.cuda.synchronize()
        return (time.perf_counter() - start) / count

    with nullcontext() if training else torch.inference_mode():
        load_libraries(images)
        at_start = reset_peak(cuda)
        first = passes(1)
        memory = peak(cuda) - at_start
        if first > max_seconds:
            return Row(**asdict(point), status="too slow", load=before)
        again = first if first > LONG_ENOUGH else passes(1)
        count = max(1, math.ceil(LONG_ENOUGH / max(again, 1e-6)))
        found, left = [passes(count)], max_seconds - first
        while len(found) < repeats and left > 2 * count * found[-1]:
            left -= count * found[-1]
            found.append(passes(count))
    middle = statistics.median(found)
    weights = sum(p.numel() * p.element_size() for p in net.parameters())
    return Row(
        **asdict(point),
        input="x".join(map(str, shape[1:])),
        repeats=len(found),
        passes=count,
        seconds=rounded(middle),
        fastest=rounded(min(found)),
        slowest=rounded(max(found)),
        images_per_second=rounded(point.batch / middle),
        memory_mib=round(memory / MIB, 1),
        weights_mib=round(weights / MIB, 1),
        load=round(before, 1),
    )


def load_libraries(images: torch.Tensor) -> None:
    """A convolution, a pooling and a product of a few pixels, so that their code is no one's memory."""
    few = images[:1, :, :8, :8]
    maps = F.max_pool2d(F.conv2d(few, few.new_ones(8, few.shape[1], 3, 3)), 2).relu()
    F.linear(maps.flatten(1), maps.new_ones(8, maps[0].numel())).sum()


def rounded(value: float) -> float:
    """To four digits: the clock and the machine give no more."""
    return float(f"{value:.4g}")


def reset_peak(cuda: bool) -> int:
    """Bytes in use now, from which the peak is counted anew."""
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated()
    Path("/proc/self/clear_refs").write_text("5")  # the highest resident set is now this one
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak(cuda: bool) -> int:
    if cuda:
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def in_its_own_process(point: Point, repeats: int, max_seconds: float) -> Row:
    """On a CPU: a fork, so that nothing is imported again and nothing was allocated before."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=_answer, args=(there, point, repeats, max_seconds))
    child.start()
    there.close()
    row = Row(**asdict(point), status="out of memory")
    try:
        limit = max_seconds + SET_UP
        row = here.recv() if here.poll(limit) else Row(**asdict(point), status="too slow")
    except EOFError:
        pass  # the system killed it
    finally:
        child.kill()
        child.join()
    return row


def _answer(there: Connection, point: Point, repeats: int, max_seconds: float) -> None:
    torch.set_num_threads(point.threads)
    there.send(guarded(point, repeats, max_seconds))


def guarded(point: Point, repeats: int, max_seconds: float) -> Row:
    """A row whatever happens."""
    try:
        return measure(point, repeats, max_seconds)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return Row(**asdict(point), status="out of memory")
    except Exception as error:
        said = (str(error).splitlines() or [""])[0]
        return Row(**asdict(point), status=f"failed: {type(error).__name__}: {said}")


def processor() -> str:
    """The kind of processor and how many of its cores can be used."""
    info = Path("/proc/cpuinfo")
    named = (
        [line for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    name = named[0].partition(":")[2].strip() if named else platform.machine()
    return f"{name}, {len(os.sched_getaffinity(0))} cores"


def read(file: Path) -> dict[Point, Row]:
    """The rows of a CSV, the last of each point."""
    if not file.exists():
        return {}
    with file.open(newline="", encoding="utf-8") as stream:
        rows = [typed(record) for record in csv.DictReader(stream)]
    names = [field.name for field in fields(Point)]
    return {Point(**{name: getattr(row, name) for name in names}): row for row in rows}


def typed(record: dict[str, str]) -> Row:
    known = {field.name: field.type for field in fields(Row)}
    if set(record) != set(known):
        raise Problem(
            f"the CSV has columns {', '.join(map(str, record))}, not those of this version: name another --csv."
        )
    kinds = {
        str: str,
        int: int,
        float: lambda text: float(text or "nan"),
        bool: lambda text: text == "True",
    }
    return Row(**{name: kinds[kind](record[name]) for name, kind in known.items()})  # type: ignore[index]


def append(file: Path, row: Row) -> None:
    new = not file.exists()
    with file.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Row)])
        if new:
            writer.writeheader()
        cells = {
            n: "" if isinstance(v, float) and math.isnan(v) else v for n, v in asdict(row).items()
        }
        writer.writerow(cells)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("networks", nargs="*", help="default: all of conf/model")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4, 16], metavar="N")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--train", action="store_true", help="forward and backward")
    parser.add_argument("--repeats", type=int, default=5, help="of each point (default 5)")
    parser.add_argument("--max-seconds", type=float, default=60, help="of each point (default 60)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU only")
    parser.add_argument("--csv", type=Path, default=CSV)
    parser.add_argument(
        "--chart", type=Path, metavar="FOLDER", help="draw the CSV, measure nothing"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    asked = arguments(argv)
    try:
        _draw(asked) if asked.chart else _measure(asked)
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def _measure(asked: argparse.Namespace) -> None:
    unknown = set(asked.networks) - set(options("model"))
    if unknown:
        raise Problem(
            f"no network is named {', '.join(sorted(unknown))}. There are: {', '.join(options('model'))}"
        )
    cuda = torch.cuda.is_available()
    machine = torch.cuda.get_device_name() if cuda else processor()
    threads = 0 if cuda else asked.threads
    mode = "training" if asked.train else "inference"
    how = (machine, threads, asked.dtype, asked.channels_last, mode)
    points = [
        Point(name, batch, *how)
        for batch in sorted(asked.batch)
        for name in asked.networks or options("model")
    ]
    known = read(asked.csv)
    for number, point in enumerate(points, start=1):
        row = known.get(point)
        if row is None or row.status.startswith("failed"):
            smaller = (r for p, r in known.items() if p.network == point.network and p.batch < point.batch
                       and (p.machine, p.threads, p.dtype, p.channels_last, p.mode) == how)  # fmt: skip
            ended = next(
                (r.status for r in smaller if r.status in ("too slow", "out of memory")), None
            )
            if ended:
                continue
            row = (guarded if cuda else in_its_own_process)(point, asked.repeats, asked.max_seconds)
            known[point] = row
            append(asked.csv, row)
        said = (
            f"{row.images_per_second:,.4g} images/s, {row.memory_mib:,.0f} MiB"
            if row.status == "done"
            else row.status
        )
        print(
            f"{number:4} of {len(points)}  {point.network} batch {point.batch}: {said}",
            file=sys.stderr,
            flush=True,
        )


def _draw(asked: argparse.Namespace) -> None:
    from topfive.inspect.speed_charts import draw

    rows = [row for row in read(asked.csv).values() if row.status == "done"]
    if not rows:
        raise Problem(
            f"--csv {asked.csv}: no row is in it. Measure first: python benchmarks/networks.py"
        )
    for file in draw([asdict(row) for row in rows], asked.chart):
        print(file)


if __name__ == "__main__":
    sys.exit(main())
