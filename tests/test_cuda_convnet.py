from inspect import signature

import pytest
import torch
from measure import measured, on_meta, parameters
from torch import nn
from torch.nn import functional as F

from topfive.config import compose
from topfive.layers import LocalResponseNorm
from topfive.models.cuda_convnet import CudaConvnet, LocallyConnected2d
from topfive.problems import Problem


@pytest.mark.parametrize(("lrn", "maps", "total"), [(True, 64, 2_112_970), (False, 32, 1_116_490)])
def test_every_layer_has_the_size_of_its_file(lrn, maps, total):
    net = on_meta(CudaConvnet, lrn=lrn, local3=maps)
    # layers-conv-local-11pct.cfg and -13pct.cfg at 24 x 24, by hand; 36 positions of the local layers
    assert {n: parameters(m) for n, m in net.named_children() if parameters(m)} == {
        "conv1": (3 * 25 + 1) * 64,
        "conv2": (64 * 25 + 1) * 64,
        "local3": 36 * maps * (64 * 9 + 1),
        "local4": 36 * 32 * (maps * 9 + 1),
        "fc10": (32 * 36 + 1) * 10,
    }
    found = measured(net, 24)
    assert found.parameters == total
    convolutions = 24 * 24 * 64 * 75 + 12 * 12 * 64 * 1600
    local = 36 * maps * 576 + 36 * 32 * maps * 9
    assert found.multiply_adds == convolutions + local + 1152 * 10
    assert found.shapes == {
        "conv1": (64, 24, 24),
        "pool1": (64, 12, 12),
        "rnorm1": (64, 12, 12),
        "conv2": (64, 12, 12),
        "rnorm2": (64, 12, 12),
        "pool2": (64, 6, 6),
        "local3": (maps, 6, 6),
        "local4": (32, 6, 6),
        "fc10": (10,),
    }


def test_on_whole_images_the_local_layers_have_64_positions():
    found = measured(on_meta(CudaConvnet, input_size=32, num_classes=100), 32)
    local = 64 * (64 * 577 + 32 * 577)
    assert found.parameters == 4_864 + 102_464 + local + (32 * 64 + 1) * 100
    assert found.shapes["local4"] == (32, 8, 8)


def test_normalization_has_the_constants_of_the_file_and_a_value_removes_it():
    norms = [m for m in on_meta(CudaConvnet).modules() if isinstance(m, LocalResponseNorm)]
    # size 9, scale 0.001 (the code divides it by the size), pow 0.75; k is 1 in the code
    assert [(m.size, m.alpha, m.beta, m.k) for m in norms] == [(9, 0.001, 0.75, 1.0)] * 2
    without = on_meta(CudaConvnet, lrn=False)
    assert not any(isinstance(m, LocalResponseNorm) for m in without.modules())


def one_by_one(layer, x):
    """Every output by itself: its own weights times what it sees, plus its own bias."""
    k, p = layer.kernel, layer.padding
    x = F.pad(x, (p, p, p, p))
    outputs, height, width = layer.bias.shape
    y = x.new_empty(len(x), outputs, height, width)
    for row in range(height):
        for column in range(width):
            seen = x[:, :, row : row + k, column : column + k].flatten(1)
            weight = layer.weight[row * width + column]
            y[:, :, row, column] = seen @ weight.T + layer.bias[:, row, column]
    return y


@pytest.mark.parametrize(
    ("kernel", "padding", "height", "width"),
    [(3, 1, 6, 6), (3, 0, 5, 8), (2, 0, 4, 3), (5, 1, 6, 4)],
)
def test_a_locally_connected_layer_is_a_loop_over_positions(kernel, padding, height, width):
    torch.manual_seed(0)
    size = (height + 2 * padding - kernel + 1, width + 2 * padding - kernel + 1)
    layer = LocallyConnected2d(4, 3, kernel, padding, size).double()
    x = torch.randn(2, 4, height, width, dtype=torch.float64)
    torch.testing.assert_close(layer(x), one_by_one(layer, x), rtol=1e-10, atol=1e-12)


