"""Speeds that were measured: in runs, by their records, and in benchmarks/networks.csv."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from topfive.config import CONF
from topfive.plan.devices import Device
from topfive.plan.facts import Facts, facts_of, options
from topfive.plan.jobs import Job
from topfive.results import FILE_NAME, Json, Record

if TYPE_CHECKING:
    from topfive.inspect import speed

FILE = CONF.parent / "benchmarks" / "networks.csv"
DTYPES = {"32-true": "float32", "bf16-mixed": "bfloat16", "16-mixed": "float16"}


class Measured(NamedTuple):
    """images: a second, on one device."""

    images: float
    where: str


@dataclass(frozen=True)
class Known:
    """Records of runs, and rows of the benchmark that were measured to their end."""

    records: Sequence[Record] = ()
    rows: "Sequence[speed.Row]" = ()


def known(records: Iterable[Record], file: Path = FILE) -> Known:
    """These records, and the rows of `file` where it is there; a Problem where it is no such table."""
    from topfive.inspect import speed  # imports torch, which an estimate has no need of

    rows = [row for row in speed.read(file).values() if row.status == "done"]
    return Known(list(records), rows)


def in_runs(facts: Facts, device: Device, precision: str, known: Known) -> Measured | None:
    """The median of the runs of this network on views of this size whose batch is nearest to the recipe's."""
    found = [one for one in known.records if _same(one, facts, device, precision)]
    if not found:
        return None
    nearest = min((_batch(one) for one in found), key=lambda batch: abs(batch - facts.batch))
    chosen = [one for one in found if _batch(one) == nearest]
    rates = [(one.images_per_second or 0.0) / one.world_size for one in chosen]
    names = [one.path.parent.name for one in chosen if one.path and one.path.name == FILE_NAME]
    return Measured(median(rates), f"{', '.join(names) or 'a record'}, batch {nearest}")


def in_benchmark(
    facts: Facts, device: Device, precision: str, known: Known, mode: str
) -> Measured | None:
    """The row of the largest batch. Its networks have their own options, and no single-image updates."""
    wanted = (facts.model, mode, f"{facts.channels}x{facts.side}x{facts.side}", DTYPES[precision])
    found = [
        row
        for row in known.rows
        if (row.network, row.mode, row.input, row.dtype) == wanted
        and device.is_one(row.machine)
        and row.threads == (1 if device.is_core else 0)
    ]
    if not found or facts.online or _said(facts.options) != _own(facts.model):
        return None
    best = max(found, key=lambda row: row.batch)
    return Measured(best.images_per_second, f"networks.csv, batch {best.batch}")


def _same(one: Record, facts: Facts, device: Device, precision: str) -> bool:
    recipe, trainer = one.config.get("recipe"), one.config.get("trainer")
    return (
        bool(one.images_per_second)
        and device.is_one(one.device)
        and (one.threads == 1 or not device.is_core)
        and one.model == facts.model
        and _agree(options(one.options), facts.options)
        and isinstance(recipe, Mapping)
        and isinstance(trainer, Mapping)
        and trainer.get("precision") == precision
        and (_side(recipe), bool(recipe.get("online"))) == (facts.side, facts.online)
    )


def _agree(theirs: Mapping[str, Json], ours: Mapping[str, Json]) -> bool:
    """In the options that both have: a record may be older than an option, which then was as it is now."""
    shared = theirs.keys() & ours.keys()
    return _said({k: theirs[k] for k in shared}) == _said({k: ours[k] for k in shared})


def _side(recipe: Mapping[str, Json]) -> Json:
    crop = recipe.get("crop")
    return crop.get("size") if isinstance(crop, Mapping) else None


def _batch(one: Record) -> int:
    recipe = one.config["recipe"]
    assert isinstance(recipe, Mapping)
    return int(str(recipe["batch_size"])) // one.world_size


@cache
def _own(model: str) -> str:
    return _said(facts_of(Job((f"model={model}",))).options)


def _said(options: Mapping[str, Json]) -> str:
    return json.dumps(options, sort_keys=True, default=str)
