"""What the W&B report consists of: the table, then bars, curves and a comparison for runs of one test set."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from wandb_workspaces import expr
from wandb_workspaces.reports.v2.interface import (
    H1,
    H2,
    BarPlot,
    BlockTypes,
    Layout,
    LinePlot,
    MarkdownBlock,
    P,
    PanelGrid,
    PanelTypes,
    RunComparer,
    Runset,
    SummaryMetric,
)

from topfive.report import wording
from topfive.report.contents import Contents
from topfive.report.markdown import whole
from topfive.report.rows import Row
from topfive.wandb_row import metric, published_metric

STEP = "trainer/global_step"  # Lightning's name of an iteration
CURVES = {
    "Error while training": "train/top1_error",
    "Error on the held-out images": "minival/top1_error",
    "Error on the reported images": "reported/top1_error",
    "Loss while training": "train/loss",
}
INTRODUCTION = (
    "As they were logged here, those of other test images apart. A bar of a published number stands "
    "beside ours only where the two are comparable."
)


class Target(NamedTuple):
    """The W&B project that holds the runs and gets the report."""

    entity: str
    project: str


class TestSet(NamedTuple):
    """The images that runs share which stand in one panel."""

    data: str
    split: str
    n: int


def blocks(target: Target, contents: Contents) -> list[BlockTypes]:
    """Those of a report in the W&B project `target`, which holds the runs too."""
    made: list[BlockTypes] = [MarkdownBlock(_without_files(whole(contents, Path())))]
    made += [H1("The runs"), P(INTRODUCTION)]
    for images, rows in _by_test_set(contents.rows).items():
        name = f"{wording.data(images.data)}, {images.split}, {images.n:,} images"
        # Not by W&B's id, which a copied record does not know.
        chosen = expr.And(expr.Config("identity").isin(_identities(contents, images)))
        runs = Runset(target.entity, target.project, name, filters=chosen)
        made += [H2(name), PanelGrid(runsets=[runs], panels=[*_bars(rows), *_curves()])]
    return made


def _without_files(page: str) -> str:
    """Its links to records lead nowhere from W&B; those into the web stay."""
    return re.sub(r"\[([^\]]*)\]\((?!https?://)[^)]*\)", r"\1", page)


def _by_test_set(rows: Sequence[Row]) -> dict[TestSet, list[Row]]:
    found: dict[TestSet, list[Row]] = {}
    for row in rows:
        found.setdefault(TestSet(row.data, row.split, row.n), []).append(row)
    return found


def _identities(contents: Contents, images: TestSet) -> list[str]:
    return sorted(
        {
            record.identity
            for record in contents.records
            for score in record.scores
            if TestSet(record.data, score.split, score.n) == images
        }
    )


def _bars(rows: Sequence[Row]) -> Iterator[PanelTypes]:
    """One panel for each protocol and quantity: ours, and what is printed where it is comparable."""
    for row in {metric(row): row for row in rows}.values():
        yield BarPlot(
            title=f"{wording.error(row.quantity)} error, {row.protocol}: ours and published, in %",
            metrics=[SummaryMetric(metric(row)), SummaryMetric(published_metric(row))],
            layout=Layout(w=12, h=8),
        )


def _curves() -> Iterator[PanelTypes]:
    for title, name in CURVES.items():
        yield LinePlot(
            title=title,
            x=STEP,
            y=[name],
            title_x="iteration",
            log_y=name.endswith("loss"),
            layout=Layout(w=12, h=8),
        )
    yield RunComparer(diff_only="split", layout=Layout(w=24, h=14))
