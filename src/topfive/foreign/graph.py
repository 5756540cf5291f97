"""Whether two networks compute the same, and which weights of the one are which of the other.

Both run once on the meta device, in evaluation, and every operation is written down with what it takes:
the result of an earlier step, a weight, or a plain number, such as a stride or an epsilon. Two networks
with the same list give the same scores of every image of that size, once the k-th weight that the one
meets is the k-th of the other.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from topfive.problems import Problem

aten = torch.ops.aten
# They change neither the values nor their order.
VIEWS = {aten.view, aten._unsafe_view, aten.unsqueeze, aten.t, aten.detach, aten.alias}
COUNTER = "num_batches_tracked"
UNKNOWN = (-2, 0)  # neither image nor weight nor result: a constant, and no network of ours has one


@dataclass
class Graph:
    """steps: comparable between networks; shown: the same for a reader; weights: names, in order of use."""

    steps: list[tuple[Any, ...]] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    weights: list[str] = field(default_factory=list)


def graph(net: nn.Module, size: int = 224) -> Graph:
    """What `net`, on the meta device, does to an image of 3 x size x size in evaluation."""
    recorder = _Recorder(net)
    image = recorder.image(size)
    with torch.no_grad(), recorder:
        net.eval()(image)
    return recorder.graph


def same_weights(theirs: nn.Module, ours: nn.Module, what: str) -> dict[str, str]:
    """By each name in the state of `theirs` the name in that of `ours`; both on the meta device.

    Raises Problem with the first step that differs; `what` names theirs.
    """
    a, b = graph(theirs), graph(ours)
    for k in range(max(len(a.steps), len(b.steps))):
        if a.steps[k : k + 1] != b.steps[k : k + 1]:
            raise Problem(
                f"{what} is another network than this project's: its step {k + 1} is {_shown(a, k)}, ours "
                f"is {_shown(b, k)}. Its weights fit no network of conf/model."
            )
    return dict(_with_counters(zip(a.weights, b.weights, strict=True)))


def _with_counters(pairs: Iterator[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Evaluation has no use for the counters of batches: they go with the means beside them."""
    for theirs, ours in pairs:
        yield theirs, ours
        if theirs.endswith("running_mean"):
            yield tuple(name.replace("running_mean", COUNTER) for name in (theirs, ours))  # type: ignore[misc]


def _shown(graph: Graph, k: int) -> str:
    return graph.shown[k] if k < len(graph.shown) else "its end"


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, net: nn.Module):
        super().__init__()  # type: ignore[no-untyped-call]
        self.graph = Graph()
        self.names = {id(t): name for name, t in net.state_dict(keep_vars=True).items()}
        self.results: dict[int, tuple[int, int]] = {}  # step, place among what it puts out
        self.alive: list[Tensor] = []  # or the id of one would be given to another

    def image(self, size: int) -> Tensor:
        x = torch.empty(1, 3, size, size, device="meta")
        self._note(x, (-1, 0))
        return x

    def _note(self, tensor: Tensor, origin: tuple[int, int]) -> None:
        self.alive.append(tensor)
        self.results[id(tensor)] = origin

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in VIEWS or _keeps(func.overloadpacket, args, out):
            self._follow(args[0], out)
        elif not (isinstance(out, Tensor) and out.numel() == 0):  # batch normalization's scratch
            self._record(*_normalized(func.overloadpacket, args, kwargs or {}))
            for place, result in enumerate(_flat([out])):
                self._note(result, (len(self.graph.steps) - 1, place))
        return out

    def _follow(self, source: Tensor, result: Tensor) -> None:
        """`result` is `source` in another form."""
        if id(source) in self.names:
            self.alive.append(result)
            self.names[id(result)] = self.names[id(source)]
        else:
            self._note(result, self.results.get(id(source), UNKNOWN))

    def _record(self, operation: str, arguments: tuple[Any, ...]) -> None:
        keys: list[tuple[str, Any, Any]] = []
        shown = []
        for value in _flat(arguments):
            if isinstance(value, Tensor) and id(value) in self.names:
                name = self.names[id(value)]
                if name not in self.graph.weights:
                    self.graph.weights.append(name)
                # A fully connected layer's comes with the axes of a window or without.
                size = value.numel() if operation == "linear" else tuple(value.shape)
                keys.append(("weight", self.graph.weights.index(name), size))
                shown.append(f"{name} {'x'.join(map(str, value.shape))}")
            elif isinstance(value, Tensor):
                keys.append(("step", self.results.get(id(value), UNKNOWN), ()))
            else:
                keys.append(("value", str(value), 0))
                shown.append(str(value))
        self.graph.steps.append((operation, *keys))
        self.graph.shown.append(f"{operation}({', '.join(shown)})")


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    """The values, with the tensors of a list one by one; lists of numbers stay."""
    for value in values:
        if isinstance(value, list | tuple) and any(isinstance(one, Tensor) for one in value):
            yield from value
        else:
            yield value


def _keeps(operation: Any, args: tuple[Any, ...], result: Any) -> bool:
    """An average over one pixel each."""
    averages = (aten.mean, aten._adaptive_avg_pool2d)
    return operation in averages and bool(args[0].numel() == result.numel())


def _normalized(
    operation: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[str, tuple[Any, ...]]:
    """The operation's name and arguments, the same for what is the same in evaluation."""
    name = str(operation).removeprefix("aten.").removesuffix("_")
    if operation is aten.addmm:
        return "linear", (args[1], args[2], args[0])
    if operation is aten.convolution and _covers(*args):
        return "linear", args[:3]
    if operation is aten.native_batch_norm:
        return "batch_norm", (*args[:5], args[7])  # without its mode and momentum
    if operation is aten.mean and len(args) > 1 and sorted(d % 4 for d in args[1]) == [2, 3]:
        return "mean over height and width", args[:1]
    return name, (*args, *kwargs.items())


def _covers(x: Tensor, weight: Tensor, *options: Any) -> bool:
    """A convolution whose window is the whole image: a fully connected layer."""
    padding, groups = options[2], options[-1]
    return x.shape[2:] == weight.shape[2:] and not any(padding) and groups == 1
