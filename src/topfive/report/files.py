"""The table as data, for a spreadsheet or a notebook: one line for each published number and each other result."""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from topfive import whole_files
from topfive.intervals import Interval
from topfive.problems import Problem
from topfive.report import wording
from topfive.report.contents import Contents
from topfive.report.lines import Line
from topfive.report.rows import Row

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "network", "options", "recipes", "data", "split", "protocol", "networks", "quantity", "statistic",
    "published", "published_value", "bound", "std", "verified", "hidden_labels", "paper", "year", "where",
    "verdict", "reason", "ours", "low", "high", "difference", "n", "seeds", "departures", "runs", "command",
)  # fmt: skip
# Of what may be absent: whole numbers, and what is true or not.
KINDS = dict.fromkeys(("networks", "year", "n"), "Int64")
KINDS |= dict.fromkeys(("verified", "hidden_labels"), "boolean")
SEPARATOR = "; "


def write_csv(contents: Contents, path: Path) -> None:
    """Whole or not at all, in UTF-8."""
    whole_files.write(path, frame(contents, path.parent).to_csv(index=False).encode())


def write_parquet(contents: Contents, path: Path) -> None:
    """Whole or not at all; raises Problem where no library writes the format."""
    if find_spec("pyarrow") is None:
        raise Problem(
            "Parquet is written by pyarrow, which is not installed: uv sync --extra parquet, or write "
            f"--csv {path.with_suffix('.csv')} instead."
        )
    table = frame(contents, path.parent)
    whole_files.write(path, table.to_parquet(index=False))


def frame(contents: Contents, folder: Path) -> "pd.DataFrame":
    """The columns `COLUMNS`: errors and bounds in %, differences in points, lists with "; " between.

    Results beside no published number have no verdict. `runs` are records as seen from `folder`.
    """
    import pandas as pd  # a second, which the other kinds of file need not wait for

    rows = [_line(line, folder) for line in contents.lines]
    rows += [_other(row, contents, folder) for row in contents.others]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    # A hundred times a fraction is 7.3999999999999995 where 7.4 is meant.
    return table.astype(KINDS).round(9)


def _line(line: Line, folder: Path) -> dict[str, Any]:
    one = line.published
    return {
        "network": one.network,
        "options": json.dumps(one.options, sort_keys=True),
        "recipes": SEPARATOR.join(one.recipes),
        "data": one.data,
        "split": one.split,
        "protocol": one.protocol,
        "networks": one.networks,
        "quantity": one.quantity,
        "statistic": one.statistic,
        "published": one.value,
        "published_value": one.number,
        "bound": one.bound,
        "std": one.std,
        "verified": one.verified,
        "hidden_labels": one.hidden_labels,
        "paper": one.paper.citation,
        "year": one.paper.year,
        "where": one.where,
        "verdict": line.verdict,
        "reason": line.reason,
        "difference": line.difference,
        "command": line.command,
        **_ours(line.ours, line.interval, line.n, line.seeds, line.departures),
        "runs": _runs(line.runs, folder),
    }


def _other(row: Row, contents: Contents, folder: Path) -> dict[str, Any]:
    return {
        "network": row.network,
        "options": SEPARATOR.join(row.label[1:]),
        "data": row.data,
        "split": row.split,
        "protocol": row.protocol,
        "quantity": row.quantity,
        "command": SEPARATOR.join(contents.commands.get(run, "") for run in row.runs),
        **_ours(row.ours, row.interval, row.n, row.seeds, row.departures),
        "runs": _runs(row.runs, folder),
    }


def _ours(
    ours: float | None,
    interval: Interval | None,
    n: int | None,
    seeds: Sequence[int],
    departures: Sequence[str],
) -> dict[str, Any]:
    return {
        "ours": None if ours is None else 100 * ours,
        "low": None if interval is None else 100 * interval.low,
        "high": None if interval is None else 100 * interval.high,
        "n": n,
        "seeds": SEPARATOR.join(map(str, seeds)),
        "departures": SEPARATOR.join(departures),
    }


def _runs(runs: Sequence[Path], folder: Path) -> str:
    return SEPARATOR.join(wording.link(run, folder) for run in runs)
