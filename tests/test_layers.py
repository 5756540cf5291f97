import numpy as np
import pytest
import torch

from topfive.layers import Dropout, LocalResponseNorm


def by_the_formula(a, size, alpha, beta, k):
    """Krizhevsky et al. 2012, section 3.3, with alpha divided by the window as their code does."""
    b = np.empty_like(a)
    channels = a.shape[1]
    for i in range(channels):
        first, last = max(0, i - size // 2), min(channels - 1, i + size // 2)
        squares = (a[:, first : last + 1] ** 2).sum(1)
        b[:, i] = a[:, i] / (k + alpha / size * squares) ** beta
    return b


@pytest.mark.parametrize(("size", "channels"), [(5, 12), (3, 7), (5, 2)])
def test_local_response_normalization_is_the_formula_of_section_3_3(size, channels):
    a = np.random.default_rng(0).normal(0, 100, (2, channels, 3, 4))
    ours = LocalResponseNorm(size, 1e-4, 0.75, 2.0)(torch.from_numpy(a))
    expected = by_the_formula(a, size, 1e-4, 0.75, 2.0)
    assert np.abs(a / expected).max() > 2  # far from the identity: the squares weigh in
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-12, atol=0)


def test_local_response_normalization_defaults_to_the_constants_of_the_paper():
    layer = LocalResponseNorm()
    constants = (layer.k, layer.size, layer.alpha, layer.beta)
    assert constants == (2, 5, 1e-4, 0.75)  # section 3.3


def test_neighborhoods_end_at_the_border_of_a_gpus_half():
    a = np.random.default_rng(1).normal(0, 100, (3, 8, 2, 2))
    ours = LocalResponseNorm(groups=2)(torch.from_numpy(a)).numpy()
    halves = [by_the_formula(half, 5, 1e-4, 0.75, 2.0) for half in (a[:, :4], a[:, 4:])]
    np.testing.assert_allclose(ours, np.concatenate(halves, 1), rtol=1e-12, atol=0)
    whole = by_the_formula(a, 5, 1e-4, 0.75, 2.0)
    assert np.abs(ours - whole)[:, 3:5].min() > 1e-6


def test_groups_that_do_not_divide_the_maps_are_refused():
    with pytest.raises(RuntimeError):
        LocalResponseNorm(groups=4)(torch.zeros(1, 6, 2, 2))


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
