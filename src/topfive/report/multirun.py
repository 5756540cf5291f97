"""A Hydra callback that keeps the table of a multirun: a line per row as jobs end, the whole at its end.

In the configuration: `hydra.callbacks.table._target_: topfive.report.multirun.MultirunTable`.
"""

import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from topfive.problems import Diverged, Problem

# Hydra imports this file for --help and every single run: nothing heavy at its top.
if TYPE_CHECKING:
    from topfive.results import Record

WORDS = ("done", "done before", "running elsewhere", "failed", "left")
UNFINISHED = {"running": "running elsewhere", "failed": "failed", "open": "left"}


@dataclass(frozen=True)
class Job:
    """One job that ended: a word of WORDS, and the record of its run, if it has one."""

    word: str
    record: "Record | None" = None


class MultirunTable(Callback):
    """Prints the runs of all jobs of a multirun, those that were done before included, and counts them.

    A job that fails ends neither the others nor the table; the command's exit status is 1 then. The
    candidates of a sweep that chooses are counted, but not shown.
    """

    def __init__(self) -> None:
        self.started: datetime | None = None  # None in a single run
        self.jobs: list[Job] = []

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        self.started = datetime.now(UTC).replace(microsecond=0)  # a record keeps whole seconds

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        if self.started is None:
            return
        error = job_return._return_value
        if job_return.status == JobStatus.FAILED:
            _tell(error)
            # Else Hydra would end without the table, and with a stack trace.
            job_return.status, job_return.return_value = JobStatus.COMPLETED, None
        # A candidate that diverged has been tested as well as any other.
        tested = isinstance(error, Diverged) and _of_candidates(config)
        failed = isinstance(error, Exception) and not tested
        self.jobs.append(Job("failed") if failed else _job(config, self.started))
        if self.jobs[-1].word == "done":
            for line in _lines(self._records()):
                print(line, flush=True)
        if self.jobs[-1].word != "done before":
            print(f"so far: {self._count()}", flush=True)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        from rich.console import Console

        from topfive.published import load
        from topfive.report.table import render

        if self._records():
            render(self._records(), load(), Console())
        if self.jobs:
            print(f"all {len(self.jobs)} jobs: {self._count()}", flush=True)
        # Among candidates the choice, which is made next, ends the command.
        if any(job.word == "failed" for job in self.jobs) and not _of_candidates(config):
            sys.exit(1)

    def _records(self) -> "list[Record]":
        """Each once: of two jobs that are the same run, the second found it done."""
        from topfive.choice import is_candidate

        found = {job.record.path: job.record for job in self.jobs if job.record is not None}
        return [record for record in found.values() if not is_candidate(record)]

    def _count(self) -> str:
        words = Counter(job.word for job in self.jobs)
        return ", ".join(f"{words[word]} {word}" for word in WORDS if words[word])


def _job(config: DictConfig, started: datetime) -> Job:
    from topfive.config import settle
    from topfive.outcomes import state
    from topfive.results import FILE_NAME, read

    settled = settle(config, config.hydra.runtime.choices)
    outcome = state(settled, Path(config.hydra.runtime.output_dir))
    if outcome.state != "done" or outcome.where is None:
        return Job(UNFINISHED[outcome.state])
    before = datetime.fromisoformat(outcome.when).astimezone(UTC) < started
    file = outcome.where / FILE_NAME  # which a candidate that diverged has not
    return Job("done before" if before else "done", read(file) if file.exists() else None)


def _of_candidates(config: DictConfig) -> bool:
    return bool(OmegaConf.select(config, "data.candidate"))


def _tell(error: object) -> None:
    """A Problem has been told as its job ended."""
    if isinstance(error, BaseException) and not isinstance(error, Problem):
        traceback.print_exception(error)


def _lines(records: "Sequence[Record]") -> list[str]:
    """The table so far, a line for each network, protocol and split."""
    from topfive.published import load
    from topfive.report.rows import rows

    lines: dict[str, str] = {}
    for row in rows(records, load())[0]:
        low, high = row.interval
        value = f"{100 * row.ours:.2f} ({100 * low:.2f}–{100 * high:.2f})"
        runs = f"{len(row.seeds)} run{'s' * (len(row.seeds) > 1)}"
        name = f"{' '.join(row.label)}, {row.data}, {row.protocol}, {row.split}, {runs}"
        quantity = row.quantity.removesuffix("_error").replace("top", "top-")
        lines[name] = f"{lines.get(name, '')} {quantity} {value}"
    return [f"  {name}:{values}" for name, values in lines.items()]
