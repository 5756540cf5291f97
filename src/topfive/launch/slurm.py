"""Jobs through sbatch, by submitit: those of one size are one array."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from topfive.launch.engine import Stage, Submitted
from topfive.launch.extra import demand
from topfive.launch.jobs import Job, Size
from topfive.problems import Problem

# A rank that dies takes the others along; where one has ended well, they have this many seconds.
TOGETHER = ["--kill-on-bad-exit=1", "--wait=600"]


class Slurm:
    """cpus_per_task: of every device; requeues: times that a job comes back; the rest is sbatch's own.

    Raises Problem where there is no SLURM.
    """

    interval = 5.0

    def __init__(
        self,
        folder: str,
        cpus_per_task: int | None,
        requeues: int,
        additional_parameters: dict[str, Any],
        **parameters: Any,
    ):
        demand("submitit", "slurm")
        if shutil.which("sbatch") is None or shutil.which("srun") is None:
            raise Problem(
                "there is no sbatch here: start this on a machine that submits to SLURM, or take hydra/launcher=local."
            )
        self.folder = Path(folder).absolute()
        self.cpus, self.requeues = cpus_per_task, requeues
        given = {name: value for name, value in parameters.items() if value not in (None, [])}
        self.parameters = {
            "name": "topfive",
            "stderr_to_stdout": True,
            "srun_args": TOGETHER,
            "additional_parameters": {"requeue": True, **additional_parameters},
            **given,
        }

    def log(self, job: Job) -> str:
        return str(self.folder / f"{job.number}.log")

    def submit(self, jobs: Sequence[Job]) -> Sequence[Submitted]:
        from submitit.core.utils import FailedJobError
        from submitit.helpers import clean_env

        sizes = [job.size(self.cpus) for job in jobs]
        taken: dict[int, SlurmJob] = {}
        try:
            with clean_env():  # of a job of SLURM that this may be started in
                for size in dict.fromkeys(sizes):
                    alike = [job for job, its in zip(jobs, sizes, strict=True) if its == size]
                    for job, one in zip(alike, self._array(size, alike), strict=True):
                        taken[job.number] = one
        except FailedJobError as refusal:
            said = "; ".join(str(refusal).strip().splitlines())
            raise Problem(f"sbatch refused: {said}") from refusal
        return [taken[job.number] for job in jobs]

    def leave(self, left: Sequence[Submitted]) -> str:
        numbers = sorted({one.number for one in left if isinstance(one, SlurmJob)})
        return (
            f"{len(left)} jobs stay with SLURM; to end them: scancel {' '.join(numbers)}. The same command, "
            f"once they are through, shows the table."
        )

    def _array(self, size: Size, jobs: Sequence[Job]) -> "list[SlurmJob]":
        from submitit import SlurmExecutor

        from topfive.launch.training import Training

        executor = SlurmExecutor(self.folder / "submitit", max_num_timeout=self.requeues)
        executor.update_parameters(
            **executor._convert_parameters(
                {
                    **self.parameters,
                    "nodes": size.nodes,
                    "tasks_per_node": size.devices,
                    "cpus_per_task": size.cpus,
                    **({"gpus_per_node": size.gpus} if size.gpus else {}),
                }
            )
        )
        trainings = [
            Training(job.command, Path.cwd(), Path(self.log(job)), self.requeues) for job in jobs
        ]
        return [SlurmJob(one) for one in executor.submit_array(trainings)]


class SlurmJob:
    """A job that SLURM has accepted; number: of the array that it is of, or its own."""

    def __init__(self, submitted: Any):
        self.submitted = submitted
        self.number: str = submitted.job_id.partition("_")[0]

    def stage(self) -> Stage:
        if self.submitted.done():
            return "ended"
        return "running" if self.submitted.state in ("RUNNING", "COMPLETING") else "queued"
