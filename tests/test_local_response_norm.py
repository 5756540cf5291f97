import os
from shutil import which

import numpy as np
import pytest
import torch
from functorch.compile import make_boxed_func
from torch import nn
from torch._dynamo.backends.common import aot_autograd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from topfive import local_response_norm
from topfive.layers import LocalResponseNorm
from topfive.problems import Problem

LAYOUTS = [torch.contiguous_format, torch.channels_last]
INTERNAL = "ignore:.*deprecated"  # of torch's own modules, which the compiler imports


def by_the_formula(a, size, alpha, beta, k, groups=1):
    """Krizhevsky et al. 2012, section 3.3, with alpha divided by the window as their code does.

    An even window reaches size / 2 maps back and one fewer ahead.
    """
    b = np.empty_like(a)
    run = a.shape[1] // groups
    for i in range(a.shape[1]):
        start = i // run * run
        first = max(start, i - size // 2)
        last = min(start + run - 1, i + (size - 1) // 2)
        squares = (a[:, first : last + 1] ** 2).sum(1)
        b[:, i] = a[:, i] / (k + alpha / size * squares) ** beta
    return b


def drawn(*shape, seed=0, scale=100.0, dtype=torch.float64):
    """Maps whose squares weigh in the scale."""
    return torch.from_numpy(np.random.default_rng(seed).normal(0, scale, shape)).to(dtype)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("size", "channels", "alpha", "beta", "k", "groups"),
    [
        (5, 12, 1e-4, 0.75, 2.0, 1),  # AlexNet
        (5, 12, 1e-4, 0.75, 2.0, 2),
        (5, 12, 1e-4, 0.75, 1.0, 1),  # GoogLeNet, CaffeNet
        (9, 12, 5e-5, 0.75, 1.0, 3),  # wider than its groups
        (3, 7, 1e-4, 0.75, 2.0, 1),
        (4, 12, 1e-4, 0.75, 2.0, 2),
        (2, 6, 1e-4, 0.5, 1.0, 1),
        (1, 4, 1e-3, 1.0, 0.5, 4),
        (5, 2, 1e-4, 1.3, 2.0, 1),
    ],
)
def test_it_is_the_formula_of_section_3_3(size, channels, alpha, beta, k, groups, layout):
    a = drawn(3, channels, 3, 4)
    ours = LocalResponseNorm(size, alpha, beta, k, groups)(a.contiguous(memory_format=layout))
    expected = by_the_formula(a.numpy(), size, alpha, beta, k, groups)
    assert np.abs(np.log(a.numpy() / expected)).max() > 0.3  # far from the identity
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6])
def test_the_window_lies_where_torchs_does(size):
    a, constants = drawn(2, 8, 3, 3), (size, 1e-3, 0.6, 1.5)
    torch.testing.assert_close(
        LocalResponseNorm(*constants)(a), nn.LocalResponseNorm(*constants)(a), rtol=1e-12, atol=0
    )


def test_it_defaults_to_the_constants_of_the_paper():
    layer = LocalResponseNorm()
    constants = (layer.k, layer.size, layer.alpha, layer.beta, layer.groups)
    assert constants == (2, 5, 1e-4, 0.75, 1)  # section 3.3


def test_neighborhoods_end_at_the_border_of_a_gpus_half():
    a = drawn(3, 8, 2, 2)
    halves = [LocalResponseNorm()(half.contiguous()) for half in a.chunk(2, 1)]
    ours, whole = LocalResponseNorm(groups=2)(a), LocalResponseNorm()(a)
    torch.testing.assert_close(ours, torch.cat(halves, 1), rtol=1e-14, atol=0)
    assert (ours - whole)[:, 2:6].abs().min() > 1e-6
    assert torch.equal(ours[:, [0, 1, 6, 7]], whole[:, [0, 1, 6, 7]])


