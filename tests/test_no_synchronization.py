"""What is done to a batch on the device never waits for the host, nor copies from it.

Shown without a GPU, on torch's meta device, whose tensors have no values: what would read one on the host,
or bring a tensor of the host to the device, has no answer there. A watch names what is too kind to fail.
"""

import inspect
from contextlib import nullcontext
from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from topfive.batch_transforms import (
    GlobalContrastNormalization,
    MeanImage,
    PCAColor,
    Pipeline,
    PixelMap,
    PlanarDistortion,
    Standardize,
    Until,
)
from topfive.loaders.batch import Batch
from topfive.photometric import PhotometricDistortion
from topfive.whitening import Whitening

BATCH, SIDE = 4, 8
META = torch.device("meta")


class OnTheDeviceAlone(TorchDispatchMode):
    """Fails at an operation that has or makes a tensor on the host."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs, made)) if isinstance(t, torch.Tensor)]
        assert all(t.is_meta for t in tensors), f"{func} has a tensor on the host"
        return made


def batch(device: torch.device = META) -> Batch:
    numbers = torch.zeros(BATCH, dtype=torch.int64)
    images = torch.zeros(BATCH, 3, SIDE, SIDE, dtype=torch.uint8)
    whole = Batch(images, *[numbers] * 6, numbers.bool())
    return Batch(*(tensor.to(device) for tensor in whole))


TRANSFORMS = {
    "pixel map": PixelMap(-0.1, 1.175),
    "mean image": MeanImage(torch.zeros(3, SIDE, SIDE)),
    "mean image at the crop": MeanImage(torch.zeros(3, 12, 12), follows_crop=True),
    "mean image, stretched": MeanImage(torch.zeros(3, 6, 6), stretch=True),
    "channel means": Standardize([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]),
    "contrast normalization": GlobalContrastNormalization(),
    "PCA color": PCAColor([1.0, 1.0, 1.0], torch.eye(3).tolist(), seed=0, divisor=1.1),
    "planar distortion": PlanarDistortion(0, 2.0, 0.1, 0.1, 0.1),
    "photometric distortion": PhotometricDistortion(0),
    "until": Until(PhotometricDistortion(0), 10),
    "whitening": Whitening(torch.zeros(3 * SIDE**2), torch.eye(3 * SIDE**2)),
}


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_neither_waits_for_the_host_nor_copies_from_it(name, layout, monkeypatch):
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # meta knows none
    pipeline = Pipeline([deepcopy(TRANSFORMS[name])], layout).to(META)
    given = batch()
    for training in (True, False):
        pipeline.train(training)
        with OnTheDeviceAlone():
            made = pipeline(given.images, given, torch.float32)
        assert made.is_meta
        assert made.shape == given.images.shape


@pytest.mark.gpu
@pytest.mark.parametrize("name", TRANSFORMS)
def test_on_a_gpu_a_transform_does_not_synchronize(name):
    cuda = torch.device("cuda")
    pipeline, given = Pipeline([deepcopy(TRANSFORMS[name])]).to(cuda).train(), batch(cuda)
    torch.cuda.set_sync_debug_mode("error")
    try:
        pipeline(given.images, given, torch.float32)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def descendants(kind: type) -> set[type]:
    return {kind}.union(*map(descendants, kind.__subclasses__()))


def test_every_transform_is_held_to_it():
    ours = {k for k in descendants(nn.Module) if k.__module__.startswith("topfive.")}
    takes = {kind: [*inspect.signature(kind.forward).parameters] for kind in ours}
    transforms = {kind for kind, names in takes.items() if names == ["self", "x", "batch"]}
    assert transforms == {type(transform) for transform in TRANSFORMS.values()}


class Waits(nn.Module):
    """Four ways to make the device wait."""

    def __init__(self, how: str):
        super().__init__()
        self.how = how

    def forward(self, x, batch):
        match self.how:
            case "reads a value":
                return x * batch.epoch[0].item()
            case "chooses by a mask":
                return x[batch.flip]
            case "copies from the host":
                return x - torch.tensor([1.0, 2.0, 3.0]).to(x)[:, None, None]
            case "branches on a value":
                return x if batch.flip.any() else -x


@pytest.mark.parametrize(
    "how",
    ["reads a value", "chooses by a mask", "copies from the host", "branches on a value"],
)
def test_what_waits_is_found(how):
    given = batch()
    with pytest.raises((AssertionError, RuntimeError, NotImplementedError)), OnTheDeviceAlone():
        Pipeline([Waits(how)])(given.images, given, torch.float32)
