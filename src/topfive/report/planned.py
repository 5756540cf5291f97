"""The plan of the whole table, as tables and as CSV."""

import csv
from collections.abc import Sequence
from pathlib import Path

from topfive.inspect.overview import authors
from topfive.inspect.table import Table
from topfive.plan.costs import PRECISION, Cost, total
from topfive.plan.devices import Device
from topfive.plan.lengths import SETS
from topfive.plan.speeds import SECONDS_OF_A_CALL
from topfive.plan.whole import Planned, makespan
from topfive.problems import Problem

COLUMNS = ("run", "runs", "numbers", "images", "device-hours", "tests", "kWh", "GB", "speed")
DEPARTS = "Another trainer.precision than the recipes' is a departure: its errors are not compared with the papers'."
FIELDS = (
    "run", "paper", "runs", "numbers", "protocols", "images", "training_hours", "test_hours", "kwh",
    "gigabytes", "estimated", "basis",
)  # fmt: skip


def tables(
    found: Sequence[Planned], device: Device, count: int, precision: str
) -> tuple[Table, Table]:
    """A row per training, the longest first; then the sums by paper, what is assumed, and the time of it all."""
    return _runs(found), _papers(found, device, count, precision)


def _runs(found: Sequence[Planned]) -> Table:
    rows = [
        (one.job.label, f"{one.job.runs}", f"{one.numbers}", *_cells(one.cost), one.cost.basis)
        for one in found
    ]
    return Table(
        title=f"{len(found)} trainings, {sum(one.job.runs for one in found)} runs of them",
        columns=COLUMNS,
        rows=rows,
        words=frozenset({0, 8}),
        folds=frozenset({0, 8}),
    )


def _papers(found: Sequence[Planned], device: Device, count: int, precision: str) -> Table:
    papers = sorted({one.paper for one in found}, key=lambda paper: (paper.year or 0, paper.key))
    rows = []
    for paper in papers:
        own = [one for one in found if one.paper == paper]
        rows.append((f"{authors(paper)} {paper.year}", *_summed(own)))
    sets = sum(one.gigabytes for one in SETS.values())
    whom = (
        "One such device"
        if count == 1
        else f"{count} such devices, a run on one each, the longest first,"
    )
    return Table(
        title=f"By network's paper, on {device.name}, trainer.precision={precision}",
        columns=("paper", "runs", *COLUMNS[3:8]),
        rows=rows,
        totals=[("all", *_summed(found))],
        notes=(
            f"{whom} would be busy for {_told(makespan(found, count))}. The data sets take {sets:,.0f} GB besides.",
            *_assumed(found, device, precision),
        ),
        words=frozenset({0}),
        folds=frozenset({0}),
    )


def _summed(found: Sequence[Planned]) -> tuple[str, ...]:
    return f"{sum(one.job.runs for one in found)}", *_cells(total(one.cost for one in found))


def _assumed(found: Sequence[Planned], device: Device, precision: str) -> list[str]:
    guessed = sum(one.cost.estimated for one in found)
    rate = device.rate(precision)
    return [
        f"{guessed} of {len(found)} speeds are estimated. From multiply-adds: 3 x 2 x those of one image forward, at "
        f"{rate.utilization:.1%} of {rate.peak / 1e12:g}e12 operations a second ({device.utilization}). Where small "
        f"batches of small images leave the device waiting: {SECONDS_OF_A_CALL * 1e6:.0f} microseconds for each call "
        "of torch, 3 x as many as forward. Decoding is taken to keep up.",
        "device-hours: of training and tests, each run on one device; tests: those of them that testing takes, whose "
        "views count by their area.",
        f"kWh: {device.watts:g} W of the device all the time, without its host or cooling. Source: {device.source}.",
        "GB: checkpoints and predictions. Candidates of a sweep are counted as whole runs.",
        *([f"Unverified: {device.unverified}."] if device.unverified else []),
        *([DEPARTS] if precision != PRECISION else []),
    ]


def _cells(cost: Cost) -> tuple[str, ...]:
    hours = (cost.device_hours, cost.test_hours, cost.kwh, cost.gigabytes)
    return f"{cost.images / 1e6:,.0f} M", *(f"{one:,.1f}" for one in hours)


def _told(hours: float) -> str:
    return f"{hours / 24:,.1f} days" if hours >= 48 else f"{hours:,.1f} hours"


def write_csv(found: Sequence[Planned], file: Path) -> None:
    """A row per training, hours and kWh unrounded; a Problem where the file cannot be written."""
    try:
        with file.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(FIELDS)
            for one in found:
                job, cost = one.job, one.cost
                writer.writerow(
                    (job.label, one.paper.citation, job.runs, one.numbers, " ".join(job.protocols), cost.images,
                     cost.training_hours, cost.test_hours, cost.kwh, cost.gigabytes, cost.estimated, cost.basis)
                )  # fmt: skip
    except OSError as error:
        raise Problem(f"--csv {file}: {error.strerror}. Name a file to write.") from error
