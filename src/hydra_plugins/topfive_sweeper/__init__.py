"""A sweeper of listed jobs (sweep=table), and a launcher that only lists them (hydra/launcher=list).

Hydra takes plugins from the package hydra_plugins only, and imports all of it at every start: nothing
heavy at its top. Their keys are in conf/hydra.
"""

import sys
from collections.abc import Sequence
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class JobsSweeper(BasicSweeper):
    """Hydra's own takes products only; this one goes through the list of jobs that topfive.sweeps calls `jobs`."""

    def __init__(
        self, jobs: str, max_batch_size: int | None = None, params: dict[str, str] | None = None
    ) -> None:
        super().__init__(max_batch_size, params)
        self.jobs = jobs

    def sweep(self, arguments: list[str]) -> Any:
        """Launches all at once. What is typed overrules the list; a typed model keeps its jobs only."""
        from topfive.problems import Problem
        from topfive.sweeps import spelled_out

        assert self.launcher is not None
        try:
            batch, left_out = spelled_out(self.jobs, [*self._parse_config(), *arguments])
        except Problem as problem:
            sys.exit(f"train.py: {problem}")
        if not isinstance(self.launcher, ListLauncher):  # which composes them itself
            self.validate_batch_is_legal(_first_seeds(batch))
        for line in left_out:
            print(line, flush=True)
        results = self.launcher.launch(batch, initial_job_idx=0)
        for one in results:
            _ = one.return_value  # raises what the job raised
        return results


def _first_seeds(batch: list[list[str]]) -> list[list[str]]:
    """One job of those that differ in their seed alone: to compose one takes a fraction of a second."""
    firsts: dict[tuple[str, ...], list[str]] = {}
    for job in batch:
        firsts.setdefault(tuple(one for one in job if not one.startswith("seed=")), job)
    return list(firsts.values())


class ListLauncher(Launcher):
    """Runs nothing: prints every job of a multirun and what became of it so far."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        self.context, self.config = hydra_context, config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        from topfive.sweeps import listing

        for line in listing(self.context, self.config, job_overrides, initial_job_idx):
            print(line, flush=True)
        return []
