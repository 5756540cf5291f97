"""What the sides of an ablation differ by, beside the difference that its paper prints."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from topfive.ablations import Ablation, Expected, load
from topfive.intervals import Interval
from topfive.problems import Problem
from topfive.published import networks
from topfive.report.statistics import gap
from topfive.results import Record, Score

Runs = Mapping[int, tuple[Record, Score]]  # by seed


class Setting(NamedTuple):
    """What two sides must share to be set beside each other; None where that is what they differ in."""

    model: str | None
    options: tuple[tuple[str, str], ...]
    recipe: str | None
    data: str | None
    departures: tuple[str, ...]
    protocol: str
    split: str
    n: int


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The error of `side` minus that of `against`, as fractions; `over` is what the interval is taken over.

    pairs: the differences of seeds that both sides ran. seeds: those of each, of which not two are
    shared. images: of one run each. `departures` are those that the ablation itself does not make.
    """

    ablation: str
    side: str
    against: str
    setting: Setting
    quantity: str
    ours: float
    interval: Interval
    over: str
    seeds: tuple[tuple[int, ...], tuple[int, ...]]
    expected: Expected | None
    departures: tuple[str, ...]

    @property
    def published(self) -> str | None:
        """What the paper prints of it, in points."""
        value: str | None = getattr(self.expected, self.quantity, None)
        return value


def differences(records: Iterable[Record]) -> list[Difference]:
    """Of every ablation with two sides or more among `records`, each side against the first that ran.

    A later run of a seed replaces an earlier one. The published difference stands beside what is
    taken against the first side of the file.
    """
    found: dict[tuple[str, Setting], dict[str, dict[int, tuple[Record, Score]]]] = {}
    for record in sorted(records, key=lambda record: record.finished):
        name, _, side = (record.ablation or "").partition("/")
        ablation = _ablation(name)
        if ablation is None or side not in ablation.sides:
            continue  # of a file that is no more
        for score in record.scores:
            sides = found.setdefault((name, _setting(record, score, ablation)), {})
            sides.setdefault(side, {})[record.seed] = (record, score)
    made = []
    for (name, setting), sides in sorted(found.items(), key=lambda item: str(item[0])):
        ablation = load(name)
        first, *others = [side for side in ablation.sides if side in sides]
        for side in others:
            made += _between(ablation, (first, side), (sides[first], sides[side]), setting)
    return made


@cache
def _ablation(name: str) -> Ablation | None:
    try:
        return load(name)
    except Problem:
        return None


def _setting(record: Record, score: Score, ablation: Ablation) -> Setting:
    varied = ablation.varied
    home = networks().get(record.model) if "model" in varied else None
    # Networks of other names are compared in what is not their own.
    own = home.options if home else {}
    options = {k: json.dumps(v, sort_keys=True, default=str) for k, v in record.options.items()
               if f"model.{k}" not in varied and (not home or own.get(k) != v)}  # fmt: skip
    stated = _stated(record)
    chosen = (re.sub(r" \(paper: .*\)$", "", one) for one in _not_made(record, ablation))
    return Setting(
        None if "model" in varied else record.model,
        tuple(sorted(options.items())),
        None if varied & {"model", "recipe"} else record.recipe,
        None if "data" in varied else record.data,
        tuple(one for one in chosen if one not in stated),
        score.protocol,
        score.split,
        score.n,
    )


def _stated(record: Record) -> list[str]:
    """The departures that the recipe itself lists."""
    recipe = record.config.get("recipe")
    stated = recipe.get("departures") if isinstance(recipe, Mapping) else None
    return [str(one) for one in stated] if isinstance(stated, list | tuple) else []


def _not_made(record: Record, ablation: Ablation) -> list[str]:
    """The departures of a run that are not in what the sides differ in."""
    made = tuple(f"{key}=" for key in ablation.varied)
    made += tuple(f"{key}." for key in ablation.varied if "." in key)  # no key of a chosen recipe
    return [one for one in record.departures if not one.startswith(made)]


def _between(
    ablation: Ablation, names: tuple[str, str], runs: tuple[Runs, Runs], setting: Setting
) -> list[Difference]:
    against, side = names
    quantities = {"top1_error": "top1_errors", "top5_error": "top5_errors"}
    departures = [
        one for some in runs for record, _ in some.values() for one in _not_made(record, ablation)
    ]
    made = []
    for quantity, key in quantities.items():
        counts = [{seed: getattr(score, key) for seed, (_, score) in some.items()} for some in runs]
        if any(count is None for some in counts for count in some.values()):
            continue
        ours, interval, over = gap(counts[0], counts[1], setting.n)
        made.append(
            Difference(
                ablation=ablation.name,
                side=side,
                against=against,
                setting=setting,
                quantity=quantity,
                ours=ours,
                interval=interval,
                over=over,
                seeds=(tuple(sorted(runs[0])), tuple(sorted(runs[1]))),
                expected=ablation.expected.get(side) if against == ablation.first else None,
                departures=tuple(dict.fromkeys(departures)),
            )
        )
    return made
