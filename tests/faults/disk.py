"""The disk fills up while something is written to it: a real one, a tmpfs that is made and taken away."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from comparison import one_line, same_as
from injection import Bench, Fault
from small_training import training
from started import NotHere, expect

from topfive.checkpoint_files import newest_whole

BALLAST = "ballast"
SIZE = 32 << 20  # bytes; a checkpoint of the small network takes 0.6 MB


@contextmanager
def small_disk(place: Path) -> Iterator[None]:
    place.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True).returncode:
        raise NotHere("only root can mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def full_ahead_of(name: str, turn: int) -> None:
    """In the training: fills outputs/ just ahead of the `turn`-th time that a file of this name is opened to write."""
    opened = 0

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal opened
        writes = event == "open" and int(str(arguments[2])) & (os.O_WRONLY | os.O_RDWR)
        if writes and name in Path(str(arguments[0])).name:
            opened += 1
            if opened == turn:
                fill(Path("outputs", BALLAST))

    sys.addaudithook(hear)


def fill(file: Path) -> None:
    number = os.open(file, os.O_WRONLY | os.O_CREAT)
    for size in (1 << 20, 1 << 12, 1):
        try:
            while True:
                os.write(number, b"\0" * size)
        except OSError:
            pass
    os.close(number)


def disk_full(bench: Bench, name: str, times: int, file: str, turn: int) -> str:
    with training(bench.folder / name) as one, small_disk(one.outputs):
        failed = one.start(partial(full_ahead_of, file, turn))
        status = failed.end()
        expect((one.outputs / BALLAST).exists(), "it did not come that far")
        expect(status == 1, f"status {status}")
        said = one_line(failed, "free some space")
        if turn > 1:
            expect(newest_whole(one.run / "last.ckpt", print), "no checkpoint is whole")
        (one.outputs / BALLAST).unlink()
        one.finish()
        same_as(bench.reference(), one)
    return f"status 1: {said[:80]} ...; went on bit for bit"


def fault(name: str, what: str, file: str, turn: int) -> Fault:
    inject = partial(disk_full, file=file, turn=turn)
    return Fault(
        name, f"disk full when {what}", 1, "one line with the remedy; then goes on", inject
    )


FAULTS = (
    fault("disk_full_at_start", "a run begins", ".config.yaml", 1),
    fault("disk_full_at_checkpoint", "the fifth checkpoint is written", ".last.ckpt.part", 5),
    fault("disk_full_at_curve", "the curve is begun", "curve.csv", 1),
    fault("disk_full_at_predictions", "the predictions are written", ".predictions-", 1),
    fault("disk_full_at_result", "the result is written", ".result.json", 1),
)
