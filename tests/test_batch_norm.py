import copy
import multiprocessing
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from topfive.batch_norm import GroupedBatchNorm2d, average_running_statistics, group_statistics
from topfive.problems import Problem

TOLERANCE = {"rtol": 0, "atol": 1e-12}


def a_norm(channels=3):
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(channels).double()
    for tensor in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(tensor)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    return norm


def images(n, channels=3):
    generator = torch.Generator().manual_seed(1)
    scale = torch.arange(1, n + 1, dtype=torch.float64)[:, None, None, None]  # groups differ
    return torch.randn(n, channels, 4, 5, dtype=torch.float64, generator=generator) * scale


def errors(n, channels=3):
    return torch.randn(
        n, channels, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
    )


def test_statistics_are_those_of_torchs_layer_on_every_group_of_bn_batch_images():
    norm, x, error = a_norm(), images(12), errors(12)
    theirs = [copy.deepcopy(norm) for _ in range(3)]
    inputs = [part.clone().requires_grad_() for part in x.split(4)]
    expected = [layer(part) for layer, part in zip(theirs, inputs, strict=True)]
    torch.cat(expected).backward(error)

    net = nn.Sequential(norm)
    group_statistics(net, bn_batch=4, per_device=12, rank=0, world=1)
    x.requires_grad_()
    y = net(x)
    y.backward(error)

    torch.testing.assert_close(y, torch.cat(expected), **TOLERANCE)
    torch.testing.assert_close(x.grad, torch.cat([i.grad for i in inputs]), **TOLERANCE)
    for name in ("weight", "bias"):
        summed = sum(getattr(layer, name).grad for layer in theirs)
        torch.testing.assert_close(getattr(net[0], name).grad, summed, **TOLERANCE)
    for name in ("running_mean", "running_var"):
        averaged = sum(getattr(layer, name) for layer in theirs) / 3
        torch.testing.assert_close(getattr(net[0], name), averaged, **TOLERANCE)


def test_one_group_is_torchs_own_layer():
    norm, x = a_norm(), images(8)
    net = nn.Sequential(copy.deepcopy(norm))
    group_statistics(net, bn_batch=8, per_device=8, rank=0, world=1)
    torch.testing.assert_close(net(x), norm(x), **TOLERANCE)
    torch.testing.assert_close(net[0].running_var, norm.running_var, **TOLERANCE)


def test_running_statistics_move_once_a_step_by_all_of_its_rounds():
    whole, rounds = (nn.Sequential(a_norm()) for _ in range(2))
    group_statistics(whole, bn_batch=2, per_device=12, rank=0, world=1)
    group_statistics(rounds, bn_batch=2, per_device=4, rank=0, world=1)
    for step in range(3):
        x = images(12) + step
        whole(x)
        for turn, part in enumerate(x.split(4)):
            rounds[0].first, rounds[0].rounds = turn == 0, 3
            rounds(part)
    torch.testing.assert_close(floats(rounds), floats(whole), **TOLERANCE)


def test_evaluation_uses_the_running_statistics_as_torch_does():
    norm, x = a_norm().eval(), images(6)
    net = nn.Sequential(copy.deepcopy(norm)).eval()
    group_statistics(net, bn_batch=2, per_device=6, rank=0, world=1)
    assert torch.equal(net(x), norm(x))


def test_the_grouped_net_has_the_state_dict_and_the_parameters_of_the_net_before():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4)), nn.BatchNorm2d(4))
    keys, parameters = list(net.state_dict()), list(net.parameters())
    group_statistics(net, bn_batch=2, per_device=4, rank=0, world=1)
    assert sum(isinstance(m, GroupedBatchNorm2d) for m in net.modules()) == 2
    assert list(net.state_dict()) == keys
    assert all(a is b for a, b in zip(net.parameters(), parameters, strict=True))
    group_statistics(net, bn_batch=2, per_device=4, rank=0, world=1)  # again, as Lightning does
    assert list(net.state_dict()) == keys


