"""LeNet-5's training, one sample at a time (LeCun et al. 1998, §III-B and Appendix C).

An update by one image is little arithmetic, and autograd spends most of its time between the
operations. `train_online` therefore has the gradient of `models/lenet.py` written out by hand, on
one flat vector of all the parameters; a test holds it to autograd in float64.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from topfive.losses import LeNetLoss, membership
from topfive.models.lenet import AMPLITUDE, SLOPE, LeNet5, squash
from topfive.optimizers import StochasticDiagonalLevenbergMarquardt

# From the gradient by t = tanh(a), and t, to the gradient by a; the overload is named because to find
# it takes longer than to run it.
tanh_backward = torch.ops.aten.tanh_backward.grad_input

BOTH = SLOPE * AMPLITUDE

# The parameters in the order of LeNet5.parameters(), in the shapes that `train_online` wants:
# C1, S2; C3 with all 96 kernels, S4; C5, F6.
SHAPES = [(6, 25), (6, 1), (6, 1, 1), (6, 1, 1)]
SHAPES += [(16, 150), (16, 1), (16, 1, 1), (16, 1, 1)]
SHAPES += [(120, 400), (120,), (84, 120), (84,)]


def gauss_newton_diagonal(
    net: LeNet5, loss: LeNetLoss, images: Tensor, targets: Tensor
) -> dict[Tensor, Tensor]:
    """The Gauss-Newton diagonal of the mean loss's second derivative, by parameter (App. C).

    For units x = f(a), a = sum w x, it goes backwards from the exact diagonal at F6 by
    h_a = f'(a)^2 h_x, h_x = sum w^2 h_a, and h_w = sum h_a x^2 over the connections that share w.
    These are the gradient's sums with w and x squared, a layer being linear in either of them.
    """
    trace: list[tuple[nn.Module, Tensor, Tensor]] = []
    handles = [
        layer.register_forward_hook(lambda layer, x, a: trace.append((layer, x[0], a)))
        for layer in net.layers()
    ]
    with torch.no_grad():
        features = net.features(images)
        h = loss.curvature(features, net.codes, targets) / (targets >= 0).sum().clamp(min=1)
    for handle in handles:
        handle.remove()
    diagonal: dict[Tensor, Tensor] = {}
    for layer, x, a in reversed(trace):
        h = h.view_as(a) * (BOTH - SLOPE / AMPLITUDE * squash(a).square()).square()  # f'(a)^2
        parameters = dict(layer.named_parameters())
        squares = {name: p.detach().square().requires_grad_() for name, p in parameters.items()}
        x_square = x.square().requires_grad_()
        with torch.enable_grad():
            sums = functional_call(layer, squares, x_square)
        h, *h_w = torch.autograd.grad(sums, (x_square, *squares.values()), h)
        diagonal.update(zip(parameters.values(), h_w, strict=True))
    return diagonal


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums this small are slower on several threads, and would depend on their number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
@one_thread()
def train_online(
    net: LeNet5,
    loss: LeNetLoss,
    optimizer: StochasticDiagonalLevenbergMarquardt,
    images: Tensor,
    targets: Tensor,
) -> tuple[Tensor, Tensor]:
    """One update per image, in order: the same as calling `optimizer.step()` at batch size 1.

    Images (N, 1, 32, 32) and targets (N) to the losses (N) and the scores (N, classes) that each
    image had just before its own update. An unlabelled image (-1) is scored and changes nothing.
    """
    # A state is kept as t = tanh(S a), which is x / A. Then A and S cost nothing: they are factors of
    # the products, and what they are to the gradients is in the step.
    lacks = [SLOPE * BOTH, SLOPE * BOTH, BOTH, SLOPE]  # C1, S2
    lacks += [BOTH * BOTH, SLOPE * BOTH, BOTH, SLOPE]  # C3, S4
    lacks += [BOTH, SLOPE, BOTH, SLOPE]  # C5, F6
    parameters = list(net.parameters())
    theta = _flat(net, parameters)
    step = _flat(net, [c * optimizer.step_size(p) for c, p in zip(lacks, parameters, strict=True)])
    gradient = torch.zeros_like(theta)
    w1, b1, k2, b2, w3, b3, k4, b4, w5, b5, w6, b6 = _views(theta)
    g_w1, g_b1, g_k2, g_b2, g_w3, g_b3, g_k4, g_b4, g_w5, g_b5, g_w6, g_b6 = _views(gradient)
    w3_t, w5_t, w6_t = w3.T, w5.T, w6.T

    # All that is seen in a second shape has its memory and its views made here, once.
    t0, t1, t2 = theta.new_empty(1, 32, 32), theta.new_empty(6, 784), theta.new_empty(6, 14, 14)
    t3, t4 = theta.new_empty(16, 100), theta.new_empty(16, 5, 5)
    t4_vector = t4.view(400)
    windows0, windows2 = _windows(t0), _windows(t2)
    columns0, columns2 = theta.new_empty(25, 784), theta.new_empty(150, 100)
    columns0_windows, columns2_windows = columns0.view_as(windows0), columns2.view_as(windows2)
    columns0_t, columns2_t = columns0.T, columns2.T
    origin = _windows(torch.arange(1176, device=t2.device).view_as(t2)).flatten()
    squares1, squares3 = t1.view(6, 14, 2, 14, 2), t3.view(16, 5, 2, 5, 2)
    top1, bottom1 = squares1.unbind(2)
    top3, bottom3 = squares3.unbind(2)
    rows1, rows3 = theta.new_empty(6, 14, 14, 2), theta.new_empty(16, 5, 5, 2)
    left1, right1 = rows1.unbind(3)
    left3, right3 = rows3.unbind(3)
    g1, g3 = torch.empty_like(t1), torch.empty_like(t3)
    g1_squares, g3_squares = g1.view_as(squares1), g3.view_as(squares3)
    g_s2, g_s4 = torch.empty_like(t2), torch.empty_like(t4)
    g_s2_spread, g_s4_spread = g_s2[:, :, None, :, None], g_s4[:, :, None, :, None]
    g_t2 = torch.empty_like(t2)
    g_t2_vector = g_t2.view(1176)
    d = theta.new_empty(net.codes.shape)
    d_t = d.T

    minus_codes, zero = -net.codes, theta.new_zeros(1)
    scores = theta.new_empty(len(images), len(net.codes))
    wanted = membership(scores, targets)

    samples = zip(
        images,
        targets.tolist(),
        torch.split(wanted, 1),
        torch.split(scores, 1),
        scores,
        strict=True,
    )
    for image, target, own, row, score in samples:
        t0.copy_(image)
        columns0_windows.copy_(windows0)
        torch.addmm(b1, w1, columns0, beta=SLOPE, alpha=SLOPE, out=t1).tanh_()
        torch.add(top1, bottom1, out=rows1)
        s2 = left1 + right1
        torch.tanh(torch.addcmul(b2, k2, s2, value=AMPLITUDE).mul_(SLOPE), out=t2)
        columns2_windows.copy_(windows2)
        torch.addmm(b3, w3, columns2, beta=SLOPE, alpha=BOTH, out=t3).tanh_()
        torch.add(top3, bottom3, out=rows3)
        s4 = left3 + right3
        torch.tanh(torch.addcmul(b4, k4, s4, value=AMPLITUDE).mul_(SLOPE), out=t4)
        t5 = torch.addmv(b5, w5, t4_vector, beta=SLOPE, alpha=BOTH).tanh_()
        t6 = torch.addmv(b6, w6, t5, beta=SLOPE, alpha=BOTH).tanh_()
        torch.add(minus_codes, t6, alpha=AMPLITUDE, out=d)
        torch.sum(d * d, 1, out=score).neg_()
        if target < 0:
            continue

        slope = loss.slope(row, own).view(-1)
        g_t6 = torch.addmv(zero, d_t, slope, beta=0, alpha=-2 * AMPLITUDE)
        tanh_backward(g_t6, t6, grad_input=g_b6)
        torch.outer(g_b6, t5, out=g_w6)
        g_t5 = torch.addmv(zero, w6_t, g_b6, beta=0, alpha=BOTH)
        tanh_backward(g_t5, t5, grad_input=g_b5)
        torch.outer(g_b5, t4_vector, out=g_w5)
        g_t4 = torch.addmv(zero, w5_t, g_b5, beta=0, alpha=BOTH).view_as(t4)
        g4 = tanh_backward(g_t4, t4, grad_input=g_t4)
        torch.sum(g4, (1, 2), keepdim=True, out=g_b4)
        torch.sum(g4 * s4, (1, 2), keepdim=True, out=g_k4)
        torch.mul(g4, k4, out=g_s4)
        tanh_backward(g_s4_spread, squares3, grad_input=g3_squares)
        torch.sum(g3, 1, keepdim=True, out=g_b3)
        torch.mm(g3, columns2_t, out=g_w3)
        g_columns2 = torch.addmm(zero, w3_t, g3, beta=0, alpha=BOTH * BOTH)
        g_t2_vector.zero_().scatter_add_(0, origin, g_columns2.view(-1))
        g2 = tanh_backward(g_t2, t2, grad_input=g_t2)
        torch.sum(g2, (1, 2), keepdim=True, out=g_b2)
        torch.sum(g2 * s2, (1, 2), keepdim=True, out=g_k2)
        torch.mul(g2, k2, out=g_s2)
        tanh_backward(g_s2_spread, squares1, grad_input=g1_squares)
        torch.sum(g1, 1, keepdim=True, out=g_b1)
        torch.mm(g1, columns0_t, out=g_w1)
        theta.addcmul_(step, gradient, value=-1)

    for parameter, value in zip(parameters, _views(theta), strict=True):
        if parameter is net.c3.weight:
            value = value.view(96, 25)[net.c3.index]
        parameter.copy_(value.view_as(parameter))
    return loss.per_sample(scores, targets), scores


def _flat(net: LeNet5, values: Sequence[Tensor]) -> Tensor:
    """One vector of a value per parameter, and of zeros for the kernels that C3 lacks (Table I)."""
    flat = values[0].new_zeros(sum(math.prod(shape) for shape in SHAPES))
    for view, value in zip(_views(flat), values, strict=True):
        if view.numel() == value.numel():
            view.copy_(value.view_as(view))
        else:
            view.view(96, 25)[net.c3.index] = value.flatten(1)
    return flat


def _views(flat: Tensor) -> list[Tensor]:
    parts = torch.split(flat, [math.prod(shape) for shape in SHAPES])
    return [part.view(shape) for part, shape in zip(parts, SHAPES, strict=True)]


def _windows(x: Tensor) -> Tensor:
    """The 5x5 windows of (maps, height, width), a view (maps, 5, 5, height - 4, width - 4)."""
    return x.unfold(1, 5, 1).unfold(2, 5, 1).permute(0, 3, 4, 1, 2)
