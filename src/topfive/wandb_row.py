"""A run's row of the table in the summary of its W&B run."""

from collections.abc import Iterable, Sequence
from typing import Any

from pytorch_lightning.loggers import Logger

from topfive.published import load
from topfive.report import wording
from topfive.report.lines import Line, lines
from topfive.report.rows import Row, rows
from topfive.results import Record
from topfive.wandb_run import WandbRun


def log_row(loggers: Iterable[Logger], record: Record) -> None:
    """Gives the summary of the W&B run what `record` says beside its paper, and ends that run.

    Nothing without a W&B run; no trouble with W&B is raised.
    """
    for logger in loggers:
        if isinstance(logger, WandbRun):
            logger.conclude(lambda: summary(record))


def summary(record: Record) -> dict[str, Any]:
    """Errors and intervals in percent under `metric`, verdicts in words.

    The published number stands beside ours only where the two are comparable.
    """
    published = load()
    found = lines([record], published)
    told: dict[str, Any] = {"departures": "; ".join(record.departures)}
    for row in rows([record], published)[0]:
        beside = [one for one in found if one.published in row.published and one.n == row.n]
        told |= _numbers(row, beside)
    return told


def metric(row: Row) -> str:
    """Its name in W&B: images/protocol/quantity. Only runs of the same images and test share one."""
    return f"{row.data}/{row.split}_{row.n}/{row.protocol}/{row.quantity}"


def published_metric(row: Row) -> str:
    """The name of the published number beside it."""
    return f"{metric(row)}_published"


def _numbers(row: Row, beside: Sequence[Line]) -> dict[str, Any]:
    name = metric(row)
    told: dict[str, Any] = {
        name: 100 * row.ours,
        f"{name}_low": 100 * row.interval.low,
        f"{name}_high": 100 * row.interval.high,
    }
    if beside:
        told[f"{name}_verdict"] = "; ".join(map(sentence, beside))
    comparable = [line for line in beside if line.difference is not None]
    if comparable:
        told[published_metric(row)] = comparable[0].published.number
    return told


def sentence(line: Line) -> str:
    """6.43 (best of 5, He et al. 2015, Table 6): not comparable, the best of several runs."""
    one = line.published
    source = ", ".join([*wording.remarks(one), wording.paper(one.paper), one.where])
    reason = f", {line.reason}" if line.reason else ""
    return f"{wording.printed(one)} ({source}): {line.verdict}{reason}"
