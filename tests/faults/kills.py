"""SIGKILL, SIGTERM and SIGINT, at any moment of a training's life."""

import signal
import time

from comparison import one_line, same_as
from injection import Bench, Fault
from points import count_operations, killed_ahead_of
from small_training import Training, training
from started import Started, expect, last_line, wait_for


def killed_at_moments(bench: Bench, name: str, times: int) -> str:
    """Killed, gone on with, killed ... until it ends, and the same with the next until all kills are done."""
    draws, reference = bench.draws(name), bench.reference()
    life = seconds_of_life(bench)
    kills = ends = 0
    while kills < times:
        with training(bench.folder / f"{name}-{ends}") as one:
            ended = False
            while kills < times and not ended:
                ended = survives(one, draws.uniform(0, life))
                kills += not ended
            if not ended:
                one.finish()
            same_as(reference, one)
            ends += 1
    return f"{ends} trainings, each bit for bit as the undisturbed one"


def survives(one: Training, seconds: float) -> bool:
    """Starts `one` and kills it after `seconds`, unless it has ended well by then."""
    process = one.start()
    time.sleep(seconds)
    process.send(signal.SIGKILL)
    status = process.end()
    expect(status in (0, -signal.SIGKILL), f"status {status}: {last_line(process.output)}")
    return status == 0


def seconds_of_life(bench: Bench) -> float:
    """How long the small training lives when nobody kills it."""
    since = time.monotonic()
    with training(bench.folder / "timed") as timed:
        timed.finish()
    return time.monotonic() - since


def killed_while_importing(bench: Bench, name: str, times: int) -> str:
    draws = bench.draws(name)
    with training(bench.folder / name) as one:
        for _ in range(times):
            process = one.start(plain=True)
            time.sleep(draws.uniform(0, 3))
            process.send(signal.SIGKILL)
            process.end()
        one.finish(plain=True)
        same_as(bench.reference(), one)
    return "nothing to go on with: it began, and ended as the undisturbed one"


def killed_at_operations(bench: Bench, name: str, times: int) -> str:
    """Ahead of what it does to its own files: between two renames, before the result, after it ..."""
    draws, tally = bench.draws(name), bench.folder / "operations"
    with training(bench.folder / "counted") as counted:
        counted.finish(count_operations(tally))
    operations = tally.read_text().splitlines()
    # The last one comes after the result: whoever repeats the command then must not train all over again.
    at = [*sorted(draws.sample(range(1, len(operations)), times - 1)), len(operations)]
    for number in at:
        with training(bench.folder / f"{name}-{number}") as one:
            status = one.start(killed_ahead_of(number)).end()
            expect(status == -signal.SIGKILL, f"it lived, with status {status}")
            one.finish()
            where = f"killed ahead of {operations[number - 1]}"
            _same(bench, one, where)
    return (
        f"{times} of its {len(operations)} file operations: each bit for bit as the undisturbed one"
    )


def _same(bench: Bench, one: Training, where: str) -> None:
    try:
        same_as(bench.reference(), one)
    except Exception as error:
        raise type(error)(f"{where}: {error}") from None


def asked_to_stop(bench: Bench, name: str, times: int) -> str:
    number = signal.SIGTERM if "sigterm" in name else signal.SIGINT
    status, draws = 75 if number == signal.SIGTERM else 130, bench.draws(name)
    heard = 0
    for turn in range(times):
        with training(bench.folder / f"{name}-{turn}", "trainer.checkpoint_every=1000") as one:
            process = one.start()
            wait_for(lambda one=one: training_is_under_way(one), process, "the first row")
            time.sleep(draws.uniform(0, 0.5))
            process.send(number)
            if process.end() != 0:
                heard += 1
                stopped(process, status)
                expect(list(one.outputs.glob("*/last.ckpt")), "nothing was saved")
                one.finish()
            same_as(bench.reference(), one)
    return f"status {status} and one line, {heard} times; went on bit for bit"


def training_is_under_way(one: Training) -> bool:
    return bool(list(one.outputs.glob("*/curve.csv")))


def stopped(process: Started, status: int) -> None:
    expect(process.poll() == status, f"status {process.poll()}, not {status}")
    one_line(process, "stopped by SIG.*resume=auto")


def asked_to_stop_early(bench: Bench, name: str, times: int) -> str:
    """Before its first step there is nothing to save; the status is still the one that a cluster reads."""
    with training(bench.folder / name) as one:
        process = one.start()
        wait_for(lambda: list(one.outputs.glob("*/config.yaml")), process, "its configuration")
        process.send(signal.SIGTERM)
        process.end()
        stopped(process, 75)
        one.finish()
        same_as(bench.reference(), one)
    return "status 75 and one line; began, and ended as the undisturbed one"


def asked_twice(bench: Bench, name: str, times: int) -> str:
    """Two at once, of whom the second may come while the first is being served."""
    for turn in range(times):
        with training(bench.folder / f"{name}-{turn}") as one:
            process = one.start()
            wait_for(lambda one=one: training_is_under_way(one), process, "the first row")
            for number in (signal.SIGTERM, signal.SIGTERM):
                process.send(number)
                time.sleep(0.01 * turn)
            status = process.end()
            if status != 0:
                stopped(process, 75)
            one.finish()
            same_as(bench.reference(), one)
    return "saved, status 75 and one line; went on bit for bit"


FAULTS = (
    Fault(
        "sigkill",
        "SIGKILL at a random moment",
        15,
        "resume=auto ends as if nothing had been",
        killed_at_moments,
    ),
    Fault(
        "sigkill_at_files",
        "SIGKILL ahead of a random operation on the run's files",
        15,
        "the same",
        killed_at_operations,
    ),
    Fault(
        "sigkill_importing",
        "SIGKILL in the first three seconds of `python train.py`",
        3,
        "the same",
        killed_while_importing,
    ),
    Fault(
        "sigterm",
        "SIGTERM at a random moment of training",
        3,
        "saved; status 75; goes on",
        asked_to_stop,
    ),
    Fault(
        "sigint",
        "Ctrl-C at a random moment of training",
        3,
        "saved; status 130; goes on",
        asked_to_stop,
    ),
    Fault(
        "sigterm_early",
        "SIGTERM before the first step",
        1,
        "status 75; the same command begins",
        asked_to_stop_early,
    ),
    Fault("sigterm_twice", "two SIGTERMs", 3, "as one", asked_twice),
)
