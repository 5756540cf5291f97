import copy
import multiprocessing
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from measure import on_meta
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from topfive.activation_checkpointing import checkpoint_activations, units
from topfive.batch_norm import group_statistics
from topfive.layers import Dropout
from topfive.models.alexnet import AlexNet
from topfive.models.efficientnet import EfficientNetB0
from topfive.models.googlenet import GoogLeNet
from topfive.models.preact_resnet import CifarPreActResNet
from topfive.models.resnet import CifarResNet, ResNet
from topfive.problems import Problem

NETS = {
    "resnet": lambda: CifarResNet(14),
    "bottlenecks": lambda: CifarPreActResNet(20, "bottleneck", shortcut="B"),
    "dropout": lambda: CifarPreActResNet(14, "basic", "original", "dropout"),
    "efficientnet": lambda: EfficientNetB0(num_classes=10),
}


def both(build, bn_batch=None, images=8):
    """The same network without and with recomputation."""
    torch.manual_seed(0)
    plain = build()
    recomputing = copy.deepcopy(plain)
    checkpoint_activations(recomputing)
    for net in (plain, recomputing):
        if bn_batch is not None:
            group_statistics(net, bn_batch, per_device=images, rank=0, world=1)
    return plain, recomputing


def trained(net, steps=2, rounds=2, addressed=False, images=8, precision=torch.float32):
    """Losses, gradients and the state after some steps, each of several backward passes."""
    optimizer = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9)
    losses = []
    for step in range(steps):
        optimizer.zero_grad()
        for part in range(rounds):
            torch.manual_seed(10 * step + part)
            x = torch.randn(images, 3, 32, 32)
            for module in net.modules():
                if isinstance(module, Dropout) and addressed:
                    module.address = (0, step, torch.arange(images) + part * images)
            with torch.autocast("cpu", precision, enabled=precision != torch.float32):
                loss = net(x).square().mean()
            torch.rand(1)  # a step draws on after the forward pass
            loss.backward()
            losses.append(loss.detach())
        optimizer.step()
    return [*losses, *(p.grad for p in net.parameters()), *net.state_dict().values(), torch.rand(1)]


@pytest.mark.parametrize(
    ("net", "bn_batch"), [*((net, None) for net in NETS), ("resnet", 4), ("bottlenecks", 4)]
)
def test_training_is_the_same_to_the_bit(net, bn_batch):
    plain, recomputing = both(NETS[net], bn_batch)
    # Random masks are drawn from torch's generator, whose state at the end is compared too.
    found, expected = trained(recomputing), trained(plain)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_training_is_the_same_to_the_bit_where_masks_have_addresses():
    plain, recomputing = both(NETS["dropout"])
    found, expected = trained(recomputing, addressed=True), trained(plain, addressed=True)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_training_is_the_same_to_the_bit_in_mixed_precision():
    plain, recomputing = both(lambda: CifarPreActResNet(8))
    found, expected = (trained(net, precision=torch.bfloat16) for net in (recomputing, plain))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_second_pass_alone_would_spoil_the_running_statistics():
    """What is guarded against: torch's own checkpointing of a unit counts its batch twice."""
    norm = nn.BatchNorm2d(3)
    x = torch.randn(4, 3, 5, 5, requires_grad=True)
    torch.utils.checkpoint.checkpoint(
        lambda x: norm(x).sin(), x, use_reentrant=False
    ).sum().backward()
    assert norm.num_batches_tracked == 2


def test_buffers_are_the_same_objects_after_the_backward_pass_and_count_one_batch():
    _, net = both(NETS["resnet"])
    before = dict(net.named_buffers())
    loss = net(torch.randn(4, 3, 32, 32)).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    after = dict(net.named_buffers())
    assert all(after[name] is before[name] for name in before)
    counts = {int(b) for name, b in after.items() if name.endswith("num_batches_tracked")}
    assert counts == {1}


