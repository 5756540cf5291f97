"""The two runs of a comparison, and whether their numbers may be compared at all."""

from dataclasses import dataclass
from pathlib import Path

from topfive.problems import Problem
from topfive.results import FILE_NAME, Record, read
from topfive.runs import CONFIG


@dataclass(frozen=True)
class Side:
    """`path` as given; `folder` is where curve and predictions lie, None for a record that lies elsewhere."""

    path: Path
    record: Record
    folder: Path | None

    def __str__(self) -> str:
        one = self.record
        count = len(one.departures)
        changed = f", {count} departure{'s' if count > 1 else ''}" if count else ""
        what = f"{one.model}, recipe {one.recipe}, {one.data}, seed {one.seed}"
        return f"{self.path}: {what}, {one.iterations:,} iterations{changed}"


def side(path: Path) -> Side:
    """The finished run that is named by its directory or its record; a Problem where it is none."""
    if path.is_dir():
        if not (path / FILE_NAME).exists():
            raise Problem(f"{path} has no {FILE_NAME}: {_why(path)}")
        return Side(path, read(path / FILE_NAME), path)
    return Side(path, read(path), path.parent if path.name == FILE_NAME else None)


def refusal(first: Side, second: Side) -> str | None:
    """Why no number of one may stand against one of the other; None where some may."""
    one, other = first.record.data, second.record.data
    return None if one == other else f"data: {one} against {other}"


def _why(folder: Path) -> str:
    if (folder / CONFIG).exists():
        return f"the run is not finished. Repeat its command with resume={folder}, then compare it."
    return "it is not the directory of a run. Name one, or a record: results/NAME/result.json."
