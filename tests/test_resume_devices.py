"""A run that was killed goes on, on another number of devices, as if nothing had been: losses and curve in float64."""

import csv
import shutil
from pathlib import Path

import pytest
import torch.multiprocessing as mp
from small_networks import NETWORKS
from trace_losses import traced
from traces import real_images

pytestmark = pytest.mark.timeout(900)  # several processes on two cores
# Twelve steps, of which rows 3, 6, 9 and 12 of the curve tell, and looks at the reported images between them. It is
# killed ahead of step 8, when there are rows that its last checkpoint does not know.
STEPS, SAVED, KILLED, WINDOW = 12, 5, 8, 3
HOW = [
    "recipe.batch_size=8", "trainer.precision=64-true", "trainer.accelerator=cpu", "loader.workers=0",
    f"trainer.max_steps={STEPS}", f"trainer.checkpoint_every={SAVED}", "trainer.check_every=1",
]  # fmt: skip
RUNS = {
    "resnet20": [
        "model=resnet20", "data=digits", "data.per_class=4", "recipe.bn_batch=4", "recipe.crop.size=16",
        "recipe.crop.by=2", "recipe.schedule.rate=0.01",
    ],
    "alexnet": ["model=alexnet", "data=folder", *NETWORKS["alexnet"], "model.fc=256"],
}  # fmt: skip
Layout = tuple[int, int]  # devices, accumulation rounds


def layout(folder: Path, devices: int, rounds: int, *overrides: str, **how: object) -> dict:
    accumulate = f"trainer.accumulate_grad_batches={rounds}"
    return traced(folder, *overrides, accumulate, devices=devices, window=WINDOW, **how)


def curve(folder: Path) -> list[dict[str, str]]:
    with open(folder / "curve.csv", newline="") as file:
        return list(csv.DictReader(file))


def numbers(rows: list[dict[str, str]]) -> list[float]:
    columns = ("loss", "top1_error", "learning_rate")
    return [float(row[column]) for row in rows for column in columns if row[column]]


@pytest.mark.parametrize("name", RUNS)
def test_killed_on_some_devices_and_resumed_on_others_a_run_is_the_uninterrupted_one(
    name: str, real_data: Path, tmp_path: Path
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    real_images(real_data.resolve(), images)
    root = [f"data.root={images}"] if name == "alexnet" else []
    overrides = [*RUNS[name], *HOW, *root]
    whole = layout(tmp_path / "whole", 1, 1, *overrides)
    rows = curve(tmp_path / "whole")
    assert [int(row["step"]) for row in rows if row["split"] == "train"] == [3, 6, 9, 12]

    for before in ((2, 1), (1, 1)):
        with pytest.raises(mp.ProcessExitedException, match="SIGKILL"):
            layout(tmp_path / f"{before[0]}", *before, *overrides, killed_at=KILLED)
    for before, after in (((2, 1), (1, 2)), ((2, 1), (4, 1)), ((1, 1), (2, 1))):
        folder = tmp_path / f"{before}, then {after}"
        shutil.copytree(tmp_path / f"{before[0]}", folder)
        assert max(int(row["step"]) for row in curve(folder)) > SAVED
        resumed = layout(folder, *after, *overrides, resumed=True)
        assert resumed["steps"] == whole["steps"][SAVED:], folder.name
        assert resumed["losses"] == pytest.approx(whole["losses"][SAVED:], abs=1e-8, rel=0)
        ours = curve(folder)
        assert [(r["step"], r["split"]) for r in ours] == [(r["step"], r["split"]) for r in rows]
        # As many digits as the file has.
        assert numbers(ours) == pytest.approx(numbers(rows), rel=2e-6, abs=0)
