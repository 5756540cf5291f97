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

from topfive.problems import Problem, problem_in
from topfive.runs import remove_empty

PREEMPTED = 75  # EX_TEMPFAIL: try again later
CTRL_C = 130


class Interrupted(BaseException):
    """Training was asked to stop by signal `number`; its state is saved, unless it was asked twice."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


class StopSignals:
    """Ctrl-C and SIGTERM only ask, while it listens: what is being computed is finished first.

    `number` is the signal that was heard, or 0. A second Ctrl-C stops at once; SIGTERM, which a cluster and
    a launcher may both send, asks no more than once.
    """

    def __init__(self) -> None:
        self.number = 0
        self.handlers: dict[int, Any] = {}

    def listen(self) -> None:
        """Takes the place of the handlers that are there."""

        def ask_to_stop(number: int, frame: FrameType | None) -> None:
            if self.number and number == signal.SIGINT:
                # Of a KeyboardInterrupt Lightning (2.6) makes status 1, without a word.
                raise Interrupted(self.number)
            self.number = self.number or number

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

    In a multirun a Problem ends its own job only: the others run, and report.multirun ends the command
    with status 1. SIGTERM ahead of training or after it ends the command at once.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except (Problem, InstantiationException) as error:
        problem = problem_in(error)
        if problem is None:
            raise
        remove_empty(Path(hydra.runtime.output_dir))
        if hydra.mode == RunMode.MULTIRUN:
            print(f"job {hydra.job.num} failed: {problem}", file=sys.stderr, flush=True)
            raise problem from None
        sys.exit(f"train.py: {problem}")
    except (Interrupted, KeyboardInterrupt) as asked:
        number = asked.number if isinstance(asked, Interrupted) else signal.SIGINT
        remove_empty(Path(hydra.runtime.output_dir))
        if hydra.mode == RunMode.MULTIRUN:
            further = f"job {hydra.job.num} and what is left go on with the same command"
        else:
            further = "continue with resume=auto"
        print(f"\nstopped by {signal.Signals(number).name}; {further}", file=sys.stderr, flush=True)
        sys.exit(CTRL_C if number == signal.SIGINT else PREEMPTED)
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
