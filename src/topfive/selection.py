"""A sweep that chooses: candidates are tested on the minival, the best is trained on all of train.

A Hydra callback. In conf/sweep: `hydra.callbacks.selection: {_target_: topfive.selection.Selection, key: KEY}`,
with data.candidate=true and the values of KEY under hydra.sweeper.params. Until the choice is made no
job has the reported set at all. A finished job is not done again when the command is repeated.
"""

import json
import shlex
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.utils import JobStatus
from hydra.experimental.callback import Callback
from hydra.types import TaskFunction
from omegaconf import DictConfig, OmegaConf

from topfive.problems import Problem

if TYPE_CHECKING:
    from topfive.choice import Choice
    from topfive.results import Record


@dataclass(frozen=True)
class Job:
    """One candidate of one seed. final: the identity that it has once it is trained on all of train."""

    overrides: tuple[str, ...]
    directory: Path
    value: Any
    seed: int
    identity: str
    final: str
    group: str


class Selection(Callback):
    """Chooses the value of `key`, per network and whatever else was swept; then trains with it.

    Hydra turns an error in a callback into a warning, so what must end the command is a SystemExit.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.jobs: list[Job] = []
        self.task: TaskFunction | None = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Refuses a sweep without a network, and one of a key that the recipe lacks."""
        choices, typed = config.hydra.runtime.choices, list(config.hydra.overrides.task)
        # What is swept is not chosen yet: each job will have its own.
        swept = {one.partition("=")[0] for one in typed if "," in one}
        if choices.model is None and not swept & {"model", "experiment"}:
            from topfive.config import options

            command = shlex.join(["python", "train.py", *typed])
            sys.exit(
                f"train.py: no model is chosen: {command} model=NAME\nModels: {', '.join(options('model'))}"
            )
        place, _, name = self.key.rpartition(".")
        if swept & {"model", "experiment", "recipe"}:
            return
        if name not in (OmegaConf.select(config, place) or ()):
            sys.exit(
                f"train.py: sweep={choices.sweep} chooses {self.key}, which recipe={choices.recipe} has not: "
                f"sweep another key, or choose another recipe."
            )

    def on_job_start(
        self, config: DictConfig, *, task_function: TaskFunction, **kwargs: Any
    ) -> None:
        from topfive import choice
        from topfive.config import settle
        from topfive.identity import identity

        self.task = task_function
        hydra = config.hydra
        try:
            settled = settle(config, hydra.runtime.choices)
        except Problem:
            return  # the job itself will say so
        if not settled["data"].get("candidate"):
            sys.exit(
                "train.py: data.candidate=false would choose by the reported set: leave it out, a sweep that "
                "chooses sets it."
            )
        final = {**settled, "data": {**settled["data"], "candidate": False}}
        self.jobs.append(
            Job(
                overrides=tuple(hydra.overrides.task),
                directory=Path(hydra.runtime.output_dir),
                value=choice.value_of(settled, self.key),
                seed=settled["seed"],
                identity=identity(settled),
                final=identity(final),
                group=choice.group(settled, self.key),
            )
        )

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from rich.console import Console

        from topfive import choice
        from topfive.outcomes import recorded
        from topfive.published import load
        from topfive.report.selection import show
        from topfive.report.table import render

        if not self.jobs:  # another launcher runs them elsewhere, and they are not heard of here
            sys.exit(
                "train.py: nothing is chosen: a sweep that chooses needs Hydra's own launcher."
            )
        final: list[tuple[Job, Choice, Path]] = []
        try:
            for jobs in _grouped(self.jobs):
                made = self._choice(jobs)
                show(made, _what(jobs[0], self.key), Console())
                file = jobs[0].directory.parent / f"selection-{made.group}.json"
                choice.write(made, file)
                final += [(job, made, file) for job in jobs if job.value == made.chosen.value]
        except Problem as problem:
            sys.exit(f"train.py: {problem}")
        self._launch(config, [_overrides(job, file) for job, _, file in final])
        records = [recorded(job.directory, job.final, made.content()) for job, made, _ in final]
        render([one for one in records if one is not None], load(), Console())

    def _choice(self, jobs: Sequence[Job]) -> "Choice":
        from topfive.choice import Candidate, Choice
        from topfive.outcomes import failed, recorded

        records: list[Record] = []
        tried: dict[str, tuple[Any, dict[int, int | None]]] = {}
        for job in jobs:
            record = recorded(job.directory, job.identity)
            failure = None if record else failed(job.directory, job.identity)
            if record is None and not (failure and failure.diverged):
                raise Problem(
                    f"{self.key}={job.value} of seed {job.seed} left no record beside {job.directory}: nothing is "
                    f"chosen. Repeat the command{' with retry=true' if failure else ''}."
                )
            if record is not None:
                records.append(record)
            errors = None if record is None else record.scores[0].top1_errors
            _, seeds = tried.setdefault(json.dumps(job.value), (job.value, {}))
            seeds[job.seed] = errors
        score = records[0].scores[0] if records else None
        return Choice(
            self.key,
            jobs[0].group,
            score.protocol if score else "",
            score.n if score else 0,
            tuple(Candidate(v, tuple(seeds), tuple(seeds.values())) for v, seeds in tried.values()),
        )

    def _launch(self, config: DictConfig, overrides: Sequence[Sequence[str]]) -> None:
        """Runs the chosen as further jobs of this multirun; ends the command where one fails."""
        from hydra._internal.callbacks import Callbacks
        from hydra.core.global_hydra import GlobalHydra
        from hydra.core.plugins import Plugins
        from hydra.types import HydraContext

        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        assert self.task is not None
        # No callbacks: these jobs are no candidates.
        context = HydraContext(config_loader=hydra.config_loader, callbacks=Callbacks())
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=context, task_function=self.task, config=config
        )
        failed = [
            job._return_value
            for job in launcher.launch(overrides, initial_job_idx=len(self.jobs))
            if job.status == JobStatus.FAILED
        ]
        for error in failed:
            if not isinstance(error, Problem):  # which has been printed
                traceback.print_exception(error)
        if failed:
            sys.exit(1)


def _grouped(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    for group in dict.fromkeys(job.group for job in jobs):
        yield [job for job in jobs if job.group == group]


def _overrides(job: Job, file: Path) -> list[str]:
    """What the chosen candidate was told, less that it is one."""
    told = [one for one in job.overrides if not one.startswith("sweep=")]
    path = QuotedString(str(file), Quote.single).with_quotes()
    return [*told, f"selection={path}", "hydra.mode=MULTIRUN"]


def _what(job: Job, key: str) -> str:
    """The job as it was typed, less what its candidates differ in."""
    left_out = ("resume=", "seed=", f"{key}=", f"+{key}=")
    return " ".join(one for one in job.overrides if not one.startswith(left_out))
