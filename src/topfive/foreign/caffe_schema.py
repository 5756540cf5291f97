"""The part of Caffe's protobuf schema that trained networks and mean images are read by.

Field numbers and defaults are those of src/caffe/proto/caffe.proto in BVLC/caffe (9b89154). Files of 2014
list `layers` (V1), later ones `layer`. What differs from Caffe's own schema reads the same bytes: packed
numbers are bytes, so that no loop of Python touches them; names are bytes, because protobuf lets any pass
for text; numbers that later became lists are lists.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]

# By message and field: its number, its type (* is repeated) and its default, where that is not 0.
MESSAGES: dict[str, dict[str, tuple[int, str] | tuple[int, str, str]]] = {
    "BlobShape": {"dim": (1, "uint64*")},
    "BlobProto": {
        "num": (1, "uint32"),
        "channels": (2, "uint32"),
        "height": (3, "uint32"),
        "width": (4, "uint32"),
        "data": (5, "bytes*"),  # floats
        "shape": (7, "BlobShape"),
        "double_data": (8, "bytes*"),
    },
    "ConvolutionParameter": {
        "pad": (3, "uint32*"),
        "group": (5, "uint32", "1"),
        "stride": (6, "uint32*"),
        "pad_h": (9, "uint32"),
        "pad_w": (10, "uint32"),
        "stride_h": (13, "uint32"),
        "stride_w": (14, "uint32"),
        "dilation": (18, "uint32*"),
    },
    "LRNParameter": {
        "local_size": (1, "uint32", "5"),
        "alpha": (2, "float", "1"),
        "beta": (3, "float", "0.75"),
        "norm_region": (4, "int32"),
        "k": (5, "float", "1"),
    },
    "PoolingParameter": {
        "pool": (1, "int32"),
        "kernel_size": (2, "uint32*"),
        "stride": (3, "uint32*"),
        "pad": (4, "uint32*"),
        "kernel_h": (5, "uint32"),
        "kernel_w": (6, "uint32"),
        "stride_h": (7, "uint32"),
        "stride_w": (8, "uint32"),
        "pad_h": (9, "uint32"),
        "pad_w": (10, "uint32"),
        "round_mode": (13, "int32"),
    },
    "BatchNormParameter": {"eps": (3, "float", "1e-5")},
    "LayerParameter": {
        "name": (1, "bytes"),
        "blobs": (7, "BlobProto*"),
        "convolution_param": (106, "ConvolutionParameter"),
        "lrn_param": (118, "LRNParameter"),
        "pooling_param": (121, "PoolingParameter"),
        "batch_norm_param": (139, "BatchNormParameter"),
    },
    "V1LayerParameter": {
        "layer": (1, "bytes"),  # the form before V1
        "name": (4, "bytes"),
        "blobs": (6, "BlobProto*"),
        "convolution_param": (10, "ConvolutionParameter"),
        "lrn_param": (18, "LRNParameter"),
        "pooling_param": (19, "PoolingParameter"),
        "batch_norm_param": (139, "BatchNormParameter"),  # never there: V1 is older
    },
    "NetParameter": {
        "name": (1, "bytes"),
        "layers": (2, "V1LayerParameter*"),
        "layer": (100, "LayerParameter*"),
    },
}


def message_class(name: str) -> type[Any]:
    """The class of protobuf messages of that name."""
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_file())
    made: type[Any] = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}"))
    return made


def _file() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, (number, kind, *default) in fields.items():
            added = message.field.add(
                name=field, number=number, label=3 if kind.endswith("*") else 1
            )
            scalar = kind.rstrip("*")
            if scalar in MESSAGES:
                added.type, added.type_name = added.TYPE_MESSAGE, f".caffe.{scalar}"
            else:
                added.type = added.Type.Value(f"TYPE_{scalar.upper()}")
            if default:
                added.default_value = default[0]
    return file
