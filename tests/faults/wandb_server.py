"""What becomes of a run when its W&B server fails it: nothing."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from comparison import same_as
from injection import Bench, Fault
from small_training import Training
from started import expect, wait_for
from wandb_stand_in import KEY, StandIn

BOUND = (
    60  # seconds more than the run takes without W&B: two of its timeouts of 10 and 30 s, and slack
)


@contextmanager
def logged(bench: Bench, name: str) -> Iterator[tuple[StandIn, Training]]:
    """A server, and a training that is logged to it."""
    server, folder = StandIn(), bench.folder / name
    scratch = {f"WANDB_{kind}_DIR": str(folder) for kind in ("CONFIG", "CACHE", "DATA")}
    environment = {
        "WANDB_MODE": "online", "WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY,
        "WANDB_HTTP_TIMEOUT": "2", "WANDB_ERROR_REPORTING": "false", **scratch,
    }  # fmt: skip
    one = Training(folder, ["logger=default", "logger.wandb=true"], environment)
    try:
        yield server, one
    finally:
        one.destroy()
        if server.thread.is_alive():
            server.leave()


def failing(bench: Bench, name: str, times: int, fail: Callable[[StandIn], None]) -> str:
    with logged(bench, name) as (server, one):
        since = time.monotonic()
        process = one.start(plain=True)
        wait_for(lambda: list(one.outputs.glob("*/curve.csv")), process, "the first row")
        fail(server)
        status = process.end()
        seconds = time.monotonic() - since
        expect(status == 0, f"status {status}: {process.output[-200:]}")
        expect("Traceback" not in process.output, "a stack trace")
        same_as(bench.reference(), one)
        told = [line for line in process.output.splitlines() if line.startswith("W&B: ")]
        expect(len(told) <= 1, f"{len(told)} warnings: {told}")
    return f"result and curve bit for bit; ended after {seconds:.0f} s; {told[0][:90] if told else 'no warning'}"


def vanish(server: StandIn) -> None:
    server.leave()


def answer_502(server: StandIn) -> None:
    server.down = True


def slow_down(server: StandIn) -> None:
    """A second for every answer, from here on."""
    answer, lock = server.answer, threading.Lock()

    def slowly(operation, variables):
        with lock:
            time.sleep(1)
            return answer(operation, variables)

    server.answer = slowly


def fault(name: str, what: str, fail: Callable[[StandIn], None]) -> Fault:
    def inject(bench: Bench, name: str, times: int) -> str:
        return failing(bench, name, times, fail)

    expected = "result and curve as without; one line at most; a bounded wait"
    return Fault(name, f"the W&B server {what} in mid-run", 1, expected, inject)


FAULTS = (
    fault("wandb_vanishes", "vanishes", vanish),
    fault("wandb_502", "answers 502", answer_502),
    fault("wandb_slow", "takes a second for every answer", slow_down),
)
