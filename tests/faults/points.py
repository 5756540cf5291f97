"""Where a process is killed: at a moment, or just ahead of what it does to a file of its run."""

import os
import signal
import sys
from functools import partial
from pathlib import Path

from started import Prepare

# Python's audit events of what changes a folder; each is told ahead of the deed.
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")


def count_operations(tally: Path) -> Prepare:
    """Writes down what the process does to files of outputs/, one line each, in `tally`."""
    return partial(_watch, "outputs", 0, str(tally))


def killed_ahead_of(operation: int) -> Prepare:
    """SIGKILL just ahead of the operation of this number, from 1 on."""
    return partial(_watch, "outputs", operation, os.devnull)


def _watch(folder: str, last: int, tally: str) -> None:
    seen = 0
    sink = os.open(tally, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if not _changes(event, arguments) or folder not in str(arguments[0]):
            return
        seen += 1
        os.write(sink, f"{event} {Path(str(arguments[0])).name}\n".encode())
        if seen == last:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hear)


def _changes(event: str, arguments: tuple[object, ...]) -> bool:
    if event == "open":
        flags = arguments[2]
        return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
    return event in CHANGES
