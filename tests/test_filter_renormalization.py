import pytest
import pytorch_lightning as pl
import torch
from small_runs import fit, saved, train
from torch import nn

from topfive.callbacks import filter_renormalization
from topfive.callbacks.filter_renormalization import FilterRenormalization, renormalize
from topfive.config import compose
from topfive.problems import Problem

FILTERS = (
    "+recipe.callbacks={filters:{_target_:topfive.callbacks.filter_renormalization.FilterRenormalization,"
    "largest:0.1}}"
)


def test_a_filter_too_large_is_brought_to_the_limit_and_others_stay_bit_for_bit():
    # Root mean squares over both inputs: sqrt((0.3^2 + 0.4^2 + 0 + 0) / 4) = 0.25, 0.0707 and 0.
    filters = [[[[0.3, 0.4]], [[0.0, 0.0]]], [[[0.1, 0.0]], [[0.0, -0.1]]], [[[0.0, 0.0]]] * 2]
    weight = torch.tensor(filters)
    renormalize(weight, 0.1)
    torch.testing.assert_close(weight[0], torch.tensor([[[0.12, 0.16]], [[0.0, 0.0]]]))
    assert torch.equal(weight[1:], torch.tensor(filters[1:]))


def test_an_update_is_followed_by_one_renormalization_however_its_gradient_was_gathered(
    tmp_path, monkeypatch
):
    scaled = []
    monkeypatch.setattr(
        filter_renormalization,
        "renormalize",
        lambda weight, largest: scaled.append((weight.dim(), largest)),
    )
    options = ["recipe.duration={iterations:3}", "trainer.accumulate_grad_batches=2"]
    fit(tmp_path, FILTERS, *options)
    assert scaled == [(4, 0.1)] * 3 * 7  # 3 updates of the 7 convolutions of an 8-layer net


def test_after_training_no_filter_of_a_convolution_exceeds_the_limit(tmp_path, monkeypatch):
    weights = saved(train(monkeypatch, tmp_path, FILTERS, "recipe.duration={iterations:3}"))
    largest = {
        key: weight.square().mean((1, 2, 3)).sqrt().max().item()
        for key, weight in weights.items()
        if weight.dim() == 4 and key.startswith("net.")
    }
    assert len(largest) == 7
    # N(0, 2 / 27) begins at 0.27, and so at the limit; 64 maps begin below it, at sqrt(2 / 576) = 0.06.
    assert max(largest.values()) == pytest.approx(0.1, rel=1e-5)
    assert min(largest.values()) < 0.09


def test_a_network_without_convolutions_is_refused():
    with pytest.raises(Problem, match=r"this network has none: .* FilterRenormalization null"):
        FilterRenormalization(0.1).on_train_start(
            pl.Trainer(accelerator="cpu", logger=False), Linear()
        )


def test_a_limit_that_is_not_positive_is_refused():
    with pytest.raises(Problem, match=r"root mean square 0 must be above 0: the paper's is 0.1"):
        FilterRenormalization(0)


class Linear(pl.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(2, 2)


def test_zfnets_recipe_renormalizes_at_a_root_mean_square_of_0_1():  # section 3.1
    filters = compose(["model=zfnet"])["recipe"]["callbacks"]["filters"]
    assert filters["largest"] == 0.1
