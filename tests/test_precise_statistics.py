import json

import pytest
import torch
from small_runs import (
    AVERAGE,
    RESUMED,
    SMALL,
    STATISTICS,
    callbacks,
    equal,
    fit,
    killed_and_resumed,
    saved,
    train,
)
from torch import nn

from topfive import build
from topfive.config import compose
from topfive.loaders.datamodule import DataModule
from topfive.problems import Problem

WIDE = "trainer.precision=64-true"


def algorithm_2(module, data, first, steps, bn_batch):
    """Ioffe and Szegedy 2015: means over batches of their means and their unbiased variances."""
    found = {}

    def note(name):
        def hook(layer, inputs):
            for group in inputs[0].split(bn_batch):
                values = group.transpose(0, 1).flatten(1)
                m = values.shape[1]
                mean = values.mean(1)
                var = ((values - mean[:, None]) ** 2).sum(1) / (m - 1)
                found.setdefault(name, []).append((mean, var))

        return hook

    norms = {n: m for n, m in module.net.named_modules() if isinstance(m, nn.BatchNorm2d)}
    handles = [norm.register_forward_pre_hook(note(name)) for name, norm in norms.items()]
    module.train()
    with torch.no_grad():
        for batch in data.training(first, first + steps):
            module(batch.images, batch)
    for handle in handles:
        handle.remove()
    return {
        name: [torch.stack(each).mean(0) for each in zip(*groups, strict=True)]
        for name, groups in found.items()
    }


@pytest.mark.parametrize("other", [[], [AVERAGE % 5]], ids=["alone", "of the averaged weights"])
def test_statistics_are_means_over_the_groups_of_the_views_that_would_have_come_next(
    tmp_path, other
):
    # 40 images are 3 whole batches of 16; groups of 8 normalize together.
    module, data = fit(tmp_path, callbacks(*other, STATISTICS % 40), WIDE)
    state = saved(tmp_path)
    expected = algorithm_2(module, data, first=12, steps=3, bn_batch=8)
    assert len(expected) == 7  # the 8-layer net's convolutions
    for name, (mean, var) in expected.items():
        torch.testing.assert_close(state[f"net.{name}.running_mean"], mean, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(state[f"net.{name}.running_var"], var, rtol=1e-9, atol=1e-12)


def test_momentum_plays_no_role_and_is_as_before(tmp_path):
    def ends(folder, momentum):
        def prepare(module):
            for norm in module.net.modules():
                if isinstance(norm, nn.BatchNorm2d):
                    norm.momentum = momentum

        folder.mkdir()
        module, _ = fit(folder, callbacks(STATISTICS % 32), prepare=prepare)
        norms = [m for m in module.net.modules() if isinstance(m, nn.BatchNorm2d)]
        assert {norm.momentum for norm in norms} == {momentum}
        return saved(folder)

    assert equal(ends(tmp_path / "slow", 0.01), ends(tmp_path / "quick", 0.9))


@pytest.mark.parametrize(
    ("images", "rounds", "steps"),
    [(1, 1, 1), (16, 1, 1), (17, 2, 2), (10**6, 1, 5)],  # at most an epoch: 80 images of 16
)
def test_whole_batches_are_seen_and_at_most_an_epoch(tmp_path, monkeypatch, images, rounds, steps):
    asked = []
    training = DataModule.training

    def note(self, first, end):
        asked.append((first, end))
        return training(self, first, end)

    monkeypatch.setattr(DataModule, "training", note)
    duration = "recipe.duration={iterations:2}"
    fit(
        tmp_path,
        *(callbacks(STATISTICS % images), duration, f"trainer.accumulate_grad_batches={rounds}"),
    )
    assert asked == [(0, 2), (2, 2 + steps)]


def test_gathering_gradients_in_rounds_leaves_the_statistics_as_they_are(tmp_path):
    for rounds in (1, 2):
        (tmp_path / str(rounds)).mkdir()
        options = [WIDE, "recipe.duration={iterations:2}"]
        fit(
            tmp_path / str(rounds),
            *(callbacks(STATISTICS % 32), *options, f"trainer.accumulate_grad_batches={rounds}"),
        )
    one, two = saved(tmp_path / "1"), saved(tmp_path / "2")
    for key in one:
        torch.testing.assert_close(one[key], two[key], rtol=0, atol=1e-8)


@pytest.mark.filterwarnings(RESUMED)
def test_a_killed_run_ends_with_the_same_statistics_bit_for_bit(tmp_path):
    options = [callbacks(AVERAGE % 5, STATISTICS % 32)]
    (tmp_path / "whole").mkdir()
    fit(tmp_path / "whole", *options)
    resumed, _ = killed_and_resumed(tmp_path, 9, *options)
    assert equal(saved(tmp_path), saved(tmp_path / "whole"))
    again, _ = fit(tmp_path, *options, resumed=True)  # killed during the last test
    assert equal(again.state_dict(), resumed.state_dict())


def test_the_record_and_a_later_test_are_under_the_exact_statistics(tmp_path, monkeypatch):
    run = train(monkeypatch, tmp_path, callbacks(STATISTICS % 80))
    record = json.loads((run / "result.json").read_text())

    def tested(*change):
        config = compose(SMALL)
        data = build.data_module(config)
        trainer = build.evaluator(config)
        module = build.classifier(config, data, trainer, trained=True)
        module.load_state_dict(torch.load(run / "last.ckpt", weights_only=True)["state_dict"])
        for reset in change:
            reset(module)
        data.trainer = trainer
        trainer.validate(module, data.val_dataloader(), verbose=False)
        return module.scores[0]

    def forget(module):
        for norm in module.net.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.reset_running_stats()

    assert tested().top1 == record["scores"][0]["top1_errors"]
    assert tested(forget) != tested()  # they do matter


def test_an_average_that_would_replace_the_statistics_is_refused(tmp_path):
    with pytest.raises(Problem, match=r"ExponentialAverage stands after .* put it before"):
        fit(tmp_path, callbacks(STATISTICS % 16, AVERAGE % 5))


def test_a_network_without_batch_normalization_is_left_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(DataModule, "training", refuse_a_second_call(DataModule.training))

    def strip(module):
        for parent in list(module.net.modules()):
            for name, child in parent.named_children():
                if isinstance(child, nn.BatchNorm2d):
                    setattr(parent, name, nn.Identity())

    options = ["recipe.duration={iterations:1}", "recipe.schedule.rate=1e-6"]
    module, _ = fit(tmp_path, callbacks(STATISTICS % 16), *options, prepare=strip)
    assert equal(saved(tmp_path), module.state_dict())


def refuse_a_second_call(function):
    calls = []

    def once(*arguments):
        calls.append(arguments)
        assert len(calls) == 1
        return function(*arguments)

    return once


def test_no_image_is_refused(tmp_path):
    with pytest.raises(Exception, match="over 0 images: expected at least 1") as refused:
        fit(tmp_path, callbacks(STATISTICS % 0))
    assert isinstance(refused.value.__cause__, Problem)


@pytest.mark.parametrize(
    ("model", "entry"), [("resnet50", True), ("bn_inception", True), ("preact_resnet200", False)]
)
def test_which_papers_measure_statistics_after_training(model, entry):
    recipe = compose([f"model={model}"])["recipe"]
    assert (recipe["callbacks"]["statistics"] is not None) == entry
