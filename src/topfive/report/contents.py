"""What a report says, whatever it is written as."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from topfive.choice import is_candidate
from topfive.problems import Problem
from topfive.published import Published, load
from topfive.report.differences import Difference, differences
from topfive.report.lines import Line, of_rows
from topfive.report.rows import Row, rows
from topfive.results import FILE_NAME, Record, Skipped, find

CANDIDATES = "candidates of sweeps, tested on the minival only"


@dataclass(frozen=True, kw_only=True)
class Contents:
    """All that was found below some folders, beside all that is published.

    `hidden` counts the candidates of sweeps that are left out.
    """

    records: Sequence[Record]
    published: Sequence[Published]
    lines: Sequence[Line]
    rows: Sequence[Row]
    differences: Sequence[Difference]
    skipped: Sequence[Skipped]
    hidden: int

    @cached_property
    def others(self) -> list[Row]:
        """What stands beside no published number: there is none of its kind, or a better run of it."""
        shown = {(line.runs, line.published.quantity) for line in self.lines if line.runs}
        return [row for row in self.rows if (row.runs, row.quantity) not in shown]

    @property
    def summary(self) -> str:
        """In a few words."""
        measured = sum(line.ours is not None for line in self.lines)
        left_out = f"; not shown: {self.hidden} {CANDIDATES}" if self.hidden else ""
        return (
            f"{len(self.lines)} published numbers, {measured} of them with a run beside them, "
            f"from {len(self.records):,} records{left_out}"
        )

    def sides(self, one: Difference) -> list[Path]:
        """The runs of either side of an ablation, as far as its setting tells them from others."""
        seeds = dict(zip((one.against, one.side), one.seeds, strict=True))
        named = {f"{one.ablation}/{side}": some for side, some in seeds.items()}
        model, recipe, data = one.setting.model, one.setting.recipe, one.setting.data
        return sorted(
            directory(record)
            for record in self.records
            if record.path and record.seed in named.get(record.ablation or "", ())
            if model in (None, record.model) and recipe in (None, record.recipe)
            if data in (None, record.data)
        )

    @cached_property
    def commands(self) -> Mapping[Path, str]:
        """What was typed, by the directory of the run (or its record, where it lies elsewhere)."""
        return {directory(one): one.command for one in self.records if one.path}


def directory(record: Record) -> Path:
    """The run's directory; a record of another name stands for itself."""
    path = record.path or Path()
    return path.parent if path.name == FILE_NAME else path


class Found(NamedTuple):
    """Records to be shown, files that are none, and how many candidates of sweeps are left out."""

    records: list[Record]
    skipped: list[Skipped]
    hidden: int


def read(roots: Sequence[Path], candidates: bool) -> Found:
    """What lies below `roots`; raises Problem where nothing of it is to be shown."""
    records, skipped = find(roots)
    if not records:
        named = "".join(f"\n  {one.path}: {one.reason}" for one in skipped)
        raise Problem(
            f"No finished run below {', '.join(map(str, roots))}: a run writes its result.json "
            f"when it ends. Train one, for example: python train.py model=lenet5{named}"
        )
    shown = [record for record in records if candidates or not is_candidate(record)]
    hidden = len(records) - len(shown)
    if not shown:
        raise Problem(
            f"There is no result yet, but {hidden} {CANDIDATES}: --candidates shows them."
        )
    return Found(shown, skipped, hidden)


def gather(
    roots: Sequence[Path], candidates: bool = False, say: Callable[[str], None] = lambda _: None
) -> Contents:
    """Reads the records below `roots` and sets them beside what is published; `say` hears of each step."""
    say("reading records")
    found = read(roots, candidates)
    published = load()
    say(f"setting {len(found.records):,} records beside {len(published):,} printed numbers")
    table, replaced = rows(found.records, published)
    return Contents(
        records=found.records,
        published=published,
        lines=of_rows(table, published),
        rows=table,
        differences=differences(found.records),
        skipped=[*found.skipped, *replaced],
        hidden=found.hidden,
    )
