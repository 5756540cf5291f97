"""What benchmarks/networks.py measures of a network, and the CSV that it stands in."""

import csv
import math
import os
import platform
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch

from topfive.problems import Problem


@dataclass(frozen=True)
class Point:
    """What is measured, and on what kind of machine."""

    network: str
    batch: int
    machine: str
    threads: int  # 0 on a GPU
    dtype: str
    channels_last: bool
    mode: str  # inference | training

    @property
    def setting(self) -> tuple[str, int, str, bool, str]:
        """All but network and batch: what a chart may set side by side."""
        return self.machine, self.threads, self.dtype, self.channels_last, self.mode


@dataclass(frozen=True)
class Row(Point):
    """What was found: seconds of a batch (the median, fastest, slowest repeat), memory of a pass.

    `cpu_seconds`, the median over the repeats too, is the time that the processor worked on it, all
    threads together: what a busy machine leaves alone, where one thread ran; NaN on a GPU.
    Numbers are NaN, or empty in the CSV, where `status` is not done.
    """

    status: str = "done"  # done | too slow | out of memory | failed: why
    input: str = ""  # channels x height x width
    repeats: int = 0
    passes: int = 0  # in each repeat
    seconds: float = math.nan
    fastest: float = math.nan
    slowest: float = math.nan
    cpu_seconds: float = math.nan
    images_per_second: float = math.nan
    memory_mib: float = math.nan
    weights_mib: float = math.nan
    load: float = math.nan  # of the machine before: processes that ran or waited
    torch: str = torch.__version__

    @property
    def point(self) -> Point:
        return Point(self.network, self.batch, *self.setting)

    def __str__(self) -> str:
        if self.status != "done":
            return self.status
        return f"{self.images_per_second:,.4g} images/s, {self.memory_mib:,.0f} MiB"


def read(file: Path) -> dict[Point, Row]:
    """The rows of a CSV, the last of each point; none where there is no file."""
    if not file.exists():
        return {}
    with file.open(newline="", encoding="utf-8") as stream:
        rows = [_typed(record, file) for record in csv.DictReader(stream)]
    return {row.point: row for row in rows}


def append(file: Path, row: Row) -> None:
    """Adds a row; it is on the disk when this returns."""
    new = not file.exists()
    try:
        stream = file.open("a", newline="", encoding="utf-8")
    except OSError as error:
        raise Problem(f"{file} cannot be written: {error.strerror}. Name another --csv.") from error
    with stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Row)])
        if new:
            writer.writeheader()
        values = asdict(row).items()
        writer.writerow({n: "" if isinstance(v, float) and math.isnan(v) else v for n, v in values})


def _typed(record: dict[str, str], file: Path) -> Row:
    kinds: dict[object, Callable[[str], object]] = {
        str: str,
        int: int,
        float: lambda text: float(text or "nan"),
        bool: lambda text: text == "True",
    }
    known = {field.name: kinds[field.type] for field in fields(Row)}
    if set(record) != set(known):
        raise Problem(
            f"{file} has columns {_listed(record)}, expected {_listed(known)}: name another --csv."
        )
    return Row(**{name: kind(record[name]) for name, kind in known.items()})  # type: ignore[arg-type]


def _listed(names: Iterable[str | None]) -> str:
    return ", ".join(str(name) for name in names)


def processor() -> str:
    """The kind of processor, and how many of its cores can be used here."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{named[0] if named else platform.machine()}, {cores} cores"
