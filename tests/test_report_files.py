"""The report as Markdown, LaTeX, CSV and Parquet, and the command that writes it."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd
import pytest
from records import record

from topfive.problems import Problem
from topfive.report import files, latex, markdown
from topfive.report.__main__ import main
from topfive.report.contents import Contents, gather
from topfive.results import FILE_NAME, Score, write

ROOT = Path(__file__).parents[1]
RESNET34: dict[str, Any] = {
    "model": "resnet34",
    "recipe": "resnet",
    "data": "imagenet",
    "options": {"depth": 34, "shortcut": "B", "stride_on": "1x1"},
}
RUNS = {
    "as_printed": record(Score("ten_crop", "val", 50000, 12300, 3700), **RESNET34),
    "departs": record(departures=("a|b=[1, 2] (paper: 50%_of {it})", "x<y")),
    "own_data": record(Score("one_crop", "val", 600, 300, 90), data="folder"),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "runs"
    for name, run in RUNS.items():
        (folder / name).mkdir(parents=True)
        write(replace(run, identity=name), folder / name / FILE_NAME)
    return folder


@pytest.fixture(scope="module")
def contents(runs: Path) -> Contents:
    return gather([runs])


def rows(text: str) -> list[list[str]]:
    """The cells of all lines of Markdown tables."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_the_readme_is_current() -> None:
    """Else: python -m topfive.report results/ --markdown README.md"""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(f"{markdown.START}\n(.*?){markdown.END}", text, re.DOTALL)
    assert found == [markdown.section(gather([ROOT / "results"]), ROOT)]


def test_markdown_has_every_published_number_and_every_row_as_many_cells(
    contents: Contents,
) -> None:
    text = markdown.whole(contents, Path.cwd())
    table = [row for row in rows(text) if len(row) == len(markdown.LINES)]
    assert len(table) == len(contents.lines) + 2
    assert {len(row) for row in rows(text)} == {len(markdown.LINES), len(markdown.OTHERS)}


def test_markdown_says_what_was_measured_and_links_to_the_record(
    contents: Contents, runs: Path
) -> None:
    table = rows(markdown.section(contents, runs.parent))
    (top5,) = [row for row in table if row[0] == "resnet34" and row[3] == "top-5"]
    # 3700 of 50000; Wilson by hand: z = 1.96, center 0.074033, half-width 0.002295
    expected = ["7.46", "[7.40](runs/as_printed/result.json)", "7.17–7.63", "50,000", "−0.06"]
    assert top5[4:9] == expected
    (departing,) = [row for row in table if row[0] == "resnet20" and row[4] == "8.75"]
    assert departing[8] == ""
    assert r"not comparable: a\|b=\[1, 2\] (paper: 50%\_of \{it\}) and 1 more" in departing[9]
    (own,) = [row for row in table if "folder val" in row[1]]
    assert own[2:6] == ["600", "[50.00](runs/own_data/result.json)", "46.01–53.99",
                        "[15.00](runs/own_data/result.json)"]  # fmt: skip


def test_markdown_goes_between_the_marks_and_touches_nothing_else(
    contents: Contents, tmp_path: Path
) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"before\n\n{markdown.START}\nwhat was there\n{markdown.END}\n\nafter\n")
    markdown.write(contents, page)
    once = page.read_text()
    assert once.startswith(f"before\n\n{markdown.START}\n")
    assert once.endswith(f"{markdown.END}\n\nafter\n")
    assert "24.60" in once
    assert "what was there" not in once
    markdown.write(contents, page)
    assert page.read_text() == once
    markdown.write(contents, tmp_path / "whole.md")
    assert (tmp_path / "whole.md").read_text().startswith("# ")


def test_latex_has_a_row_of_eight_cells_for_every_published_number(contents: Contents) -> None:
    text = latex.render(contents)
    body = text[text.index(r"\endfoot") : text.index(r"\end{longtable}")].splitlines()[1:]
    numbers = [line for line in body if not line.startswith(r"\addlinespace")]
    assert len(numbers) == len(contents.lines)
    assert {len(re.findall(r"(?<!\\)&", line)) for line in numbers} == {7}
    assert text.count(r"\toprule") == 2
    assert (
        r"ten\_\allowbreak{}crop & top-5 & 7.46 & 7.40 & 7.17--7.63 & $-$0.06 & reproduced" in text
    )


