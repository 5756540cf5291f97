"""The jobs of a multirun, from what became of them before to what became of them now."""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import TaskFunction

from topfive.launch.child import last_line
from topfive.launch.engine import Engine, Submitted
from topfive.launch.jobs import Job, current
from topfive.outcomes import state
from topfive.problems import Problem
from topfive.session import CTRL_C, PREEMPTED, StopSignals


def carry_out(
    engine: Engine, jobs: Sequence[Job], callbacks: Callbacks, task: TaskFunction, wait: bool
) -> list[JobReturn]:
    """Runs the jobs that are open and tells `callbacks` as each ends; those before are told at once.

    Without `wait` the others are told as well, as soon as they are queued. Ctrl-C ends the watch (exit
    status 130, SIGTERM 75), and the engine says what becomes of the jobs.
    """
    sweep = Sweep(engine, callbacks, task)
    signals = StopSignals()
    signals.listen()
    try:
        sweep.begin(jobs, wait)
        while sweep.watched and not signals.number:
            time.sleep(engine.interval)
            sweep.look()
        if sweep.watched:
            print(f"\n{engine.leave(list(sweep.watched.values()))}", file=sys.stderr, flush=True)
            sys.exit(CTRL_C if signals.number == signal.SIGINT else PREEMPTED)
    finally:
        signals.restore()
    return [sweep.returns[job.number] for job in jobs]


class Sweep:
    """watched: the jobs that have not ended, by number; returns: what became of the others."""

    def __init__(self, engine: Engine, callbacks: Callbacks, task: TaskFunction):
        self.engine, self.callbacks, self.task = engine, callbacks, task
        self.jobs: dict[int, Job] = {}
        self.watched: dict[int, Submitted] = {}
        self.returns: dict[int, JobReturn] = {}
        self.failed = 0
        self.shown = ""

    def begin(self, jobs: Sequence[Job], wait: bool) -> None:
        """Submits what is neither finished, nor being run, nor failed and not asked for again."""
        open_jobs = []
        for job in jobs:
            with current(job.composed):
                self.callbacks.on_job_start(config=job.composed, task_function=self.task)
            before = state(job.config, job.directory)
            if before.calls_for_work(job.config["retry"]):
                open_jobs.append(job)
            else:
                self._say(f"job {job.number} {before.line}")
                self._end(job, None)
        submitted = self.engine.submit(open_jobs) if open_jobs else []
        self._say(f"{len(open_jobs)} of {len(jobs)} jobs started")
        if wait:
            self.jobs = {job.number: job for job in open_jobs}
            self.watched = dict(zip(self.jobs, submitted, strict=True))
        else:
            for job in open_jobs:
                self._end(job, None)

    def look(self) -> None:
        """Tells what ended since the last look, and how many there are of each stage."""
        stages = {number: one.stage() for number, one in self.watched.items()}
        for number in [number for number, stage in stages.items() if stage == "ended"]:
            del self.watched[number]
            self._conclude(self.jobs[number])
        counts = Counter(stages.values())
        line = (
            f"{counts['queued']} queued, {counts['running']} running, "
            f"{len(self.returns) - self.failed} done, {self.failed} failed"
        )
        if line != self.shown:
            self.shown = line
            self._say(line)

    def _conclude(self, job: Job) -> None:
        outcome, log = state(job.config, job.directory), Path(self.engine.log(job))
        if outcome.state in ("done", "running"):
            return self._end(job, None)
        why = outcome.why or last_line(log) or "it ended without a word"
        self.failed += 1
        self._say(f"job {job.number} failed: {why} ({os.path.relpath(log)})")
        self._end(job, Problem(why))

    def _end(self, job: Job, problem: Problem | None) -> None:
        told = JobReturn(
            overrides=list(job.composed.hydra.overrides.task),
            cfg=job.composed,
            hydra_cfg=job.composed,
            working_dir=str(Path.cwd()),
            task_name="train",
            status=JobStatus.FAILED if problem else JobStatus.COMPLETED,
        )
        told.return_value = problem
        self.returns[job.number] = told
        with current(job.composed):
            self.callbacks.on_job_end(config=job.composed, job_return=told)

    def _say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)
