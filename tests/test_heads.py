import pytest
import torch

from topfive.layers import Dropout, FullyConnected, SlidingAverage
from topfive.problems import Problem


def layer() -> FullyConnected:
    torch.manual_seed(0)
    return FullyConnected(5, 7, size=3).double()


def test_it_is_a_linear_layer_on_a_window_of_its_size() -> None:
    fc, x = layer(), torch.randn(2, 5, 3, 3, dtype=torch.float64)
    expected = x.flatten(1) @ fc.weight.T + fc.bias
    assert fc.weight.shape == (7, 45)
    torch.testing.assert_close(fc(x), expected[:, :, None, None], rtol=1e-12, atol=1e-12)


def test_it_gives_every_window_of_a_larger_image_what_the_window_alone_gives() -> None:
    fc, x = layer(), torch.randn(2, 5, 6, 4, dtype=torch.float64)
    y = fc(x)
    assert y.shape == (2, 7, 4, 2)
    for row in range(4):
        for column in range(2):
            window = x[:, :, row : row + 3, column : column + 3]
            torch.testing.assert_close(
                y[:, :, row, column], fc(window)[:, :, 0, 0], rtol=1e-12, atol=1e-12
            )


def test_an_image_smaller_than_its_window_is_refused() -> None:
    with pytest.raises(
        Problem, match=r"too small.* 2 x 9 .*where 3 x 3 is needed.*recipe.crop.size"
    ):
        layer()(torch.zeros(1, 5, 2, 9, dtype=torch.float64))


def test_a_sliding_average_takes_every_window_and_refuses_an_image_without_one() -> None:
    x = torch.arange(9.0).view(1, 1, 3, 3)
    assert SlidingAverage(2)(x).flatten().tolist() == [2, 3, 5, 6]
    with pytest.raises(Problem, match=r"too small.* 3 x 3 .*where 7 x 7 is needed.*head=global"):
        SlidingAverage(7)(x)


def test_caffes_dropout_rescales_in_training_and_not_in_evaluation() -> None:
    caffe, x = Dropout(0.7, inverted=True), torch.ones(3, 1000)
    caffe.address = (0, 0, torch.arange(3))
    assert caffe(x).unique().tolist() == pytest.approx([0, 1 / 0.3])
    classic = Dropout(0.7)
    classic.address = caffe.address
    assert torch.equal(classic(x) > 0, caffe(x) > 0)  # the same units
    assert torch.equal(caffe.eval()(x), x)
