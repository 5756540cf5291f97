"""gradient_flow.csv as a chart: what reaches each layer, over its depth, at several steps of the run."""

import csv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

from topfive.inspect.labels import figure

PANELS = {
    "gradient_norm": "norm of the gradient by the weights",
    "output_gradient_rms": "RMS of the gradient by the layer's output",
    "output_rms": "RMS of the layer's output",
}
CURVES = 6


def draw(file: Path) -> Path | None:
    """Writes the chart beside `file`, as SVG, and returns it; None where there is nothing to draw."""
    if not file.exists():
        return None
    panels = read(file)
    shown = {column: steps for column, steps in panels.items() if steps}
    if not shown:
        return None
    with figure(1.5 + 5.2 * len(shown), 4.6) as made:
        every = made.subplots(1, len(shown), squeeze=False)[0]
        for axes, (column, steps) in zip(every, shown.items(), strict=True):
            chosen = spread(sorted(steps), CURVES)
            for number, step in enumerate(chosen):
                depths, values = zip(*steps[step], strict=True)
                color = mpl.colormaps["viridis"](0.9 * number / max(1, len(chosen) - 1))
                line = {"marker": "o", "ms": 2.5, "lw": 1.2, "color": color}
                axes.plot(depths, values, label=f"step {step}", **line)
            axes.set_yscale("log")
            axes.set_title(PANELS[column])
            axes.set_xlabel("layers with weights, in the order of computation")
        made.legend(*every[0].get_legend_handles_labels(), loc="outside right upper")
        chart = file.with_suffix(".svg")
        made.savefig(chart, metadata={"Date": None})
    return chart


def read(file: Path) -> dict[str, dict[int, list[tuple[int, float]]]]:
    """By column and step, (depth, value) of every layer that has one above zero."""
    found: dict[str, dict[int, list[tuple[int, float]]]] = {c: defaultdict(list) for c in PANELS}
    with open(file, newline="") as opened:
        for row in csv.DictReader(opened):
            for column, steps in found.items():
                value = float(row[column] or "nan")
                if 0 < value < float("inf"):
                    steps[int(row["step"])].append((int(row["depth"]), value))
    return found


def spread(steps: Sequence[int], count: int) -> list[int]:
    """At most `count` of the ascending `steps`, first and last among them, in about equal ratios."""
    if len(steps) <= count:
        return list(steps)
    ratio = steps[-1] / steps[0]
    wanted = [steps[0] * ratio ** (k / (count - 1)) for k in range(count)]
    return sorted({min(steps, key=lambda step: abs(step - one)) for one in wanted})