@pytest.mark.parametrize(
    ("bn_batch", "per_device", "world"),
    [
        (32, 48, 1),  # neither divides the other
        (64, 48, 2),
        (64, 32, 1),  # two devices would have to share, and there is one
        (64, 16, 6),  # four would have to share, and six do not split into fours
    ],
)
def test_a_bn_batch_that_the_devices_cannot_make_up_is_refused(bn_batch, per_device, world):
    remedy = (
        rf"recipe.bn_batch={bn_batch} .* choose trainer.devices .* recipe.bn_batch={per_device}"
    )
    with pytest.raises(Problem, match=remedy):
        group_statistics(nn.BatchNorm2d(2), bn_batch, per_device, 0, world)


def test_a_net_without_batch_normalization_takes_any_bn_batch():
    group_statistics(nn.Sequential(nn.Conv2d(1, 1, 1)), 32, 48, 0, 1)


def floats(net):
    """The running statistics, without the number of batches."""
    return [b for b in net.buffers() if b.is_floating_point()]


def start(world, function, arguments):
    # A fork server imports torch once, where every spawned process would.
    multiprocessing.set_forkserver_preload(["topfive.batch_norm"])
    mp.start_processes(function, arguments, nprocs=world, start_method="forkserver")


def joined(rank, world, store, work, *arguments):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", f"file://{store}", rank=rank, world_size=world, timeout=timedelta(seconds=60)
    )
    try:
        work(rank, world, *arguments)
    finally:
        dist.destroy_process_group()


def shared_statistics(rank, world, bn_batch, folder):
    """Two layers, so that errors flow through one's statistics into the other's."""
    per_device = 8 // world
    net = nn.Sequential(a_norm(), nn.Tanh(), a_norm())
    group_statistics(net, bn_batch, per_device, rank, world)
    mine = slice(rank * per_device, (rank + 1) * per_device)
    x = images(8)[mine].clone().requires_grad_()
    y = net(x)
    y.backward(errors(8)[mine])
    gradients = [p.grad for p in net.parameters()]
    for gradient in gradients:
        dist.all_reduce(gradient)
    average_running_statistics(net)
    torch.save((y, x.grad, gradients, floats(net)), f"{folder}/{rank}.pt")


@pytest.mark.parametrize(("world", "bn_batch"), [(2, 8), (4, 4)])
def test_devices_that_share_statistics_equal_one_device_with_all_images(world, bn_batch, tmp_path):
    torch.set_num_threads(1)
    whole = nn.Sequential(a_norm(), nn.Tanh(), a_norm())
    group_statistics(whole, bn_batch, per_device=8, rank=0, world=1)
    x = images(8).requires_grad_()
    y = whole(x)
    y.backward(errors(8))

    arguments = (world, tmp_path / "store", shared_statistics, bn_batch, tmp_path)
    start(world, joined, arguments)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(world)]

    close = {"rtol": 0, "atol": 1e-10}
    torch.testing.assert_close(torch.cat([r[0] for r in ranks]), y, **close)
    torch.testing.assert_close(torch.cat([r[1] for r in ranks]), x.grad, **close)
    for _, _, gradients, buffers in ranks:
        torch.testing.assert_close(gradients, [p.grad for p in whole.parameters()], **close)
        torch.testing.assert_close(buffers, floats(whole), **close)


def sixteen_bits(rank, world):
    net = nn.Sequential(nn.BatchNorm2d(3))
    group_statistics(net, bn_batch=8, per_device=4, rank=rank, world=world)
    x = images(8).to(torch.bfloat16)
    assert net(x[4 * rank : 4 * rank + 4]).dtype == torch.bfloat16
    mean = x.float().mean((0, 2, 3))  # in bfloat16 it would be off by some 0.004 of itself
    torch.testing.assert_close(net[0].running_mean, 0.1 * mean, rtol=1e-5, atol=1e-7)


def test_the_statistics_of_16_bit_images_have_32_bits(tmp_path):
    start(2, joined, (2, tmp_path / "store", sixteen_bits))
