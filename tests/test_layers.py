import pytest
import torch

from topfive.layers import Dropout


def masks(layer, step, index, width=1000, seed=3):
    layer.address = (seed, step, torch.tensor(index))
    return layer(torch.ones(len(index), width))


def test_classic_dropout_does_not_rescale_in_training():
    assert set(masks(Dropout(0.5), 0, [1, 2]).unique().tolist()) == {0.0, 1.0}


def test_classic_dropout_multiplies_by_one_minus_p_in_evaluation():
    x = torch.randn(4, 10)
    assert torch.equal(Dropout(0.3).eval()(x), x * 0.7)


@pytest.mark.parametrize("p", [0.5, 0.2])
def test_a_unit_is_dropped_with_probability_p(p):
    dropped = (masks(Dropout(p), 0, range(200)) == 0).double().mean().item()
    assert abs(dropped - p) < 5 * (p * (1 - p) / 200_000) ** 0.5


def test_the_mask_of_a_sample_does_not_depend_on_the_batch_it_is_in():
    layer = Dropout(name="dropout fc6")
    alone = masks(layer, 7, [42])[0]
    among = masks(layer, 7, [5, 1_281_166, 42, 6])
    assert torch.equal(among[2], alone)
    assert torch.equal(masks(layer, 7, [42, 6, 1_281_166, 5]), among[[2, 3, 1, 0]])


def test_a_step_given_as_a_tensor_is_the_same_step():
    layer = Dropout()
    assert torch.equal(masks(layer, torch.tensor(7), [1, 2]), masks(layer, 7, [1, 2]))


def test_the_mask_does_not_depend_on_what_was_drawn_before():
    layer = Dropout()
    torch.manual_seed(0)
    first = masks(layer, 7, [1, 2])
    torch.rand(100)
    masks(layer, 8, [3])
    state = torch.get_rng_state()
    assert torch.equal(masks(layer, 7, [1, 2]), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_mask_differs_by_seed_step_sample_and_layer():
    layer = Dropout(name="dropout fc6")
    base = masks(layer, 7, [42])
    others = [
        masks(layer, 7, [42], seed=4),
        masks(layer, 8, [42]),
        masks(layer, 7, [43]),
        masks(Dropout(name="dropout fc7"), 7, [42]),
    ]
    for other in others:
        agreement = (other == base).double().mean().item()
        assert abs(agreement - 0.5) < 0.1  # as independent masks of 1,000 units agree


def test_the_units_of_a_map_are_dropped_one_by_one():
    layer = Dropout()
    layer.address = (0, 0, torch.tensor([1, 2]))
    mask = layer(torch.ones(2, 3, 20, 20))
    flat = masks(layer, 0, [1, 2], width=1200, seed=0)
    assert torch.equal(mask.flatten(1), flat)


def test_the_gradient_passes_only_through_the_units_that_were_kept():
    layer, x = Dropout(), torch.ones(2, 50, requires_grad=True)
    layer.address = (0, 0, torch.tensor([1, 2]))
    y = layer(x)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())


def test_without_an_address_torchs_generator_draws_the_mask():
    layer, x = Dropout(), torch.ones(2, 500)
    torch.manual_seed(5)
    first, second = layer(x), layer(x)
    torch.manual_seed(5)
    assert torch.equal(layer(x), first)
    assert not torch.equal(first, second)
