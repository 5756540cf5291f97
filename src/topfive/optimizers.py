"""Optimizers that the papers used and torch lacks."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import torch
from torch import Tensor


class StochasticDiagonalLevenbergMarquardt(torch.optim.Optimizer):
    """Gradient descent by lr / (mu + h_kk) for each parameter k (LeCun et al. 1998, App. C).

    h_kk, the second derivative of the loss by parameter k, is given by `set_curvature` and stays
    until the next call; it is part of the state that a checkpoint carries. LeNet-5 takes it from
    `topfive.online.gauss_newton_diagonal`, over 500 samples before every pass. mu is in the units of
    h_kk, so that dividing the loss by n is the same as multiplying mu by n.
    """

    def __init__(self, params: Iterable[Any], lr: float, mu: float = 0.02) -> None:
        super().__init__(params, {"lr": lr, "mu": mu})

    @torch.no_grad()
    def set_curvature(self, diagonal: Mapping[Tensor, Tensor]) -> None:
        """Sets h_kk, not negative, by parameter; every parameter needs one, of its own shape."""
        for group in self.param_groups:
            for parameter in group["params"]:
                h = diagonal[parameter]
                if h.shape != parameter.shape or not (h >= 0).all():
                    raise ValueError(
                        f"the curvature of a parameter of shape {tuple(parameter.shape)} has shape "
                        f"{tuple(h.shape)} and smallest value {h.min():.3g}; it must have the same "
                        "shape and be nowhere negative or NaN"
                    )
                self.state[parameter]["curvature"] = h.clone()

    def step_size(self, parameter: Tensor) -> Tensor:
        """lr / (mu + h_kk), of the parameter's shape."""
        group = next(g for g in self.param_groups if any(p is parameter for p in g["params"]))
        return cast(Tensor, group["lr"] / (group["mu"] + self._curvature(parameter)))

    def _curvature(self, parameter: Tensor) -> Tensor:
        if "curvature" not in self.state[parameter]:
            raise RuntimeError(
                "StochasticDiagonalLevenbergMarquardt has no curvature yet: call set_curvature() "
                "before the first update"
            )
        return cast(Tensor, self.state[parameter]["curvature"])

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter that has a gradient; returns what the closure returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        damped = group["mu"] + self._curvature(parameter)
                        parameter.addcdiv_(parameter.grad, damped, value=-group["lr"])
        return loss


class CaffeSGD(torch.optim.Optimizer):
    """Momentum with the rate inside the velocity: v <- m v + lr (g + decay w), w <- w - v.

    Krizhevsky et al. 2012, section 5, and Caffe, in which He et al. trained. torch.optim.SGD keeps
    the rate outside (v <- m v + g, w <- w - lr v). Both agree while the rate is constant; when it
    is divided, here the old velocity goes on at its old scale.
    """

    def __init__(
        self, params: Iterable[Any], lr: float, momentum: float, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter that has a gradient; returns what the closure returns."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            for group in self.param_groups:
                moving = [p for p in group["params"] if p.grad is not None]
                if moving:
                    self._move(moving, group["lr"], group["momentum"], group["weight_decay"])
        return loss

    def _move(self, weights: list[Tensor], lr: float, momentum: float, decay: float) -> None:
        velocities = [self._velocity(w) for w in weights]
        # The list operations take all tensors at once: a kernel or two on a GPU, not one a layer.
        gradients = torch._foreach_add(
            [cast(Tensor, w.grad) for w in weights], weights, alpha=decay
        )
        torch._foreach_mul_(velocities, momentum)
        torch._foreach_add_(velocities, gradients, alpha=lr)
        torch._foreach_sub_(weights, velocities)

    def _velocity(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(parameter)
        return cast(Tensor, state["velocity"])
