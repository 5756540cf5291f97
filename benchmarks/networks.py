"""Images per second, time of a batch and peak memory of every network, against the size of the batch.

    python benchmarks/networks.py                                all networks, batches 1, 4, 16
    python benchmarks/networks.py alexnet vgg16 --batch 1 8 64   some of them
    python benchmarks/networks.py --train --dtype bfloat16 --channels-last
    python benchmarks/networks.py --chart charts                 draw what the CSV has

A row is written to the CSV (--csv) as soon as it is measured, and one that is there is not measured again: an
interrupted run goes on. Runs on the GPU where there is one.

time      seconds of a batch, the median of --repeats; fastest and slowest beside it. A repeat is as many passes as
          take 0.2 s, after one that is not counted. cpu_seconds is what the processor worked on it, which another
          program's load changes less. --max-seconds ends a point early, with fewer repeats; a point
          whose first pass takes longer is "too slow", and larger batches of that network are left out.
memory    MiB that a pass adds at its peak: activations, temporary results, working space and, in training, the
          gradients; not the weights. On a CPU every point is a process of its own, whose resident set is read before
          its first pass and at its highest; some MiB of it are the libraries' own. On a GPU it is what torch's
          allocator handed out.
training  forward and backward with cross-entropy, without an update.
"""

import argparse
import math
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from torch.nn import functional as F

from topfive.architecture import architecture
from topfive.config import compose, options
from topfive.inspect.network import CLASSES
from topfive.inspect.speed import Point, Row, append, processor, read
from topfive.problems import Problem

CSV = Path(__file__).parent / "networks.csv"
MIB = 1 << 20
SET_UP = 120  # seconds that building a network may take, beside --max-seconds
LONG_ENOUGH = 0.2  # seconds of a repeat


def measure(point: Point, repeats: int, max_seconds: float) -> Row:
    """In this process; the network has torch's first weights, and the images are noise."""
    before = os.getloadavg()[0]
    cuda = point.machine != processor()
    device, dtype = torch.device("cuda" if cuda else "cpu"), getattr(torch, point.dtype)
    torch.manual_seed(0)
    config = compose([f"model={point.network}"])
    classes = CLASSES[config["choices"]["data"]]
    with device:
        net = architecture(config, classes).to(dtype)
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

    worked: list[float] = []

    def passes(count: int) -> float:
        start, cpu = time.perf_counter(), time.process_time()
        for _ in range(count):
            one_pass()
        if cuda:
            torch.cuda.synchronize()
        worked.append((time.process_time() - cpu) / count)
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
        cpu_seconds=math.nan if cuda else rounded(statistics.median(worked[-len(found) :])),
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
            if any(_ended(other, point) for other in known.values()):
                continue
            row = (guarded if cuda else in_its_own_process)(point, asked.repeats, asked.max_seconds)
            known[point] = row
            append(asked.csv, row)
        said = f"{number:4} of {len(points)}  {point.network} batch {point.batch}: {row}"
        print(said, file=sys.stderr, flush=True)


def _ended(row: Row, point: Point) -> bool:
    """Whether a smaller batch of the same network was too much already."""
    same = row.network == point.network and row.setting == point.setting
    return same and row.batch < point.batch and row.status in ("too slow", "out of memory")


def _draw(asked: argparse.Namespace) -> None:
    from topfive.inspect.speed_charts import draw

    rows = [row for row in read(asked.csv).values() if row.status == "done"]
    if not rows:
        raise Problem(
            f"--csv {asked.csv} has no row yet. Measure first: python benchmarks/networks.py"
        )
    for file in draw(rows, asked.chart):
        print(file)


if __name__ == "__main__":
    sys.exit(main())
