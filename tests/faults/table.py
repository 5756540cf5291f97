"""The table of faults and outcomes, on the screen and in README.md."""

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from injection import Fault

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- table -->", "<!-- /table -->"
COLUMNS = ("fault", "injected", "times", "expected", "what happened", "verdict", "seconds")
HEAD = f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}"
LIBRARIES = ("torch", "pytorch-lightning", "hydra-core", "wandb")


@dataclass(frozen=True)
class Row:
    """What became of a fault; verdict: as expected, FAULT or not run."""

    fault: Fault
    happened: str
    verdict: str
    seconds: float


def markdown(rows: Sequence[Row]) -> str:
    return "\n".join([*HEAD, *(line(row) for row in rows)])


def line(row: Row) -> str:
    return f"| {' | '.join(cells(row))} |"


def cells(row: Row) -> tuple[str, ...]:
    # Where this machine keeps its files is nobody's business.
    fault, happened = row.fault, re.sub(r"(/[\w.+-]+)+/", "", row.happened).replace("|", "\\|")
    numbers = str(fault.times), f"{row.seconds:.0f}"
    return (f"`{fault.name}`", fault.what, numbers[0], fault.expected, happened, row.verdict, numbers[1])  # fmt: skip


def origin(seed: int) -> str:
    """When, on what, with what."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    machine = f"{os.cpu_count()} processors, {platform.system()} {platform.machine()}"
    date = datetime.now(UTC).date()
    return f"{date}, seed {seed}; {machine}; Python {platform.python_version()}, {libraries}."


def write(rows: Sequence[Row], seed: int, order: Sequence[str]) -> None:
    """Puts rows into the table; those of faults that were not injected now stay. order: names of all faults."""
    before, _, rest = README.read_text().partition(BEGIN)
    table, _, after = rest.partition(END)
    kept = {match[1]: match[0] for match in re.finditer(r"^\| `(\w+)` \|.*$", table, re.M)}
    kept |= {row.fault.name: line(row) for row in rows}
    lines = [*HEAD, *(kept[name] for name in order if name in kept)]
    content = "\n".join([BEGIN, origin(seed), "", *lines, END])
    README.write_text(before + content + after)
