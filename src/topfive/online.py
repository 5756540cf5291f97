"""LeNet-5's training, one sample at a time (LeCun et al. 1998, §III-B and Appendix C).

An update by one image is little arithmetic, and autograd spends most of its time between the
operations. `train_online` therefore has the gradient of `models/lenet.py` written out by hand, on
one flat vector of all the parameters; a test holds it to autograd in float64.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from topfive.losses import LeNetLoss, membership
from topfive.models.lenet import AMPLITUDE, SLOPE, LeNet5, squash
from topfive.optimizers import StochasticDiagonalLevenbergMarquardt

tanh_backward = torch.ops.aten.tanh_backward  # from (gradient by t, t = tanh(a)): gradient by a

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


@torch.no_grad()
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
    # A state is kept as t = tanh(S a), which is x / A. Then A and S cost nothing: they are factors of the
    # products, and those of the gradients (u) are in the step.
    u = [SLOPE] * 2 + [BOTH, SLOPE] * 5
    parameters = list(net.parameters())
    theta = _flat(net, parameters)
    step = _flat(net, [c * optimizer.step_size(p) for c, p in zip(u, parameters, strict=True)])
    gradient = torch.zeros_like(theta)
    w1, b1, k2, b2, w3, b3, k4, b4, w5, b5, w6, b6 = _views(theta)
    g_w1, g_b1, g_k2, g_b2, g_w3, g_b3, g_k4, g_b4, g_w5, g_b5, g_w6, g_b6 = _views(gradient)
    w3_t, w5_t, w6_t = w3.T, w5.T, w6.T

    # Every 5x5 window of C1's and C3's inputs, a column each: a convolution is then one product.
    t0, t2, g_t2 = theta.new_empty(1, 32, 32), theta.new_empty(6, 14, 14), theta.new_empty(1176)
    windows0, windows2 = _windows(t0), _windows(t2)
    columns0, columns2 = theta.new_empty(windows0.shape), theta.new_empty(windows2.shape)
    matrix0, matrix2 = columns0.view(25, 784), columns2.view(150, 100)
    matrix0_t, matrix2_t = matrix0.T, matrix2.T
    origin = _windows(torch.arange(1176, device=t2.device).view_as(t2)).flatten()

    minus_codes, zero = -net.codes, theta.new_zeros(1)
    scores = theta.new_empty(len(images), len(net.codes))
    wanted = membership(scores, targets)

    samples = zip(images, targets.tolist(), torch.split(wanted, 1), scores, strict=True)
    for image, target, own, score in samples:
        t0.copy_(image)
        columns0.copy_(windows0)
        t1 = torch.addmm(b1, w1, matrix0, beta=SLOPE, alpha=SLOPE).tanh_().view(6, 14, 2, 14, 2)
        s2 = _sum_2x2(t1)
        torch.tanh(torch.addcmul(b2, k2, s2, value=AMPLITUDE).mul_(SLOPE), out=t2)
        columns2.copy_(windows2)
        t3 = torch.addmm(b3, w3, matrix2, beta=SLOPE, alpha=BOTH).tanh_().view(16, 5, 2, 5, 2)
        s4 = _sum_2x2(t3)
        t4 = torch.addcmul(b4, k4, s4, value=AMPLITUDE).mul_(SLOPE).tanh_()
        t5 = torch.addmv(b5, w5, t4.view(400), beta=SLOPE, alpha=BOTH).tanh_()
        t6 = torch.addmv(b6, w6, t5, beta=SLOPE, alpha=BOTH).tanh_()
        d = torch.add(minus_codes, t6, alpha=AMPLITUDE)
        torch.sum(d * d, 1, out=score).neg_()
        if target < 0:
            continue

        slope = loss.slope(score[None], own)[0]
        g_t6 = torch.addmv(zero, d.T, slope, beta=0, alpha=-2 * AMPLITUDE)
        tanh_backward(g_t6, t6, grad_input=g_b6)
        torch.outer(g_b6, t5, out=g_w6)
        tanh_backward(torch.addmv(zero, w6_t, g_b6, beta=0, alpha=BOTH), t5, grad_input=g_b5)
        torch.outer(g_b5, t4.view(400), out=g_w5)
        g_t4 = torch.addmv(zero, w5_t, g_b5, beta=0, alpha=BOTH).view_as(t4)
        g4 = tanh_backward(g_t4, t4)
        torch.sum(g4, (1, 2), keepdim=True, out=g_b4)
        torch.sum(g4 * s4, (1, 2), keepdim=True, out=g_k4)
        g_t3 = (g4 * (k4 * BOTH))[:, :, None, :, None]  # the same for the four of a sum
        g3 = tanh_backward(g_t3, t3).view(16, 100)
        torch.sum(g3, 1, keepdim=True, out=g_b3)
        torch.mm(g3, matrix2_t, out=g_w3)
        g_columns2 = torch.addmm(zero, w3_t, g3, beta=0, alpha=BOTH)
        g_t2.zero_().scatter_add_(0, origin, g_columns2.view(-1))
        g2 = tanh_backward(g_t2.view_as(t2), t2)
        torch.sum(g2, (1, 2), keepdim=True, out=g_b2)
        torch.sum(g2 * s2, (1, 2), keepdim=True, out=g_k2)
        g_t1 = (g2 * (k2 * BOTH))[:, :, None, :, None]
        g1 = tanh_backward(g_t1, t1).view(6, 784)
        torch.sum(g1, 1, keepdim=True, out=g_b1)
        torch.mm(g1, matrix0_t, out=g_w1)
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


def _sum_2x2(x: Tensor) -> Tensor:
    """(maps, height, 2, width, 2) to (maps, height, width); two additions beat one sum over two."""
    rows = x[:, :, 0] + x[:, :, 1]
    return rows[..., 0] + rows[..., 1]


def _windows(x: Tensor) -> Tensor:
    """The 5x5 windows of (maps, height, width), a view (maps, 5, 5, height - 4, width - 4)."""
    return x.unfold(1, 5, 1).unfold(2, 5, 1).permute(0, 3, 4, 1, 2)
