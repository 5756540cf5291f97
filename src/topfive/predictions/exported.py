"""Tables as files: CSV and JSON, every rate a fraction, every interval in columns of its own."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from topfive import whole_files
from topfive.predictions.tables import Difference, Rate, Row, Table
from topfive.problems import Problem
from topfive.results import Json


def write_csv(table: Table, path: Path) -> None:
    """The rows of `table`; a Problem where `path` cannot be written."""
    rows = [_flat(row) for row in table.rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [])
    writer.writeheader()
    writer.writerows(rows)
    _write(path, text.getvalue())


def write_json(tables: Sequence[Table], path: Path) -> None:
    """The rows of every table under its name; a Problem where `path` cannot be written."""
    content = {table.name: [_flat(row) for row in table.rows] for table in tables}
    _write(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _flat(row: Row) -> dict[str, Json]:
    flat: dict[str, Json] = {}
    for column, value in row.items():
        if isinstance(value, Rate | Difference):
            flat |= {column: value.value, f"{column}_low": value.low, f"{column}_high": value.high}
        else:
            flat[column] = value
    return flat


def _write(path: Path, text: str) -> None:
    try:
        whole_files.write(path, text.encode())
    except OSError as error:
        raise Problem(
            f"{path} cannot be written: {error.strerror}. Name a file in a folder that is there."
        ) from error
