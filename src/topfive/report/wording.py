"""How numbers, papers and verdicts are written in documents; errors in percent, changes in points."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from topfive.intervals import Interval
from topfive.published import Paper, Published
from topfive.report.lines import Line, Verdict
from topfive.results import FILE_NAME, Json

NONE = "—"
# Told by shape as well as by word; in the order in which they are counted.
MARKS: dict[Verdict, str] = {
    "reproduced": "●",
    "better": "▲",
    "worse": "▼",
    "inconclusive": "◐",
    "not comparable": "◇",
    "not run": "○",
    "cannot be run": "×",
}
DATA = {
    "mnist": "MNIST",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "svhn": "SVHN",
    "imagenet": "ImageNet",
    "imagenet2010": "ImageNet 2010",
    "imagenet2011": "ImageNet 2011",
    "imagenet_fall2009": "ImageNet Fall 2009",
}
_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def percent(fraction: float | None) -> str:
    """9.21, for the fraction 0.0921."""
    return NONE if fraction is None else f"{100 * fraction:.2f}"


def span(interval: Interval | None) -> str:
    """8.66–9.79, for the bounds as fractions."""
    return NONE if interval is None else f"{percent(interval.low)}–{percent(interval.high)}"


def signed(points: float | None) -> str:
    """+0.46 or −0.01 with a true minus, and never −0.00."""
    if points is None:
        return NONE
    return f"{round(points, 2) + 0.0:+.2f}".replace("-", "−")


def signed_span(interval: Interval) -> str:
    """−1.20 to +0.30, for the bounds as fractions."""
    return f"{signed(100 * interval.low)} to {signed(100 * interval.high)}"


def error(quantity: str) -> str:
    """top-5, for top5_error."""
    return quantity.replace("_error", "").replace("_", " ").replace("top", "top-")


def data(name: str) -> str:
    """The data set as papers write it; one of the user's own by its name."""
    return DATA.get(name, name)


def options(chosen: Mapping[str, Json]) -> str:
    """shortcut=B stride_on=3x3: what a network has otherwise than its paper."""
    return " ".join(f"{name}={value}" for name, value in chosen.items())


def network(one: Published) -> str:
    """resnet110, or 5 × alexnet for an average of five; an average of others has a name of its own."""
    several = one.home is not None and one.networks not in (1, None)
    return f"{one.networks} × {one.network}" if several else one.network


def printed(one: Published) -> str:
    """6.61 ± 0.16, with every digit of the source."""
    return one.value if one.std is None else f"{one.value} ± {one.std}"


def remarks(one: Published) -> list[str]:
    """What is to be said of a printed number: of how many runs it is, and why it may not be certain."""
    told = [] if one.statistic == "single" else [one.statistic]
    return told + (["unverified"] if one.unverified else [])


def paper(one: Paper) -> str:
    """He et al. 2015: up to two families, then the year; other sources by what comes before a comma."""
    names, dot, _ = one.citation.partition(". ")
    if not dot or one.year is None:
        return one.citation.partition(",")[0]
    families = names.removesuffix(" et al").split(", ")
    few = len(families) < 3 and not names.endswith(" et al")
    author = " and ".join(families) if few else f"{families[0]} et al."
    return f"{author} {one.year}"


def address(one: Paper) -> str | None:
    """Of the paper at arXiv, where the citation names it."""
    found = _ARXIV.search(one.citation)
    return f"https://arxiv.org/abs/{found[1]}" if found else None


def record(run: Path) -> Path:
    """The file of a run that is given by its directory or as a file."""
    return run if run.suffix == ".json" else run / FILE_NAME


def link(run: Path, folder: Path) -> str:
    """The record of a run as seen from a page in `folder`, as an address."""
    return quote(Path(os.path.relpath(record(run), folder)).as_posix())


def name(run: Path) -> str:
    """A run's directory from where the user stands; its last three parts if it lies elsewhere."""
    relative = os.path.relpath(run)
    return "/".join(run.parts[-3:]) if relative.startswith("..") else Path(relative).as_posix()


def counted(lines: Sequence[Line]) -> dict[Verdict, int]:
    """How many lines have each verdict, in the order of MARKS, without those that none has."""
    found = [line.verdict for line in lines]
    return {verdict: found.count(verdict) for verdict in MARKS if verdict in found}


def shortened(departures: tuple[str, ...]) -> str:
    """The first, and how many more."""
    more = len(departures) - 1
    return f"{departures[0]}{f' and {more} more' if more > 0 else ''}" if departures else ""


def why(line: Line) -> str:
    """The reason for a verdict in a few words; the departures stand in full elsewhere."""
    return shortened(line.departures) or line.reason
