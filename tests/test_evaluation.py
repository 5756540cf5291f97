"""Every protocol against a slow, obvious reference: loops, Pillow, one view at a time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from torch import nn

from topfive.batch_transforms import Pipeline, Standardize
from topfive.config import compose
from topfive.datasets import Photographs
from topfive.evaluation import counting
from topfive.evaluation.averages import Averages
from topfive.evaluation.counting import Split
from topfive.loaders.datamodule import LoaderSettings
from topfive.predictions import file_name, read
from topfive.protocols import (
    Both,
    Dense,
    GridOfScales,
    OneCrop,
    Protocol,
    SquaresOfScales,
    TenCrop,
    WarpedCrop,
)
from topfive.trained import Trained

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")

CLASSES = 7


class Sliding(nn.Module):
    """The smallest network with a class map: windows of 224 x 224 pixels, 32 apart, made of edges and colors."""

    def __init__(self, head: str = "global", num_classes: int = CLASSES):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 32, stride=32)
        self.fc = nn.Conv2d(8, num_classes, 1)
        for weight, scale in ((self.conv.weight, 0.003), (self.fc.weight, 8.0)):
            nn.init.normal_(weight, std=scale, generator=generator)
        self.average_pool = nn.AdaptiveAvgPool2d(1) if head == "global" else nn.AvgPool2d(7, 1)

    def class_map(self, x):
        return self.fc(self.average_pool(torch.relu(self.conv(x))))

    def forward(self, x):
        return self.class_map(x).mean((2, 3))


@pytest.fixture(scope="module")
def network() -> Trained:
    config = compose(["model=resnet18", "recipe=resnet"])
    config["model"] = {"_target_": "test_evaluation.Sliding", "num_classes": CLASSES}
    pipeline = Pipeline([Standardize([120.0, 115.0, 105.0], [60.0, 61.0, 62.0])])
    return Trained(name="sliding", net=Sliding().eval(), pipeline=pipeline, config=config)


@pytest.fixture(scope="module")
def photographs(real_data: Path) -> Photographs:
    """The 300 original photographs."""
    root = real_data / "imagenet_samples"
    files = sorted(str(path.relative_to(root)) for path in root.rglob("*.JPEG"))
    assert len(files) == 300
    return Photographs(root, files, np.zeros(len(files), np.int64))


def answered(
    trained: Trained,
    images: Photographs,
    folder: Path,
    *protocols: Protocol,
    averages: Averages = Averages(),  # noqa: B008  # frozen
    workers: int = 0,
) -> dict[str, np.ndarray]:
    """Probabilities (n, classes) by the name of the protocol, before float16 rounds them."""
    found: list[np.ndarray] = []
    with pytest.MonkeyPatch.context() as patch:
        # What goes to disk is rounded; the test wants what is added up.
        patch.setattr(torch.Tensor, "half", lambda tensor: tensor)
        patch.setattr("topfive.evaluation.counting.kept", lambda all_, _: found.extend(all_) or [])
        trainer = pl.Trainer(
            accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False
        )
        split = Split(images, images.labels, [f"c{k}" for k in range(CLASSES)], "folder", "val")
        settings = LoaderSettings("torch", workers, 16)
        counting.counts(trained, split, protocols, averages, trainer, settings, folder, {})
    return {str(one.about["protocol"]): one.probabilities for one in found}


def resize(image: Image.Image, shorter: int) -> Image.Image:
    width, height = image.size
    if width < height:
        size = (shorter, max(shorter, int(height * shorter / width + 0.5)))
    else:
        size = (max(shorter, int(width * shorter / height + 0.5)), shorter)
    return image.resize(size, Image.Resampling.BILINEAR)


def crop(image: Image.Image, left: int, top: int, side: int = 224) -> Image.Image:
    return image.crop((left, top, left + side, top + side))


def mirrored(views: list[Image.Image]) -> list[Image.Image]:
    return [*views, *(view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for view in views)]


def five(image: Image.Image) -> list[Image.Image]:
    w, h = image.width - 224, image.height - 224
    return [crop(image, *p) for p in ((0, 0), (w, 0), (0, h), (w, h), (w // 2, h // 2))]


def one_crop(image):
    image = resize(image, 256)
    return [crop(image, (image.width - 224) // 2, (image.height - 224) // 2)]


def warped(image):
    return [crop(image.resize((256, 256), Image.Resampling.BILINEAR), 16, 16)]


def ten_crop(image):
    return mirrored(five(resize(image, 256)))


def ten_crop_square(image):
    image = resize(image, 256)
    square = crop(image, (image.width - 256) // 2, (image.height - 256) // 2, 256)
    return mirrored(five(square))


def crops144(image):
    views = []
    for s in (256, 288, 320, 352):
        whole = resize(image, s)
        for third in range(3):
            left, top = third * (whole.width - s) // 2, third * (whole.height - s) // 2
            views += mirrored(five(crop(whole, left, top, s)))
            # The square goes to 224 in one step from the photograph, not in two: the same but for one rounding.
            across, down = image.width / whole.width, image.height / whole.height
            box = (left * across, top * down, (left + s) * across, (top + s) * down)
            box = (*box[:2], min(box[2], image.width), min(box[3], image.height))
            views += mirrored([image.resize((224, 224), Image.Resampling.BILINEAR, box=box)])
    return views


def crops150(image):
    views = []
    for s in (256, 384, 512):
        whole = resize(image, s)
        across, down = whole.width - 224, whole.height - 224
        views += mirrored(
            [crop(whole, x * across // 4, y * down // 4) for y in range(5) for x in range(5)]
        )
    return views


def dense(*scales: int):
    return lambda image: [v for s in scales for v in mirrored([resize(image, s)])]


def scored(network: Trained, view: Image.Image, head: str = "global") -> torch.Tensor:
    """The class map of one view, (classes, height, width), by a loop over windows where the head slides."""
    pixels = torch.from_numpy(np.asarray(view.convert("RGB")).astype(np.float32)).permute(2, 0, 1)
    mean, deviation = torch.tensor([120.0, 115.0, 105.0]), torch.tensor([60.0, 61.0, 62.0])
    net = network.net
    maps = torch.relu(net.conv(((pixels - mean[:, None, None]) / deviation[:, None, None])[None]))[
        0
    ]
    side = maps.shape[1:] if head == "global" else (7, 7)
    rows = []
    for y in range(maps.shape[1] - side[0] + 1):
        windows = [
            maps[:, y : y + side[0], x : x + side[1]].mean((1, 2))
            for x in range(maps.shape[2] - side[1] + 1)
        ]
        rows.append(torch.stack([net.fc.weight[:, :, 0, 0] @ w + net.fc.bias for w in windows], 1))
    return torch.stack(rows, 1)


def reference(network: Trained, views: list[Image.Image], head: str = "global") -> np.ndarray:
    """Mean of logits over space, softmax, mean over views."""
    with torch.no_grad():
        each = [scored(network, v, head).mean((1, 2)).softmax(0) for v in views]
    return torch.stack(each).mean(0).numpy()


PROTOCOLS = {
    "one_crop": (OneCrop(), one_crop, 1, 300),
    "one_crop_warped": (WarpedCrop(), warped, 1, 300),
    "ten_crop": (TenCrop(), ten_crop, 10, 60),
    "ten_crop_square": (TenCrop(square=True), ten_crop_square, 10, 60),
    "crops144": (SquaresOfScales(), crops144, 144, 6),
    "crops150": (GridOfScales(), crops150, 150, 6),
    "dense_256": (Dense((256,)), dense(256), 2, 60),
    "dense_384": (Dense((384,)), dense(384), 2, 30),
    "dense_224_256_288": (Dense((224, 256, 288)), dense(224, 256, 288), 6, 12),
    "dense_352_384_416": (Dense((352, 384, 416)), dense(352, 384, 416), 6, 12),
    "dense_256_384_512": (Dense((256, 384, 512)), dense(256, 384, 512), 6, 12),
}


@pytest.mark.parametrize(
    ("name", "n"),
    [
        *((name, case[3]) for name, case in PROTOCOLS.items()),
        *(pytest.param(name, 300, marks=pytest.mark.slow) for name in PROTOCOLS),
    ],
)
def test_a_protocol_gives_what_one_view_at_a_time_gives(name, n, network, photographs, tmp_path):
    protocol, views_of, count, _ = PROTOCOLS[name]
    # Spread over the 300, so that portraits and gray photographs are among them.
    images = photographs.take(np.arange(0, 300, 300 // n))
    found = answered(network, images, tmp_path, protocol)[name]
    shapes = set()
    for index, ours in enumerate(found):
        with Image.open(images.root / images.files[index]) as opened:
            image = opened.convert("RGB")
        views = views_of(image)
        assert len(views) == protocol.views == count
        shapes.add(np.sign(image.width - image.height))
        np.testing.assert_allclose(ours, reference(network, views), atol=1e-5)
    assert {1, -1} <= shapes


def test_gray_photographs_are_among_those_that_were_compared(photographs):
    modes = []
    for file in photographs.files[:: 300 // 60]:
        with Image.open(photographs.root / file) as image:
            modes.append(image.mode)
    assert "L" in modes


def test_dense_multiscale_slides_the_released_window_at_five_scales(network, photographs, tmp_path):
    images = photographs.take(np.arange(0, 300, 30))
    multiscale = Dense((224, 256, 384, 480, 640), head="sliding")
    everywhere = Dense((224, 256, 384, 480, 640))
    found = answered(network, images, tmp_path, multiscale, everywhere)
    assert list(found) == ["dense_multiscale", "dense_224_256_384_480_640"]
    for index in range(len(images)):
        views = dense(224, 256, 384, 480, 640)(images.read(index))
        for name, head in zip(found, ("sliding", "global"), strict=True):
            expected = reference(network, views, head)
            np.testing.assert_allclose(found[name][index], expected, atol=1e-5)
    differ = np.abs(found["dense_multiscale"] - found["dense_224_256_384_480_640"]).max()
    assert differ > 1e-3  # else the head would make no difference here


def test_dense_and_multi_crop_have_equal_parts_in_their_mean(network, photographs, tmp_path):
    images = photographs.take(np.arange(0, 300, 60))
    both = Both((GridOfScales(), Dense((256, 384, 512))))
    (found,) = answered(network, images, tmp_path, both).values()
    assert both.name == "crops150_and_dense_256_384_512"
    for index, ours in enumerate(found):
        image = images.read(index)
        parts = [reference(network, views(image)) for views in (crops150, dense(256, 384, 512))]
        np.testing.assert_allclose(ours, np.mean(parts, 0), atol=1e-5)


@pytest.mark.parametrize(
    ("averages", "name"),
    [
        (Averages(space="probabilities"), "dense_256_384+softmax_first"),
        (Averages(views="logits"), "dense_256_384+mean_of_logits"),
        (Averages(head="sliding"), "dense_256_384+sliding_head"),
    ],
)
def test_the_average_is_taken_where_it_is_asked_for(averages, name, network, photographs, tmp_path):
    images = photographs.take(np.arange(0, 300, 30))
    protocol = Dense((256, 384))
    # Sliding, because a global pool leaves one place alone to average over.
    slides = replace(averages, head="sliding")
    (found,) = answered(network, images, tmp_path, protocol, averages=slides).values()
    plain = answered(network, images, tmp_path, protocol, averages=Averages(head="sliding"))
    for index, ours in enumerate(found):
        views = dense(256, 384)(images.read(index))
        with torch.no_grad():
            maps = [scored(network, view, "sliding") for view in views]
        if averages.space == "probabilities":
            expected = torch.stack([m.softmax(0).mean((1, 2)) for m in maps]).mean(0)
        elif averages.views == "logits":
            expected = torch.stack([m.mean((1, 2)) for m in maps]).mean(0).softmax(0)
        else:
            expected = torch.stack([m.mean((1, 2)).softmax(0) for m in maps]).mean(0)
        np.testing.assert_allclose(ours, expected.numpy(), atol=1e-5)
    assert averages.name(protocol) == name
    if averages.head is None:
        assert np.abs(found - next(iter(plain.values()))).max() > 1e-4


def test_several_protocols_at_once_give_what_each_gives_alone(network, photographs, tmp_path):
    images = photographs.take(np.arange(0, 300, 60))
    several = (OneCrop(), TenCrop(), SquaresOfScales(), Dense((256,)))
    together = answered(network, images, tmp_path, *several, workers=2)
    assert list(together) == ["one_crop", "ten_crop", "crops144", "dense_256"]
    for protocol in several:
        (alone,) = answered(network, images, tmp_path, protocol).values()
        np.testing.assert_allclose(together[protocol.name], alone, atol=1e-6)


def test_an_image_is_decoded_once_and_no_view_is_shown_twice(
    network, photographs, tmp_path, monkeypatch
):
    reads: list[int] = []
    seen: list[int] = []
    read = Photographs.read
    monkeypatch.setattr(Photographs, "read", lambda self, k: reads.append(k) or read(self, k))
    hook = network.net.conv.register_forward_hook(lambda _, x, y: seen.append(len(x[0])))
    images = photographs.take(np.arange(6))
    answered(network, images, tmp_path, OneCrop(), TenCrop(), Dense((256,)))
    hook.remove()
    assert sorted(reads) == [0, *range(6)]  # the first once more, for the estimate of the cost
    # The central one of ten is the one crop: 10 + 2 views; and one for the estimate, measured twice.
    assert sum(seen) == 6 * 12 + 2


def test_another_filter_resizes_all_views(network, photographs, tmp_path):
    images = photographs.take(np.arange(0, 300, 60))
    cubic = replace(network, filter="cubic")
    (found,) = answered(cubic, images, tmp_path, OneCrop()).values()
    for index, ours in enumerate(found):
        image = images.read(index)
        scale = 256 / min(image.size)
        size = tuple(max(256, int(side * scale + 0.5)) for side in image.size)
        whole = image.resize(size, Image.Resampling.BICUBIC)
        view = crop(whole, (size[0] - 224) // 2, (size[1] - 224) // 2)
        np.testing.assert_allclose(ours, reference(network, [view]), atol=1e-5)


def test_predictions_are_kept_with_the_counts(network, photographs, tmp_path):
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False
    )
    images = photographs.take(np.arange(0, 300, 10))
    images = replace(images, labels=np.arange(30) % CLASSES)
    names = [f"c{k}" for k in range(CLASSES)]
    split = Split(images, images.labels, names, "folder", "val")
    where = (trainer, LoaderSettings("torch", 0, 16), tmp_path)
    (score,) = counting.counts(
        network, split, [TenCrop()], Averages(), *where, {"model": "sliding"}
    )
    kept = read(tmp_path / file_name("ten_crop", "val"))
    assert list(kept.images) == list(images.files)
    assert kept.about["filter"] == "triangle"
    exact = answered(network, images, tmp_path, TenCrop())["ten_crop"]
    np.testing.assert_allclose(kept.probabilities, exact, atol=5e-4)
    assert score.n == 30
    assert score.top1_errors == int((exact.argmax(1) != images.labels).sum())
    order = np.argsort(-exact, axis=1)[:, :5]
    assert score.top5_errors == int((order != images.labels[:, None]).all(1).sum())
    assert 0 < score.top5_errors < score.top1_errors < 30  # else the counts would say little
    assert not list(tmp_path.glob(".test-*"))
