"""A table in the terminal, in Markdown and in LaTeX (booktabs)."""

import re
from io import StringIO

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from topfive.inspect.table import Table

LATEX = {
    **{one: f"\\{one}" for one in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "≠": r"$\neq$",
    "→": r"$\to$",
    "–": "--",
}

FOLDED = 24  # characters that a column of words keeps where the terminal is narrow


def terminal(table: Table, console: Console) -> None:
    """Numbers are never cut: where the terminal is narrow words fold, or else the lines are long."""
    made = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    widths = [
        max(map(cell_len, (*head.split(), *(row[n] for row in (*table.rows, *table.totals)))))
        for n, head in enumerate(table.columns)
    ]
    lack = max(0, sum(widths) + 3 * len(widths) - console.width)
    for number in sorted(table.folds, key=lambda number: -widths[number]):
        whole = widths[number]
        widths[number] = max(min(whole, FOLDED), whole - lack)
        lack -= whole - widths[number]
    for number, head in enumerate(table.columns):
        words = number in table.words
        made.add_column(
            head if words else "\n".join(head.rsplit(" ", 1)),
            justify="left" if words else "right",
            width=widths[number],
            overflow="fold",
        )
    for row in table.rows:
        made.add_row(*map(Text, row))
    made.add_section()
    for row in table.totals:
        made.add_row(*(Text(cell, style="bold") for cell in row))
    made.width = Measurement.get(console, console.options.update_width(1000), made).maximum
    console.print(Text(table.title, style="bold"), soft_wrap=True)
    console.print(made, crop=False)
    for note in table.notes:
        console.print(Text(note))


def plain(table: Table) -> str:
    """What the terminal shows, in lines of 150 characters."""
    console = Console(file=StringIO(), width=150, color_system=None)
    terminal(table, console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def markdown(table: Table) -> str:
    """A pipe table, totals in bold, notes as paragraphs."""
    rules = ("---" if number in table.words else "---:" for number in range(len(table.columns)))
    bold = [tuple(f"**{cell}**" if cell else "" for cell in row) for row in table.totals]
    lines = [
        "| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |"
        for row in (table.columns, tuple(rules), *table.rows, *bold)
    ]
    notes = "".join(f"\n{note}\n" for note in table.notes)
    return f"**{table.title}**\n\n" + "\n".join(lines) + f"\n{notes}"


def latex(table: Table) -> str:
    r"""A `table` with booktabs' rules; needs \usepackage{booktabs}."""
    longest = [max(len(row[n]) for row in (table.columns, *table.rows)) for n in table.folds]
    wide = {n for n, length in zip(table.folds, longest, strict=True) if length > 40}
    words = {n: "p{5cm}" if n in wide else "l" for n in table.words}
    align = "".join(words.get(number, "r") for number in range(len(table.columns)))
    body = [_latex_row(row) for row in table.rows]
    totals = [r"\midrule", *(_latex_row(row) for row in table.totals)] if table.totals else []
    notes = [f"{_escaped(note)}\\par" for note in table.notes]
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        f"\\caption{{{_escaped(table.title)}}}",
        f"\\begin{{tabular}}{{@{{}}{align}@{{}}}}",
        r"\toprule",
        _latex_row(table.columns),
        r"\midrule",
        *body,
        *totals,
        r"\bottomrule",
        r"\end{tabular}",
        *([r"\par\smallskip\footnotesize", *notes] if notes else []),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_row(row: tuple[str, ...]) -> str:
    cells = [_escaped(cell) for cell in row]
    # A row that begins with [ would be taken for an argument of \\.
    cells[0] = "{}" + cells[0] if cells[0].startswith("[") else cells[0]
    return " & ".join(cells) + r" \\"


def _escaped(text: str) -> str:
    return re.sub(r".", lambda one: LATEX.get(one[0], one[0]), text)
