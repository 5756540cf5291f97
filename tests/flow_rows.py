"""The rows of a run's gradient_flow.csv, and whether two runs have the same."""

import csv
from pathlib import Path

import pytest

from topfive.gradient_flow import COLUMNS


def rows(folder: Path, **found: object) -> list[dict[str, str]]:
    """Those whose columns are `found`."""
    with open(folder / "gradient_flow.csv", newline="") as file:
        every = list(csv.DictReader(file))
    return [row for row in every if all(row[k] == str(v) for k, v in found.items())]


def assert_same_flow(ours: Path, theirs: Path) -> None:
    """To the digits that are written."""
    found, expected = rows(ours), rows(theirs)
    assert found
    assert [(r["step"], r["layer"]) for r in found] == [(r["step"], r["layer"]) for r in expected]
    for column in COLUMNS[2:]:
        a, b = ([float(row[column]) for row in every] for every in (found, expected))
        assert a == pytest.approx(b, rel=2e-5), column
