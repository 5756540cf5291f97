"""train.py in a process of its own, which is told to stop once and never outlives who started it."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from topfive.session import PREEMPTED


class Child:
    """A process that appends what it prints to `log`.

    It has a session of its own, so that what a terminal or a cluster sends to a whole group reaches it
    only as `stop`, which is one SIGTERM: train.py saves at the first signal and gives up at the second.
    Where who started it dies, however, the kernel sends that SIGTERM (setpriv, part of util-linux).
    """

    def __init__(self, command: Sequence[str], folder: Path, log: Path):
        follows = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        with open(log, "ab") as output, held_back(signal.SIGUSR2):
            self.process = subprocess.Popen(
                [*follows, *command],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.told = False

    def stop(self) -> None:
        """Asks it to save and end; may be called from a signal handler, and again."""
        if not self.told:
            self.told = True
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGTERM)

    def wait(self) -> int:
        """Its exit status; PREEMPTED also where SIGTERM found it before it listened, with nothing to save."""
        self.wait_in_handler()
        asked, self.told = self.told, True  # once it is collected, its number may be another's
        status = self.process.wait()
        return PREEMPTED if status == -signal.SIGTERM or (asked and status) else status

    def wait_in_handler(self) -> None:
        """As `wait`, but without Popen's lock, which the interrupted `wait` may hold."""
        with suppress(ChildProcessError):  # it is collected
            os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)


@contextmanager
def held_back(number: signal.Signals) -> Iterator[None]:
    """The processes that are started within never see this signal; this one sees it afterwards."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {number})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})


def last_line(log: Path) -> str:
    """What was printed last, a progress bar's last state included; "" where nothing was."""
    try:
        text = log.read_bytes()[-8192:].decode(errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.replace("\r", "\n").splitlines()]
    return next((line for line in reversed(lines) if line), "")
