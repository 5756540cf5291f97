"""What each of torch's operations does to a receptive field, and what it costs in multiply-adds."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import torch
from torch import Tensor

from topfive.inspect.fields import Field, join, spatial

aten = torch.ops.aten

MATRIX_PRODUCTS = {aten.mm: (0, 1), aten.addmm: (1, 2), aten.bmm: (0, 1), aten.baddbmm: (1, 2)}
POOLS = {aten.max_pool2d_with_indices, aten.avg_pool2d, aten.avg_pool3d}
ADAPTIVE_POOLS = {aten._adaptive_avg_pool2d, aten.adaptive_max_pool2d}
PADS = {aten.constant_pad_nd, aten.reflection_pad2d, aten.replication_pad2d}
REDUCTIONS = {aten.mean, aten.sum, aten.amax, aten.max, aten.logsumexp}
NORMALIZATIONS = {
    *(aten.native_batch_norm, aten._native_batch_norm_legit, aten.cudnn_batch_norm),
    *(aten._native_batch_norm_legit_no_training, aten._batch_norm_with_update),
    *(aten.native_group_norm, aten.native_layer_norm),
}


class Call:
    """One call of a torch operation: `arguments` by name, first result `out`, `batch` images."""

    def __init__(
        self, func: Any, args: Sequence[Any], kwargs: dict[str, Any], out: Any, batch: int
    ):
        self.kind = func.overloadpacket
        names = [argument.name for argument in func._schema.arguments]
        self.arguments = {a.name: a.default_value for a in func._schema.arguments}
        self.arguments |= dict(zip(names, args, strict=False)) | kwargs
        self.out: Tensor = out[0] if isinstance(out, tuple | list) else out
        self.batch = batch

    def sides(self, name: str, default: Sequence[int] = ()) -> list[int]:
        """An argument that may be given once for both sides of the image."""
        value = self.arguments[name]
        values = list(value) if isinstance(value, list | tuple) else [value]
        values = values or list(default)
        return values * 2 if len(values) == 1 else values

    def operand(self, number: int) -> Tensor:
        return list(self.arguments.values())[number]  # type: ignore[no-any-return]


def multiply_adds(call: Call, nonzeros: Callable[[Tensor], int]) -> int:
    """Of a convolution or matrix product, over the batch; other operations are not counted.

    `nonzeros` says how many elements a weight has that are not zero by construction.
    """
    if call.kind is aten.convolution:
        x, weight = call.operand(0), call.operand(1)
        positions = x if call.arguments["transposed"] else call.out
        return positions.numel() // positions.shape[1] * nonzeros(weight)
    if call.kind in MATRIX_PRODUCTS:
        left, right = (call.operand(n) for n in MATRIX_PRODUCTS[call.kind])
        return left.shape[-2] * nonzeros(right)
    return 0


def field_after(
    call: Call, inputs: Iterable[Tensor], field_of: Callable[[Tensor], Field | None]
) -> Field | None:
    """The receptive field of what `call` makes of `inputs`; None where it cannot be followed."""
    field = join(seen for t in inputs if (seen := field_of(t)) is not None)
    if field is None:
        return None
    if call.kind in MATRIX_PRODUCTS:
        operands = [call.operand(n) for n in MATRIX_PRODUCTS[call.kind]]
        return join(_contracted(f, t, call) for t in operands if (f := field_of(t)) is not None)
    x = call.operand(0)
    rule = RULES.get(call.kind)
    if rule is not None and torch.is_tensor(x) and spatial(field, x):
        field = rule(field, x, call)
    elif call.kind in REDUCTIONS:
        field = _kept_or_over(field, call.out.numel(), call)
    return field if call.out.numel() % (call.batch * prod(field.extent)) == 0 else None


def _convolution(field: Field, x: Tensor, call: Call) -> Field:
    kernel = call.operand(1).shape
    stride, pad, dilation = (call.sides(n) for n in ("stride", "padding", "dilation"))
    return field.windows(call.out.shape, kernel, stride, pad, dilation)


def _pool(field: Field, x: Tensor, call: Call) -> Field:
    kernel = call.sides("kernel_size")
    stride, pad = call.sides("stride", kernel), call.sides("padding")
    dilation = call.sides("dilation") if "dilation" in call.arguments else (1, 1)
    return field.windows(call.out.shape, kernel, stride, pad, dilation)


def _adaptive_pool(field: Field, x: Tensor, call: Call) -> Field:
    inputs, outputs = x.shape[-2:], call.out.shape[-2:]
    strides = [i // o for i, o in zip(inputs, outputs, strict=True)]
    kernel = [i - (o - 1) * s for i, o, s in zip(inputs, outputs, strides, strict=True)]
    return field.windows(outputs, kernel, strides)


def _im2col(field: Field, x: Tensor, call: Call) -> Field:
    named = ("kernel_size", "stride", "padding", "dilation")
    kernel, stride, pad, dilation = (call.sides(name) for name in named)
    sides = zip(x.shape[-2:], kernel, stride, pad, dilation, strict=True)
    extent = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sides]
    return field.windows(extent, kernel, stride, pad, dilation)


def _pad(field: Field, x: Tensor, call: Call) -> Field:
    pad: list[int] = call.arguments["pad" if "pad" in call.arguments else "padding"]  # width first
    top = pad[2] if len(pad) > 2 else 0
    height, width = call.out.shape[-2:]
    return field.padded((top, pad[0]), (height, width))


def _slice(field: Field, x: Tensor, call: Call) -> Field:
    side = call.arguments["dim"] % x.ndim - (x.ndim - 2)
    if side < 0:
        return field
    length = x.shape[-2 + side]
    first = call.arguments["start"] or 0
    first = max(0, first + length if first < 0 else first)
    return _taken(field, side, call.out.shape[-2 + side], call.arguments["step"], first)


def _select(field: Field, x: Tensor, call: Call) -> Field:
    side = call.arguments["dim"] % x.ndim - (x.ndim - 2)
    index = call.arguments["index"] % x.shape[call.arguments["dim"]]
    return field if side < 0 else _taken(field, side, 1, 1, index)


def _taken(field: Field, side: int, extent: int, step: int, first: int) -> Field:
    axis = (field.height, field.width)[side].windows(extent, 1, step, -first)
    return replace(field, height=axis) if side == 0 else replace(field, width=axis)


def _reduce(field: Field, x: Tensor, call: Call) -> Field:
    dims = call.arguments.get("dim")
    dims = range(x.ndim) if dims is None or dims == [] else dims
    dims = [dims] if isinstance(dims, int) else dims
    gone = {dim % x.ndim - (x.ndim - 2) for dim in dims}
    return field.over(0 in gone, 1 in gone)


def _contracted(field: Field, operand: Tensor, call: Call) -> Field:
    """A factor of a matrix product: are the image's positions among what is summed over?"""
    summed = operand.shape[-1 if operand is call.operand(MATRIX_PRODUCTS[call.kind][0]) else -2]
    return _kept_or_over(field, operand.numel() // summed, call)


def _kept_or_over(field: Field, left: int, call: Call) -> Field:
    """With positions folded into other dimensions, what is `left` says whether they are still there."""
    kept = left % (call.batch * prod(field.extent)) == 0
    return field if kept else field.over(True, True)


RULES: dict[Any, Callable[[Field, Tensor, Call], Field]] = {
    aten.convolution: _convolution,
    aten.im2col: _im2col,
    aten.slice: _slice,
    aten.select: _select,
    **dict.fromkeys(POOLS, _pool),
    **dict.fromkeys(ADAPTIVE_POOLS, _adaptive_pool),
    **dict.fromkeys(PADS, _pad),
    **dict.fromkeys(REDUCTIONS, _reduce),
}
