"""Weights of the original Caffe models: caffe:FILE.caffemodel, one of caffe_networks.RELEASED.

The pipeline stays that of this project, RGB on the scale 0..255: Caffe's blue, green and red become the
channels of the first layer's weights and of the mean.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from topfive.architecture import architecture
from topfive.batch_transforms import MeanImage, Pipeline, Standardize
from topfive.config import compose
from topfive.datasets import imagenet_classes
from topfive.foreign.caffe_graph import differences, scale_of
from topfive.foreign.caffe_identity import identified
from topfive.foreign.caffe_networks import Released
from topfive.foreign.caffemodel import CaffeModel, Layer, read, read_mean
from topfive.problems import Problem
from topfive.trained import Trained

FILTER = (
    "filter=triangle (paper: not stated; Caffe's tools resize with OpenCV's bilinear filter, which is not "
    "antialiased)"
)


def load(path: Path, model: str | None = None) -> Trained:
    """The network in the file, with the mean image that lies beside it under its released name, or a mean color.

    model: which network it is (alexnet, caffenet, googlenet, vgg16, vgg19, resnet50, resnet101 or
    resnet152), where the file does not tell. Raises Problem where the file cannot be read (see
    caffemodel.read), holds none of these networks, or computes anything that ours does not.
    """
    file = read(path)
    released = identified(file, model, path)
    config = compose(released.overrides)
    classes = _classes(file, released)
    with torch.device("meta"):
        net = architecture(config, classes)
    if found := differences(file, released, net):
        more = f", and {len(found) - 3} more" if len(found) > 3 else ""
        raise Problem(
            f"{path} is of another network than Caffe's {released.title}: it {', '.join(found[:3])}{more}. Name "
            "weights of that network, or the network of these weights (model=...)."
        )
    net.load_state_dict(dict(_state(file, released, net)), assign=True)
    mean, departures = _mean(released, path.parent)
    name, recipe = f"caffe:{path.stem}", config["choices"]["recipe"]
    origin = f"weights={name} (paper: trained as recipe={recipe} says)"
    return Trained(
        name=path.stem,
        net=net.eval(),
        pipeline=Pipeline([mean]).eval(),
        config=config,
        # Caffe's synset_words.txt has them in this order, too.
        classes=imagenet_classes.wordnet_ids() if classes == 1000 else None,
        origin=name,
        departures=(origin, *departures, FILTER),
    )


def _classes(file: CaffeModel, released: Released) -> int:
    """The rows of the last layer's weights; the papers' 1,000 where it is missing, to say what else is."""
    last = file.layers.get(list(released.learned.values())[-1])
    return last.blobs[0].shape[0] if last and last.blobs and last.blobs[0].shape else 1000


def _state(file: CaffeModel, released: Released, net: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The entries of `net`'s state dict."""
    first = next(iter(released.learned))
    bias = torch.zeros(())  # of the convolution before BN, which has none with us
    for ours, name in released.learned.items():
        module, layer = net.get_submodule(ours), file.layers[name]
        if isinstance(module, nn.BatchNorm2d):
            state = _batch_norm(layer, file.layers[scale_of(name)], bias)
        else:
            keys = [key for key, _ in module.named_parameters()]
            values = [blob.tensor() for blob in layer.blobs]
            bias = values[1] if len(values) > len(keys) else torch.zeros(())
            state = dict(zip(keys, values, strict=False))
        if ours == first:
            state["weight"] = state["weight"].flip(1)
        shapes = module.state_dict()
        yield from (
            (f"{ours}.{key}", value.reshape(shapes[key].shape)) for key, value in state.items()
        )


def _batch_norm(statistics: Layer, scale: Layer, bias: Tensor) -> dict[str, Tensor]:
    """The file has the sums of means and variances, and by what they are to be divided."""
    mean, variance, factor = (blob.tensor() for blob in statistics.blobs)
    gamma, beta = (blob.tensor() for blob in scale.blobs)
    by = 1 / factor if factor else torch.zeros(())  # as Caffe's batch_norm_layer.cpp
    running = {"running_mean": mean * by - bias, "running_var": variance * by}
    return {"weight": gamma, "bias": beta, **running, "num_batches_tracked": torch.tensor(0)}


def _mean(released: Released, folder: Path) -> tuple[nn.Module, tuple[str, ...]]:
    """What subtracts the mean, and how it departs from what the authors subtracted."""
    if released.mean_file is None:
        return Standardize(list(released.mean), [1.0, 1.0, 1.0]), ()
    file = folder / released.mean_file
    if file.is_file():
        return MeanImage(read_mean(file).flip(0), stretch=True), ()
    values = ", ".join(map(str, released.mean))
    line = f"mean=[{values}] (paper: the mean image, {released.mean_file}, which does not lie beside the weights)"
    return Standardize(list(released.mean), [1.0, 1.0, 1.0]), (line,)
