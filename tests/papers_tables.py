"""The numbers of ../shared/papers, read from its Markdown without a look at the catalogue.

As a script it writes the extract that the tests read where that folder is absent:
python tests/papers_tables.py ../shared/papers > tests/published_numbers.csv
"""

import csv
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# What prints error rates: section 6 of a paper's page, 7 and 9 of the protocols', and the peers' D1 to D5.
SECTION = re.compile(r"## (5.)?6\. Published|## 7\. History|## 9\. Same protocol|### D[1-5]\.")
DECIMAL = re.compile(r"(?<![\w.,:-])[+]?\d+\.\d+(?!\w|\.\d)")


class Number(NamedTuple):
    """A printed decimal: the wordy cells before it, the head of its column, its place in the cell.

    Of running text, `row` and `column` are empty and places are those of the line.
    """

    file: str
    line: int
    row: str
    column: str
    place: str
    value: str


def extract(folder: Path) -> list[Number]:
    """All of every page, page by page."""
    return [one for page in sorted(folder.glob("*.md")) for one in _numbers(page)]


def load(path: Path) -> list[Number]:
    """The committed extract."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        assert next(rows) == list(Number._fields)
        return [Number(name, int(line), *rest) for name, line, *rest in rows]


def _numbers(page: Path) -> Iterator[Number]:
    lines = page.read_text(encoding="utf-8").splitlines()
    wanted, head = False, [""]
    for number, line in enumerate(lines, start=1):
        if line.startswith("#"):
            wanted = bool(SECTION.match(line))
        elif wanted and not line.startswith("|"):
            yield from _cell(page.name, number, "", "", line)
        elif wanted and number < len(lines) and lines[number].startswith("|--"):
            head = _cells(line)
        elif wanted:
            cells = _cells(line)
            for k, cell in enumerate(cells):
                words = " | ".join(one for one in cells[:k] if one and not DECIMAL.search(one))[:60]
                yield from _cell(page.name, number, words, head[k] if k < len(head) else "", cell)


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("**", "") for cell in line.strip().strip("|").split("|")]


def _cell(file: str, line: int, row: str, column: str, text: str) -> Iterator[Number]:
    found = DECIMAL.findall(text.replace("**", ""))
    for k, value in enumerate(found, start=1):
        yield Number(file, line, row, column, f"{k} of {len(found)}", value)


if __name__ == "__main__":
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(Number._fields)
    writer.writerows(extract(Path(sys.argv[1])))
