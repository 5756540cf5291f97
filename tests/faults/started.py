"""Processes of train.py: how they are started, watched, and seen to have left nothing behind."""

import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import psutil
import torch

TRAIN = str(Path(__file__).parents[2] / "train.py")
PATIENCE = 900  # seconds, after which a process is taken to hang; many times what it takes
LINGERING = 20  # seconds in which what worked for a killed process must notice and go

# Starting a training costs seconds of imports: this process has them behind it, and forks.
FORKS = get_context("forkserver")
IMPORTED = ("torch", "pytorch_lightning", "sklearn.datasets", "topfive.build", "topfive.conclude")
FORKS.set_forkserver_preload(list(IMPORTED))

Prepare = Callable[[], None]  # what a forked process does to itself first; a function of a module


class Unexpected(Exception):
    """An outcome that a user does not deserve."""


class NotHere(Exception):
    """Why a fault cannot be injected on this machine."""


def expect(condition: object, otherwise: str) -> None:
    """Raises Unexpected with `otherwise` unless `condition`."""
    if not condition:
        raise Unexpected(otherwise)


@dataclass
class Started:
    """A process of train.py, in a session of its own: `poll` gives its status, or None, as subprocess does."""

    pid: int
    log: Path
    poll: Callable[[], int | None]

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def end(self, patience: float = PATIENCE) -> int:
        """Its status once it has ended; Unexpected where it hangs, or where something of it goes on."""
        deadline = time.monotonic() + patience
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                self.destroy()
                raise Unexpected(
                    f"it hung: no end after {patience:.0f} s ({last_line(self.output)})"
                )
            time.sleep(0.02)
        deadline = time.monotonic() + LINGERING
        while left := self.session():
            if time.monotonic() > deadline:
                self.destroy()
                raise Unexpected(f"{len(left)} processes were left behind: {left[0].name()}")
            time.sleep(0.1)
        return status

    def session(self) -> list[psutil.Process]:
        """All processes that it started, itself included."""
        found = []
        for process in psutil.process_iter():
            with suppress(OSError, psutil.Error):
                if os.getsid(process.pid) == self.pid and process.status() != "zombie":
                    found.append(process)
        return found

    def destroy(self) -> None:
        for process in self.session():
            with suppress(psutil.Error):
                process.kill()


def start_forked(
    arguments: Sequence[str],
    folder: Path,
    log: Path,
    environment: Mapping[str, str],
    prepare: Sequence[Prepare],
) -> Started:
    """A process that has the imports behind it."""
    target = (arguments, folder, log, environment, prepare)
    process = FORKS.Process(target=carry_out, args=target)
    process.start()
    assert process.pid is not None
    return Started(process.pid, log, lambda: process.exitcode)


def carry_out(
    arguments: Sequence[str],
    folder: Path,
    log: Path,
    environment: Mapping[str, str],
    prepare: Sequence[Prepare],
) -> None:
    """In a forked process: what `python train.py` does."""
    os.setsid()
    number = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(number, 1)
    os.dup2(number, 2)
    torch.set_num_threads(1)  # which was imported before OMP_NUM_THREADS was set
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = [TRAIN, *arguments]
    for action in prepare:
        action()
    runpy.run_path(TRAIN, run_name="__main__")


def start_plain(
    arguments: Sequence[str], folder: Path, log: Path, environment: Mapping[str, str]
) -> Started:
    """As a user types it."""
    with open(log, "ab") as sink:
        process = subprocess.Popen(
            [sys.executable, TRAIN, *arguments],
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Started(process.pid, log, process.poll)


def wait_for(found: Callable[[], object], started: Started, what: str) -> None:
    """Until `found`; Unexpected where the process ends before that."""
    deadline = time.monotonic() + PATIENCE
    while not found():
        expect(started.poll() is None, f"it ended before {what}: {last_line(started.output)}")
        expect(time.monotonic() < deadline, f"it hung before {what}")
        time.sleep(0.01)


def last_line(output: str) -> str:
    lines = output.strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"
