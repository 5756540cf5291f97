"""The curves of two runs in one chart, as the ResNet paper draws them: training thin, testing bold."""

from pathlib import Path

from matplotlib.axes import Axes

from topfive.inspect.labels import COLORS, figure
from topfive.problems import Problem
from topfive.report.compare.curves import TRAIN, Curve, shared
from topfive.report.compare.sides import Side

ERROR = "top1_error"


def overlay(first: Side, second: Side, file: Path) -> None:
    """Writes the chart of both top-1 errors, as SVG; raises Problem where there is nothing to compare."""
    both = shared(first, second)
    if both is None or not any(quantity == ERROR for _, quantity in both[0]):
        raise Problem(f"--chart {file}: {first.path} and {second.path} have no curves of one kind.")
    with figure(8, 5) as made:
        axes = made.subplots()
        _draw(axes, first, both[0], COLORS[0])
        _draw(axes, second, both[1], COLORS[1])
        axes.set_xlabel("iteration")
        axes.set_ylabel("top-1 error in %")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        axes.set_title(f"Training thin, testing bold; {first.record.data}")
        made.legend(loc="outside lower center", ncols=1)
        try:
            made.savefig(file, format="svg", metadata={"Date": None})
        except OSError as error:
            raise Problem(f"--chart {file}: {error.strerror}. Name a file to write.") from error


def _draw(axes: Axes, side: Side, curve: Curve, color: str) -> None:
    for (split, quantity), points in curve.items():
        if quantity == ERROR:
            training = split == TRAIN
            axes.plot(
                list(points),
                [100 * error for error in points.values()],
                color=color,
                lw=0.8 if training else 2.4,
                marker="o" if len(points) == 1 else None,
                label=f"{side.path}, {split}",
            )
