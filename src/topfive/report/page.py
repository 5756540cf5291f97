"""The report as one HTML page that needs nothing else: no network, no other file."""

from collections import Counter
from collections.abc import Mapping
from functools import partial
from importlib import metadata
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from topfive import whole_files
from topfive.report import wording
from topfive.report.contents import Contents
from topfive.report.history import history
from topfive.report.ledger import ledger
from topfive.report.made import versions

SECTIONS = {
    "history": "The contest, 2010 to 2017",
    "table": "Published and ours",
    "charts": "Charts",
    "ablations": "Ablations",
    "departures": "What departs",
    "others": "Other runs",
    "skipped": "Skipped",
    "reading": "How to read it",
    "versions": "Versions",
}
MEANINGS = {
    "reproduced": "The published value lies in our interval, widened by its own rounding and by the noise of "
    "sampling its test images.",
    "better": "Our error is lower than that allows.",
    "worse": "Our error is higher than that allows.",
    "inconclusive": "Our interval is wider than half a point, or than a tenth of the published value, on either "
    "side: it decides nothing.",
    "not comparable": "Something departs from the paper (a shortened schedule, a part of the data), or another "
    "statistic is printed. No difference is taken.",
    "not run": "The command is given; nobody has run it to the end here.",
    "cannot be run": "Hidden labels, data that are not public, or networks that are not described.",
}
ELSEWHERE = ("history", "ablations")  # charts that stand in a section of their own
MOST = 20  # runs that one list of the page names
MOST_SKIPPED = 100  # files, likewise
Variants = dict[str, str]  # one chart as SVG, by the classes of where it is shown


def write(contents: Contents, path: Path) -> None:
    """Whole or not at all; addresses of records are as seen from the folder of `path`."""
    whole_files.write(path, render(contents, path.parent, charts(contents)).encode())


def charts(contents: Contents) -> dict[str, Variants]:
    """By name, of those that have something to show."""
    from topfive.report.charts import charts as drawn
    from topfive.report.charts.chart import in_dark

    given = (contents.lines, contents.records, contents.published, False)
    found: dict[str, Variants] = {}
    for width, narrow in (("wide", False), ("narrow", True)):
        for name, text in drawn(*given, narrow).items():
            pair = {f"on-light {width}": text, f"on-dark {width}": in_dark(text)}
            found.setdefault(name, {}).update(pair)
    return found


def render(contents: Contents, folder: Path, charts: Mapping[str, Variants]) -> str:
    """The page as text, to lie in `folder`."""
    page = _environment(folder).get_template("page.html")
    return page.render(
        contents=contents,
        charts=charts,
        more_charts=[chart for name, chart in charts.items() if name not in ELSEWHERE],
        history=history(contents.published),
        counted=wording.counted(contents.lines),
        networks=sorted({line.published.network for line in contents.lines}),
        ledger=ledger(contents.rows),
        versions=Counter(map(versions, contents.records)),
        version=metadata.version("topfive"),
        runs=len(contents.records),
        latest=max(record.finished for record in contents.records)[:10],
        sections=_sections(contents, charts),
        meanings=MEANINGS,
        marks=wording.MARKS,
        order={verdict: number for number, verdict in enumerate(wording.MARKS)},
        most=MOST,
        most_skipped=MOST_SKIPPED,
    )


def _sections(contents: Contents, charts: Mapping[str, Variants]) -> dict[str, str]:
    """The titles of those that have something in them, by id."""
    filled = {
        "charts": charts.keys() - set(ELSEWHERE),
        "ablations": contents.differences,
        "others": contents.others,
        "skipped": contents.skipped,
    }
    return {name: title for name, title in SECTIONS.items() if filled.get(name, True)}


def _environment(folder: Path) -> Environment:
    made = Environment(
        loader=PackageLoader("topfive.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    names = ("percent", "span", "signed", "signed_span", "error", "data", "options", "network",
             "printed", "remarks", "paper", "address", "name", "why", "shortened")  # fmt: skip
    made.filters |= {one: getattr(wording, one) for one in names}
    made.filters["link"] = partial(wording.link, folder=folder)
    return made
