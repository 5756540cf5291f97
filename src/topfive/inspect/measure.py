"""The rows of a network's table: what each layer has, costs, sees and keeps in memory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import nn

from topfive.inspect.fields import Field
from topfive.inspect.trace import Event, Trace, trace


@dataclass(frozen=True)
class Layer:
    """One row. Operations of the network's own forward (ReLU, padding) count with the layer before.

    `output` is without the batch, `multiply_adds` of one image. `peak` is the most bytes that are
    alive at once while it runs, and `kept` the bytes that its part of a training step keeps for the
    backward pass, both of the whole batch. `only_trains`: it does not run in evaluation.
    """

    name: str
    module: nn.Module
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int
    field: Field | None
    peak: int
    kept: int
    only_trains: bool = False


@dataclass(frozen=True)
class Measured:
    """A network in evaluation, and what training adds to it.

    Inference memory is what the forward pass of eager torch holds at its peak: the images, every
    output until nothing refers to it any more, and temporary results. Training memory is what
    autograd keeps of one forward pass: images, activations, masks and the indices of max-pooling,
    each storage once. Neither counts parameters, buffers, gradients, the state of the optimizer or
    the working space of a convolution's algorithm.
    """

    shape: tuple[int, int, int, int]
    layers: tuple[Layer, ...]
    output: tuple[int, ...]
    depth: int  # convolutions and other layers with weights on the longest path
    parameters: int
    multiply_adds: int
    peak: int
    kept: int
    training_parameters: int
    training_multiply_adds: int
    evaluation: Trace
    training: Trace


class Counts(NamedTuple):
    """The size of a network in evaluation, of one image."""

    layers: int
    parameters: int
    multiply_adds: int


def count(net: nn.Module, shape: tuple[int, int, int, int]) -> Counts:
    """What `measure` says of the whole network, in half the time."""
    seen = trace(net, shape)
    modules = dict(net.named_modules())
    own = {
        id(p): p.numel()
        for name in seen.entered
        for p in modules[name]._parameters.values()
        if p is not None
    }
    last = seen.outputs[""][1]
    spent = sum(event.multiply_adds for event in seen.events) // shape[0]
    return Counts(last.layers if last else 0, sum(own.values()), spent)


def measure(net: nn.Module, shape: tuple[int, int, int, int], leaves: bool = False) -> Measured:
    """What `net` is made of: a row per child, or per layer where `leaves`; `shape` has the batch.

    `net` is on the meta device and each of its modules is called once in a forward pass.
    """
    batch = shape[0]
    evaluation, training = trace(net, shape), trace(net, shape, train=True)
    modules = dict(net.named_modules())
    names = _rows(net, evaluation.entered, leaves)
    extra = [name for name in _rows(net, modules, leaves) if name not in names]
    extra = [name for name in extra if not isinstance(modules[name], nn.Identity)]
    spent = _by_row(evaluation.events, names)
    kept = _by_row(training.events, _rows(net, training.entered, leaves))
    counted: set[int] = set()
    layers = []
    for name in (*names, *extra):
        shape_of, trail = (training if name in extra else evaluation).outputs.get(name, ((), None))
        events = (kept if name in extra else spent).get(name, [])
        layers.append(
            Layer(
                name=name,
                module=modules[name],
                output=shape_of[1:],
                parameters=_parameters(modules[name], counted),
                multiply_adds=sum(event.multiply_adds for event in events) // batch,
                field=trail.field if trail and name not in extra else None,
                peak=0 if name in extra else max((event.alive for event in events), default=0),
                kept=sum(event.kept for event in kept.get(name, [])),
                only_trains=name in extra,
            )
        )
    output, last = evaluation.outputs[""]
    return Measured(
        shape=shape,
        layers=tuple(one for one in layers if not isinstance(one.module, nn.Identity)),
        output=output[1:],
        depth=last.layers if last else 0,
        parameters=sum(one.parameters for one in layers if not one.only_trains),
        multiply_adds=sum(event.multiply_adds for event in evaluation.events) // batch,
        peak=max(event.alive for event in evaluation.events),
        kept=sum(event.kept for event in training.events),
        training_parameters=_parameters(net, set()),
        training_multiply_adds=sum(event.multiply_adds for event in training.events) // batch,
        evaluation=evaluation,
        training=training,
    )


def _rows(net: nn.Module, entered: Iterable[str], leaves: bool) -> list[str]:
    """The modules that have a row: children of `net`, or whatever holds weights or nothing inside."""
    modules = dict(net.named_modules())

    def has_row(name: str) -> bool:
        own = bool(modules[name]._parameters) or not modules[name]._modules
        return own if leaves or not name else "." not in name

    return [name for name in entered if has_row(name)]


def _by_row(events: Sequence[Event], names: Sequence[str]) -> dict[str, list[Event]]:
    """Every operation under the row whose module it ran in, else under the last or the first one."""
    rows = set(names)
    found: dict[str, list[Event]] = {}
    last = next((row for event in events if (row := _row(event.module, rows)) is not None), "")
    for event in events:
        row = _row(event.module, rows)
        last = last if row is None else row
        found.setdefault(last, []).append(event)
    return found


def _row(module: str, rows: set[str]) -> str | None:
    name = module
    while name and name not in rows:
        name = name.rpartition(".")[0]
    return name if name in rows else None


def _parameters(module: nn.Module, counted: set[int]) -> int:
    new = [p for p in module.parameters() if id(p) not in counted]
    counted.update(map(id, new))
    return sum(p.numel() for p in new)
