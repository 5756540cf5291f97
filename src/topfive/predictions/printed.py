"""Tables in the terminal, in percent; where it is narrow, the words of a row stand above its figures."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from topfive.predictions.tables import Cell, Difference, Rate, Table

NONE = "—"
NO_FRACTIONS = {"p": ".2g", "weight": "g"}  # all other numbers with a point are
READABLE = 16  # characters to which a column of words may be folded

Columns = Mapping[str, Sequence[str]]  # cells by heading


def show(table: Table, console: Console) -> None:
    """Prints `table`, its title above and its notes below; columns without any value are left out."""
    console.print(Text(table.title, style="bold", overflow="fold"))
    words: dict[str, list[str]] = {}
    figures: dict[str, list[str]] = {}
    for column in table.rows[0] if table.rows else ():
        values = [row[column] for row in table.rows]
        kinds = {type(value) for value in values} - {type(None)}
        if kinds:
            cells = [_cell(column, value) for value in values]
            (words if kinds == {str} else figures)[_heading(column)] = cells
    fits = sum(_widths(figures)) + sum(min(READABLE, one) for one in _widths(words))
    if figures and fits + 3 * len(words | figures) > console.width:
        _stack(words, figures, console)
    elif table.rows:
        console.print(_side_by_side(words, figures))
    for note in table.notes:
        console.print(Text(note, overflow="fold"))


def _side_by_side(words: Columns, figures: Columns) -> RichTable:
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in words:
        table.add_column(heading, overflow="fold")
    for heading in figures:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in zip(*words.values(), *figures.values(), strict=True):
        table.add_row(*map(Text, row))
    return table


def _stack(words: Columns, figures: Columns, console: Console) -> None:
    widths = _widths(figures)

    def line(cells: Sequence[str]) -> Text:
        # Wraps where it must: no digit is cut.
        parts = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        return Text("  " + "  ".join(parts), overflow="fold")

    console.print(line(list(figures)))
    for said, row in zip(
        zip(*words.values(), strict=True), zip(*figures.values(), strict=True), strict=True
    ):
        console.print(Text(", ".join(one for one in said if one != NONE), overflow="fold"))
        console.print(line(row))
    console.print()


def _widths(columns: Columns) -> list[int]:
    return [max(map(len, (heading, *cells))) for heading, cells in columns.items()]


def _heading(column: str) -> str:
    return column.replace("_", " ").replace("top1", "top-1").replace("top5", "top-5")


def _cell(column: str, value: Cell) -> str:
    match value:
        case None:
            return NONE
        case Rate(middle, low, high):
            return f"{100 * middle:.2f} ({100 * low:.2f}–{100 * high:.2f})"
        case Difference(middle, low, high):
            return f"{_points(middle)} ({_points(low)} to {_points(high)})"
        case float() if column in NO_FRACTIONS:
            return f"{value:{NO_FRACTIONS[column]}}"
        case float():
            return f"{100 * value:.2f}"
        case int():
            return f"{value:,}"
        case _:
            return str(value)


def _points(fraction: float) -> str:
    return f"{round(100 * fraction, 2) + 0.0:+.2f}"  # no "-0.00"