def test_buffers_are_restored_where_the_second_pass_fails():
    _, net = both(NETS["resnet"])
    before = dict(net.named_buffers())
    loss = net(torch.randn(4, 3, 32, 32)).sum()
    net.conv3_x[0].conv2 = nn.Conv2d(1, 1, 1)
    with pytest.raises(RuntimeError, match="channels"):
        loss.backward()
    assert all(buffer is before[name] for name, buffer in net.named_buffers())


def forward_passes(net):
    """How often the first convolution of a unit is called, counted as it happens."""
    calls = []
    net.conv3_x[0].conv1.register_forward_hook(lambda *_: calls.append(1))
    return calls


def test_a_unit_is_computed_again_in_the_backward_pass_alone():
    _, net = both(NETS["resnet"])
    calls, x = forward_passes(net), torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        net(x)
    assert len(calls) == 1
    loss = net(x).sum()
    assert len(calls) == 2
    loss.backward()
    assert len(calls) == 3


def test_evaluation_is_the_same_to_the_bit():
    plain, net = both(NETS["bottlenecks"])
    x = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(net.eval()(x), plain.eval()(x))


def test_names_and_tensors_stay():
    net = NETS["bottlenecks"]()
    keys, tensors = list(net.state_dict()), [*net.parameters(), *net.buffers()]
    checkpoint_activations(net)
    assert list(net.state_dict()) == keys
    assert all(a is b for a, b in zip([*net.parameters(), *net.buffers()], tensors, strict=True))


def test_a_copy_recomputes_with_its_own_weights():
    _, net = both(NETS["resnet"])
    other = copy.deepcopy(net)
    nn.init.zeros_(net.fc.weight)  # the original's, and its units' too
    for unit in units(net):
        nn.init.zeros_(unit.conv1.weight)
    calls = forward_passes(other)
    other(torch.randn(4, 3, 32, 32)).square().sum().backward()
    assert len(calls) == 2
    assert all(p.grad is not None and p.grad.any() for p in other.parameters())


def names(net):
    found = {id(unit): None for unit in units(net)}
    return [name for name, module in net.named_modules() if id(module) in found]


def test_the_units_of_residual_nets_are_the_elements_of_their_stages():
    assert names(on_meta(ResNet, 18)) == [f"conv{s}_x.{k}" for s in (2, 3, 4, 5) for k in (0, 1)]
    assert len(names(on_meta(CifarPreActResNet, 110))) == 54


def test_the_units_of_googlenet_are_its_inception_modules_and_its_heads():
    found = names(on_meta(GoogLeNet))
    modules = ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"]
    assert [name for name in found if name.startswith("inception")] == [
        f"inception_{m}" for m in modules
    ]
    assert len(found) == 9 + 2


def test_the_units_of_efficientnet_hold_all_of_its_convolutions():
    net = on_meta(EfficientNetB0)
    assert sum(1 for name in names(net) if name.count(".")) >= 16  # the blocks of Table 1
    inside = {id(m) for unit in units(net) for m in unit.modules()}
    outside = [
        n for n, m in net.named_modules() if isinstance(m, nn.Conv2d) and id(m) not in inside
    ]
    assert outside == ["stage1.0", "stage9.0"]


def test_a_network_without_blocks_is_refused():
    net = on_meta(AlexNet)
    with pytest.raises(Problem, match=r"no blocks .*trainer.checkpoint_activations=false"):
        checkpoint_activations(net)


def kept(net, x):
    """Bytes that a forward pass keeps for the backward pass, weights and buffers aside."""
    own = {t.untyped_storage().data_ptr() for t in (*net.parameters(), *net.buffers())}
    storages = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage  # held, so that no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        net(x)
    return sum(s.nbytes() for pointer, s in storages.items() if pointer not in own)


