"""The HTML page: all that was found is on it, it needs nothing else, and Chromium shows it as it should."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, get_args
from urllib.parse import unquote

import numpy as np
import pytest
from browser import CHROMIUM, Page
from PIL import Image
from records import record

from topfive.report import page, wording
from topfive.report.contents import Contents, gather
from topfive.report.lines import Verdict
from topfive.results import FILE_NAME, Record, Score, write

HOSTILE = '<script>document.title = "taken"</script> & "quoted"'
RESNET34: dict[str, Any] = {
    "model": "resnet34",
    "recipe": "resnet",
    "data": "imagenet",
    "options": {"depth": 34, "shortcut": "B", "stride_on": "1x1"},
}
RUNS = {
    "as_printed": record(Score("ten_crop", "val", 50000, 12300, 3700), **RESNET34),
    "on one set": record(command=f"python train.py model=resnet20 # {HOSTILE}"),
    "own_data": record(Score("one_crop", "val", 600, 300, 90), data="folder"),
    "plain_side": record(
        Score("one_view", "test", 10000, 950), ablation="cifar_residual/plain",
        options={"depth": 20, "shortcut": None},
    ),
    "residual_side": record(Score("one_view", "test", 10000, 870), ablation="cifar_residual/residual"),
    "short": record(
        Score("one_view", "test", 10000, 1200), model="resnet56",
        options={"depth": 56, "shortcut": "A"}, departures=("recipe.shorten=64 (paper: 1)", HOSTILE),
    ),
}  # fmt: skip


class Tags(HTMLParser):
    """Every start tag of a page with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))

    def all(self, name: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.found if tag == name]


def put(folder: Path, runs: dict[str, Record]) -> None:
    for name, run in runs.items():
        (folder / name).mkdir(parents=True)
        write(replace(run, identity=name), folder / name / FILE_NAME)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """runs/ with records, one of them cut short, and beside it the page made of them."""
    folder = tmp_path_factory.mktemp("site")
    put(folder / "runs", RUNS)
    (folder / "runs" / "broken").mkdir()
    (folder / "runs" / "broken" / FILE_NAME).write_text('{"schema": 1')
    return folder


@pytest.fixture(scope="module")
def contents(site: Path) -> Contents:
    return gather([site / "runs"])


@pytest.fixture(scope="module")
def file(site: Path, contents: Contents) -> Path:
    page.write(contents, site / "report.html")
    return site / "report.html"


@pytest.fixture(scope="module")
def tags(file: Path) -> Tags:
    return Tags(file.read_text())


def test_of_many_runs_the_first_are_named_and_the_others_counted(tmp_path: Path) -> None:
    many = {
        f"run{seed:02}": record(Score("one_view", "test", 10000, 870 + seed), seed=seed)
        for seed in range(23)
    }
    put(tmp_path, many)
    (tmp_path / "broken").mkdir()
    for number in range(104):
        (tmp_path / "broken" / f"{number:03}.json").write_text('{"schema": 1')
    text = page.render(gather([tmp_path]), tmp_path, {})
    (line,) = re.findall(
        r'<tbody data-verdict="\w+" data-network="resnet20">.*?</tbody>', text, re.DOTALL
    )
    assert "23 runs" in line
    assert re.findall(r">[^<]*run(\d\d)</a>", line) == [f"{seed:02}" for seed in range(20)]
    assert "and 3 more" in line
    (skipped,) = re.findall(r'<section id="skipped">.*?</section>', text, re.DOTALL)
    assert skipped.count("<dt>") == 100
    assert "And 4 more" in skipped


def test_every_published_number_has_one_row(contents: Contents, tags: Tags) -> None:
    rows = [one for one in tags.all("tbody") if "data-verdict" in one]
    expected = [(line.verdict, line.published.network) for line in contents.lines]
    assert [(one["data-verdict"], one["data-network"]) for one in rows] == expected
    assert len(rows) > 200


