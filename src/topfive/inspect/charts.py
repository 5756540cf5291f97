"""What the papers' networks cost and what they reach, after Canziani, Paszke, Culurciello,
arXiv:1605.07678; the errors are the published ones, and a mark tells how each was tested."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from topfive.inspect.contest import contest
from topfive.inspect.families import FAMILIES, Point, published_points
from topfive.inspect.labels import figure, place, save
from topfive.inspect.measure import Counts
from topfive.inspect.overview import counts
from topfive.problems import Problem
from topfive.published import load


def draw(folder: Path) -> list[Path]:
    """Writes the charts, each as SVG and PNG, and returns the files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(f"--chart {folder}: {error.strerror}. Name a folder to write to.") from error
    known: dict[str, Counts] = {}
    files = []
    for name, data, quantity in (
        ("top5_against_operations", "imagenet", "top5_error"),
        ("top1_against_operations", "imagenet", "top1_error"),
        ("cifar10_against_operations", "cifar10", "top1_error"),
    ):
        points = published_points(load(), data, quantity)
        for network in {point.network for point in points} - set(known):
            known[network] = counts(network)
        files += cost(folder, name, data, quantity, points, known)
    return files + contest(folder)


def cost(
    folder: Path,
    name: str,
    data: str,
    quantity: str,
    points: Sequence[Point],
    known: dict[str, Counts],
) -> list[Path]:
    """Writes one chart of `points`, whose networks have the sizes `known`."""
    imagenet = data == "imagenet"
    with figure(11, 6.5) as made:
        axes = made.subplots()
        scale = 4.0 if imagenet else 60.0  # area of a million parameters, in square points
        for network in {point.network for point in points}:
            errors = [point.error for point in points if point.network == network]
            x = known[network].multiply_adds
            axes.plot([x, x], [min(errors), max(errors)], color="#bbbbbb", lw=1, zorder=1)
        for point in points:
            mark, color = FAMILIES[point.family]
            found = known[point.network]
            area = scale * found.parameters / 1e6
            x = found.multiply_adds
            axes.scatter(x, point.error, s=area, color=color, alpha=0.25, lw=0, zorder=2)
            axes.scatter(x, point.error, s=22, marker=mark, color=color, zorder=3)
        axes.set_xscale("log")
        set_name = "ImageNet, ILSVRC-2012 val" if imagenet else "CIFAR-10 test"
        top = quantity.removesuffix("_error").replace("top", "top-")
        axes.set_title(f"Lowest published {top} error of one network alone, against its operations")
        axes.set_xlabel(
            f"multiply-adds of one {'224-pixel' if imagenet else '32-pixel'} image "
            "(testing takes as many times that as it takes views)"
        )
        axes.set_ylabel(f"{top} error in %, {set_name}")
        axes.margins(x=0.12, y=0.08)
        _legends(made, axes, {point.family for point in points}, scale, imagenet)
        highest = _highest(points)
        where = [(float(known[point.network].multiply_adds), point.error) for point in points]
        names = [point.network if point in highest else "" for point in points]
        place(axes, where, names)
        return save(made, folder, name)


def _highest(points: Sequence[Point]) -> set[Point]:
    highest: dict[str, Point] = {}
    for point in points:
        if point.network not in highest or point.error > highest[point.network].error:
            highest[point.network] = point
    return set(highest.values())


def _legends(made: Figure, axes: Axes, families: set[str], scale: float, imagenet: bool) -> None:
    marks = [
        Line2D([], [], ls="", marker=mark, color=color, label=family)
        for family, (mark, color) in FAMILIES.items()
        if family in families
    ]
    made.legend(handles=marks, title="tested on", loc="outside right upper", alignment="left")
    circles = [
        axes.scatter([], [], s=scale * n, color="#888888", alpha=0.4, lw=0, label=f"{n} million")
        for n in ((5, 25, 60, 140) if imagenet else (0.5, 2, 10))
    ]
    made.legend(
        handles=circles,
        title="parameters",
        loc="outside right lower",
        alignment="left",
        labelspacing=1.6,
    )
