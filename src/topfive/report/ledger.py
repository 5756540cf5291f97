"""What the runs of each network do otherwise than its paper."""

from collections.abc import Iterable
from pathlib import Path

from topfive.report.rows import Row

Entries = dict[tuple[str, ...], list[Path]]


def ledger(rows: Iterable[Row]) -> dict[str, Entries]:
    """By network, in the order of `rows`: each list of departures and the runs that have it."""
    found: dict[str, Entries] = {}
    for row in rows:
        if row.runs:
            paths = found.setdefault(row.network, {}).setdefault(row.departures, [])
            paths += [path for path in row.runs if path not in paths]
    return found
