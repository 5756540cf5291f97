"""One run of a network on the meta device, seen operation by operation: nothing is computed."""

import weakref
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from topfive.inspect.fields import Axis, Field
from topfive.inspect.operations import NORMALIZATIONS, Call, aten, field_after, multiply_adds

BATCH_NORM = aten.native_batch_norm.default


@dataclass(frozen=True)
class Trail:
    """How a tensor comes from the image: what its units see, and through how many layers.

    `layers` counts those with weights on the longest path, `last` is the module of the last one;
    `leaf` is the last module on it that has none inside.
    """

    field: Field | None
    layers: int = 0
    last: str | None = None
    leaf: str | None = None


@dataclass(frozen=True)
class Event:
    """What one operation did inside the module of that name: for the whole batch, in bytes."""

    module: str
    multiply_adds: int = 0
    alive: int = 0
    kept: int = 0


@dataclass
class Trace:
    """What was seen: operations in order; modules in order of their first call, with their output.

    `fed` names, for each module, the leaf that its first input comes from.
    """

    batch: int
    events: list[Event] = field(default_factory=list)
    entered: list[str] = field(default_factory=list)
    outputs: dict[str, tuple[tuple[int, ...], Trail | None]] = field(default_factory=dict)
    fed: dict[str, str | None] = field(default_factory=dict)


def trace(net: nn.Module, shape: tuple[int, int, int, int], train: bool = False) -> Trace:
    """One forward pass over a batch of `shape`: in evaluation, or in training with what backward needs.

    `net` and everything in it is on the meta device; its mode is given back as it was.
    """
    watch = _Watch(net, shape[0])
    before = net.training
    net.train(train)
    try:
        with watch.modules(net), torch.set_grad_enabled(train), watch:
            if train:
                with saved_tensors_hooks(watch.keep, lambda kept: kept):
                    net(watch.image(shape))
            else:
                net(watch.image(shape))
    finally:
        net.train(before)
    return watch.trace


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, net: nn.Module, batch: int):
        super().__init__()  # type: ignore[no-untyped-call]
        self.trace = Trace(batch)
        self.inside: list[str] = []
        self.trails: MutableMapping[Tensor, Trail] = WeakTensorKeyDictionary()
        # Weights in another form: a view of one, or a kernel that is put together from some.
        self.weights: MutableMapping[Tensor, bool] = WeakTensorKeyDictionary()
        self.nonzeros: MutableMapping[Tensor, int] = WeakTensorKeyDictionary()
        self.leaves = {name for name, module in net.named_modules() if not list(module.children())}
        self.own = {_storage(t) for t in (*net.parameters(), *net.buffers())}
        self.alive = 0
        self.storages: set[int] = set()
        self.saved: set[int] = set()

    def image(self, shape: tuple[int, int, int, int]) -> Tensor:
        x = torch.empty(shape, device="meta")
        self.trails[x] = Trail(Field(Axis(shape[2]), Axis(shape[3])))
        return x

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        out = _batch_norm(*args) if func is BATCH_NORM else func(*args, **kwargs)
        results, inputs = list(_tensors((out,))), list(_tensors((*args, *kwargs.values())))
        for tensor in results:
            self._allocate(tensor)
        count = 0
        if results and any(t in self.trails for t in inputs):
            call = Call(func, args, kwargs, out, self.trace.batch)
            count = multiply_adds(call, self._nonzero)
            made = self._trail(call, inputs)
            for tensor in results:
                self.trails[tensor] = made
        else:
            self._follow_weights(func, inputs, results)
        self.trace.events.append(Event(self._module(), count, self.alive))
        return out

    def _trail(self, call: Call, inputs: list[Tensor]) -> Trail:
        trails = [self.trails[t] for t in inputs if t in self.trails]
        field = field_after(
            call, inputs, lambda t: self.trails[t].field if t in self.trails else None
        )
        longest: Trail = max(trails, key=lambda trail: trail.layers)
        here = self._module()
        leaf = here if here in self.leaves else longest.leaf
        weighs = call.kind not in NORMALIZATIONS and any(self._is_weight(t) for t in inputs)
        if weighs and longest.last != here:
            return Trail(field, longest.layers + 1, here, leaf)
        return Trail(field, longest.layers, longest.last, leaf)

    def _is_weight(self, tensor: Tensor) -> bool:
        return tensor in self.weights or _storage(tensor) in self.own

    def _follow_weights(self, func: Any, inputs: list[Tensor], results: list[Tensor]) -> None:
        kind = func.overloadpacket
        for tensor in results:
            if any(self._is_weight(t) for t in inputs):
                self.weights[tensor] = True
            if kind in (aten.zeros, aten.new_zeros, aten.zeros_like):
                self.nonzeros[tensor] = 0
            elif kind in (aten.index_copy, aten.index_copy_, aten.index_put, aten.index_put_):
                self.nonzeros[tensor] = self._nonzero(inputs[0]) + inputs[-1].numel()
            elif len(inputs) == 1 and inputs[0].numel() == tensor.numel():
                self.nonzeros[tensor] = self._nonzero(inputs[0])

    def _nonzero(self, tensor: Tensor) -> int:
        return self.nonzeros[tensor] if tensor in self.nonzeros else tensor.numel()

    def _module(self) -> str:
        return self.inside[-1] if self.inside else ""

    def _allocate(self, tensor: Tensor) -> None:
        storage, key = tensor.untyped_storage(), _storage(tensor)
        if key in self.own or key in self.storages:
            return
        size = storage.nbytes()
        self.storages.add(key)
        self.alive += size
        weakref.finalize(storage, self._free, key, size).atexit = False

    def _free(self, key: int, size: int) -> None:
        self.storages.discard(key)
        self.alive -= size

    def keep(self, tensor: Tensor) -> Tensor:
        """Notes what autograd keeps for the backward pass, every storage once."""
        key = _storage(tensor)
        if key not in self.own and key not in self.saved:
            self.saved.add(key)  # it stays alive, so the key is not given to another
            kept = tensor.untyped_storage().nbytes()
            self.trace.events.append(Event(self._module(), kept=kept, alive=self.alive))
        return tensor

    @contextmanager
    def modules(self, net: nn.Module) -> Iterator[None]:
        """While inside, knows which module is running."""

        def enter(name: str, given: Any) -> None:
            self.inside.append(name)
            if name not in self.trace.fed:
                self.trace.entered.append(name)
                trails = [self.trails[t] for t in _tensors(given) if t in self.trails]
                self.trace.fed[name] = trails[0].leaf if trails else None

        def leave(name: str, out: Any) -> None:
            self.inside.pop()
            first = next(_tensors((out,)), None)
            if first is not None:
                trail = self.trails.get(first)
                self.trace.outputs[name] = tuple(first.shape), trail

        hooks = []
        for name, module in net.named_modules():
            hooks += [
                module.register_forward_pre_hook(lambda m, given, name=name: enter(name, given)),
                module.register_forward_hook(lambda m, given, out, name=name: leave(name, out)),
            ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, tuple | list):
            yield from _tensors(value)


def _batch_norm(x: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor]:
    """What torch's own puts out on the meta device, which takes it milliseconds to find."""
    statistics = x.shape[1] if arguments[4] else 0
    return torch.empty_like(x), x.new_empty(statistics), x.new_empty(statistics)


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)
