"""The networks that were released as Caffe models, and which of their layers is which module of ours.

Names and means are those of models/ in BVLC/caffe (9b89154), of the gists 211839e770f7b538e2d8 and
3785162f95cd2d5fee77 of ksimonyan (VGG), and of prototxt/ in KaimingHe/deep-residual-networks (a7026cb).
"""

from collections.abc import Mapping
from dataclasses import dataclass

Color = tuple[float, float, float]

# Red, green, blue, 0..255. BVLC's is the average of its mean image (examples/00-classification.ipynb); that
# of the ResNets' mean image is as ChainerCV's resnet.py has it (unverified).
BVLC_MEAN = (122.6789, 116.6688, 104.0070)
RESNET_MEAN = (123.1516, 115.9029, 103.0626)


@dataclass(frozen=True, kw_only=True)
class Released:
    """A network as it was released.

    title: what its prototxt calls it. model: what a user calls it. overrides: what composes it here.
    learned, fixed: for modules of ours with and without weights the layer of Caffe, in Caffe's order; the
    first of `learned` sees the image, the last one gives the scores. BN is learned in two layers, whose
    names begin with "bn" and "scale". mean: red, green, blue, 0..255. mean_file: what the authors
    subtracted instead, where it lies beside the weights.
    """

    title: str
    model: str
    overrides: tuple[str, ...]
    learned: Mapping[str, str]
    fixed: Mapping[str, str]
    mean: Color
    mean_file: str | None = None


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def _alexnet(
    title: str, model: str, overrides: tuple[str, ...], fixed: tuple[str, ...]
) -> Released:
    return Released(
        title=title,
        model=model,
        overrides=overrides,
        learned=_same("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"),
        fixed=_same(*fixed, "pool5"),
        mean=BVLC_MEAN,
        mean_file="imagenet_mean.binaryproto",
    )


def _googlenet(auxiliary: bool) -> Released:
    stem = {"conv1": "conv1/7x7_s2", "conv2_reduce": "conv2/3x3_reduce", "conv2": "conv2/3x3"}
    fixed = {"pool1": "pool1/3x3_s2", "norm1": "pool1/norm1"}
    fixed |= {"norm2": "conv2/norm2", "pool2": "pool2/3x3_s2"}
    branches = {"conv1x1": "1x1", "reduce3x3": "3x3_reduce", "conv3x3": "3x3"}
    branches |= {"reduce5x5": "5x5_reduce", "conv5x5": "5x5", "pool_proj": "pool_proj"}
    learned = dict(stem)
    for module in ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"):
        name = f"inception_{module}"
        if module in ("4a", "5a"):
            number = int(module[0]) - 1
            fixed[f"pool{number}"] = f"pool{number}/3x3_s2"
        learned |= {f"{name}.{ours}": f"{name}/{caffes}" for ours, caffes in branches.items()}
        fixed[f"{name}.pool"] = f"{name}/pool"
    if auxiliary:
        heads = {"conv": "conv", "hidden": "fc", "fc": "classifier"}
        learned |= {
            f"aux{i}.{ours}": f"loss{i}/{name}" for i in (1, 2) for ours, name in heads.items()
        }
    return Released(
        title="GoogleNet",
        model="googlenet",
        overrides=("model=googlenet", "recipe=bvlc_quick")
        + (() if auxiliary else ("model.auxiliary=false",)),
        learned=learned | {"fc": "loss3/classifier"},
        fixed=fixed,
        mean=(123.0, 117.0, 104.0),
    )


def _vgg(depth: int, convolutions: tuple[int, ...]) -> Released:
    names = [f"conv{b}_{c + 1}" for b, count in enumerate(convolutions, 1) for c in range(count)]
    return Released(
        title=f"VGG_ILSVRC_{depth}_layers",
        model=f"vgg{depth}",
        overrides=(f"model=vgg{depth}", "recipe=vgg_jitter"),
        learned=_same(*names, "fc6", "fc7", "fc8"),
        fixed=_same("pool1", "pool2", "pool3", "pool4", "pool5"),
        mean=(123.68, 116.779, 103.939),
    )


def _resnet(depth: int, blocks: tuple[int, ...]) -> Released:
    learned = {"conv1": "conv1", "bn1": "bn_conv1"}
    for stage, count in enumerate(blocks, 2):
        # Blocks are lettered; in the deeper nets' long stages they are a, b1, b2, ...
        numbered = depth > 50 and stage in (3, 4)
        letters = ["a", *(f"b{i}" for i in range(1, count))] if numbered else "abcdef"[:count]
        for number, letter in enumerate(letters):
            block = f"conv{stage}_x.{number}"
            if number == 0:
                learned |= _normalized(
                    f"{block}.shortcut.0", f"{block}.shortcut.1", f"{stage}a_branch1"
                )
            for i, branch in enumerate("abc", 1):
                place = f"{stage}{letter}_branch2{branch}"
                learned |= _normalized(f"{block}.conv{i}", f"{block}.bn{i}", place)
    return Released(
        title=f"ResNet-{depth}",
        model=f"resnet{depth}",
        overrides=(f"model=resnet{depth}",),
        learned=learned | {"fc": "fc1000"},
        fixed=_same("pool1"),
        mean=RESNET_MEAN,
        mean_file="ResNet_mean.binaryproto",
    )


def _normalized(conv: str, bn: str, place: str) -> dict[str, str]:
    return {conv: f"res{place}", bn: f"bn{place}"}


BVLC_ALEXNET = ("model=caffenet", "model.order=norm_pool", "recipe=bvlc_alexnet")

RELEASED = (
    _alexnet("AlexNet", "alexnet", BVLC_ALEXNET, ("norm1", "pool1", "norm2", "pool2")),
    _alexnet("CaffeNet", "caffenet", ("model=caffenet",), ("pool1", "norm1", "pool2", "norm2")),
    _googlenet(auxiliary=True),
    _googlenet(auxiliary=False),
    _vgg(16, (2, 2, 3, 3, 3)),
    _vgg(19, (2, 2, 4, 4, 4)),
    _resnet(50, (3, 4, 6, 3)),
    _resnet(101, (3, 4, 23, 3)),
    _resnet(152, (3, 8, 36, 3)),
)
