"""What the history chart shows: the contest, the papers after it, single networks, the human, ours."""

from collections.abc import Sequence
from math import nan
from typing import NamedTuple

from topfive.inspect.families import published_points
from topfive.published import Published, networks
from topfive.report.lines import Line

YEARS = range(2010, 2018)
HUMAN = "human annotator A1"
# Trained on more than the contest's images.
OUTSIDE = ("SuperVision, ImageNet Fall 2011", "Clarifai, outside data")
AFTER = ("PReLU-net", "bn_inception")  # scored by the server between two contests
COPIES = ("caffenet",)  # AlexNet again, and no step of the history
TITLES = {
    "SuperVision": "AlexNet",
    "WMW, SENet": "SENet",
    "ResNet ensemble": "ResNet",
    "bn_inception": "BN-Inception",
}


class Mark(NamedTuple):
    """One error in percent, with the year of its contest or paper; `bounds` where it was measured here."""

    name: str
    year: int
    error: float
    bounds: tuple[float, float] = (nan, nan)

    @property
    def label(self) -> str:
        return f"{self.name} {self.error:.3g}"


def entries(published: Sequence[Published]) -> list[Mark]:
    """The contest's entries on its test server, without outside data; by year, the best first."""
    found = [
        _mark(one)
        for one in _scored(published)
        if one.network == "ResNet ensemble"
        or (one.paper.key.startswith("ilsvrc2") and one.network not in OUTSIDE)
    ]
    return sorted(set(found), key=lambda mark: (mark.year, mark.error))


def winners(marks: Sequence[Mark]) -> list[Mark]:
    """The first of every year."""
    lowest: dict[int, Mark] = {}
    for mark in marks:
        lowest.setdefault(mark.year, mark)
    return list(lowest.values())


def after(published: Sequence[Published]) -> list[Mark]:
    """Several networks on the test server, not in a contest; a number printed twice counts once."""
    found: dict[str, Mark] = {}
    for one in _scored(published):
        if one.network in AFTER:
            found.setdefault(one.network, _mark(one))
    return list(found.values())


def human(published: Sequence[Published]) -> float | None:
    """The error of the better annotator, in percent."""
    return next((one.number for one in published if one.network == HUMAN), None)


def alone(published: Sequence[Published]) -> list[Mark]:
    """The lowest error of one network on the validation set, paper by paper, under any protocol."""
    homes = networks()
    found = []
    for point in published_points(published, "imagenet", "top5_error"):
        paper = homes[point.network].paper
        if point.network not in COPIES:
            found.append((paper.key, Mark(point.network, paper.year or 0, point.error)))
    return _lowest(found)


def here(lines: Sequence[Line]) -> list[Mark]:
    """The lowest comparable error measured here, by the paper of the network likewise."""
    found = []
    for line in lines:
        one = line.published
        what = (one.data, one.split, one.quantity, one.networks)
        if what == ("imagenet", "val", "top5_error", 1) and line.difference is not None:
            assert one.home is not None
            assert line.ours is not None
            assert line.interval is not None
            bounds = (100 * line.interval.low, 100 * line.interval.high)
            mark = Mark(one.network, one.home.paper.year or 0, 100 * line.ours, bounds)
            found.append((one.home.paper.key, mark))
    return _lowest(found)


def _lowest(found: Sequence[tuple[str, Mark]]) -> list[Mark]:
    lowest: dict[str, Mark] = {}
    for key, mark in found:
        if mark.year in YEARS and (key not in lowest or mark.error < lowest[key].error):
            lowest[key] = mark
    return list(lowest.values())


def _scored(published: Sequence[Published]) -> list[Published]:
    """What the test server scored, of several networks or of an entry that does not say how many."""
    return [
        one
        for one in published
        if (one.split, one.quantity) == ("test", "top5_error") and one.networks != 1
        if one.data.startswith("imagenet") and one.role != "restated" and one.paper.year in YEARS
    ]


def _mark(one: Published) -> Mark:
    return Mark(TITLES.get(one.network, one.network), one.paper.year or 0, one.number)
