import math
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from test_batch_transforms import address
from torch import Tensor

from topfive import streams
from topfive.photometric import PhotometricDistortion

ORDERS = list(permutations(range(3)))
PILLOW = (ImageEnhance.Contrast, ImageEnhance.Brightness, ImageEnhance.Color)
KINDS = ("contrast", "brightness", "color")


def photographs(count: int, side: int = 24, dtype: torch.dtype = torch.float32) -> Tensor:
    """Smooth colors and noise over the whole scale, (count, 3, side, side)."""
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.integers(0, 256, (count, 3, 4, 4)).astype(np.float64))
    smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")
    noisy = smooth + torch.from_numpy(random.normal(0, 12, smooth.shape))
    return noisy.clamp(0, 255).round().to(dtype)


def drawn(
    monkeypatch: pytest.MonkeyPatch, factors: list[float], order: tuple[int, ...], x: Tensor
) -> Tensor:
    """`x` under these factors of (contrast, brightness, color), enhanced in this order of kinds."""
    place = ORDERS.index(order)
    u = torch.tensor([*(f - 0.5 for f in factors), (place + 0.5) / 6], dtype=torch.float64)
    monkeypatch.setattr(streams, "uniform", lambda *_: u.expand(len(x), 4))
    y: Tensor = PhotometricDistortion(0)(x, address(list(range(len(x)))))
    return y


