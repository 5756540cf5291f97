"""Batch normalization over as many images as the paper's devices held, on any number of devices.

The papers normalized over the images of one GPU: 32 (He et al. 2015 on ImageNet) or 64 (on CIFAR-10),
not over the whole batch. That number is the recipe's `bn_batch`; null is the whole batch. Where a
device holds more images, its batch is split into ghost batches; where it holds fewer, neighboring
devices share their statistics. torch's SyncBatchNorm shares over a fixed group too, but refuses CPU
tensors and does not split.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from topfive.problems import Problem


class _SumOverDevices(torch.autograd.Function):
    """The sum of a tensor over the processes of a group; so is the sum of its gradient."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor, devices: dist.ProcessGroup) -> Tensor:
        ctx.devices = devices
        total = mine.clone()
        dist.all_reduce(total, group=devices)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].clone()
        dist.all_reduce(total, group=ctx.devices)
        return total, None


class GroupedBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm2d whose training statistics are those of every `bn_batch` consecutive images.

    The running statistics are averages over those groups, those of all `rounds` of a step: they
    approach by `momentum` a step, and between its `first` pass and its last are unfinished. `devices`
    is the process group that together holds one group of images; None where one device holds whole
    groups.
    """

    bn_batch: int
    devices: dist.ProcessGroup | None
    momentum: float
    first, rounds = True, 1

    @classmethod
    def adopt(
        cls, norm: nn.BatchNorm2d, bn_batch: int, devices: dist.ProcessGroup | None
    ) -> "GroupedBatchNorm2d":
        """The same layer, parameters and buffers included, under grouped statistics."""
        grouped = cls.__new__(cls)
        grouped.__dict__ = norm.__dict__
        grouped.bn_batch, grouped.devices = bn_batch, devices
        return grouped

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        if self.devices is not None:
            return self._across_devices(x)
        means, variances, outputs = [], [], []
        for group in torch.split(x, self.bn_batch):
            mean, var = self.weight.new_zeros(2, self.num_features).unbind()
            # At momentum 1 they become the group's own.
            outputs.append(
                F.batch_norm(group, mean, var, self.weight, self.bias, True, 1.0, self.eps)
            )
            means.append(mean)
            variances.append(var)
        self._remember(torch.stack(means).mean(0), torch.stack(variances).mean(0))
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    @torch.no_grad()
    def _remember(self, mean: Tensor, var: Tensor) -> None:
        kept = 1.0 - self.momentum if self.first else 1.0
        for buffer, now in ((self.running_mean, mean), (self.running_var, var)):
            if buffer is not None:
                buffer.mul_(kept).add_(now.to(buffer.dtype), alpha=self.momentum / self.rounds)

    def _across_devices(self, x: Tensor) -> Tensor:
        # As in torch's own kernels: 16-bit images, 32-bit statistics.
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        axes, shape = (0, 2, 3), (1, -1, 1, 1)
        mean = self._shared(wide.mean(axes))
        centered = wide - mean.view(shape)
        var = self._shared(centered.square().mean(axes))
        count = x.numel() // x.shape[1] * dist.get_world_size(self.devices)
        self._remember(mean, var * count / (count - 1))
        scale = self.weight * torch.rsqrt(var + self.eps)
        return (centered * scale.view(shape) + self.bias.view(shape)).to(x.dtype)

    def _shared(self, mine: Tensor) -> Tensor:
        """The mean over the devices of a group; gradients come back from all of them."""
        world = dist.get_world_size(self.devices)
        mean: Tensor = _SumOverDevices.apply(mine / world, self.devices)
        return mean


def group_statistics(net: nn.Module, bn_batch: int, per_device: int, rank: int, world: int) -> None:
    """Puts every BatchNorm2d of `net` under `bn_batch`, in place.

    per_device: images of one device in one forward pass. Raises Problem where `bn_batch` is neither
    a multiple nor a divisor of it, or the devices that would have to share do not divide the world.
    """
    if not any(type(m) is nn.BatchNorm2d for m in net.modules()):
        return
    devices = None
    if per_device % bn_batch != 0:
        sharing = bn_batch // per_device
        if bn_batch % per_device != 0 or world % sharing != 0:
            raise Problem(
                f"recipe.bn_batch={bn_batch} images cannot be made of {per_device} images on each of "
                f"{world} devices: choose trainer.devices and trainer.accumulate_grad_batches so that "
                f"one divides the other, or set recipe.bn_batch={per_device} (a departure)."
            )
        # Every process must create every group, its own or not.
        groups = [dist.new_group(list(range(k, k + sharing))) for k in range(0, world, sharing)]
        own = groups[rank // sharing]
        assert isinstance(own, dist.ProcessGroup)
        devices = own
    for parent in list(net.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.BatchNorm2d:
                setattr(parent, name, GroupedBatchNorm2d.adopt(child, bn_batch, devices))


def running_statistics(net: nn.Module) -> Iterator[Tensor]:
    """The running means and variances of every BatchNorm2d, which are tensors in place."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            yield from (b for b in (module.running_mean, module.running_var) if b is not None)


@torch.no_grad()
def average_running_statistics(net: nn.Module) -> None:
    """Makes the running statistics those of all devices' groups.

    Moving averages are linear, so the mean over the devices is exact.
    """
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        for buffer in running_statistics(net):
            dist.all_reduce(buffer)
            buffer /= dist.get_world_size()


@torch.no_grad()
def gathered_running_statistics(net: nn.Module) -> Tensor | None:
    """Each device's own, (devices, values); None of one device alone, or where there are none."""
    own = list(running_statistics(net))
    if not (own and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        return None
    flat = torch.cat(own)
    rows = [torch.empty_like(flat) for _ in range(dist.get_world_size())]
    dist.all_gather(rows, flat)
    return torch.stack(rows)


@torch.no_grad()
def set_running_statistics(net: nn.Module, values: Tensor) -> None:
    """Puts one device's row of `gathered_running_statistics` in their place."""
    own = list(running_statistics(net))
    rows = torch.split(values, [len(one) for one in own])
    for buffer, of_it in zip(own, rows, strict=True):
        buffer.copy_(of_it)
