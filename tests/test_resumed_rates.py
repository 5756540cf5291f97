"""A run with rates of its own for kinds and layers goes on after a crash as if nothing had been."""

import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from topfive.classifier import Classifier

ROOT = Path(__file__).parents[1]
# conv1 is frozen at step 18, fc listens to the minival every 5 steps.
TABLE = "_target_:topfive.schedules.Table,rates:[0.1,0.05,0],until:{iterations:[10,18]}"
PLATEAU = "_target_:topfive.schedules.Plateau,rate:0.1,times:9,by:2,patience:{iterations:5}"
ARGUMENTS = [
    "model=resnet20", "model.depth=8", "data=digits", "data.per_class=16", "recipe.batch_size=16",
    "recipe.bn_batch=8", "recipe.duration={iterations:30}", "recipe.schedule.at={iterations:[25]}",
    f"+recipe.rates={{biases:2,conv1.weight:{{{TABLE}}},fc.weight:{{{PLATEAU}}}}}",
    "+recipe.decays={fc.bias:3}", "data.minival=100",
    "trainer.check_every=0.5", "trainer.checkpoint_every=10",
    "trainer.accelerator=cpu", "trainer.progress=false", "logger=csv",
]  # fmt: skip


def train(*arguments: str) -> None:
    # In this process, without the time of its imports.
    sys.argv = ["train.py", *ARGUMENTS, *arguments]
    runpy.run_path(str(ROOT / "train.py"), run_name="__main__")


def checkpoint(run: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(run / "last.ckpt", weights_only=True)
    return state


# Our loaders do start at the batch where a run goes on; Lightning cannot know.
@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint")
def test_a_run_with_rates_of_its_own_resumes_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.chdir(tmp_path)
    train(f"hydra.run.dir={tmp_path}/whole")
    whole = checkpoint(tmp_path / "whole")
    groups = whole["optimizer_states"][0]["param_groups"]
    at_the_end = {(g["lr"], g["weight_decay"]) for g in groups}
    assert {(0.01, 1e-4), (0.01, 0.0), (0.0, 1e-4)} < at_the_end  # main, main undecayed, conv1
    assert sorted(decay for _, decay in at_the_end)[-1] == pytest.approx(3e-4)  # fc.bias

    step = Classifier.training_step

    def fails(self: Classifier, *batch: Any) -> Any:
        if self.global_step == 23:
            raise RuntimeError("power cut")
        return step(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(Classifier, "training_step", fails)
        with pytest.raises(SystemExit):
            train(f"hydra.run.dir={tmp_path}/cut/first")
    cut = checkpoint(tmp_path / "cut" / "first")
    assert cut["global_step"] == 20
    # The minival error has stood still before the cut, and does so again after it.
    divisions = [run["schedule"]["fc.weight/divisions"] for run in (cut, whole)]
    assert 0 < divisions[0] < divisions[1]

    train("resume=auto", f"hydra.run.dir={tmp_path}/cut/second")
    resumed = checkpoint(tmp_path / "cut" / "first")
    assert resumed["schedule"] == whole["schedule"]
    ours, theirs = resumed["state_dict"], whole["state_dict"]
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    ours, theirs = (run["optimizer_states"][0] for run in (resumed, whole))
    assert ours["param_groups"] == theirs["param_groups"]
    velocities = theirs["state"].items()
    assert all(torch.equal(ours["state"][k]["velocity"], v["velocity"]) for k, v in velocities)
    # conv1, whose rate is 0 from step 18 on, still coasts.
    conv1 = [run["state_dict"]["net.conv1.weight"] for run in (cut, whole)]
    assert not torch.equal(*conv1)
