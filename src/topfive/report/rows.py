"""The rows of the results table, free of any output format."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from topfive.intervals import Interval, over_seeds, wilson
from topfive.published import Published, matching, networks
from topfive.report.selection import said, sentence
from topfive.results import FILE_NAME, Json, Record, Score, Skipped


@dataclass(frozen=True, kw_only=True)
class Row:
    """One quantity of one network under one protocol on one split, over all seeds that were run.

    `ours` and `interval` are fractions. The first of `published` is the one to be compared with.
    `selection` says what was chosen on the minival before, and of what.
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
        """Ours minus published in points; None without a comparable mean or single value.

        The best of several runs is not what one run or a mean estimates, and a bound is no value.
        """
        if not self.comparable or _is_best(self.published[0]) or self.published[0].bound:
            return None
        return 100 * self.ours - self.published[0].number


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
                replaced.append(Skipped(older[0].path, f"a later run has seed {record.seed} too"))
            seeds[record.seed] = (record, score)
    labels = _labels(records)
    table = [
        row
        for group in sorted(groups, key=_order)
        for row in _quantities(list(groups[group].values()), labels, published)
    ]
    return table, list(dict.fromkeys(replaced))


def _group(record: Record, score: Score) -> Group:
    return Group(
        record.model,
        json.dumps(record.options, sort_keys=True, default=str),
        record.recipe,
        record.data,
        record.ablation or "",
        tuple(record.departures),
        _selected(record),
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
    labels: Mapping[tuple[str, str], tuple[str, ...]],
    published: Sequence[Published],
) -> list[Row]:
    runs = sorted(runs, key=lambda run: run[0].seed)
    record, score = runs[0]
    matches = sorted(matching(record, score, published), key=_is_best)
    counts = {"top1_error": [score.top1_errors for _, score in runs]}
    top5 = [score.top5_errors for _, score in runs if score.top5_errors is not None]
    if len(top5) == len(runs):
        counts["top5_error"] = top5
    return [
        Row(
            network=record.model,
            label=labels[_identity(record)],
            data=record.data,
            protocol=score.protocol,
            split=score.split,
            quantity=quantity,
            published=tuple(one for one in matches if one.quantity == quantity),
            ours=fmean(errors) / score.n,
            interval=(
                wilson(errors[0], score.n)
                if len(errors) == 1
                else over_seeds([count / score.n for count in errors])
            ),
            n=score.n,
            seeds=tuple(record.seed for record, _ in runs),
            unreadable=sum(score.unreadable for _, score in runs),
            departures=tuple(record.departures),
            runs=tuple(_directory(record) for record, _ in runs if record.path),
            selection=sentence(record.selection) if record.selection else "",
        )
        for quantity, errors in counts.items()
    ]


def _selected(record: Record) -> str:
    chosen = record.selection
    return said(str(chosen["key"]), chosen["chosen"]) if chosen else ""


def _is_best(one: Published) -> bool:
    return one.statistic.startswith("best")


def _directory(record: Record) -> Path:
    path = record.path or Path()
    return path.parent if path.name == FILE_NAME else path


def _identity(record: Record) -> tuple[str, str]:
    rest = [record.options, record.recipe, record.ablation, _selected(record)]
    return record.model, json.dumps(rest, sort_keys=True, default=str)


def _labels(records: Iterable[Record]) -> dict[tuple[str, str], tuple[str, ...]]:
    """What to call each network: its name, and whatever is not as in its paper or differs here."""
    by_model: dict[str, dict[tuple[str, str], Record]] = {}
    for record in records:
        by_model.setdefault(record.model, {}).setdefault(_identity(record), record)
    labels: dict[tuple[str, str], tuple[str, ...]] = {}
    for model, identities in by_model.items():
        home = networks().get(model)
        own: Mapping[str, Json] = home.options if home else {}
        seen: dict[str, set[str]] = {}
        for record in identities.values():
            for name, value in record.options.items():
                seen.setdefault(name, set()).add(_text(value))
        used = {record.recipe for record in identities.values()}
        papers = used & set(home.recipes) if home else used
        for identity, record in identities.items():
            label = [model]
            for name, value in record.options.items():
                if len(seen[name]) > 1 or (name in own and own[name] != value):
                    label.append(f"{name}={_text(value)}")
            if len(papers) > 1 or record.recipe not in papers:
                label.append(f"recipe={record.recipe}")
            if record.ablation:
                label.append(f"ablation={record.ablation}")
            if record.selection:
                label.append(_selected(record))
            labels[identity] = tuple(label)
    return labels


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)
