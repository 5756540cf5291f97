import json
import subprocess
import sys

import pytest
import torch
from small_runs import (
    AVERAGE,
    RESUMED,
    ROOT,
    SMALL,
    STATISTICS,
    Killed,
    callbacks,
    equal,
    fit,
    killed_and_resumed,
    nothing,
    saved,
    train,
)

from topfive import build
from topfive.config import compose
from topfive.problems import Problem

WIDE = "trainer.precision=64-true"


def averaged(over):
    return callbacks(AVERAGE % over)


def copy_of(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def by_hand(states, steps):
    """TensorFlow's: the decay is 1 - 1 / steps, but after t updates at most (1 + t) / (10 + t)."""
    average = dict(states[0])
    for t, state in enumerate(states[1:], start=1):
        decay = min(1 - 1 / steps, (1 + t) / (10 + t))
        for key, value in state.items():
            if value.is_floating_point():
                average[key] = decay * average[key] + (1 - decay) * value
            else:
                average[key] = value
    return average


@pytest.mark.parametrize(
    ("over", "shorten", "steps"),
    [
        (10_000, 1, 10_000),  # the rule for the young: over 12 steps the decay ends at 12 / 21
        (60, 30, 2),  # 360 iterations run as 12, and the average is shorter with them
    ],
)
def test_the_network_ends_as_the_average_of_its_weights_and_statistics(
    tmp_path, over, shorten, steps
):
    states = []
    duration = [f"recipe.duration={{iterations:{12 * shorten}}}", f"recipe.shorten={shorten}"]
    module, _ = fit(
        tmp_path,
        *(averaged(over), WIDE, *duration),
        after=lambda module, step: states.append(copy_of(module)),
    )
    assert len(states) == 12
    expected = by_hand(states, steps)
    for key, value in saved(tmp_path).items():
        torch.testing.assert_close(value, expected[key], rtol=1e-10, atol=1e-12)
    assert equal(saved(tmp_path), module.state_dict())
    # To the last bit, however long the run: it never changes.
    mean = "pipeline.transforms.0.mean"
    assert torch.equal(saved(tmp_path)[mean], states[0][mean])


@pytest.mark.filterwarnings(RESUMED)
@pytest.mark.parametrize("precision", ["32-true", "64-true"])
def test_a_killed_run_ends_with_the_same_average_bit_for_bit(tmp_path, precision):
    options = [averaged(6), f"trainer.precision={precision}"]
    (tmp_path / "whole").mkdir()
    whole, _ = fit(tmp_path / "whole", *options)
    resumed, _ = killed_and_resumed(tmp_path, 9, *options)
    assert equal(saved(tmp_path), saved(tmp_path / "whole"))
    assert resumed.scores == whole.scores


def test_looks_in_between_see_the_average_that_a_checkpoint_holds_and_training_goes_on_without_it(
    tmp_path,
):
    seen, with_average, plain = [], [], []

    def look(module):
        module.validation_step = lambda batch, index, loader=0, step=module.validation_step: (
            seen.append(copy_of(module)) or step(batch, index, loader)
        )

    options = ["trainer.checkpoint_every=5", WIDE]
    for entry, trained in (([averaged(100)], with_average), ([], plain)):
        with pytest.raises(Killed):
            # An epoch is 5 steps: the checkpoint is saved right after the look.
            fit(
                tmp_path,
                *entry,
                *options,
                killed_at=7,
                prepare=look if entry else nothing,
                after=lambda module, step, into=trained: into.append(copy_of(module)),
            )
        if entry:
            assert equal(saved(tmp_path), seen[0])
            file = torch.load(tmp_path / "last.ckpt", weights_only=True)
            assert equal(file["current_model_state"], with_average[4])
    assert not equal(seen[0], plain[4])
    assert all(map(equal, with_average, plain))


def test_the_record_and_a_later_test_are_of_the_average(tmp_path, monkeypatch):
    run = train(monkeypatch, tmp_path, averaged(4))
    record = json.loads((run / "result.json").read_text())

    config = compose([*SMALL, averaged(4)])
    data = build.data_module(config)
    trainer = build.evaluator(config)
    module = build.classifier(config, data, trainer, trained=True)
    module.load_state_dict(torch.load(run / "last.ckpt", weights_only=True)["state_dict"])
    data.trainer = trainer
    trainer.validate(module, data.val_dataloader(), verbose=False)
    assert module.scores[0].top1 == record["scores"][0]["top1_errors"]
    assert equal(saved(run), copy_of(module))
    assert "averaging_state" not in torch.load(run / "last.ckpt", weights_only=True)


def test_a_run_that_is_killed_during_its_last_test_is_tested_on_the_average(tmp_path):
    trained, _ = fit(tmp_path, averaged(4))
    again, _ = fit(tmp_path, averaged(4), resumed=True)
    assert equal(again.state_dict(), trained.state_dict())


@pytest.mark.timeout(900)  # three processes
def test_two_devices_end_with_the_averages_of_one(tmp_path):
    # Both must share their batch's statistics: the average is made of layers that hold no process group yet.
    options = [
        *(
            callbacks(AVERAGE % 4, STATISTICS % 32),
            WIDE,
            "recipe.bn_batch=16",
            "recipe.schedule.rate=0.01",
        ),
        "recipe.duration={iterations:7}",
    ]
    one, _ = fit(tmp_path, *options)
    arguments = [*SMALL, *options, "trainer.devices=2", f"hydra.run.dir={tmp_path}/two"]
    command = [sys.executable, str(ROOT / "train.py"), *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    for key, value in saved(tmp_path / "two").items():
        torch.testing.assert_close(value, one.state_dict()[key], rtol=1e-10, atol=1e-8)


def test_a_length_in_no_unit_is_refused(tmp_path):
    with pytest.raises(Exception, match=r"expected one of \{iterations: ...\}") as refused:
        fit(tmp_path, averaged(1).replace("iterations", "steps"))
    assert isinstance(refused.value.__cause__, Problem)


def test_googlenets_recipe_averages_with_a_decay_of_0_9999():
    over = compose(["model=googlenet"])["recipe"]["callbacks"]["average"]["over"]
    assert over == {"iterations": 10_000}  # 1 - 1 / 10,000