def by_pillow(x: Tensor, factors: list[float], order: tuple[int, ...]) -> Tensor:
    images = []
    for pixels in x:
        image = Image.fromarray(pixels.permute(1, 2, 0).numpy().astype(np.uint8))
        for kind in order:
            image = PILLOW[kind](image).enhance(factors[kind])
        images.append(torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1))
    return torch.stack(images).to(x)


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.2, 1.5])
@pytest.mark.parametrize("kind", range(3), ids=KINDS)
def test_one_enhancement_is_pillows(
    kind: int, factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, factors = photographs(6), [1.0, 1.0, 1.0]
    factors[kind] = factor
    difference = drawn(monkeypatch, factors, (0, 1, 2), x) - by_pillow(x, factors, (0, 1, 2))
    # Pillow cuts off what follows the point (< 1) and mixes with a rounded gray (1/2, times |1 - f|).
    assert difference.max() < 1 + 0.5 * abs(1 - factor) + 0.01
    assert difference.min() > -0.5 * abs(1 - factor) - 0.01
    assert (x - by_pillow(x, factors, (0, 1, 2))).abs().mean() > 3  # or there was nothing to see


@pytest.mark.parametrize("order", ORDERS)
def test_three_enhancements_in_any_order_are_pillows(
    order: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, factors = photographs(6), [1.5, 1.3, 0.6]
    ours, theirs = drawn(monkeypatch, factors, order, x), by_pillow(x, factors, order)
    # Each step adds at most 1.25, which contrast then multiplies by 1.5 + 0.5 and brightness by 1.3.
    assert (ours - theirs).abs().max() < 1.25 * (1 + 2 + 2 * 1.3)
    assert (ours - theirs).abs().mean() < 1.5
    assert (ours - by_pillow(x, factors, order[::-1])).abs().mean() > 3


def test_an_order_is_worked_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two gray pixels, 100 and 200, on which color does nothing. Brightness 1.5 first: 150 and 300, cut
    # to 255; contrast 1.2 about 202.5: 139.5 and 265.5, cut. Contrast first: 90 and 210; then 135, 255.
    x = torch.tensor([100.0, 200.0], dtype=torch.float64).expand(1, 3, 1, 2)
    first = drawn(monkeypatch, [1.2, 1.5, 0.9], (1, 0, 2), x)
    assert first[0, 1, 0].tolist() == pytest.approx([139.5, 255])
    second = drawn(monkeypatch, [1.2, 1.5, 0.9], (0, 2, 1), x)
    assert second[0, 1, 0].tolist() == pytest.approx([135, 255])
    # Pure red has the luma 0.299 x 200 = 59.8. Color 1.5 first: 270.1, -29.9 and -29.9, cut; then half
    # the brightness. Brightness first: luma 29.9, and 29.9 + 1.5 x 70.1 for the red.
    red = torch.tensor([200.0, 0, 0], dtype=torch.float64).view(1, 3, 1, 1)
    first = drawn(monkeypatch, [1, 0.5, 1.5], (2, 1, 0), red)
    assert first.flatten().tolist() == pytest.approx([127.5, 0, 0])
    second = drawn(monkeypatch, [1, 0.5, 1.5], (1, 2, 0), red)
    assert second.flatten().tolist() == pytest.approx([135.05, 0, 0])
    # Color 1.5 and then half the contrast, about the luma 76.245; the other way round about 59.8.
    first = drawn(monkeypatch, [0.5, 1, 1.5], (2, 0, 1), red)
    assert first.flatten().tolist() == pytest.approx([165.6225, 38.1225, 38.1225])
    second = drawn(monkeypatch, [0.5, 1, 1.5], (0, 2, 1), red)
    assert second.flatten().tolist() == pytest.approx([164.95, 14.95, 14.95])


@pytest.mark.parametrize("order", ORDERS)
def test_factors_of_1_change_nothing(
    order: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    x = photographs(3)
    assert torch.equal(drawn(monkeypatch, [1, 1, 1], order, x), x)


def test_evaluation_views_are_untouched() -> None:
    transform, x = PhotometricDistortion(0), photographs(2)
    assert torch.equal(transform(x, None), x)
    assert torch.equal(transform.eval()(x, address([0, 1])), x)


def test_the_distortion_belongs_to_the_sample_and_the_epoch() -> None:
    x = photographs(1).expand(3, -1, -1, -1)
    transform = PhotometricDistortion(3)
    first = transform(x, address([4, 7, 2**33], epoch=1))
    assert torch.equal(transform(x[:2], address([2**33, 4], epoch=1)), first[[2, 0]])
    assert torch.equal(transform(x[:1], address([7], epoch=1)), first[[1]])
    others = [
        transform(x[:1], address([4], epoch=2))[0],
        PhotometricDistortion(4)(x[:1], address([4], epoch=1))[0],
    ]
    assert len({image.numpy().tobytes() for image in (*first, *others)}) == 5


def recorded(n: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Tensor, Tensor]:
    """Kinds and factors of n samples in the order in which they were enhanced, (n, 3) each."""
    steps: list[tuple[Tensor, Tensor]] = []

    def record(_: object, x: Tensor, kind: Tensor, factor: Tensor) -> Tensor:
        steps.append((kind.flatten(), factor.flatten()))
        return x

    monkeypatch.setattr(PhotometricDistortion, "_enhance", record)
    PhotometricDistortion(0)(torch.zeros(n, 3, 1, 1).double(), address(list(range(n))))
    kinds, factors = zip(*steps, strict=True)
    return torch.stack(kinds, 1), torch.stack(factors, 1)


def test_all_six_orders_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    n = 6000
    counts = Counter(tuple(order) for order in recorded(n, monkeypatch)[0].tolist())
    assert set(counts) == set(ORDERS)
    deviation = math.sqrt(n * (1 / 6) * (5 / 6))
    assert max(abs(count - n / 6) for count in counts.values()) < 5 * deviation


def test_each_factor_is_uniform_from_a_half_to_one_and_a_half_and_no_two_go_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    n = 6000
    kinds, placed = recorded(n, monkeypatch)
    factors = torch.zeros_like(placed).scatter(1, kinds, placed)  # one column a kind
    # Standard deviation of a uniform number over an interval of 1: 1 / sqrt 12.
    assert (factors.mean(0) - 1).abs().max() < 5 / math.sqrt(12 * n)
    assert 0.5 < factors.min() < 0.502
    assert 1.498 < factors.max() < 1.5
    for k in range(4):
        share = ((factors > 0.5 + k / 4) & (factors <= 0.75 + k / 4)).double().mean(0)
        assert (share - 0.25).abs().max() < 5 * math.sqrt(0.25 * 0.75 / n)
    # Nor does a factor go with the place at which its kind comes.
    related = torch.corrcoef(torch.cat([factors, kinds.argsort(1).double()], 1).T)
    assert related[:3, :3].fill_diagonal_(0).abs().max() < 5 / math.sqrt(n)
    assert related[:3, 3:].abs().max() < 5 / math.sqrt(n)


def test_the_range_of_the_factors_is_an_option() -> None:
    x = torch.full((2000, 3, 1, 1), 100.0)
    bright = PhotometricDistortion(0, low=0.9, high=1.1)(x, address(list(range(2000))))
    # On one gray pixel only brightness shows.
    assert 90 <= bright.min() < 90.1
    assert 109.9 < bright.max() <= 110


def test_nothing_waits_for_a_value_of_the_device() -> None:
    # A tensor without data refuses whatever would copy a value to the host.
    batch = address([0, 1, 2])
    there = type(batch)(*(field.to("meta") for field in batch))
    x = torch.empty(3, 3, 8, 8, device="meta")
    assert PhotometricDistortion(0).to("meta")(x, there).shape == x.shape


def test_the_layout_of_memory_survives() -> None:
    x = photographs(2).contiguous(memory_format=torch.channels_last)
    batch = address([0, 1])
    y = PhotometricDistortion(0)(x, batch)
    assert y.is_contiguous(memory_format=torch.channels_last)
    z = PhotometricDistortion(0)(x.contiguous(), batch)
    assert z.is_contiguous()
    assert torch.allclose(y, z, atol=1e-4)


def test_mixed_precision_does_not_round_it() -> None:
    x, batch = photographs(2), address([0, 1])
    exact = PhotometricDistortion(0)(x, batch)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(PhotometricDistortion(0)(x, batch), exact)
