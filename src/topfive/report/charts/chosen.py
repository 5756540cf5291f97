"""The runs whose training curves are shown, and their curves."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from topfive.results import FILE_NAME, Record

MOST = 6  # runs of one data set
Points = list[tuple[float, float]]


class Curve(NamedTuple):
    """Top-1 error in % by iteration: on the images as trained on, and on those held out."""

    name: str
    train: Points
    held_out: Points

    @property
    def last(self) -> tuple[float, float]:
        """The end of the bold line, or of the thin one where nothing was held out."""
        return (self.held_out or self.train)[-1]


def chosen(records: Iterable[Record]) -> dict[str, list[Record]]:
    """By data set, at most `MOST` runs with a curve.csv beside their record.

    Of runs that differ in their seed only the last one; then those that depart least, then the longest.
    """
    latest: dict[tuple[object, ...], Record] = {}
    for record in sorted(records, key=lambda record: record.finished):
        what = (record.data, record.model, record.recipe, record.ablation, record.departures)
        latest[*what, str(record.options)] = record
    found: dict[str, list[Record]] = {}
    for record in sorted(latest.values(), key=lambda one: (len(one.departures), -one.epochs)):
        some = found.setdefault(record.data, [])
        if len(some) < MOST and _file(record).is_file():
            some.append(record)
    return {data: sorted(some, key=_order) for data, some in sorted(found.items()) if some}


def read(records: Sequence[Record]) -> list[Curve]:
    """The curves of some runs; without those that are no curves or cannot be read."""
    read = [(record, *_points(_file(record))) for record in records]
    return [
        Curve(_name(record, records), train, held_out)
        for record, train, held_out in read
        if train or held_out
    ]


def _file(record: Record) -> Path:
    path = record.path or Path()
    return path.with_name("curve.csv") if path.name == FILE_NAME else path / "curve.csv"


def _order(record: Record) -> tuple[str, float]:
    return record.model, -record.epochs


def _name(record: Record, others: Sequence[Record]) -> str:
    """The network, and what tells it from the others of that name."""
    told = [_facts(one) for one in others if one.model == record.model]
    facts = zip(_facts(record), *told, strict=True)
    return ", ".join([record.model, *(own for own, *every in facts if len(set(every)) > 1)])


def _facts(record: Record) -> tuple[str, ...]:
    side = (record.ablation or "").rpartition("/")[2]
    return record.recipe, side, f"{record.epochs:.3g} epochs"


def _points(file: Path) -> tuple[Points, Points]:
    """train, and reported or else minival."""
    lines: dict[str, Points] = {}
    try:
        with file.open(newline="", encoding="utf-8") as opened:
            for row in csv.DictReader(opened):
                if row["top1_error"]:
                    point = (int(row["step"]), 100 * float(row["top1_error"]))
                    lines.setdefault(row["split"], []).append(point)
    except (OSError, ValueError, KeyError):
        return [], []
    return lines.get("train", []), lines.get("reported") or lines.get("minival", [])
