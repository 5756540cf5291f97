r"""The table for a paper: LaTeX's longtable with booktabs' rules."""

from collections.abc import Sequence
from pathlib import Path

from topfive import whole_files
from topfive.report import wording
from topfive.report.contents import Contents
from topfive.report.lines import Line

NAMES = ("network", "tested on", "error", "published", "ours", r"95\% interval", "difference", "verdict")  # fmt: skip
RAGGED = r">{\raggedright\arraybackslash}"
COLUMNS = f"@{{}}{RAGGED}p{{4cm}}{RAGGED}p{{4.8cm}}lrrrrl@{{}}"
CAPTION = (
    r"Published errors in \% and what was measured here under the same protocol, with 95\% intervals "
    "(Wilson's over the images of one run, Student's $t$ over the seeds of several)."
)
ESCAPES = {
    **{one: f"\\{one}" for one in "&%$#{}"},
    "_": r"\_\allowbreak{}",
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{one: f"${one}$" for one in "<>|"},
    "×": r"$\times$",
    "±": r"$\pm$",
    "−": "$-$",
    "–": "--",
    "—": "---",
    "§": r"\S{}",
    '"': "''",
    "[": "{[}",  # no argument of \\ before it
}
_TABLE = str.maketrans(ESCAPES)


def write(contents: Contents, path: Path) -> None:
    """A part of a document, to be \\input; its first line says which packages that needs."""
    whole_files.write(path, render(contents).encode())


def render(contents: Contents) -> str:
    """Every published number in a row, papers in their order, each with its citation above its numbers."""
    rows: list[str] = []
    cited = ""
    for line in contents.lines:
        paper = line.published.paper
        if paper.citation != cited:
            cited = paper.citation
            rows.append(rf"\addlinespace \multicolumn{{{len(NAMES)}}}{{@{{}}p{{\linewidth}}@{{}}}}"
                        rf"{{\itshape {escaped(cited)}}} \\*")  # fmt: skip
        rows.append(_row(_cells(line)))
    head = " & ".join(NAMES) + r" \\"
    return (
        "\n".join(
            [
                r"% \usepackage{array,booktabs,longtable}, on a page of 25 cm between its margins (A4, landscape)",
                r"\begingroup\footnotesize\setlength{\LTcapwidth}{\linewidth}",
                rf"\begin{{longtable}}{{{COLUMNS}}}",
                rf"\caption{{{CAPTION}}} \\",
                *(r"\toprule", head, r"\midrule", r"\endfirsthead"),
                *(r"\toprule", head, r"\midrule", r"\endhead"),
                *(r"\bottomrule", r"\endfoot"),
                *rows,
                r"\end{longtable}",
                r"\endgroup",
            ]
        )
        + "\n"
    )


def escaped(text: str) -> str:
    """Text that means nothing to TeX."""
    return text.translate(_TABLE)


def _cells(line: Line) -> list[str]:
    one = line.published
    named = " ".join(filter(None, (wording.network(one), wording.options(one.options))))
    told = ", ".join((wording.printed(one), *wording.remarks(one)))
    return [
        named,
        f"{wording.data(one.data)} {one.split}, {one.protocol}",
        wording.error(one.quantity),
        told,
        wording.percent(line.ours),
        wording.span(line.interval),
        wording.signed(line.difference),
        line.verdict,
    ]


def _row(cells: Sequence[str]) -> str:
    return " & ".join(map(escaped, cells)) + r" \\"
