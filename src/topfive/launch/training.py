"""A job as submitit runs it: it is stopped by a signal, saves, is queued again and goes on."""

import os
import signal
from dataclasses import dataclass, field, replace
from pathlib import Path

from submitit import JobEnvironment
from submitit.helpers import DelayedSubmission

from topfive.launch.child import Child
from topfive.session import PREEMPTED


@dataclass
class Training:
    """`command` in `folder`, its output in `log` (further ranks: beside it).

    requeues: how often a job that was stopped by SIGTERM, from whomever, is queued again. Where
    submitit's own signal stopped it, it always is; submitit counts time limits.
    """

    command: list[str]
    folder: Path
    log: Path
    requeues: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    child: Child | None = field(default=None, init=False)

    def __call__(self) -> None:
        """Raises RuntimeError where train.py fails, so that the cluster knows."""
        os.environ.update(self.environment)
        rank = JobEnvironment().global_rank
        log = self.log.with_suffix(f".{rank}{self.log.suffix}") if rank else self.log
        self.child = child = Child(self.command, self.folder, log)
        # In place of submitit's handler, which lets SIGTERM pass.
        signal.signal(signal.SIGTERM, lambda *_: child.stop())
        child.start()
        status = child.wait()
        if status == PREEMPTED and rank == 0 and self.requeues:
            # submitit's handler calls checkpoint() and queues the job, of which this is a rank.
            signal.raise_signal(getattr(signal, f"SIG{JobEnvironment.USR_SIG}"))
        if status not in (0, PREEMPTED):
            raise RuntimeError(f"train.py ended with status {status}: {log}")

    def checkpoint(self) -> DelayedSubmission:
        """The same command again, once train.py has saved; called in rank 0 only, which tells the others."""
        if self.child is not None:
            self.child.stop()
            self.child.wait_in_handler()
        return DelayedSubmission(replace(self, requeues=max(0, self.requeues - 1)))