def test_what_writes_the_files_does_not_import_torch() -> None:
    # It takes half a gigabyte, which is all that 5,000 records may take.
    code = "import sys, topfive.report.outputs; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_latex_escapes_all_that_means_something_to_tex() -> None:
    assert latex.escaped("50% of A&B_{1} #2 $3 ^~") == (
        r"50\% of A\&B\_\allowbreak{}\{1\} \#2 \$3 \^{}\textasciitilde{}"
        .replace(r"\^{}", r"\textasciicircum{}")
    )  # fmt: skip
    assert latex.escaped("a\\b ±0.1 −2 5 × <") == r"a\textbackslash{}b $\pm$0.1 $-$2 5 $\times$ $<$"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs TeX: pdflatex is not here")
def test_latex_compiles_and_nothing_sticks_out(runs: Path, tmp_path: Path) -> None:
    # The records that are committed have wide intervals, and verdicts of many letters beside them.
    latex.write(gather([runs, ROOT / "results"]), tmp_path / "table.tex")
    (tmp_path / "page.tex").write_text(
        "\\documentclass{article}\\usepackage{array,booktabs,longtable}"
        "\\usepackage[a4paper,landscape,margin=2.35cm]{geometry}"
        "\\begin{document}\\input{table}\\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page"]
    for _ in range(4):  # longtable widens its columns from one to the next
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in (tmp_path / "page.log").read_text(errors="replace")


def test_csv_keeps_counts_digits_and_lists(contents: Contents, runs: Path, tmp_path: Path) -> None:
    files.write_csv(contents, runs.parent / "table.csv")
    table = pd.read_csv(runs.parent / "table.csv", dtype={"published": str, "seeds": str})
    assert tuple(table.columns) == files.COLUMNS
    assert table.verdict.notna().sum() == len(contents.lines)
    own = table[table.data == "folder"].set_index("quantity")
    assert own.verdict.isna().all()
    assert own.ours.to_dict() == {"top1_error": 50.0, "top5_error": 15.0}
    one = table[(table.network == "resnet34") & (table.ours == 7.4)].iloc[0]
    assert (one.published, one.n, one.seeds) == ("7.46", 50000, "0")
    assert one.difference == pytest.approx(-0.06)
    assert (runs.parent / one.runs).is_file()
    departs = table[table.departures == "; ".join(RUNS["departs"].departures)]
    assert set(departs.verdict.dropna()) == {"not comparable"}


def test_parquet_holds_the_same_or_says_what_to_install(
    contents: Contents, runs: Path, tmp_path: Path
) -> None:
    path = runs.parent / "table.parquet"
    if find_spec("pyarrow"):
        files.write_parquet(contents, path)
        pd.testing.assert_frame_equal(pd.read_parquet(path), files.frame(contents, path.parent))
    else:
        with pytest.raises(Problem, match="uv sync --extra parquet"):
            files.write_parquet(contents, path)
        assert not path.exists()


def test_the_command_writes_what_is_asked_and_says_what_is_in_it(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [f"--{name}" for name in ("csv", "latex", "markdown", "html")]
    paths = [str(tmp_path / f"table.{name}") for name in ("csv", "tex", "md", "html")]
    arguments = [word for pair in zip(asked, paths, strict=True) for word in pair]
    assert main([str(runs), *arguments]) == 0
    out = capsys.readouterr().out.splitlines()
    assert len(out) == 4
    assert all("from 3 records" in line for line in out)
    assert all(Path(path).stat().st_size > 1000 for path in paths)
    assert "<svg" in (tmp_path / "table.html").read_text()


@pytest.mark.parametrize(
    ("file", "said"), [(".", "is a folder"), ("absent/report.html", "there is no absent")]
)
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_read(
    file: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["nowhere", "--html", file]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        (["wandb=me/table", "results"], ["me/table", "results"]),
        (["wandb", "me/table"], ["me/table"]),
        (["plan", "device=h100", "count=8"], ["device=h100", "count=8"]),
        (["compare", "one", "other"], ["one", "other"]),
    ],
)
def test_other_commands_get_their_arguments(
    given: list[str], passed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[list[str]] = []
    name = f"topfive.report.{given[0].partition('=')[0]}"
    module: Any = ModuleType(name)

    def take(argv: list[str]) -> int:
        called.append(argv)
        return 3

    module.main = take
    monkeypatch.setitem(sys.modules, name, module)
    assert main(given) == 3
    assert called == [passed]