def test_our_numbers_stand_on_the_page_and_link_to_their_records(file: Path, site: Path) -> None:
    text = file.read_text()
    numbers = (
        ("as_printed", "24.60"),  # 12300 of 50000
        ("as_printed", "7.40"),  # 3700
        ("on one set", "8.75"),  # 875 of 10000
        ("own_data", "50.00"),  # 300 of 600
    )
    for run, number in numbers:
        links = re.findall(rf'<a href="([^"]*)">{number}</a>', text)
        assert site / "runs" / run / FILE_NAME in [site / unquote(link) for link in links]
    assert "+0.80" in text  # the plain side's 950 of 10000 less the residual one's 870
    (ablation,) = re.findall(r'<section id="ablations">.*?</section>', text, re.DOTALL)
    assert re.findall(r'href="(runs/[^"]*)"', ablation) == [
        "runs/plain_side/result.json",
        "runs/residual_side/result.json",
    ]
    for link in re.findall(r'href="(runs/[^"]*)"', text):
        assert (site / unquote(link)).is_file()


def test_the_page_loads_nothing(file: Path, tags: Tags) -> None:
    assert not [one for _, one in tags.found if "src" in one or "srcset" in one]
    assert [one["href"] for one in tags.all("link")] == ["data:,"]
    styles = "".join(re.findall(r"<style>(.*?)</style>", file.read_text(), re.DOTALL))
    assert "@import" not in styles
    assert "url(" not in styles
    assert {tag for tag, one in tags.found if one.get("href", "").startswith("http")} <= {"a"}
    policy = next(one for one in tags.all("meta") if "http-equiv" in one)
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert "default-src 'none'" in policy["content"]


def test_the_text_of_a_record_is_never_markup(file: Path, tags: Tags) -> None:
    assert len(tags.all("script")) == 1
    assert "&lt;script&gt;document.title" in file.read_text()


def test_no_two_elements_share_an_id_and_every_jump_arrives(tags: Tags) -> None:
    ids = [one["id"] for _, one in tags.found if "id" in one]
    assert len(ids) == len(set(ids))
    jumps = [one["href"][1:] for one in tags.all("a") if one["href"].startswith("#")]
    assert jumps
    assert set(jumps) <= set(ids)


def test_what_was_skipped_what_departs_and_how_to_read_it_are_said(file: Path) -> None:
    text = file.read_text()
    for section in page.SECTIONS:
        assert f'<section id="{section}"' in text
    assert "is not whole JSON" in text
    assert (
        text.count("recipe.shorten=64 (paper: 1)") >= 3
    )  # by the verdict, below it, in the ledger
    for verdict in get_args(Verdict):
        assert page.MEANINGS[verdict] in text


def test_every_verdict_has_a_shape_of_its_own() -> None:
    assert set(wording.MARKS) == set(get_args(Verdict))
    assert len(set(wording.MARKS.values())) == len(wording.MARKS)


