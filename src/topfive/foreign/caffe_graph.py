"""What a network of Caffe and one of ours differ in: layers, the shapes of weights, what is computed."""

import math
from collections.abc import Iterable, Iterator, Sequence

from torch import nn

from topfive.foreign.caffe_networks import Released
from topfive.foreign.caffemodel import CaffeModel, Layer
from topfive.layers import LocalResponseNorm

Shape = tuple[int, ...]


def differences(file: CaffeModel, released: Released, net: nn.Module) -> list[str]:
    """What follows on "it": "lacks layer conv3", ...; empty where `net` computes what the file says."""
    expected = shapes(released, net)
    modules = {
        name: net.get_submodule(ours)
        for ours, name in (*released.learned.items(), *released.fixed.items())
    }
    learned = {name: layer for name, layer in file.layers.items() if layer.blobs}
    return [
        *(f"lacks layer {name}" for name in expected if name not in learned),
        *(f"has layer {name} besides" for name in learned if name not in expected),
        *(one for name in expected if name in learned for one in _misshapen(name, learned[name], expected[name])),
        *(one for name in modules if name in file.layers for one in _otherwise(name, file.layers[name], modules[name])),
        *([] if in_order(file, released) else [f"has not the order {', '.join(released.fixed.values())}"]),
    ]  # fmt: skip


def in_order(file: CaffeModel, released: Released) -> bool:
    """Whether those layers without weights that the file lists come in the order of `released`."""
    names = list(released.fixed.values())
    return [one for one in file.layers if one in names] == [
        one for one in names if one in file.layers
    ]


def shapes(released: Released, net: nn.Module) -> dict[str, list[Shape]]:
    """By layer of Caffe the shapes of its weights in `net`."""
    found: dict[str, list[Shape]] = {}
    for ours, name in released.learned.items():
        module = net.get_submodule(ours)
        own = [tuple(one.shape) for one in module.parameters()]
        if isinstance(module, nn.BatchNorm2d):
            found[name] = [*own, (1,)]  # mean, variance, and what both are to be divided by
            found[scale_of(name)] = own
        else:
            found[name] = own
    return found


def scale_of(bn: str) -> str:
    """The layer with gamma and beta of a layer of BN."""
    return f"scale{bn.removeprefix('bn')}"


def _misshapen(name: str, layer: Layer, expected: Sequence[Shape]) -> Iterator[str]:
    found = [blob.shape for blob in layer.blobs]
    wanted = [_trimmed(shape) for shape in expected]
    # A convolution before BN has no bias with us; that of ResNet-50's conv1 is taken off the mean.
    if found != wanted and not (len(wanted) == 1 and found == [*wanted, wanted[0][:1]]):
        yield f"has {_listed(found)} in layer {name} where {_listed(wanted)} is expected"


def _otherwise(name: str, layer: Layer, module: nn.Module) -> Iterator[str]:
    for option, value in _options(module).items():
        found = layer.options.get(option, value)
        if not _same(found, value):
            yield f"has {option} {found} in layer {name} where {value} is expected"


def _same(found: object, value: object) -> bool:
    if isinstance(found, float) and isinstance(value, float):
        return math.isclose(found, value, rel_tol=1e-6)  # the file's is in single precision
    return found == value


def _options(module: nn.Module) -> dict[str, object]:
    """What caffemodel.Layer.options has, of a module of ours."""
    if isinstance(module, nn.Conv2d):
        return {
            "stride": module.stride,
            "pad": module.padding,
            "dilation": module.dilation,
            "group": module.groups,
        }
    if isinstance(module, LocalResponseNorm):
        across = {"norm_region": 0}
        return across | {
            "local_size": module.size,
            "alpha": module.alpha,
            "beta": module.beta,
            "k": module.k,
        }
    if isinstance(module, nn.MaxPool2d):
        sizes = {"kernel_size": module.kernel_size, "stride": module.stride, "pad": module.padding}
        pairs = {name: (size, size) for name, size in sizes.items()}
        # At stride 1 there is nothing to round.
        return {"pool": 0, **pairs} | (
            {} if module.stride == 1 else {"round_mode": int(not module.ceil_mode)}
        )
    if isinstance(module, nn.BatchNorm2d):
        return {"eps": module.eps}
    return {}


def _trimmed(shape: Shape) -> Shape:
    """As Blob.shape: without sizes of 1 before the first other one."""
    return shape[next((i for i, size in enumerate(shape) if size != 1), len(shape)) :]


def _listed(shapes: Iterable[Shape]) -> str:
    return ", ".join("×".join(map(str, shape)) or "1" for shape in shapes)
