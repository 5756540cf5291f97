import pytest
import timm
import torch
import torchvision
from measure import measured, on_meta, parameters
from torch import nn

from topfive.batch_norm import GroupedBatchNorm2d, group_statistics
from topfive.models.efficientnet import EfficientNetB0, StochasticDepth

CLOSE = {"rtol": 1e-10, "atol": 1e-10}


@pytest.fixture(scope="module")
def on_224():
    return measured(on_meta(EfficientNetB0).eval(), 224)


def test_b0_has_5_288_548_parameters_and_385_814_752_multiply_adds(on_224):
    # Table 2 rounds to 5.3 million and 0.39 billion
    assert (on_224.parameters, on_224.multiply_adds) == (5_288_548, 385_814_752)


def test_the_padding_moves_no_parameter():
    assert parameters(on_meta(EfficientNetB0, "symmetric")) == 5_288_548


# Table 1: input sizes of the next stage; stage 6 begins at 14 x 14 in its corrected version
@pytest.mark.parametrize("padding", ["same", "symmetric"])
def test_the_stages_have_the_output_sizes_of_table_1(padding):
    found = measured(on_meta(EfficientNetB0, padding).eval(), 224).shapes
    assert found == {
        "stage1": (32, 112, 112),
        "stage2": (16, 112, 112),
        "stage3": (24, 56, 56),
        "stage4": (40, 28, 28),
        "stage5": (80, 14, 14),
        "stage6": (112, 14, 14),
        "stage7": (192, 7, 7),
        "stage8": (320, 7, 7),
        "stage9": (1280, 7, 7),
        "average_pool": (1280, 1, 1),
        "dropout": (1280, 1, 1),
        "fc": (1000, 1, 1),
    }


def test_the_stages_have_the_layers_and_kernels_of_table_1():
    net = on_meta(EfficientNetB0)
    stages = [getattr(net, f"stage{k}") for k in range(2, 9)]
    assert [len(stage) for stage in stages] == [1, 2, 2, 3, 3, 4, 1]
    kernels = [{block.conv_dw.kernel_size[0] for block in stage} for stage in stages]
    assert kernels == [{3}, {3}, {5}, {3}, {5}, {5}, {3}]


def test_batch_normalization_is_the_authors():
    norms = [m for m in on_meta(EfficientNetB0).modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 49
    assert {(m.eps, m.momentum) for m in norms} == {(1e-3, 0.01)}


def test_a_recipes_bn_batch_reaches_every_batch_normalization():
    net = on_meta(EfficientNetB0)
    group_statistics(net, bn_batch=2, per_device=4, rank=0, world=1)
    assert sum(isinstance(m, GroupedBatchNorm2d) for m in net.modules()) == 49


def valued(net):
    """`net` in float64 and evaluation, with values that tell every layer and buffer apart."""
    net = net.double().to_empty(device="cpu").eval()
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            bound = 2 * module.weight[0].numel() ** -0.5
            nn.init.uniform_(module.weight, -bound, bound)
            if module.bias is not None:
                nn.init.normal_(module.bias)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.zeros_(module.num_batches_tracked)
    return net


def with_the_tensors_of(theirs, padding):
    ours = on_meta(EfficientNetB0, padding).eval()
    values = theirs.state_dict().values()
    ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)), assign=True)
    return ours


@pytest.mark.parametrize(
    ("name", "padding"), [("tf_efficientnet_b0", "same"), ("efficientnet_b0", "symmetric")]
)
def test_scores_equal_timms_with_its_weights(name, padding):
    theirs = valued(on_meta(timm.create_model, name, bn_eps=1e-3))
    x = torch.randn(2, 3, 65, 64, dtype=torch.float64)
    with torch.no_grad():
        expected = theirs(x)
        assert expected.std(0).min() > 0
        torch.testing.assert_close(with_the_tensors_of(theirs, padding)(x), expected, **CLOSE)


def test_scores_equal_torchvisions_with_its_weights():
    theirs = valued(on_meta(torchvision.models.efficientnet_b0))
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3  # it has 1e-5
    x = torch.randn(2, 3, 65, 64, dtype=torch.float64)
    with torch.no_grad():
        expected = theirs(x)
        assert expected.std(0).min() > 0
        torch.testing.assert_close(with_the_tensors_of(theirs, "symmetric")(x), expected, **CLOSE)
        assert not torch.allclose(with_the_tensors_of(theirs, "same")(x), expected)


def test_stochastic_depth_grows_linearly_with_the_block_to_15_sixteenths_of_its_rate():
    net = on_meta(EfficientNetB0)
    blocks = [b for k in range(2, 9) for b in getattr(net, f"stage{k}")]
    rates = {k: b.drop_path.p for k, b in enumerate(blocks) if b.has_skip}
    assert rates == {k: 0.2 * k / 16 for k in (2, 4, 6, 7, 9, 10, 12, 13, 14)}
    assert all(isinstance(b.drop_path, nn.Identity) for b in blocks if not b.has_skip)


def addressed(p, samples, step=0):
    layer = StochasticDepth(p, "drop path 3", inverted=True)
    layer.address = (0, step, torch.as_tensor(samples))
    return layer


def test_stochastic_depth_drops_whole_samples_and_scales_the_others_up():
    x = torch.rand(1000, 2, 3, 3) + 1
    y = addressed(0.25, range(1000))(x)
    dropped = (y == 0).flatten(1)
    assert torch.equal(dropped.any(1), dropped.all(1))
    assert abs(dropped.all(1).double().mean() - 0.25) < 0.05  # 3.6 deviations
    stay = ~dropped.all(1)
    torch.testing.assert_close(y[stay], x[stay] / 0.75)
    assert torch.equal(StochasticDepth(0.25, inverted=True).eval()(x), x)


def test_whether_a_sample_is_dropped_is_a_function_of_its_address():
    x = torch.ones(64, 1, 1, 1)
    whole = addressed(0.5, range(64))(x)
    halves = [addressed(0.5, range(k, k + 32))(x[:32]) for k in (0, 32)]
    assert torch.equal(torch.cat(halves), whole)
    assert not torch.equal(addressed(0.5, range(64), step=1)(x), whole)


def test_gradients_reach_every_parameter():
    torch.manual_seed(0)
    net = EfficientNetB0(drop_path=0.0, num_classes=3)
    net(torch.randn(4, 3, 64, 64)).square().sum().backward()
    assert [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_padding_that_neither_has_is_refused():
    with pytest.raises(ValueError, match="padding is same or symmetric, not 'valid'"):
        EfficientNetB0("valid")
