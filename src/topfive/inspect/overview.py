"""All networks in one table: what each is made of here, and what its paper prints."""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console

from topfive.config import options
from topfive.inspect.measure import Counts, count
from topfive.inspect.network import network
from topfive.inspect.table import Table
from topfive.published import Paper, Size, met, networks, sizes
from topfive.results import Json

QUANTITIES = ("layers", "parameters", "multiply_adds")


@dataclass(frozen=True)
class Entry:
    """A network under some options, its exact size, and what is printed of it."""

    label: str
    paper: Paper | None
    counts: Counts
    printed: tuple[Size, ...]


def counts(name: str, own: Mapping[str, Json] | None = None) -> Counts:
    """The size of a network of conf/model under some options, at the image size of its recipe."""
    made = network(name, [f"{key}={json.dumps(value)}" for key, value in (own or {}).items()])
    return count(made.net, (1, made.channels, made.size, made.size))


def entries(name: str) -> list[Entry]:
    """The network as its paper has it, then under each set of options that has a printed size.

    Options that change nothing in evaluation, such as GoogLeNet's heads, make no entry of their own.
    """
    printed: list[tuple[Mapping[str, Json], list[Size]]] = [({}, [])]
    for size in (size for size in sizes() if size.network == name):
        known = next((some for own, some in printed if own == size.options), None)
        if known is None:
            printed.append((size.options, [size]))
        else:
            known.append(size)
    counted = [(own, counts(name, own), some) for own, some in printed]
    as_printed = counted[0][1]
    for _, found, some in counted[1:]:
        counted[0][2].extend(some if found == as_printed else [])
    home = networks().get(name)
    return [
        Entry(_label(name, own), home.paper if home else None, found, tuple(some))
        for own, found, some in counted
        if not own or found != as_printed
    ]


def overview(names: Sequence[str] | None = None) -> Table:
    """A row per entry of `names` (all of conf/model), papers by year."""
    names = options("model") if names is None else names
    rows: list[Entry] = []
    with Console(file=sys.stderr).status("") as status:
        for number, name in enumerate(names, start=1):
            status.update(f"{name} ({number} of {len(names)})")
            rows += entries(name)
    rows.sort(key=lambda row: (_year(row.paper) or "?", _natural(row.label)))
    notes: list[str] = []
    return Table(
        title=f"{len(names)} networks in evaluation, on one image of the size that they train on",
        columns=(
            *("network", "paper", "year", "layers", "printed"),
            *("parameters", "printed", "multiply-adds", "printed"),
        ),
        rows=[_row(row, notes) for row in rows],
        notes=[
            "layers: convolutions and other layers with weights, on the longest path. printed: the "
            "paper's figure; [n] where the exact count does not round to it:",
            *(f"[{number}] {note}" for number, note in enumerate(notes, start=1)),
        ],
        words=frozenset({0, 1}),
        folds=frozenset({1}),
    )


def _row(row: Entry, notes: list[str]) -> tuple[str, ...]:
    cells = [row.label, authors(row.paper), _year(row.paper)]
    for quantity in QUANTITIES:
        ours: int = getattr(row.counts, quantity)
        printed = [_printed(size, ours, notes) for size in row.printed if size.quantity == quantity]
        cells += [f"{ours:,}", "; ".join(dict.fromkeys(printed))]
    return tuple(cells)


def _printed(size: Size, ours: int, notes: list[str]) -> str:
    if met(size, ours):
        return size.value
    where = f"{authors(size.paper)} {_year(size.paper)}, {size.where}"
    note = f"{size.value} ({where}): {size.unmet or f'{ours:,} here, and no reason is known'}"
    if note not in notes:
        notes.append(note)
    return f"{size.value} [{notes.index(note) + 1}]"


def authors(paper: Paper | None) -> str:
    """As a citation in running text has them."""
    if paper is None:
        return ""
    names = paper.citation.split(". ")[0].split(", ")
    return " and ".join(names) if len(names) < 3 else f"{names[0]} et al."


def _year(paper: Paper | None) -> str:
    return str(paper.year) if paper and paper.year else ""


def _label(name: str, own: Mapping[str, Json]) -> str:
    texts = {key: v if isinstance(v, str) else json.dumps(v) for key, v in own.items()}
    return " ".join((name, *(f"{key}={text}" for key, text in texts.items())))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(p), "") if p.isdigit() else (-1, p) for p in re.split(r"(\d+)", name)]