@pytest.mark.parametrize("shape", [(1, 6, 2, 2), (6, 2, 2)])
def test_maps_that_do_not_divide_into_the_groups_are_refused(shape):
    with pytest.raises(Problem, match=r"4 groups .* multiple of 4, and was given \(.*6, 2, 2\)"):
        LocalResponseNorm(groups=4)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("size", "beta", "groups"), [(5, 0.75, 1), (5, 0.75, 2), (4, 0.75, 1), (4, 0.5, 2), (3, 1.3, 3)]
)
def test_the_gradient_is_the_derivative_once_and_twice(size, beta, groups):
    layer = LocalResponseNorm(size, 0.5, beta, 1.0, groups)
    x = drawn(2, 6, 1, 2, scale=2.0).requires_grad_()
    assert torch.autograd.gradcheck(layer, x)
    assert torch.autograd.gradgradcheck(layer, x)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_gradient_is_torchs(layout):
    x, incoming = drawn(4, 12, 5, 3), drawn(4, 12, 5, 3, seed=1)
    gradients = []
    for layer in (LocalResponseNorm(5, 1e-4, 0.75, 2.0), nn.LocalResponseNorm(5, 1e-4, 0.75, 2.0)):
        leaf = x.clone(memory_format=layout).requires_grad_()
        layer(leaf).backward(incoming)
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-12)


def test_an_image_does_not_depend_on_the_block_it_is_computed_in(monkeypatch):
    layer, results = LocalResponseNorm(groups=2), []
    for block in (1, 3 * 8 * 4 * 5, 1 << 18):  # one image, three of the seven, all
        monkeypatch.setattr(local_response_norm, "CPU_BLOCK", block // torch.get_num_threads() + 1)
        x = drawn(7, 8, 4, 5).requires_grad_()
        y = layer(x)
        y.backward(drawn(7, 8, 4, 5, seed=1))
        results.append((y.detach(), x.grad))
    for y, gradient in results[1:]:
        assert torch.equal(y, results[0][0])
        assert torch.equal(gradient, results[0][1])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("incoming", LAYOUTS)
def test_the_memory_format_is_the_inputs(layout, incoming):
    x = drawn(4, 6, 3, 5).contiguous(memory_format=layout).requires_grad_()
    y = LocalResponseNorm(groups=2)(x)
    g = drawn(4, 6, 3, 5, seed=1).contiguous(memory_format=incoming)
    (gradient,) = torch.autograd.grad(y, x, g)
    assert y.stride() == x.stride()
    assert gradient.stride() == x.stride()


class Allocations(TorchDispatchMode):
    """How many tensors of at least `bytes_` come into being."""

    def __init__(self, bytes_):
        super().__init__()
        self.bytes, self.kept = bytes_, {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        known = {id_of(t) for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)}
        out = function(*args, **(kwargs or {}))
        for t in tree_leaves(out):
            large = isinstance(t, torch.Tensor) and t.untyped_storage().nbytes() >= self.bytes
            if large and id_of(t) not in known:
                self.kept[id_of(t)] = t  # alive, so that no other takes its address
        return out


def id_of(tensor):
    return tensor.untyped_storage().data_ptr()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_as_large_as_the_batch_is_allocated_but_the_results(layout, dtype, monkeypatch):
    monkeypatch.setattr(local_response_norm, "CPU_BLOCK", 1)
    x = drawn(8, 6, 4, 4, dtype=dtype).contiguous(memory_format=layout).requires_grad_()
    incoming = drawn(8, 6, 4, 4, seed=1, dtype=dtype).contiguous(memory_format=layout)
    with Allocations(x.nbytes) as forward:
        y = LocalResponseNorm(groups=2)(x)
    with Allocations(x.nbytes) as backward:
        (gradient,) = torch.autograd.grad(y, x, incoming)
    assert set(forward.kept) == {id_of(y)}
    assert set(backward.kept) == {id_of(gradient)}


def packed(layer, x):
    """The storages that the layer keeps for backward."""
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(id_of(t)), lambda _: None):
        layer(x)
    return kept


def test_only_the_input_is_kept_for_backward():
    x = drawn(2, 6, 4, 4).requires_grad_()
    assert packed(LocalResponseNorm(), x) == [id_of(x)]
    with torch.no_grad():
        assert packed(LocalResponseNorm(), x) == []


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32_and_rounded_once(dtype):
    x, incoming = drawn(3, 8, 3, 3, dtype=dtype), drawn(3, 8, 3, 3, seed=1, dtype=dtype)
    half, full = x.clone().requires_grad_(), x.float().requires_grad_()
    y, z = LocalResponseNorm()(half), LocalResponseNorm()(full)
    y.backward(incoming)
    z.backward(incoming.float())
    assert (y.dtype, half.grad.dtype) == (dtype, dtype)
    assert torch.equal(y, z.to(dtype))
    assert torch.equal(half.grad, full.grad.to(dtype))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_autocast_changes_nothing(dtype):
    x = drawn(3, 8, 3, 3, dtype=dtype).requires_grad_()
    expected = LocalResponseNorm()(x)
    expected.sum().backward()
    gradient, x.grad = x.grad, None
    with torch.autocast("cpu", torch.bfloat16):
        y = LocalResponseNorm()(x)
    y.sum().backward()
    assert y.dtype == dtype
    assert torch.equal(y, expected)
    assert torch.equal(x.grad, gradient)


