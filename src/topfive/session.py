"""How a command ends: with a result, with one clear line, or interrupted with everything saved."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.conf import HydraConf
from hydra.errors import InstantiationException
from hydra.types import RunMode

from topfive.problems import Problem
from topfive.runs import take_back

PREEMPTED = 75  # EX_TEMPFAIL: try again later
CTRL_C = 130


class Interrupted(BaseException):
    """Training was asked to stop by signal `number` and has saved its state."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


class StopSignals:
    """Ctrl-C and SIGTERM only ask, while it listens: what is being computed is finished first.

    `number` is the signal that was heard, or 0. A second one stops at once.
    """

    def __init__(self) -> None:
        self.number = 0
        self.handlers: dict[int, Any] = {}

    def listen(self) -> None:
        """Takes the place of the handlers that are there."""

        def ask_to_stop(number: int, frame: FrameType | None) -> None:
            if self.number:
                raise KeyboardInterrupt
            self.number = number

        self.handlers = {
            number: signal.signal(number, ask_to_stop) for number in (signal.SIGINT, signal.SIGTERM)
        }

    def restore(self) -> None:
        """Puts the handlers back that were there."""
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.handlers = {}


@contextmanager
def concluding(hydra: HydraConf) -> Iterator[None]:
    """Turns a Problem into one line and exit status 1, an interruption into 130 or 75 (SIGTERM).

    In a multirun a Problem ends its own job only: the others run, and Hydra reports the failure at
    the end.
    """
    try:
        yield
    except (Problem, InstantiationException) as error:
        problem = problem_in(error)
        if problem is None:
            raise
        take_back(Path(hydra.runtime.output_dir))
        if hydra.mode == RunMode.MULTIRUN:
            print(f"job {hydra.job.num} failed: {problem}", file=sys.stderr, flush=True)
            raise problem from None
        sys.exit(f"train.py: {problem}")
    except Interrupted as stop:
        print(f"\nstopped by {stop}; continue with resume=auto", file=sys.stderr, flush=True)
        sys.exit(CTRL_C if stop.number == signal.SIGINT else PREEMPTED)


def problem_in(error: BaseException | None) -> Problem | None:
    """The Problem that Hydra wraps where a class that it calls raises one."""
    while error is not None and not isinstance(error, Problem):
        error = error.__cause__
    return error
