"""Charts of what benchmarks/networks.py measured: speed and memory against batch and operations."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from topfive.inspect.charts import cost, published_points
from topfive.inspect.labels import COLORS, figure, place, save
from topfive.inspect.measure import Counts
from topfive.inspect.overview import counts
from topfive.problems import Problem
from topfive.published import load, networks

Rows = Sequence[Mapping[str, Any]]
HOW = ("machine", "threads", "dtype", "channels_last", "mode")
AGAINST_BATCH = (
    ("images_per_second", "images per second"),
    ("seconds", "seconds of a batch"),
    ("memory_mib", "MiB at the peak, without weights"),
)


def draw(rows: Rows, folder: Path) -> list[Path]:
    """Writes the charts of the machine and setting that has most rows, each as SVG and PNG."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(f"--chart {folder}: {error.strerror}. Name a folder to write to.") from error
    settings = [tuple(row[key] for key in HOW) for row in rows]
    best = max(settings, key=settings.count)
    rows = [row for row, setting in zip(rows, settings, strict=True) if setting == best]
    known = {name: counts(name) for name in sorted({str(row["network"]) for row in rows})}
    files = [
        file
        for key, label in AGAINST_BATCH
        for file in against_batch(folder, f"{key}_against_batch", key, label, rows)
    ]
    files += against_operations(folder, rows, known)
    points = published_points(load(), "imagenet", "top5_error")
    measured = [point for point in points if point.network in known]
    if measured:
        files += cost(folder, "error_against_operations", "imagenet", "top5_error", measured, known)
    return files


def setting(row: Mapping[str, Any]) -> str:
    """How and on what a row was measured, in a line."""
    threads = (
        f"{row['threads']} thread{'s' if row['threads'] > 1 else ''}, " if row["threads"] else ""
    )
    layout = ", channels last" if row["channels_last"] else ""
    return f"{row['mode']}, {row['dtype']}{layout}, {threads}{row['machine']}"


def against_batch(folder: Path, name: str, key: str, label: str, rows: Rows) -> list[Path]:
    """One line a network, large images and small ones beside each other, colored by paper."""
    groups = {
        "ImageNet": [row for row in rows if _side(row) > 100],
        "CIFAR and MNIST": [row for row in rows if _side(row) <= 100],
    }
    groups = {title: some for title, some in groups.items() if some}
    with figure(7 * len(groups), 8) as made:
        made.suptitle(setting(rows[0]), fontsize=9, color="#555555")
        many = made.subplots(1, len(groups), squeeze=False)[0]
        for axes, (title, some) in zip(many, groups.items(), strict=True):
            _lines(axes, key, some)
            axes.set_title(title)
            axes.set_xlabel("batch")
        many[0].set_ylabel(label)
        return save(made, folder, name)


def _lines(axes: Axes, key: str, rows: Rows) -> None:
    papers = sorted({_paper(str(row["network"])) for row in rows})
    ends: list[tuple[float, str, str]] = []
    batches = sorted({int(row["batch"]) for row in rows})
    for name in sorted({str(row["network"]) for row in rows}):
        own = sorted((int(row["batch"]), float(row[key])) for row in rows if row["network"] == name)
        own = [(batch, value) for batch, value in own if value > 0]  # what a log axis can show
        if own:
            color = COLORS[papers.index(_paper(name)) % len(COLORS)]
            axes.plot(*zip(*own, strict=True), marker="o", ms=3, lw=1, color=color)
            ends.append((own[-1][1], name, color))
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(batches, [str(batch) for batch in batches])
    axes.minorticks_off()
    _names_at_the_right(axes, ends)


def _names_at_the_right(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """A column of names, each as near to the end of its line as the others let it."""
    low, high = axes.transLimits.inverted().transform([(0, 0), (0, 1)])[:, 1]
    del low, high
    step = 0.022
    places: list[float] = []
    for value, _, _ in sorted(ends):
        at = float(axes.transLimits.transform(axes.transScale.transform((1, value)))[1])
        places.append(max(at, places[-1] + step) if places else at)
    if places and places[-1] > 1:  # from the top down where they do not fit
        places[-1] = 1
        for n in range(len(places) - 2, -1, -1):
            places[n] = min(places[n], places[n + 1] - step)
    for at, (value, name, color) in zip(places, sorted(ends), strict=True):
        last = axes.get_xlim()[1]
        axes.annotate(
            name,
            (last, value),
            (1.06, at),
            xycoords=("data", "data"),
            textcoords="axes fraction",
            fontsize=8,
            color=color,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": color, "lw": 0.4, "shrinkA": 0, "shrinkB": 0},
        )


def against_operations(folder: Path, rows: Rows, known: Mapping[str, Counts]) -> list[Path]:
    """The best images per second of each network, against its multiply-adds."""
    best = {
        name: max(float(row["images_per_second"]) for row in rows if row["network"] == name)
        for name in known
    }
    with figure(11, 7.5) as made:
        axes = made.subplots()
        points = [(float(known[name].multiply_adds), best[name]) for name in best]
        axes.scatter(*zip(*points, strict=True), color=COLORS[0], s=18)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.margins(x=0.12, y=0.06)
        axes.set_xlabel("multiply-adds of one image")
        axes.set_ylabel("images per second, at the best batch")
        axes.set_title("Speed against operations")
        made.suptitle(setting(rows[0]), fontsize=9, color="#555555")
        for rate in (1e9, 1e10, 1e11, 1e12, 1e13, 1e14):
            inside = [(x, rate / x) for x in axes.get_xlim()]
            low, high = axes.get_ylim()
            if inside[1][1] < high and inside[0][1] > low:
                axes.axline(*inside, color="#999999", lw=0.7, ls=":", zorder=0)
        place(axes, points, list(best), size=8)
        return save(made, folder, "speed_against_operations")


def _side(row: Mapping[str, Any]) -> int:
    return int(str(row["input"]).split("x")[-1])


def _paper(network: str) -> str:
    home = networks().get(network)
    return home.paper.key if home else ""
