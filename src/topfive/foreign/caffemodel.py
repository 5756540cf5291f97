"""What is in Caffe's binary files: the layers of a network (.caffemodel), a mean image (.binaryproto)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from torch import Tensor

from topfive.foreign.caffe_schema import message_class
from topfive.problems import Problem

LIMIT = 2**31 - 1  # bytes: protobuf's, and so Caffe's


@dataclass(frozen=True)
class Blob:
    """An array of numbers; sizes of 1 before the first other one, which V1 counts, are left out of `shape`."""

    shape: tuple[int, ...]
    numbers: bytes
    dtype: str

    def tensor(self) -> Tensor:
        """A copy, in float32."""
        return torch.from_numpy(np.frombuffer(self.numbers, self.dtype).astype(np.float32)).reshape(
            self.shape
        )


@dataclass(frozen=True)
class Layer:
    """A layer's weights, and what decides its output besides (none where the file does not say)."""

    blobs: tuple[Blob, ...]
    options: Mapping[str, object]


@dataclass(frozen=True)
class CaffeModel:
    """The net's name and its layers by name, in the order in which Caffe computes them."""

    name: str
    layers: Mapping[str, Layer]


def read(path: Path) -> CaffeModel:
    """The network in the file, all of its weights still bytes.

    Raises Problem where the file is not there, is damaged or is none that Caffe 1 wrote.
    """
    net = _parsed(path, "NetParameter")
    try:
        title = net.name.decode()
        layers = {one.name.decode(): _layer(one, path) for one in net.layer or net.layers}
    except UnicodeDecodeError as error:
        raise _damaged(path) from error
    if any(one.layer for one in net.layers):
        raise Problem(
            f"{path} has the layers of 2013, from before Caffe's V1 format: bring it to the present one with "
            "Caffe's upgrade_net_proto_binary."
        )
    if not any(layer.blobs for layer in layers.values()):
        raise Problem(
            f"{path} has no layers with weights: expected a .caffemodel, Caffe's binary snapshot."
        )
    return CaffeModel(title, layers)


def read_mean(path: Path) -> Tensor:
    """The mean image in the file, channels in the order blue, green, red: (3, height, width).

    Raises Problem where the file is damaged or is no image of three channels.
    """
    blob = _blob(_parsed(path, "BlobProto"), path)
    if len(blob.shape) != 3 or blob.shape[0] != 3:
        raise Problem(
            f"{path} holds numbers of shape {blob.shape}: expected a mean image, (3, height, width). Take it "
            "away, or put the mean image of the weights in its place."
        )
    return blob.tensor()


def _parsed(path: Path, kind: str) -> Any:
    message = message_class(kind)()
    try:
        if (size := path.stat().st_size) > LIMIT:
            raise Problem(
                f"{path} has {size:,} bytes, and Caffe's files have less than 2 GB: it is none."
            )
        message.ParseFromString(path.read_bytes())
    except OSError as error:
        raise Problem(
            f"{path}: {error.strerror}. Name a file that Caffe wrote: caffe:FILE.caffemodel."
        ) from error
    except DecodeError as error:
        raise _damaged(path) from error
    return message


def _damaged(path: Path) -> Problem:
    return Problem(
        f"{path} is no binary file of Caffe, or its end is missing. Expected a .caffemodel (neither .prototxt "
        "nor .h5); if it is one, fetch it again."
    )


def _layer(message: Any, path: Path) -> Layer:
    blobs = tuple(_blob(blob, path, message.name.decode()) for blob in message.blobs)
    if message.HasField("convolution_param"):
        param = message.convolution_param
        options: dict[str, object] = {
            "stride": _pair(param, "stride", 1),
            "pad": _pair(param, "pad", 0),
            "dilation": _pair(param, "dilation", 1),
            "group": param.group,
        }
    elif message.HasField("lrn_param"):
        param = message.lrn_param
        names = ("local_size", "alpha", "beta", "k", "norm_region")
        options = {name: getattr(param, name) for name in names}
    elif message.HasField("pooling_param"):
        param = message.pooling_param
        options = {
            "pool": param.pool,
            "kernel_size": _pair(param, "kernel_size", 0),
            "stride": _pair(param, "stride", 1),
            "pad": _pair(param, "pad", 0),
            "round_mode": param.round_mode,
        }
    elif message.HasField("batch_norm_param"):
        options = {"eps": message.batch_norm_param.eps}
    else:
        options = {}
    return Layer(blobs, options)


def _pair(param: Any, name: str, default: int) -> tuple[int, int]:
    """(vertical, horizontal): from NAME_h and NAME_w, or from NAME, once or for each direction."""
    sides = [f"{name.removesuffix('_size')}_{side}" for side in "hw"]
    if name != "dilation" and any(param.HasField(side) for side in sides):
        return getattr(param, sides[0]), getattr(param, sides[1])
    values = getattr(param, name)
    return (values[0], values[-1]) if values else (default, default)


def _blob(message: Any, path: Path, layer: str = "") -> Blob:
    if message.HasField("shape"):
        shape = tuple(message.shape.dim)
    else:
        shape = (message.num, message.channels, message.height, message.width)
    while shape and shape[0] == 1:
        shape = shape[1:]
    numbers, dtype = b"".join(message.double_data), "<f8"
    if not numbers:
        numbers, dtype = b"".join(message.data), "<f4"
    count = math.prod(shape)
    if count * np.dtype(dtype).itemsize != len(numbers):
        raise Problem(
            f"{path}{layer and ', layer '}{layer}: {len(numbers)} bytes of numbers, where {count} numbers of type "
            f"{dtype} were expected. The file is damaged: fetch it again."
        )
    return Blob(shape, numbers, dtype)
