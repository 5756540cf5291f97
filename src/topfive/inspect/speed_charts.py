"""Charts of what benchmarks/networks.py measured: speed and memory, against batch and operations."""

from collections.abc import Mapping, Sequence
from math import log10
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from topfive.inspect.charts import cost
from topfive.inspect.families import published_points
from topfive.inspect.labels import COLORS, figure, in_a_column, place, save
from topfive.inspect.measure import Counts
from topfive.inspect.overview import counts
from topfive.inspect.speed import Row
from topfive.problems import Problem
from topfive.published import load, networks

AGAINST_BATCH = {
    "images_per_second": "images per second",
    "seconds": "seconds of a batch",
    "memory_mib": "MiB that a pass adds at its peak",
}
RATES = (1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14)
APART = 0.022  # of the height: a line of the names at the right
LARGE = 100  # pixels; images of fewer have their own half of a chart


def draw(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Writes the charts of the machine and setting that has most rows, each as SVG and PNG."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(f"--chart {folder}: {error.strerror}. Name a folder to write to.") from error
    settings = [row.setting for row in rows]
    most = max(settings, key=settings.count)
    rows = [row for row in rows if row.setting == most]
    known = {name: counts(name) for name in sorted({row.network for row in rows})}
    files = [
        file
        for quantity, label in AGAINST_BATCH.items()
        for file in against_batch(folder, quantity, label, rows)
    ]
    files += against_operations(folder, rows, known)
    points = published_points(load(), "imagenet", "top5_error")
    measured = [point for point in points if point.network in known]
    if measured:
        files += cost(folder, "error_against_operations", "imagenet", "top5_error", measured, known)
    return files


def subtitle(row: Row) -> str:
    """How and on what a row was measured, in a line."""
    threads = f"{row.threads} thread{'s' if row.threads > 1 else ''}, " if row.threads else ""
    layout = ", channels last" if row.channels_last else ""
    return f"{row.mode}, {row.dtype}{layout}, {threads}{row.machine}"


def against_batch(folder: Path, quantity: str, label: str, rows: Sequence[Row]) -> list[Path]:
    """One line a network, large images and small ones beside each other, colored by paper."""
    halves = {
        "ImageNet": [row for row in rows if _side(row) >= LARGE],
        "CIFAR and MNIST": [row for row in rows if _side(row) < LARGE],
    }
    halves = {title: some for title, some in halves.items() if some}
    with figure(6.5 * len(halves), 8) as made:
        made.suptitle(subtitle(rows[0]), fontsize=9, color="#555555")
        many = made.subplots(1, len(halves), squeeze=False)[0]
        for axes, (title, some) in zip(many, halves.items(), strict=True):
            _lines(axes, quantity, some)
            axes.set_title(title)
            axes.set_xlabel("batch")
        many[0].set_ylabel(label)
        return save(made, folder, f"{quantity}_against_batch")


def _lines(axes: Axes, quantity: str, rows: Sequence[Row]) -> None:
    papers = sorted({_paper(row.network) for row in rows})
    ends: list[tuple[float, int, str, str]] = []
    for name in sorted({row.network for row in rows}):
        own = sorted((row.batch, getattr(row, quantity)) for row in rows if row.network == name)
        own = [(batch, value) for batch, value in own if value > 0]  # what a log axis can show
        if own:
            color = COLORS[papers.index(_paper(name)) % len(COLORS)]
            axes.plot(*zip(*own, strict=True), marker="o", ms=3, lw=1, color=color)
            ends.append((own[-1][1], own[-1][0], name, color))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    batches = sorted({row.batch for row in rows})
    axes.set_xticks(batches, [str(batch) for batch in batches])
    axes.xaxis.minorticks_off()
    _plain_numbers(axes.yaxis)
    _names_at_the_right(axes, sorted(ends))


def _names_at_the_right(axes: Axes, ends: Sequence[tuple[float, int, str, str]]) -> None:
    """A column of names, each as near to the end of its line as the others let it."""
    to_fraction = axes.transScale + axes.transLimits
    heights = [float(to_fraction.transform((batch, value))[1]) for value, batch, _, _ in ends]
    places = in_a_column(heights, APART)
    for at, (value, batch, name, color) in zip(places, ends, strict=True):
        line = {"arrowstyle": "-", "color": color, "lw": 0.4, "shrinkA": 1, "shrinkB": 2}
        axes.annotate(
            name,
            (batch, value),
            (1.05, at),
            textcoords="axes fraction",
            fontsize=8,
            color=color,
            va="center",
            annotation_clip=False,
            arrowprops=line | {"relpos": (0, 0.5)},
        )


def against_operations(
    folder: Path, rows: Sequence[Row], known: Mapping[str, Counts]
) -> list[Path]:
    """The best images per second of each network against its multiply-adds; dotted: equal rates."""
    best = {
        name: max(row.images_per_second for row in rows if row.network == name) for name in known
    }
    points = [(float(known[name].multiply_adds), best[name]) for name in best]
    with figure(11, 8) as made:
        made.suptitle(subtitle(rows[0]), fontsize=9, color="#555555")
        axes = made.subplots()
        axes.scatter([x for x, _ in points], [y for _, y in points], color=COLORS[0], s=18)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.margins(x=0.1, y=0.06)
        axes.set_xlabel("multiply-adds of one image")
        axes.set_ylabel("images per second, at the best batch")
        axes.set_title("Speed against operations (dotted: as many multiply-adds a second)")
        _plain_numbers(axes.yaxis)
        (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
        for rate in RATES:
            axes.plot([left, right], [rate / left, rate / right], color="#999999", lw=0.7, ls=":")
            if left < rate / low < right:
                power = f"$10^{{{round(log10(rate))}}}$/s "
                axes.text(rate / low, low, power, color="#777777", size=8, ha="right", va="bottom")
        axes.set_xlim(left, right)
        axes.set_ylim(low, high)
        place(axes, points, list(best), size=8)
        return save(made, folder, "speed_against_operations")


def _plain_numbers(axis: Any) -> None:
    axis.set_major_formatter(lambda value, _: f"{value:,g}")
    axis.set_minor_formatter(lambda value, _: "")


def _side(row: Row) -> int:
    return int(row.input.split("x")[-1])


def _paper(network: str) -> str:
    home = networks().get(network)
    return home.paper.key if home else ""
