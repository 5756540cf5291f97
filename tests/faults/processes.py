"""Of several processes one is killed: a loader's worker, a rank; or two train the same run."""

import signal
import time

import psutil
from comparison import one_line, same_as
from injection import Bench, Fault
from small_training import training
from started import Started, expect, wait_for

WORKERS = ("loader=torch", "loader.workers=2")
TWO = ("trainer.devices=2",)


def worker_killed(bench: Bench, name: str, times: int) -> str:
    with training(bench.folder / name, *WORKERS) as one:
        process = one.start()
        wait_for(lambda: list(one.outputs.glob("*/last.ckpt")), process, "the first checkpoint")
        workers = children(process)
        expect(workers, "it has no workers")
        workers[0].kill()
        status = process.end()
        expect(status == 1, f"status {status}")
        said = one_line(process, "worker", "resume=auto")
        one.finish()
        same_as(bench.reference(), one)
    return f"status 1: {said[:110]} ...; no worker left; went on bit for bit"


def children(process: Started) -> list[psutil.Process]:
    """Python processes that this one has started and that are not its helpers."""
    found = psutil.Process(process.pid).children(recursive=True)
    return [child for child in found if "resource_tracker" not in " ".join(child.cmdline())]


def rank_killed(bench: Bench, name: str, times: int, rank: int, later: int) -> str:
    """Rank `rank` of two; goes on with `later` of them."""
    with training(bench.folder / name, *TWO) as one:
        process = one.start(plain=True)
        wait_for(lambda: list(one.outputs.glob("*/last.ckpt")), process, "the first checkpoint")
        (other,) = (c for c in children(process) if "train.py" in " ".join(c.cmdline()))
        (other if rank else psutil.Process(process.pid)).kill()
        since = time.monotonic()
        status = process.end()
        while other.is_running() and other.status() != psutil.STATUS_ZOMBIE:
            expect(time.monotonic() - since < 60, "the other rank went on for a minute")
            time.sleep(0.1)
        seconds = time.monotonic() - since
        expect(status == (1 if rank else -signal.SIGKILL), f"status {status}")
        one_line(process, "resume=auto")
        one.overrides = [f"trainer.devices={later}"]
        one.finish(plain=True)
        # Over one process and over two, sums are rounded otherwise.
        same_as(bench.reference(*TWO), one, bits=later == 2)
    return f"the other ended {seconds:.0f} s later with one line; went on with {later}"


def two_at_once(bench: Bench, name: str, times: int) -> str:
    with training(bench.folder / name) as one:
        first = one.start()
        wait_for(lambda: list(one.outputs.glob("*/last.ckpt")), first, "the first checkpoint")
        first.send(signal.SIGKILL)
        first.end()
        both = one.start(), one.start()
        statuses = sorted(process.end() for process in both)
        if statuses == [0, 1]:
            (refused,) = (process for process in both if process.poll() == 1)
            one_line(refused, "is being trained by")
        expect(statuses == [0, 1], f"both ended with {statuses}")
        same_as(bench.reference(), one)
    return "one went on bit for bit, the other was refused in one line"


def rank(number: int, later: int) -> Fault:
    def inject(bench: Bench, name: str, times: int) -> str:
        return rank_killed(bench, name, times, number, later)

    expected = f"the other ends, told in one line; goes on with {later}"
    return Fault(f"rank_{number}_killed", f"rank {number} of 2 SIGKILLed", 1, expected, inject)


FAULTS = (
    Fault(
        "worker_killed",
        "a worker of the torch loader SIGKILLed",
        1,
        "one line; no orphan; goes on",
        worker_killed,
    ),
    rank(1, 2),
    rank(0, 1),
    Fault("two_at_once", "the command given twice at once", 1, "exactly one goes on", two_at_once),
)
