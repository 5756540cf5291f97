"""How far signals and gradients reach: their size at every layer, every so many steps of a run.

A row tells of one update of the weights of one layer, over the images of the global batch, whatever
the number of devices and accumulation rounds. Under torch.compile the layers are not called one by
one: what is read off their outputs stays empty then, and layers stand in the order of definition.
"""

import csv
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn

from topfive.curve import drop_after
from topfive.initializers import layers_of
from topfive.problems import Problem

FILE = "gradient_flow.csv"
COLUMNS = (
    "step",
    "layer",
    "depth",  # 1 is called first
    "weight_norm",  # before the update
    "gradient_norm",  # of the loss by the weights, without weight decay
    "update_ratio",  # norm of what the optimizer added to the weights, over weight_norm
    "output_rms",  # of what the layer itself puts out
    "output_gradient_rms",  # of the loss (a mean over the images) by that
)


def gradient_flow(config: dict[str, Any], directory: Path) -> list[Callback]:
    """The callback that `trainer.gradient_flow` asks for, or none."""
    every = config["trainer"]["gradient_flow"]
    if every is None:
        return []
    if not isinstance(every, int) or isinstance(every, bool) or every < 1:
        raise Problem(
            f"trainer.gradient_flow={every} is no number of steps: choose for example "
            f"trainer.gradient_flow=100, or null for none."
        )
    if config["recipe"]["online"] is not None:
        raise Problem(
            f"trainer.gradient_flow={every} reads the gradients of batches, and this recipe updates after every "
            f"single image by hand: set trainer.gradient_flow=null, or choose another recipe."
        )
    return [GradientFlow(every, directory / FILE, outputs=not config["trainer"]["compile"])]


class GradientFlow(Callback):
    """Writes `file` at steps 1, `every`, 2 `every`, ... and at the last, and a chart beside it at the end.

    outputs: whether to watch what the layers put out.
    """

    def __init__(self, every: int, file: Path, outputs: bool = True):
        self.every, self.file, self.outputs = every, file, outputs
        self.order: list[str] | None = None
        self.watched: _Watched | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            drop_after(self.file, COLUMNS, trainer.global_step)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        step = trainer.global_step + 1
        if self.watched is None and (step in (1, trainer.max_steps) or step % self.every == 0):
            net = pl_module.net
            assert isinstance(net, nn.Module)
            self.watched = _Watched(layers_of(net), step, self.outputs)
        if self.watched is not None:
            self.watched.forward = True

    def on_before_backward(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor
    ) -> None:
        if self.watched is not None:
            # Activation checkpointing calls layers again in the backward pass.
            self.watched.forward = False

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        if self.watched is not None:
            scaler = getattr(trainer.precision_plugin, "scaler", None)
            self.watched.before_update(1.0 if scaler is None else scaler.get_scale())

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any
    ) -> None:
        watched = self.watched
        if watched is None or trainer.global_step < watched.step:
            return  # accumulating
        self.watched = None
        rows = watched.rows(trainer)
        if self.order is None:
            self.order = watched.order()
        if trainer.is_global_zero:
            self._write(watched.step, rows, self.order)

    def _write(self, step: int, rows: dict[str, dict[str, float]], order: list[str]) -> None:
        with open(self.file, "a", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if file.tell() == 0:
                writer.writeheader()
            for depth, name in enumerate(order, 1):
                short = {key: f"{value:.6g}" for key, value in rows[name].items()}
                writer.writerow({"step": step, "layer": name, "depth": depth, **short})

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            # Here, so that a run without it need not import matplotlib.
            from topfive.gradient_flow_chart import draw

            draw(self.file)


class _Watched:
    """The layers in one step; norms stay on the device until its end."""

    def __init__(self, layers: dict[str, nn.Module], step: int, outputs: bool):
        self.layers, self.step = layers, step
        self.forward = True
        self.outputs: dict[str, list[Tensor]] = defaultdict(list)
        self.gradients: dict[str, list[Tensor]] = defaultdict(list)
        self.values: dict[str, int] = defaultdict(int)
        self.handles = [
            layer.register_forward_hook(partial(self._called, name))
            for name, layer in layers.items()
            if outputs
        ]

    def _called(self, name: str, layer: nn.Module, inputs: Any, output: Tensor) -> None:
        if not self.forward:
            return
        self.outputs[name].append(_norm(output))
        self.values[name] += output.numel()
        if output.requires_grad:
            # torch leaves register_hook untyped
            output.register_hook(lambda gradient: self.gradients[name].append(_norm(gradient)))  # type: ignore[no-untyped-call]

    def order(self) -> list[str]:
        """Names by the first call; those that were not called come last, as they were defined."""
        return [*self.outputs, *(name for name in self.layers if name not in self.outputs)]

    def before_update(self, loss_scale: float) -> None:
        self.loss_scale = loss_scale
        # The graph is gone by now: the copies lie where the activations did.
        self.weights = [_weight(layer).detach().clone() for layer in self.layers.values()]
        grads = (_weight(layer).grad for layer in self.layers.values())
        self.weight_gradients = [
            _norm(weight) * torch.nan if grad is None else _norm(grad)
            for weight, grad in zip(self.weights, grads, strict=True)
        ]

    def rows(self, trainer: pl.Trainer) -> dict[str, dict[str, float]]:
        """The columns by layer, over all devices; where it was not called, those of the weights alone."""
        for handle in self.handles:
            handle.remove()
        now = [_weight(layer).detach() for layer in self.layers.values()]
        moved = [_norm(new - old) for new, old in zip(now, self.weights, strict=True)]
        ours = torch.stack([*map(_norm, self.weights), *self.weight_gradients, *moved]).double()
        seen = [
            (name, column, norm)
            for column, norms in (("outputs", self.outputs), ("gradients", self.gradients))
            for name in self.layers
            for norm in norms.get(name, ())
        ]
        if seen:
            squares = torch.stack([norm for *_, norm in seen]).double().square()
            ours = torch.cat([ours, trainer.strategy.reduce(squares, reduce_op="sum")])
        found = ours.tolist()  # the one time that the host waits
        sums: dict[tuple[str, str], float] = defaultdict(float)
        for (name, column, _), square in zip(seen, found[3 * len(now) :], strict=True):
            sums[name, column] += square
        rows = {}
        for k, name in enumerate(self.layers):
            weight, gradient, update = found[k : 3 * len(now) : len(now)]
            row = {"weight_norm": weight, "gradient_norm": gradient}
            row["update_ratio"] = update / weight if weight else float("nan")
            values = self.values[name] * trainer.world_size
            if (name, "outputs") in sums:
                row["output_rms"] = (sums[name, "outputs"] / values) ** 0.5
            if (name, "gradients") in sums:
                # A device's loss is the mean over its own images.
                share = trainer.world_size * self.loss_scale
                row["output_gradient_rms"] = (sums[name, "gradients"] / values) ** 0.5 / share
            rows[name] = row
        return rows


def _weight(layer: nn.Module) -> Tensor:
    weight = layer.weight
    assert isinstance(weight, Tensor)
    return weight


def _norm(tensor: Tensor) -> Tensor:
    """Summed in float32 at least; a scalar, still on the device."""
    kind = torch.promote_types(tensor.dtype, torch.float32)
    norm: Tensor = torch.linalg.vector_norm(tensor.detach(), dtype=kind)
    return norm