def test_a_net_of_bottlenecks_keeps_a_third_of_its_activations():
    plain, recomputing = both(lambda: CifarPreActResNet(164, "bottleneck", shortcut="B"))
    x = torch.randn(4, 3, 32, 32)
    # Numbers an image, by hand: the image, what conv1 makes of it and its activation; what every unit
    # puts out; the last activation and the 256 averages.
    outputs = 18 * (64 * 32**2 + 128 * 16**2 + 256 * 8**2)
    inputs_only = 3 * 32**2 + 2 * 16 * 32**2 + outputs + 256 * 8**2 + 256
    # In a unit of width w: its input activated (4w), and two convolutions, each ahead of BN and after
    # ReLU (4w). The first of the net finds its input activated, those of stages 2 and 3 a larger one.
    w1, w2, w3 = 16 * 32**2, 32 * 16**2, 64 * 8**2
    inner = 17 * 8 * (w1 + w2 + w3) + 4 * w1 + (4 * w1 + 4 * w2) + (4 * w2 + 4 * w3)
    without, within = kept(plain, x), kept(recomputing, x)
    # Means and deviations of BN, which do not grow with the batch, are left out by hand.
    assert without == pytest.approx(4 * len(x) * (inputs_only + inner), rel=0.01)
    assert within == pytest.approx(4 * len(x) * inputs_only, rel=0.01)
    assert within < 0.35 * without


def test_a_net_of_basic_units_keeps_a_quarter_of_its_activations():
    plain, recomputing = both(lambda: CifarPreActResNet(110))
    x = torch.randn(4, 3, 32, 32)
    assert kept(recomputing, x) < 0.28 * kept(plain, x)


def test_a_compiled_net_trains_and_keeps_as_one_that_is_not():
    plain, recomputing = both(lambda: CifarPreActResNet(8, "1layer"), bn_batch=4)
    uncompiled = copy.deepcopy(recomputing)
    recomputing.compile(backend="aot_eager", fullgraph=True)
    found, expected = (trained(net, steps=2, rounds=1) for net in (recomputing, plain))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)
    x = torch.randn(8, 3, 32, 32)
    assert kept(recomputing, x) <= kept(uncompiled, x) < kept(plain, x)


class Broken(nn.Module):
    """A unit that the compiler cannot follow to its end."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, x):
        y = self.bn(self.conv(x))
        torch._dynamo.graph_break()
        return y.sin() + x


# torch warns of itself when it takes up what it could not compile
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_a_unit_that_the_compiler_gives_up_counts_its_batches_once():
    plain, recomputing = both(lambda: nn.Sequential(Broken(), Broken()))
    recomputing.compile(backend="aot_eager")
    found, expected = (trained(net, steps=1, rounds=1) for net in (recomputing, plain))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b)
    assert recomputing[0].bn.num_batches_tracked == 1


def one_of_two(rank, world, store):
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", f"file://{store}", rank=rank, world_size=world, timeout=timedelta(seconds=60)
    )
    try:
        torch.manual_seed(0)
        plain = CifarPreActResNet(8)
        recomputing = copy.deepcopy(plain)
        checkpoint_activations(recomputing)
        ends = []
        for net in (plain, recomputing):
            group_statistics(net, bn_batch=8, per_device=4, rank=rank, world=world)
            joined = DistributedDataParallel(net, broadcast_buffers=False)
            optimizer = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9)
            for step in range(2):
                torch.manual_seed(10 * step + rank)
                optimizer.zero_grad()
                joined(torch.randn(4, 3, 16, 16)).square().mean().backward()
                optimizer.step()
            ends.append([*(p.grad for p in net.parameters()), *net.state_dict().values()])
        assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
    finally:
        dist.destroy_process_group()


def test_devices_that_share_statistics_train_the_same_to_the_bit_and_do_not_wait_forever(tmp_path):
    multiprocessing.set_forkserver_preload(["topfive.batch_norm"])  # imports torch once
    mp.start_processes(one_of_two, (2, tmp_path / "store"), nprocs=2, start_method="forkserver")
