"""What a sweep tried and chose, in words: its table on the screen, its sentence under a result."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from topfive.choice import Candidate, Choice
from topfive.results import Json

DIVERGED = "diverged"


def said(key: str, value: Json) -> str:
    """As a label: schedule.rate=0.05, initialization=gaussian(std=0.01)."""
    return f"{key.removeprefix('recipe.')}={worded(value)}"


def worded(value: Json) -> str:
    """A value in a table; of what Hydra instantiates, the name and its arguments."""
    if isinstance(value, Mapping) and "_target_" in value:
        name = str(value["_target_"]).rpartition(".")[2]
        rest = ", ".join(f"{k}={worded(v)}" for k, v in value.items() if k != "_target_")
        return f"{name}({rest})" if rest else name
    return str(value)


def sentence(content: Mapping[str, Any]) -> str:
    """0.05 of 0.25 (diverged), 0.1 (14.20), 0.05 (12.50), and by what; `content` as in a record."""
    n, seeds = content["n"], len(content["candidates"][0]["seeds"])
    tried = []
    for one in content["candidates"]:
        candidate = Candidate(one["value"], tuple(one["seeds"]), tuple(one["top1_errors"]))
        tried.append(f"{worded(candidate.value)} ({_percent(candidate.mean, n)})")
    images = f"{n:,} images of the {content['split']}, {content['protocol']}"
    mean = f", mean of {seeds} seeds" if seeds > 1 else ""
    return f"{worded(content['chosen'])} of {', '.join(tried)}: top-1 error on {images}{mean}"


def show(choice: Choice, what: str, console: Console) -> None:
    """Prints all candidates of `what`, and which is chosen; raises Problem where all diverged."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column(choice.key, overflow="fold")
    for seed in choice.candidates[0].seeds:
        table.add_column(f"seed {seed}", justify="right")
    table.add_column("mean", justify="right")
    for one in choice.candidates:
        errors = [_percent(count, choice.n) for count in (*one.top1_errors, one.mean)]
        table.add_row(worded(one.value), *errors)
    images = f"top-1 error in % of {choice.n:,} images of the minival, {choice.protocol}"
    console.print(f"\n{what}\n{images}", highlight=False, markup=False)
    console.print(table)
    lost = sum(one.mean is None for one in choice.candidates)
    if lost:
        console.print(f"{lost} of {len(choice.candidates)} diverged and cannot be chosen")
    chosen = said(choice.key, choice.chosen.value)
    console.print(f"chosen: {chosen}, now trained on all of train\n", highlight=False, markup=False)


def _percent(errors: float | None, n: int) -> str:
    return DIVERGED if errors is None else f"{100 * errors / n:.2f}"
