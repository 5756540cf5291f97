"""Optimizers that the papers used and torch lacks."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import torch
from torch import Tensor


class StochasticDiagonalLevenbergMarquardt(torch.optim.Optimizer):
    """Gradient descent by lr / (mu + h_kk) for each parameter k (LeCun et al. 1998, App. C).

    h_kk, the second derivative of the loss by parameter k, is given by `set_curvature` and stays
    until the next call; it is part of the state that a checkpoint carries. LeNet-5 takes it from
    `topfive.online.gauss_newton_diagonal`, over 500 samples before every pass.
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


class CaffeSGD(torch.optim.SGD):
    """Momentum with the rate inside the velocity: v <- m v + lr (g + decay w), w <- w - v.

    Krizhevsky et al. 2012, section 5, and Caffe, in which He et al. trained. torch keeps the rate outside
    (v <- m v + g, w <- w - lr v); both agree while the rate is constant. When it changes, here the old
    velocity goes on at its old scale, so torch's buffer, which is v / lr, is multiplied by old lr / new lr.
    """

    def __init__(
        self, params: Iterable[Any], lr: float, momentum: float, weight_decay: float = 0.0
    ):
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay)
        for group in self.param_groups:
            group["velocity_lr"] = group["lr"]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One update; returns what the closure returns, which is called first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group["lr"] != group["velocity_lr"]:
                ratio = group["velocity_lr"] / group["lr"]
                for parameter in group["params"]:
                    buffer = self.state[parameter].get("momentum_buffer")
                    if buffer is not None:
                        buffer.mul_(ratio)
                group["velocity_lr"] = group["lr"]
        super().step()
        return loss
