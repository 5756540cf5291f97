"""In float32 rounding grows until two curves share their distribution alone, which devices leave as it is."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from scipy.stats import mannwhitneyu
from trace_losses import nothing, traced

from topfive.order import Share

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]
SEEDS = range(10)
STEPS = 60
RESNET = [
    "model=resnet20", "data=digits", "data.per_class=48", "recipe.batch_size=8", "recipe.bn_batch=4",
    "recipe.crop.size=20", "recipe.crop.by=2", "recipe.schedule.rate=0.02",
    "recipe.schedule.at={iterations:[45]}", f"trainer.max_steps={STEPS}", "trainer.check_every=1",
    "trainer.accelerator=cpu",
]  # fmt: skip


def errors(folder: Path, devices: int, prepare: Callable[[], None] = nothing) -> list[float]:
    """Top-1 error on the 360 test digits after one pass through 480, of every seed."""
    found = []
    for seed in SEEDS:
        run = folder / str(seed)
        traced(run, *RESNET, f"seed={seed}", devices=devices, prepare=prepare)
        with open(run / "curve.csv", newline="") as file:
            last = [row for row in csv.DictReader(file) if row["split"] == "reported"][-1]
        assert int(last["step"]) == STEPS
        found.append(float(last["top1_error"]))
    return found


def the_same_half_for_all() -> None:
    """Breaks the division of the batch: every device takes the rows of the first."""
    rows = Share.rows
    Share.rows = lambda self, batch, turn: rows(Share(0, self.world, self.accumulate), batch, turn)


def test_final_errors_on_two_devices_are_distributed_as_on_one_and_a_lost_half_is_noticed(
    tmp_path: Path,
) -> None:
    one, two = errors(tmp_path / "1", 1), errors(tmp_path / "2", 2)
    half = errors(tmp_path / "half", 2, the_same_half_for_all)
    print(f"one {one}\ntwo {two}\nhalf {half}")
    assert mannwhitneyu(one, two).pvalue > 0.05
    assert mannwhitneyu(one, half).pvalue < 0.01