def test_with_the_same_weights_everywhere_it_is_a_convolution():
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 3, 3, padding=1).double()
    layer = LocallyConnected2d(4, 3, 3, 1, (5, 7)).double()
    x = torch.randn(2, 4, 5, 7, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(conv.weight.flatten(1))
        layer.bias.copy_(conv.bias[:, None, None])
    torch.testing.assert_close(layer(x), conv(x), rtol=1e-10, atol=1e-12)


def test_the_first_weights_of_a_locally_connected_layer_are_spread_as_a_convolutions():
    torch.manual_seed(0)
    layer, bound = LocallyConnected2d(64, 32, 3, 1, (6, 6)), 576**-0.5  # 1 / sqrt(fan-in)
    assert layer.weight.numel() == 36 * 32 * 576
    assert layer.bias.numel() == 36 * 32
    for values in (layer.weight, layer.bias):
        assert 0.99 * bound < values.abs().max() <= bound
        # Uniform: variance bound^2 / 3; its estimate from n draws errs by sqrt(0.8 / n).
        off = values.square().mean() * 3 / bound**2 - 1
        assert abs(off) < 5 * (0.8 / values.numel()) ** 0.5


@pytest.mark.parametrize("shape", [(5, 6), (3, 12)])
def test_a_locally_connected_layer_refuses_another_size_even_of_as_many_positions(shape):
    layer = LocallyConnected2d(2, 2, 3, 1, (6, 6))
    with pytest.raises(ValueError, match=r"weights for \(6, 6\) positions, not for"):
        layer(torch.zeros(1, 2, *shape))


@pytest.mark.parametrize(
    ("options", "lrn", "act"),
    [
        ({}, True, F.relu),
        ({"lrn": False}, False, F.relu),
        ({"activation": "tanh"}, True, torch.tanh),
    ],
)
def test_scores_equal_those_of_the_layers_of_the_file_written_out(options, lrn, act):
    torch.manual_seed(0)
    net = CudaConvnet(input_size=12, **options).double()
    x = torch.randn(2, 3, 12, 12, dtype=torch.float64) * 100
    for name, value in net.named_parameters():
        # Rows of a local layer's weights are (position, output).
        fan = value.shape[2] if name.startswith("local") else value[0].numel()
        nn.init.normal_(value, std=(2 / fan) ** 0.5 if name.endswith("weight") else 0.1)

    def norm(a):
        return F.local_response_norm(a, 9, 0.001, 0.75, 1.0) if lrn else a

    with torch.no_grad():
        y = act(F.conv2d(x, net.conv1.weight, net.conv1.bias, padding=2))
        y = norm(F.max_pool2d(y, 3, 2, ceil_mode=True))
        y = act(F.conv2d(y, net.conv2.weight, net.conv2.bias, padding=2))
        y = F.max_pool2d(norm(y), 3, 2, ceil_mode=True)
        y = act(one_by_one(net.local3, y))
        y = act(one_by_one(net.local4, y))
        expected = y.flatten(1) @ net.fc10.weight.T + net.fc10.bias
        assert expected.std(0).median() > 0.01  # the images are told apart
        torch.testing.assert_close(net(x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("options", [{}, {"lrn": False}, {"activation": "tanh"}])
def test_gradients_reach_every_parameter(options):
    torch.manual_seed(0)
    net = CudaConvnet(**options)
    net(torch.randn(4, 3, 24, 24)).square().sum().backward()
    still = [n for n, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


# 25 x 25 leaves 6 x 6 too, but is not what the weights were trained on.
@pytest.mark.parametrize("shape", [(32, 32), (25, 25), (24, 32), (20, 20)])
def test_images_of_another_size_are_refused_with_the_key_that_mends_it(shape):
    net = on_meta(CudaConvnet)
    message = rf"an image of {shape[0]} x {shape[1]} .*cannot slide.*recipe.crop.size=24"
    with pytest.raises(Problem, match=message):
        net(torch.empty(1, 3, *shape, device="meta"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "sigmoid"}, "activation is relu or tanh, not 'sigmoid'"),
        ({"input_size": 3}, "nothing is left of an image of input_size=3"),
    ],
)
def test_a_value_that_makes_no_network_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        on_meta(CudaConvnet, **options)


def test_the_configuration_states_every_option_and_each_is_the_files():
    config = compose(["model=cuda_convnet"])
    defaults = {n: p.default for n, p in signature(CudaConvnet).parameters.items()}
    assert config["model"] == {
        "_target_": "topfive.models.cuda_convnet.CudaConvnet",
        **{name: value for name, value in defaults.items() if name != "num_classes"},
    }
    assert config["protocol"]["size"] == 24


def test_it_is_tested_on_the_ten_views_of_the_parameter_file():
    protocol = compose(["model=cuda_convnet"])["protocol"]
    assert (protocol["size"], protocol["shorter"], protocol["square"]) == (24, 32, True)
