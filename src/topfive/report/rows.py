"""The rows of the results table, free of any output format."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from topfive.intervals import Interval
from topfive.published import Published, matching, networks
from topfive.report.labels import chosen, identity, labels
from topfive.report.selection import sentence
from topfive.report.statistics import Estimate, error_rate
from topfive.report.verdicts import not_comparable
from topfive.results import FILE_NAME, Record, Score, Skipped


@dataclass(frozen=True, kw_only=True)
class Row:
    """One quantity of one network under one protocol on one split, over all seeds that were run.

    `ours` and `interval` are fractions: the mean over the seeds, or the median where that is what the
    first of `published` is, the one to be compared with. `errors` are counts by run. `selection` says
    what was chosen on the minival before, and of what.
    """

    network: str
    label: tuple[str, ...]
    data: str
    protocol: str
    split: str
    quantity: str
    published: tuple[Published, ...]
    ours: float
    interval: Interval
    errors: tuple[int, ...]
    n: int
    seeds: tuple[int, ...]
    unreadable: int
    departures: tuple[str, ...]
    runs: tuple[Path, ...]
    selection: str = ""

    @property
    def comparable(self) -> bool:
        """Whether the published number is of the same thing: nothing departs from the paper."""
        return bool(self.published) and not self.departures

    @property
    def difference(self) -> float | None:
        """Ours minus published in points; None where the two are not comparable."""
        if not self.published or not_comparable(self.published[0], self):
            return None
        return 100 * self.ours - self.published[0].number

    def estimate(self, statistic: str) -> Estimate:
        """What the runs say of a number whose statistic is this one (single, mean, median of 5)."""
        return error_rate(self.errors, self.n, statistic)


class Group(NamedTuple):
    """What the runs of one row share; they differ in their seed only."""

    model: str
    options: str
    recipe: str
    data: str
    ablation: str
    departures: tuple[str, ...]
    selection: str
    protocol: str
    split: str
    n: int


def rows(
    records: Iterable[Record], published: Sequence[Published]
) -> tuple[list[Row], list[Skipped]]:
    """The table, ordered by year of the paper and name of the network; and the runs that a later
    run of the same seed replaces."""
    records = list(records)
    groups: dict[Group, dict[int, tuple[Record, Score]]] = {}
    replaced: list[Skipped] = []
    for record in sorted(records, key=lambda record: record.finished):
        for score in record.scores:
            seeds = groups.setdefault(_group(record, score), {})
            older = seeds.get(record.seed)
            if older and older[0].path:
                replaced.append(Skipped(older[0].path, _replaced_by(record)))
            seeds[record.seed] = (record, score)
    names = labels(records)
    table = [
        row
        for group in sorted(groups, key=_order)
        for row in _quantities(list(groups[group].values()), names, published)
    ]
    return table, list(dict.fromkeys(replaced))


def _replaced_by(record: Record) -> str:
    # Ensembles of the same networks may share members: a mean over them would have no interval.
    alike = "is of as many such networks" if record.members else f"has seed {record.seed} too"
    return f"a later run {alike}"


def _group(record: Record, score: Score) -> Group:
    return Group(
        record.model,
        json.dumps(record.options, sort_keys=True, default=str),
        record.recipe,
        record.data,
        record.ablation or "",
        tuple(record.departures),
        chosen(record),
        score.protocol,
        score.split,
        score.n,
    )


def _order(group: Group) -> tuple[object, ...]:
    home = networks().get(group.model)
    letters_and_numbers = re.split(r"(\d+)", group.model)
    natural = [int(part) if part.isdigit() else part for part in letters_and_numbers]
    return (home.paper.year if home else 9999, natural, group[1:])


def _quantities(
    runs: Sequence[tuple[Record, Score]],
    names: Mapping[tuple[str, str], tuple[str, ...]],
    published: Sequence[Published],
) -> list[Row]:
    runs = sorted(runs, key=lambda run: run[0].seed)
    record, score = runs[0]
    matches = sorted(matching(record, score, published), key=_is_best)
    label = names[identity(record)]
    counts = {"top1_error": [score.top1_errors for _, score in runs]}
    top5 = [score.top5_errors for _, score in runs if score.top5_errors is not None]
    if len(top5) == len(runs):
        counts["top5_error"] = top5
    return [
        _row(quantity, errors, runs, [one for one in matches if one.quantity == quantity], label)
        for quantity, errors in counts.items()
    ]


def _row(
    quantity: str,
    errors: Sequence[int],
    runs: Sequence[tuple[Record, Score]],
    published: Sequence[Published],
    label: tuple[str, ...],
) -> Row:
    record, score = runs[0]
    ours, interval = error_rate(errors, score.n, published[0].statistic if published else "mean")
    return Row(
        network=record.model,
        label=label,
        data=record.data,
        protocol=score.protocol,
        split=score.split,
        quantity=quantity,
        published=tuple(published),
        ours=ours,
        interval=interval,
        errors=tuple(errors),
        n=score.n,
        seeds=tuple(record.seed for record, _ in runs),
        unreadable=sum(score.unreadable for _, score in runs),
        departures=tuple(record.departures),
        runs=tuple(_directory(record) for record, _ in runs if record.path),
        selection=sentence(record.selection) if record.selection else "",
    )


def _is_best(one: Published) -> bool:
    return one.statistic.startswith("best")


def _directory(record: Record) -> Path:
    path = record.path or Path()
    return path.parent if path.name == FILE_NAME else path
