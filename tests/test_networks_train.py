"""One network of every paper takes two steps of its own recipe, from train.py to the record."""

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from small_networks import NETWORKS

from topfive import build
from topfive.config import compose

ROOT = Path(__file__).parents[1]
QUICK = [
    "data=folder", "trainer.max_steps=2", "trainer.accelerator=cpu", "trainer.progress=false",
    "loader.workers=0", "logger=csv", "recipe.batch_size=4", "seed=3", "hydra.run.dir=run",
]  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_moves_in_two_steps_of_the_papers_recipe(
    name: str, class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = [f"model={name}", *QUICK, *NETWORKS[name], f"data.root={class_folders}"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", *overrides])
    runpy.run_path(str(ROOT / "train.py"), run_name="__main__")

    record = json.loads((tmp_path / "run" / "result.json").read_text())
    assert record["scores"][0]["n"] == 4
    assert record["iterations"] == 2
    config = compose([o for o in overrides if not o.startswith("hydra.")])
    first = dict(build.network(config, 2).named_parameters())
    last = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["state_dict"]
    still = [key for key, value in first.items() if torch.equal(last[f"net.{key}"], value)]
    assert still == []
