"""Caffe's files, made without the schema under test: prototxt as text, caffemodel by hand on the wire.

Field numbers are those of src/caffe/proto/caffe.proto in BVLC/caffe (9b89154).
"""

import struct
from dataclasses import dataclass
from dataclasses import field as entry

# Of V1 the type and the field of its parameters; the field of LayerParameter; the parameters' own fields.
TYPES = {
    "Convolution": (4, 10, 106, {"num_output": 1, "bias_term": 2, "pad": 3, "kernel_size": 4, "group": 5, "stride": 6}),
    "InnerProduct": (14, 17, 117, {"num_output": 1}),
    "LRN": (15, 18, 118, {"local_size": 1, "alpha": 2, "beta": 3, "k": 5}),
    "Pooling": (17, 19, 121, {"pool": 1, "kernel_size": 2, "stride": 3, "pad": 4}),
    "BatchNorm": (None, None, 139, {"use_global_stats": 1, "eps": 3}),
    "Scale": (None, None, 142, {"bias_term": 4}),
    "ReLU": (18, None, None, {}),
    "Concat": (3, None, None, {}),
    "Eltwise": (25, None, None, {}),
}  # fmt: skip
PARAM = {"Convolution": "convolution", "InnerProduct": "inner_product", "LRN": "lrn"}
PARAM |= {"Pooling": "pooling", "BatchNorm": "batch_norm", "Scale": "scale"}
POOLS = ("MAX", "AVE")


@dataclass(frozen=True)
class Layer:
    name: str
    type: str
    bottoms: tuple[str, ...]
    top: str
    options: dict = entry(default_factory=dict)
    blobs: tuple = ()


def prototxt(net, size):
    """The deploy text, which has no auxiliary heads."""
    sides = " ".join(f"input_dim: {side}" for side in (1, 3, size, size))
    layers = [_text(layer) for layer in net.layers if not layer.name.startswith(("loss1", "loss2"))]
    return "\n".join([f'name: "{net.name}" input: "data" {sides}', *layers])


def _text(layer):
    bottoms = " ".join(f'bottom: "{bottom}"' for bottom in layer.bottoms)
    options = " ".join(f"{key}: {_word(key, value)}" for key, value in layer.options.items())
    param = f"{PARAM[layer.type]}_param {{ {options} }}" if options else ""
    return f'layer {{ name: "{layer.name}" type: "{layer.type}" {bottoms} top: "{layer.top}" {param} }}'


def _word(key, value):
    return POOLS[value] if key == "pool" else str(value).lower()


def caffemodel(net, v1):
    """The binary file in parts, in the form of 2014 (`v1`) or the later one."""
    yield field(1, net.name.encode())
    for layer in net.layers:
        yield field(2, _v1(layer)) if v1 else field(100, _layer(layer))


def blob(array, v1, dtype="<f4"):
    """A BlobProto: four sizes in V1, else a shape; `data` or, for dtype "<f8", `double_data`."""
    if v1:
        sizes = (1,) * (4 - array.ndim) + array.shape
        head = b"".join(field(number, size) for number, size in enumerate(sizes, 1))
    else:
        head = field(7, field(1, b"".join(_varint(size) for size in array.shape)))
    return head + field(5 if dtype == "<f4" else 8, array.astype(dtype, copy=False).tobytes())


def _v1(layer):
    number, param, _, names = TYPES[layer.type]
    parts = [field(2, bottom.encode()) for bottom in layer.bottoms]
    parts += [field(3, layer.top.encode()), field(4, layer.name.encode()), field(5, number)]
    parts += [field(6, blob(array, True)) for array in layer.blobs]
    return b"".join(parts) + _param(param, names, layer)


def _layer(layer):
    _, _, param, names = TYPES[layer.type]
    parts = [field(1, layer.name.encode()), field(2, layer.type.encode())]
    parts += [field(3, bottom.encode()) for bottom in layer.bottoms]
    parts += [field(4, layer.top.encode())]
    parts += [field(7, blob(array, False)) for array in layer.blobs]
    return b"".join(parts) + _param(param, names, layer)


def _param(number, names, layer):
    body = b"".join(field(names[key], value) for key, value in layer.options.items())
    return field(number, body) if number and body else b""


def field(number, value):
    """A number as a varint, a float in four bytes, anything else with its length."""
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    if isinstance(value, bytes):
        return _varint(number << 3 | 2) + _varint(len(value)) + value
    return _varint(number << 3) + _varint(int(value))


def _varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
