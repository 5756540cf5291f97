"""Jobs as tasks of Ray, each a process of its own where Ray finds room for it."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from topfive.launch.child import Child
from topfive.launch.engine import Stage, Submitted
from topfive.launch.extra import demand
from topfive.launch.jobs import Job, Size
from topfive.problems import Problem


class RayTasks:
    """address: of a cluster that is there, None for one of this machine; cpus_per_task: of every device."""

    interval = 1.0

    def __init__(self, folder: str, address: str | None, cpus_per_task: int | None):
        demand("ray", "ray")
        self.folder, self.address, self.cpus = Path(folder).absolute(), address, cpus_per_task

    def log(self, job: Job) -> str:
        return str(self.folder / f"{job.number}.log")

    def submit(self, jobs: Sequence[Job]) -> Sequence[Submitted]:
        import ray

        self.folder.mkdir(parents=True, exist_ok=True)
        ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR)
        sizes = [job.size(self.cpus) for job in jobs]
        for job, size in zip(jobs, sizes, strict=True):
            _refuse_unfit(job, size, ray.cluster_resources())  # type: ignore[no-untyped-call]
        # A job that ends is not run again by Ray: it is for the sweep to say.
        task = ray.remote(max_retries=0)(train)
        return [
            RayJob(
                task.options(num_cpus=size.cpus * size.devices, num_gpus=size.gpus).remote(
                    job.command, Path.cwd(), Path(self.log(job))
                ),
                Path(self.log(job)),
            )
            for job, size in zip(jobs, sizes, strict=True)
        ]

    def leave(self, left: Sequence[Submitted]) -> str:
        jobs = [one for one in left if isinstance(one, RayJob)]
        for one in jobs:
            one.cancel()
        while any(one.stage() != "ended" for one in jobs):
            time.sleep(self.interval)
        return f"stopped, what ran of {len(jobs)} jobs is saved: the same command goes on"


class RayJob:
    """A task that Ray has taken; it is running once there is a log."""

    def __init__(self, reference: Any, log: Path):
        self.reference, self.log = reference, log

    def stage(self) -> Stage:
        import ray

        ended, _ = ray.wait([self.reference], timeout=0)
        if ended:
            return "ended"
        return "running" if self.log.exists() else "queued"

    def cancel(self) -> None:
        import ray

        ray.cancel(self.reference)


def train(command: list[str], folder: Path, log: Path) -> int:
    """In a worker of Ray: the exit status. Canceled, it lets train.py save first."""
    child = Child(command, folder, log)
    child.start()
    try:
        while child.lives:
            time.sleep(0.2)  # Ray cancels by an exception, which a longer call would not notice
    except BaseException:
        child.stop()
        child.wait()
        raise
    return child.wait()


def _refuse_unfit(job: Job, size: Size, cluster: dict[str, float]) -> None:
    """Ray would wait for ever."""
    if size.nodes > 1:
        raise Problem(
            f"job {job.number} wants trainer.num_nodes={size.nodes}: a task of Ray is on one node. Take "
            f"hydra/launcher=slurm."
        )
    for name, wanted in (("CPU", size.cpus * size.devices), ("GPU", size.gpus)):
        if wanted > cluster.get(name, 0):
            raise Problem(
                f"job {job.number} wants {wanted} {name}s, Ray has {cluster.get(name, 0):g}: set "
                f"hydra.launcher.cpus_per_task and trainer.devices, or trainer.accelerator=cpu."
            )