@pytest.mark.parametrize("n", [0, 1])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_any_batch_on_any_device_keeps_its_shape(n, device):
    x = torch.ones(n, 6, 2, 3, device=device, requires_grad=True)
    y = LocalResponseNorm(groups=3)(x)
    y.sum().backward()
    assert y.shape == x.grad.shape == (n, 6, 2, 3)
    assert y.device.type == x.grad.device.type == device


def test_it_runs_in_inference_mode():
    x = drawn(2, 6, 2, 2)
    with torch.inference_mode():
        assert torch.equal(LocalResponseNorm()(x), LocalResponseNorm()(x.clone()))


def test_a_map_changed_before_backward_is_noticed():
    x = drawn(2, 6, 2, 2).requires_grad_()
    a = x * 1
    y = LocalResponseNorm()(a)
    a.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


class Small(nn.Module):
    """A convolution, the layer between others, as in AlexNet."""

    def __init__(self):
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, 8, 3), nn.MaxPool2d(2)
        self.norm = LocalResponseNorm(groups=2)

    def forward(self, x):
        return self.pool(self.norm(torch.relu(self.conv(x))))


def check_compiled(backend, layout):
    torch._dynamo.reset()
    torch.manual_seed(0)
    net = Small().double()
    x = drawn(2, 3, 8, 8).contiguous(memory_format=layout)
    results = []
    for run in (net, torch.compile(net, backend=backend, fullgraph=True)):
        net.zero_grad()
        y = run(x)
        y.square().sum().backward()
        results.append((y.detach(), net.conv.weight.grad))
    torch.testing.assert_close(results[1], results[0], rtol=1e-10, atol=1e-12)
    assert results[1][0].stride() == results[0][0].stride()


@pytest.mark.filterwarnings(INTERNAL)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_forward_and_backward_compile_as_one_graph(layout):
    check_compiled("aot_eager", layout)


@pytest.mark.slow
@pytest.mark.skipif(not (os.environ.get("CXX") or which("g++")), reason="needs a C++ compiler")
@pytest.mark.filterwarnings(INTERNAL)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_compilers_own_code_computes_the_same(layout, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    check_compiled("inductor", layout)


@pytest.mark.filterwarnings(INTERNAL)
def test_the_compiled_graph_is_pointwise():
    torch._dynamo.reset()
    targets = []

    def note(graph, inputs):
        targets.append([node.target for node in graph.graph.nodes if node.op == "call_function"])
        return make_boxed_func(graph.forward)

    layer = torch.compile(
        LocalResponseNorm(groups=2), backend=aot_autograd(fw_compiler=note), fullgraph=True
    )
    layer(drawn(2, 8, 3, 3).requires_grad_()).sum().backward()
    # what only says where a value is
    free = {"slice", "split", "getitem", "constant_pad_nd", "cat", "expand"}
    assert len(targets) == 2  # forward and backward
    for target in (t for graph in targets for t in graph):
        name = getattr(target, "overloadpacket", target).__name__
        assert name in free or torch.Tag.pointwise in target.tags, name


def test_a_symbolic_trace_has_it_as_one_node():
    net = Small()
    traced, x = torch.fx.symbolic_trace(net), torch.randn(2, 3, 8, 8)
    called = [n.target.__name__ for n in traced.graph.nodes if n.op == "call_function"]
    assert called == ["relu", "local_response_norm"]
    assert torch.equal(traced(x), net(x))


@pytest.mark.filterwarnings(INTERNAL)
def test_it_exports():
    net, x = Small().double(), drawn(2, 3, 8, 8)
    exported = torch.export.export(net, (x,)).module()
    torch.testing.assert_close(exported(x), net(x), rtol=1e-12, atol=1e-12)
