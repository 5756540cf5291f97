"""Local response normalization (Krizhevsky et al. 2012, section 3.3), in time and memory near a copy.

Backward keeps nothing but the input, which the network keeps anyway, and computes the scale again.
Both directions run over a few images at a time, so that what they compute on the way stays in the
cache. Under torch.compile they are one chain of pointwise operations, for the compiler to fuse.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn import functional as F

from topfive.problems import Problem

# Elements that a thread works on at a time, 4 MB: less fits the cache better, but where other processes
# hold a core the threads wait for each other after every step.
CPU_BLOCK = 1 << 20
GPU_BLOCK = 1 << 23  # 32 MB: enough for a launch to be worth its while


class Constants(NamedTuple):
    size: int
    alpha: float
    beta: float
    k: float
    groups: int


class Buffers(NamedTuple):
    """Where a block's steps write, over and over: fresh memory would cost as much as the arithmetic.

    None is fresh memory, which the compiler plans and autograd needs.
    """

    first: Tensor | None = None
    second: Tensor | None = None
    third: Tensor | None = None
    out: Tensor | None = None


class Context(FunctionCtx):
    """What backward finds."""

    constants: Constants
    saved_tensors: tuple[Tensor, ...]


class LocalResponseNorm(nn.Module):
    """b = a / (k + alpha / size * sum of a^2 over `size` adjacent maps) ^ beta.

    The printed formula has no division by `size`; the original code (and Caffe's, and torch's)
    divides, and it is the code that scored. An even `size` reaches one map further back than ahead,
    as torch's does. `groups`: neighborhoods end at the borders of that many equal runs of maps, as
    they did at each GPU's half.

    (batch, channels, height, width) to the same, in the input's memory format and data type: half
    precision (under autocast too, which changes nothing here) is computed in float32 and rounded
    once. Differentiable twice. Raises Problem where `groups` does not divide the channels.
    """

    def __init__(
        self,
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 2.0,
        groups: int = 1,
    ):
        super().__init__()
        self.size, self.alpha, self.beta, self.k, self.groups = size, alpha, beta, k, groups

    def forward(self, x: Tensor) -> Tensor:
        return local_response_norm(x, self.size, self.alpha, self.beta, self.k, self.groups)

    def extra_repr(self) -> str:
        values = f"alpha={self.alpha}, beta={self.beta}, k={self.k}"
        return f"{self.size}, {values}, groups={self.groups}"


@torch.fx.wrap  # one node of a symbolic trace
def local_response_norm(
    x: Tensor, size: int, alpha: float, beta: float, k: float, groups: int
) -> Tensor:
    """What LocalResponseNorm computes."""
    if x.dim() != 4 or x.shape[1] % groups:
        raise Problem(
            f"local response normalization in {groups} groups of maps takes (batch, channels, height, width) with "
            f"channels a multiple of {groups}, and was given {tuple(x.shape)}. Choose another `groups`."
        )
    out: Tensor = Normalization.apply(x, Constants(size, alpha, beta, k, groups))
    return out


class Normalization(torch.autograd.Function):
    """The normalization and its closed derivative, neither of which keeps a map of its own."""

    @staticmethod
    def forward(x: Tensor, constants: Constants) -> Tensor:
        return by_blocks(normalized, constants, x)

    @staticmethod
    def setup_context(ctx: Context, inputs: tuple[Tensor, Constants], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.constants = inputs[1]

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor, None]:
        return by_blocks(derivative, ctx.constants, ctx.saved_tensors[0], gradient), None


def by_blocks(function: Callable[..., Tensor], constants: Constants, *tensors: Tensor) -> Tensor:
    """`function` of a group of maps of a few images of each tensor at a time, laid out as the first.

    Of all images at once where the operations themselves are wanted: by the compiler, or by
    autograd, for a second derivative.
    """
    x, groups = tensors[0], constants.groups
    if torch.compiler.is_compiling() or torch.is_grad_enabled():
        runs = zip(*(torch.chunk(widened(t), groups, 1) for t in tensors), strict=True)
        results = [function(*run, constants, Buffers()) for run in runs]
        return (results[0] if groups == 1 else torch.cat(results, 1)).to(x.dtype)
    block = CPU_BLOCK * torch.get_num_threads() if x.device.type == "cpu" else GPU_BLOCK
    images = max(1, block * groups // max(1, x[:1].numel()))
    out = torch.empty_like(x)
    scratch = [torch.empty_like(widened(x[:images].chunk(groups, 1)[0])) for _ in range(3)]
    for parts in zip(*(torch.split(t, images) for t in (out, *tensors)), strict=True):
        first, second, third = (t[: len(parts[0])] for t in scratch)
        for written, *read in zip(*(torch.chunk(t, groups, 1) for t in parts), strict=True):
            to = Buffers(first, second, third, written)
            function(*(widened(t) for t in read), constants, to)
    return out


def widened(x: Tensor) -> Tensor:
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def normalized(a: Tensor, constants: Constants, to: Buffers) -> Tensor:
    s = scale(a, constants, to)
    return torch.mul(a, power(s, constants.beta, to), out=to.out)


def derivative(a: Tensor, g: Tensor, constants: Constants, to: Buffers) -> Tensor:
    """g s^-beta - 2 alpha beta / size * a * (sum of g a s^-(beta + 1) over the maps that a is near)."""
    s = scale(a, constants, to)
    gp = torch.mul(g, power(s, constants.beta, to), out=to.first)
    q = torch.div(torch.mul(gp, a, out=to.third), s, out=to.third)
    # A map's neighbors ahead are those that have it behind.
    sums = windowed(q, (constants.size - 1) // 2, constants.size // 2, to.second)
    factor = -2 * constants.alpha * constants.beta / constants.size
    return torch.addcmul(gp, a, sums, value=factor, out=to.out)


def scale(a: Tensor, constants: Constants, to: Buffers) -> Tensor:
    """k + alpha / size * sum of squares, in the second buffer."""
    squares = torch.mul(a, a, out=to.first)
    sums = windowed(squares, constants.size // 2, (constants.size - 1) // 2, to.second)
    return sums.mul_(constants.alpha / constants.size).add_(constants.k)


def power(s: Tensor, beta: float, to: Buffers) -> Tensor:
    """s ^ -beta, in the first buffer."""
    if beta != 0.75:
        return torch.pow(s, -beta, out=to.first)
    root = torch.rsqrt(s, out=to.third)  # several times faster than the power
    return torch.mul(root, torch.sqrt(root, out=to.first), out=to.first)


def windowed(t: Tensor, behind: int, ahead: int, out: Tensor | None) -> Tensor:
    """The sum of each map, the `behind` maps before it and the `ahead` after it."""
    if torch.compiler.is_compiling():  # in-place additions to slices are copies there
        padded, maps = F.pad(t, (0, 0, 0, 0, behind, ahead)), t.shape[1]
        total = padded.narrow(1, 0, maps)
        for j in range(1, behind + ahead + 1):
            total = total + padded.narrow(1, j, maps)
        return total
    total = t.clone() if out is None else out.copy_(t)
    for j in range(1, behind + 1):
        total[:, j:] += t[:, :-j]
    for j in range(1, ahead + 1):
        total[:, :-j] += t[:, j:]
    return total
