"""trainer.gradient_flow: every layer's norms as arithmetic has them, on any devices, at no change of the run."""

import math
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from flow_rows import assert_same_flow, rows
from torch import nn
from torch.utils.data import DataLoader
from trace_losses import losses

from topfive.config import compose
from topfive.gradient_flow import COLUMNS, GradientFlow, gradient_flow
from topfive.gradient_flow_chart import draw, spread
from topfive.identity import identity
from topfive.problems import Problem

# A residual network of 8 layers: the stem, three units of two, the classes.
SMALL = [
    "model=resnet20", "model.depth=8", "data=digits", "data.per_class=10", "recipe.batch_size=16",
    "recipe.bn_batch=4", "trainer.accelerator=cpu", "trainer.max_steps=2", "trainer.precision=64-true",
]  # fmt: skip
WATCHED = [*SMALL, "trainer.gradient_flow=1"]


class Line(pl.LightningModule):
    """Two layers of one weight each, 2 and 3, under the loss out^2 / 2, averaged over the batch."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
        for layer, weight in zip(self.net, (2.0, 3.0), strict=True):
            nn.init.constant_(layer.weight, weight)

    def training_step(self, batch, batch_idx):
        return self.net(batch).square().mean() / 2

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.01)


def fitted(folder, batches, every=1, steps=1, rounds=1, module=None, **options):
    flow = GradientFlow(every, folder / "gradient_flow.csv", **options)
    trainer = pl.Trainer(
        max_steps=steps,
        accumulate_grad_batches=rounds,
        callbacks=[flow],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(module or Line(), DataLoader(batches, batch_size=None))


def test_norms_are_those_of_a_calculation_by_hand(tmp_path):
    # x = 1: outputs 2 and 6. dL/dout = 6, by the second weight 6 x 2 = 12; by the first layer's
    # output 6 x 3 = 18, by its weight 18. Steps of 0.01 times that: 0.18 / 2 and 0.12 / 3.
    fitted(tmp_path, [torch.ones(1, 1)])
    first, second = rows(tmp_path)
    assert tuple(first) == COLUMNS
    assert list(first.values()) == ["1", "0", "1", "2", "18", "0.09", "2", "18"]
    assert list(second.values()) == ["1", "1", "2", "3", "12", "0.04", "6", "6"]


@pytest.mark.parametrize("rounds", [1, 2])
def test_the_batch_counts_and_not_its_rounds(rounds, tmp_path):
    # x = 1 and x = 3. Outputs 2 and 6: RMS sqrt(20). Gradients 18 and 54, each over 2 images: 9 and
    # 27, RMS sqrt(405). By the weight 9 x 1 + 27 x 3 = 90.
    x = torch.tensor([[1.0], [3.0]])
    fitted(tmp_path, list(x.split(2 // rounds)), rounds=rounds)
    first = rows(tmp_path, layer="0")[0]
    assert float(first["output_rms"]) == pytest.approx(math.sqrt(20), rel=1e-5)
    assert float(first["output_gradient_rms"]) == pytest.approx(math.sqrt(405), rel=1e-5)
    assert float(first["gradient_norm"]) == pytest.approx(90)


def test_the_first_step_every_third_and_the_last_are_written(tmp_path):
    fitted(tmp_path, [torch.ones(1, 1)] * 9, every=3, steps=8)
    assert [row["step"] for row in rows(tmp_path, layer="0")] == ["1", "3", "6", "8"]


def test_hooks_are_gone_after_the_step_that_they_were_for(tmp_path):
    module = Line()
    fitted(tmp_path, [torch.ones(1, 1)] * 2, every=2, steps=2, module=module)
    assert [len(layer._forward_hooks) for layer in module.net] == [0, 0]


class Crossed(Line):
    """Defined last, called first; the third layer is never called."""

    def __init__(self):
        super().__init__()
        self.net.append(nn.Linear(1, 1))
        self.net.forward = lambda x: self.net[0](self.net[1](x))


def test_depth_is_the_order_in_which_layers_are_called(tmp_path):
    fitted(tmp_path, [torch.ones(1, 1)], module=Crossed())
    assert [(r["layer"], r["depth"]) for r in rows(tmp_path)] == [
        ("1", "1"),
        ("0", "2"),
        ("2", "3"),
    ]
    uncalled = rows(tmp_path, layer="2")[0]
    assert uncalled["output_rms"] == uncalled["output_gradient_rms"] == ""
    assert uncalled["gradient_norm"] == "nan"


def test_a_compiled_network_has_its_weights_norms_and_no_outputs(tmp_path):
    config = compose([*WATCHED, "trainer.compile=true"])
    (flow,) = gradient_flow(config, tmp_path)
    assert not flow.outputs
    fitted(tmp_path, [torch.ones(1, 1)], outputs=False)
    first, second = rows(tmp_path)
    assert list(first.values()) == ["1", "0", "1", "2", "18", "0.09", "", ""]
    assert second["depth"] == "2"


def test_a_resumed_run_drops_the_rows_that_it_will_write_again(tmp_path):
    kept = "1,0,1,2,18,0.09,2,18"
    lines = [",".join(COLUMNS), kept, "7,0,1,2,18,0.09,2,18", "8,0"]
    (tmp_path / "gradient_flow.csv").write_text("\n".join(lines))

    flow = GradientFlow(1, tmp_path / "gradient_flow.csv")
    flow.on_train_start(SimpleNamespace(is_global_zero=True, global_step=6), None)
    assert (tmp_path / "gradient_flow.csv").read_text().splitlines() == lines[:2]


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched")
    return folder, losses(folder, *WATCHED)["losses"]


def test_the_runs_identity_and_losses_are_those_without_it_bit_for_bit(watched, tmp_path):
    assert identity(compose(WATCHED)) == identity(compose(SMALL))
    assert losses(tmp_path, *SMALL)["losses"] == watched[1]
    assert not (tmp_path / "gradient_flow.csv").exists()


def test_every_layer_with_weights_has_a_row_from_the_stem_to_the_classes(watched):
    found = [row["layer"] for row in rows(watched[0], step=1)]
    assert len(found) == 8  # 6 x 1 + 2, section 4.2 of He et al. 2015
    assert (found[0], found[-1]) == ("conv1", "fc")
    assert all(float(row[c]) > 0 for row in rows(watched[0]) for c in COLUMNS[3:])


@pytest.mark.parametrize(
    "option",
    [
        "trainer.checkpoint_activations=true",
        "trainer.channels_last=true",
        "trainer.accumulate_grad_batches=2",
    ],
)
def test_how_a_run_is_carried_out_changes_no_norm(option, watched, tmp_path):
    losses(tmp_path, *WATCHED, option)
    assert_same_flow(tmp_path, watched[0])


def test_a_run_ends_with_a_chart(watched):
    assert "RMS of the layer" in (watched[0] / "gradient_flow.svg").read_text()


def test_a_chart_of_nothing_is_not_drawn(tmp_path):
    assert draw(tmp_path / "gradient_flow.csv") is None
    (tmp_path / "gradient_flow.csv").write_text(",".join(COLUMNS))
    assert draw(tmp_path / "gradient_flow.csv") is None


def test_the_chart_takes_steps_in_equal_ratios():
    assert spread([1, *range(10, 1001, 10)], 4) == [1, 10, 100, 1000]
    assert spread([1, 50], 6) == [1, 50]


@pytest.mark.parametrize("value", [0, -1, "often", True])
def test_a_number_that_is_none_is_refused(value, tmp_path):
    config = compose(SMALL)
    config["trainer"]["gradient_flow"] = value
    with pytest.raises(Problem, match=r"trainer.gradient_flow=.* choose for example"):
        gradient_flow(config, tmp_path)


def test_updates_by_hand_are_refused(tmp_path):
    config = compose(["model=lenet5", "trainer.gradient_flow=10"])
    with pytest.raises(Problem, match=r"set trainer\.gradient_flow=null"):
        gradient_flow(config, tmp_path)
