"""Jobs as processes of this machine, some at a time, by submitit's local executor."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from topfive.launch.child import held_back
from topfive.launch.engine import Stage, Submitted
from topfive.launch.extra import demand
from topfive.launch.jobs import Job

FOREVER = 60 * 24 * 365  # minutes; submitit ends a job after two where nothing is said


class Local:
    """At most `at_once` jobs; the others wait. Job k of those is dealt the k-th share of the GPUs."""

    interval = 0.5

    def __init__(self, folder: str, at_once: int):
        demand("submitit", "slurm")
        from submitit import LocalExecutor

        self.folder = Path(folder).absolute()
        self.executor = LocalExecutor(self.folder / "submitit")
        self.executor.update_parameters(timeout_min=FOREVER, stderr_to_stdout=True)
        self.places: list[LocalJob | None] = [None] * at_once

    def log(self, job: Job) -> str:
        return str(self.folder / f"{job.number}.log")

    def submit(self, jobs: Sequence[Job]) -> Sequence[Submitted]:
        return [LocalJob(self, job) for job in jobs]

    def leave(self, left: Sequence[Submitted]) -> str:
        running = [one for one in self.places if one is not None and one.stage() == "running"]
        for one in running:
            one.stop()
        while any(one.stage() == "running" for one in running):
            time.sleep(self.interval)
        return f"stopped, {len(running)} jobs saved, {len(left) - len(running)} not begun: the same command goes on"

    def start(self, waiting: "LocalJob") -> Any:
        """submitit's job, once there is a place for this one."""
        for k, taken in enumerate(self.places):
            if taken is None or taken.stage() == "ended":
                self.places[k] = waiting
                return self._start(waiting.job, k)
        return None

    def _start(self, job: Job, place: int) -> Any:
        from topfive.launch.training import Training

        gpus = dealt(_gpus(), place, job.size(cpus=1).gpus)
        training = Training(
            job.command,
            Path.cwd(),
            Path(self.log(job)),
            environment={"CUDA_VISIBLE_DEVICES": ",".join(gpus)},  # submitit shows none otherwise
        )
        with held_back(
            signal.SIGINT
        ):  # Ctrl-C is for the launcher, which stops its jobs by SIGTERM
            return self.executor.submit(training)


class LocalJob:
    """A job that waits for its place, then a process of submitit's."""

    def __init__(self, engine: Local, job: Job):
        self.engine, self.job = engine, job
        self.submitted: Any = None

    def stage(self) -> Stage:
        if self.submitted is None:
            self.submitted = self.engine.start(self)
        if self.submitted is None:
            return "queued"
        return "ended" if self.submitted.done() else "running"

    def stop(self) -> None:
        os.kill(int(self.submitted.job_id), signal.SIGTERM)


def dealt(gpus: Sequence[str], place: int, wanted: int) -> list[str]:
    """The GPUs of the job at `place`, when each takes as many as it wants in turn, and round again."""
    return [gpus[(place * wanted + k) % len(gpus)] for k in range(min(wanted, len(gpus)))]


def _gpus() -> list[str]:
    """The GPUs that this process sees, by the names that CUDA_VISIBLE_DEVICES takes."""
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is not None:
        return [name for name in shown.split(",") if name]
    from torch.cuda import device_count

    return [str(k) for k in range(device_count())]
