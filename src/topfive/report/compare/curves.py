"""The training curves of two runs at the iterations that both logged, and where each ended."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from topfive.curve import COLUMNS
from topfive.inspect.table import Table
from topfive.problems import Problem
from topfive.report.compare.sides import Side, refusal

FILE_NAME = "curve.csv"
QUANTITIES = ("loss", "top1_error", "top5_error")
ROWS = 5  # of the iterations that both logged, evenly apart
TRAIN = "train"
NOTE = (
    "Errors in %. Training errors are of the batches as each recipe cuts and changes them, means since the row "
    "before."
)

Curve = Mapping[tuple[str, str], Mapping[int, float]]  # by split and quantity, then by iteration


def curve(side: Side) -> Curve | None:
    """What the run logged, fractions; None where it has no curve. Raises Problem where it is damaged.

    An iteration is an update: a step of some recipes is a block of them.
    """
    path = None if side.folder is None else side.folder / FILE_NAME
    if path is None or not path.exists():
        return None
    found: dict[tuple[str, str], dict[int, float]] = {}
    updates = _updates(side)
    for number, row in enumerate(_rows(path), start=2):
        try:
            iteration = int(row["step"]) * updates
            values = {name: float(row[name]) for name in QUANTITIES if row[name]}
        except (TypeError, ValueError) as error:
            raise Problem(
                f"{path}, line {number}: {error}. Repeat the run, or delete it."
            ) from error
        for name, value in values.items():
            found.setdefault((row["split"], name), {})[iteration] = value
    return found


def shared(first: Side, second: Side) -> tuple[Curve, Curve, str] | None:
    """The parts of both curves that are of the same images under the same view, and what was left out.

    None where a run has no curve. Raises Problem where the data are not the same.
    """
    why = refusal(first, second)
    if why:
        raise Problem(f"The curves are not compared: {why}.")
    one, other = curve(first), curve(second)
    if one is None or other is None:
        return None
    same = first.record.config["protocol"] == second.record.config["protocol"]
    keys = [key for key in one if key in other and (same or key[0] == TRAIN)]
    left = "" if same else "Only training is compared: the runs are tested under other protocols."
    return {k: one[k] for k in keys}, {k: other[k] for k in keys}, left


def curves(first: Side, second: Side) -> Table:
    """Rows of what both logged, at up to five iterations of both, and the last of each."""
    columns = ("split", "what", "iteration", "first", "second")
    rows: list[tuple[str, ...]] = []
    try:
        both = shared(first, second)
        notes = [NOTE, both[2]] if both else [_missing(first, second)]
    except Problem as problem:
        both, notes = None, [str(problem)]
    for split, quantity in both[0] if both else ():
        assert both is not None
        one, other = both[0][split, quantity], both[1][split, quantity]
        for iteration in spread(sorted(one.keys() & other.keys())):
            values = (one[iteration], other[iteration])
            rows.append(
                _row(split, quantity, f"{iteration:,}", *(_at(quantity, v) for v in values))
            )
        if max(one) != max(other):
            ends = (f"{_at(quantity, some[max(some)])} at {max(some):,}" for some in (one, other))
            rows.append(_row(split, quantity, "its last", *ends))
    notes = [note for note in notes if note]
    return Table("Curves", columns, rows, (), notes, frozenset({0, 1}), frozenset())


def spread(iterations: Sequence[int]) -> list[int]:
    """Up to `ROWS` of them, as evenly as can be, the last one among them."""
    count = min(ROWS, len(iterations))
    return [iterations[len(iterations) * k // count - 1] for k in range(1, count + 1)]


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = [row for row in reader if None not in row.values()]  # a crash may cut the last
    missing = set(COLUMNS[:6]) - set(reader.fieldnames or ())
    if missing:
        raise Problem(f"{path} lacks the columns {', '.join(sorted(missing))}: it is no curve.")
    return rows


def _updates(side: Side) -> int:
    recipe = side.record.config["recipe"]
    online = recipe.get("online") if isinstance(recipe, Mapping) else None
    return int(online["block"]) if online else 1  # type: ignore[index, call-overload, arg-type]


def _missing(first: Side, second: Side) -> str:
    without = [str(one.path) for one in (first, second) if curve(one) is None]
    return f"No {FILE_NAME} of {' and '.join(without)}."


def _row(split: str, quantity: str, *cells: str) -> tuple[str, ...]:
    return (split, quantity.replace("_", " ").replace("top", "top-"), *cells)


def _at(quantity: str, value: float) -> str:
    return f"{value:.4g}" if quantity == "loss" else f"{100 * value:.2f}"