def luminance(color: str) -> float:
    """Relative luminance of #rrggbb (WCAG 2.2)."""
    channels = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """From 1 to 21 (WCAG 2.2)."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_and_marks_have_the_contrast_of_wcag_aa(scheme: int, file: Path) -> None:
    roots = re.findall(r":root \{(.*?)\}", file.read_text(), re.DOTALL)
    colors = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", roots[scheme]))
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    for ground in ("ground", "raised"):
        for ink in ("ink", "soft", "link", "reproduced", "better", "worse"):
            assert contrast(colors[ink], colors[ground]) >= 4.5, (ink, ground)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with Page(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def column(name: str) -> str:
    """Of the rows that are shown in the table: what they sort by in one column, as a script."""
    return (
        "(() => { const table = document.querySelector('.lines');"
        f"const at = [...table.tHead.rows[0].cells].findIndex((one) => one.textContent === '{name}');"
        "return [...table.tBodies].filter((one) => !one.hidden)"
        ".map((one) => one.rows[0].cells[at].dataset.value ?? one.rows[0].cells[at].textContent.trim()) })()"
    )


def head(name: str) -> str:
    return f"[...document.querySelectorAll('.lines thead th')].find((one) => one.textContent === '{name}')"


@pytest.mark.parametrize("width", [390, 768, 1100, 1440])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_fits_the_screen_and_follows_its_scheme(
    width: int, dark: bool, shown: Page, file: Path, tmp_path: Path
) -> None:
    shown.open(file, width, 1200, dark)
    assert shown.run("document.documentElement.scrollWidth") == width
    picture = Path(os.environ.get("TOPFIVE_PICTURES", tmp_path)) / f"page-{width}-{dark}.png"
    shown.picture(picture)
    pixels = np.asarray(Image.open(picture).convert("L"))
    assert pixels.shape == (1200, width)
    assert (np.median(pixels) < 60) == dark
    assert 0.01 < (abs(pixels.astype(int) - int(np.median(pixels))) > 60).mean() < 0.3  # has text


def test_nothing_is_fetched_and_nothing_goes_wrong(shown: Page, file: Path) -> None:
    shown.said.clear()
    shown.open(file, 1440, 900)
    methods = [one.get("method") for one in shown.said]
    asked = [one["params"]["request"]["url"] for one in shown.said
             if one.get("method") == "Network.requestWillBeSent"]  # fmt: skip
    assert asked == [file.as_uri()]
    wrong = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
    assert not [one for one in methods if one in wrong]
    assert shown.run("document.title").startswith("topfive")


def test_a_header_sorts_up_then_down_then_as_given_and_says_so(shown: Page, file: Path) -> None:
    shown.open(file, 1440, 900)
    given = shown.run(column("published"))
    numbers = sorted(map(float, given))
    for state, expected in (("ascending", numbers), ("descending", numbers[::-1]), ("none", None)):
        shown.run(f"{head('published')}.querySelector('button').click()")
        assert shown.run(f"{head('published')}.getAttribute('aria-sort')") == state
        found = shown.run(column("published"))
        assert (found if expected is None else list(map(float, found))) == (expected or given)


def test_a_header_sorts_by_the_keyboard_and_rows_without_a_number_stay_last(
    shown: Page, file: Path
) -> None:
    shown.open(file, 1440, 900)
    shown.run(f"{head('ours')}.querySelector('button').focus()")
    for expected in (sorted, lambda found: sorted(found, reverse=True)):
        shown.press("Enter", 13, "\r")
        found = shown.run(column("ours"))
        measured = [float(one) for one in found if one]
        assert len(measured) >= 4
        assert measured == expected(measured)
        assert not any(found[len(measured) :])


def test_verdict_and_network_narrow_the_table(shown: Page, file: Path, contents: Contents) -> None:
    shown.open(file, 1440, 900)
    shown.run("document.querySelector('input[value=\"not comparable\"]').click()")
    expected = [line for line in contents.lines if line.verdict == "not comparable"]
    assert len(shown.run(column("network"))) == len(expected) > 0
    choose = "const one = document.querySelector('select[name=network]'); one.value = 'resnet56';"
    shown.run(f"{choose} one.dispatchEvent(new Event('change', {{bubbles: true}}))")
    assert len(shown.run(column("network"))) == 1
    assert shown.run("document.querySelector('.filters output').textContent").startswith("1 of ")


def test_a_row_opens_to_its_departures_records_and_command(shown: Page, file: Path) -> None:
    shown.open(file, 390, 900)
    row = "document.querySelector('tbody[data-verdict=\"not comparable\"]')"
    assert shown.run(f"{row}.querySelector('.more').checkVisibility()") is False
    shown.run(f"{row}.querySelector('.toggle').click()")
    assert shown.run(f"{row}.querySelector('.toggle').getAttribute('aria-expanded')") == "true"
    assert shown.run(f"{row}.querySelector('.more').checkVisibility()") is True
    told = shown.run(f"{row}.querySelector('.more').innerText")
    assert "recipe.shorten=64" in told
    assert "python train.py" in told
    assert shown.run("document.documentElement.scrollWidth") == 390


def test_a_command_is_copied_or_at_least_selected(shown: Page, file: Path) -> None:
    shown.open(file, 1440, 900)
    shown.run("document.querySelector('.toggle').click(); document.querySelector('.copy').click()")
    told = "new Promise((done) => setTimeout(() => done(document.querySelector('.copy').textContent), 200))"
    assert shown.run(told) in ("copied", "selected")
