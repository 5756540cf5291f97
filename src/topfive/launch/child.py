"""train.py in a process of its own, which is told to stop once and never outlives who started it."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from topfive.session import PREEMPTED


class Child:
    """A process that appends what it prints to `log`.

    It has a session of its own, so that what a terminal or a cluster sends to a whole group reaches it
    only as `stop`, which is one SIGTERM, at which train.py saves and ends.
    Where who started it dies, however, the kernel sends that SIGTERM (setpriv, part of util-linux).
    """

    def __init__(self, command: Sequence[str], folder: Path, log: Path):
        self.command, self.folder, self.log = command, folder, log
        self.process: subprocess.Popen[bytes] | None = None
        self.told = False

    def start(self) -> None:
        """Starts it; where `stop` was called already, it is told so at once."""
        follows = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
        with open(self.log, "ab") as output, held_back(signal.SIGUSR2):
            self.process = subprocess.Popen(
                [*follows, *self.command],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if self.told:
            self._tell()

    def stop(self) -> None:
        """Asks it to save and end; may be called from a signal handler, before it starts, and again."""
        if not self.told:
            self.told = True
            self._tell()

    def _tell(self) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGTERM)

    @property
    def lives(self) -> bool:
        """Whether it has started and not ended."""
        return self.process is not None and self.process.poll() is None

    def wait(self) -> int:
        """Its exit status; PREEMPTED also where SIGTERM found it before it listened, with nothing to save."""
        assert self.process is not None
        self.wait_in_handler()
        asked, self.told = self.told, True  # once it is collected, its number may be another's
        status = self.process.wait()
        return PREEMPTED if status == -signal.SIGTERM or (asked and status) else status

    def wait_in_handler(self) -> None:
        """As `wait`, but without Popen's lock, which the interrupted `wait` may hold; at once if it never started."""
        if self.process is None:
            return
        looks = os.WEXITED | os.WNOWAIT | os.WNOHANG
        with suppress(ChildProcessError):  # it is collected
            while os.waitid(os.P_PID, self.process.pid, looks) is None:
                # One long call would sleep through a signal that another thread (of numpy) took.
                time.sleep(0.1)


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
