"""Launchers that run every job of a multirun as a process of its own: hydra/launcher=local, slurm or ray.

Hydra takes launchers from the package hydra_plugins only, and imports all of it at every start: nothing
heavy at its top. Their keys are in conf/hydra/launcher, what they do in topfive.launch.
"""

import sys
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from topfive.launch.engine import Engine


class JobLauncher(Launcher):
    """wait: until the jobs have ended. options: those of the engine that runs them."""

    def __init__(self, wait: bool = True, **options: Any) -> None:
        self.wait, self.options = wait, options

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """What became of each job; a Problem ends the command, before any job is started where it can."""
        from topfive.launch.jobs import composed
        from topfive.launch.sweep import carry_out
        from topfive.problems import Problem

        try:
            jobs = composed(self.context, self.config, job_overrides, initial_job_idx)
            return carry_out(self.engine(), jobs, self.context.callbacks, self.task, self.wait)
        except Problem as problem:
            sys.exit(f"train.py: {problem}")

    @abstractmethod
    def engine(self) -> "Engine":
        """What runs the jobs."""


class LocalLauncher(JobLauncher):
    """conf/hydra/launcher/local.yaml"""

    def engine(self) -> "Engine":
        from topfive.launch.local import Local

        return Local(**self.options)


class SlurmLauncher(JobLauncher):
    """conf/hydra/launcher/slurm.yaml"""

    def engine(self) -> "Engine":
        from topfive.launch.slurm import Slurm

        return Slurm(**self.options)


class RayLauncher(JobLauncher):
    """conf/hydra/launcher/ray.yaml"""

    def engine(self) -> "Engine":
        from topfive.launch.ray_tasks import RayTasks

        return RayTasks(**self.options)
