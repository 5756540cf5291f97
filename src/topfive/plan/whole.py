"""The whole table: which trainings it takes, fewer than it has numbers, and how long several devices take for them."""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from topfive.plan.costs import PRECISION, Cost, of
from topfive.plan.devices import Device
from topfive.plan.jobs import Job, jobs, merged
from topfive.plan.measured import Known
from topfive.published import Paper

if TYPE_CHECKING:
    from topfive.report.lines import Line


@dataclass(frozen=True)
class Planned:
    """A training with its cost; paper: whose network it is. numbers: how many published ones need it."""

    job: Job
    cost: Cost
    paper: Paper
    numbers: int


def whole(
    lines: "Iterable[Line]", device: Device, known: Known, precision: str = PRECISION
) -> list[Planned]:
    """What every number that can be measured needs, each training once, the longest first."""
    wanted: dict[tuple[str, ...], list[tuple[Job, Paper]]] = {}
    for line in lines:
        home = line.published.home
        for job in jobs(line.command) if home and line.command else ():
            assert home is not None
            wanted.setdefault(job.overrides, []).append((job, home.paper))
    found = []
    for several in wanted.values():
        (job,) = merged(job for job, _ in several)
        made = Planned(job, of(job, device, known, precision), several[0][1], len(several))
        found.append(made)
    return sorted(found, key=lambda one: -one.cost.device_hours)


def makespan(planned: Sequence[Planned], count: int) -> float:
    """Hours until the last of `count` devices is done, each run on one of them, the longest begun first.

    Graham's rule (SIAM J. Appl. Math. 17, 1969): at most 4/3 of the shortest. Tests go with their trainings.
    """
    runs = [one.cost.device_hours / one.job.runs for one in planned for _ in range(one.job.runs)]
    ends = [0.0] * count
    for hours in sorted(runs, reverse=True):
        heapq.heappush(ends, heapq.heappop(ends) + hours)
    return max(ends)
