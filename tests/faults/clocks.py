"""The wall clock jumps in mid-run, as it does when a machine hears from its time server."""

import time
from functools import partial

from comparison import result, same_as
from injection import Bench, Fault
from small_training import training
from started import expect

# A checkpoint every 0.3 s.
BY_TIME = ("trainer.checkpoint_every=null", "trainer.checkpoint_minutes=0.005")
HOUR, YEAR = 3600.0, 365 * 24 * 3600.0


def jump(seconds: float, after: float) -> None:
    """In the training: time.time goes on from `seconds` away once `after` seconds have gone by."""
    told, began = time.time, time.monotonic()

    def moved() -> float:
        return told() + (seconds if time.monotonic() - began > after else 0.0)

    time.time = moved


def clock_jumps(bench: Bench, name: str, times: int) -> str:
    """By the wall clock a checkpoint would be due at every step, or never again."""
    shown = []
    for seconds in (HOUR, -HOUR, YEAR, -YEAR):
        with training(bench.folder / f"{name}-{seconds:.0f}", *BY_TIME) as one:
            since = time.monotonic()
            one.finish(partial(jump, seconds, 0.5))
            lived = time.monotonic() - since
            same_as(bench.reference(), one)
            spent = result(one.run)["wall_seconds"]
            expect(0 < spent < lived, f"wall_seconds is {spent}, of {lived:.1f} s")
            shown.append(f"{spent:.1f}")
    return f"bit for bit; {', '.join(shown)} s of training told, all true"


FAULTS = (
    Fault(
        "clock_jumps",
        "the wall clock jumps an hour and a year, forth and back",
        4,
        "nothing notices",
        clock_jumps,
    ),
)
