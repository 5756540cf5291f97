"""The layer table of a network, free of any output format."""

from collections.abc import Sequence
from dataclasses import dataclass

from topfive.inspect.describe import describe
from topfive.inspect.fields import Field
from topfive.inspect.measure import Layer, Measured
from topfive.inspect.network import Network

MIB = 1 << 20
NONE = ""


@dataclass(frozen=True)
class Table:
    """Cells as text; columns in `words` are set to the left, all others to the right; some may fold."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    totals: Sequence[tuple[str, ...]] = ()
    notes: Sequence[str] = ()
    words: frozenset[int] = frozenset({0, 1})
    folds: frozenset[int] = frozenset({1})


def layer_table(network: Network, measured: Measured) -> Table:
    """The paper's table: a row per layer, totals, and what the columns mean."""
    batch, channels, *size = measured.shape
    columns = (
        *("layer", "what it is", "output", "parameters", "multiply-adds", "field", "stride"),
        *("inference MiB", "training MiB"),
    )
    rows = [_row(one, measured) for one in measured.layers]
    total = (
        *("total", f"{measured.depth} layers deep", _shape(measured.output)),
        *(f"{measured.parameters:,}", f"{measured.multiply_adds:,}", NONE, NONE),
        *(_mib(measured.peak), _mib(measured.kept)),
    )
    totals = [total]
    extra = [one.name for one in measured.layers if one.only_trains]
    if extra:
        totals.append(
            ("in training", f"with {', '.join(extra)}", NONE, f"{measured.training_parameters:,}",
             f"{measured.training_multiply_adds:,}", NONE, NONE, NONE, NONE)
        )  # fmt: skip
    given = " ".join((network.name, *network.options))
    return Table(
        title=f"{given}: one image is {channels}×{size[0]}×{size[1]}, a batch has {batch}",
        columns=columns,
        rows=rows,
        totals=totals,
        notes=_notes(measured),
    )


def _notes(measured: Measured) -> list[str]:
    notes = [
        "multiply-adds: of convolutions and full connections, for one image.",
        "field, stride: pixels of the image that one unit sees (padding counted as pixels), and "
        "from one unit to the next.",
        "inference: the most that is alive at once while the layer runs; training: what it keeps "
        "for the backward pass. Both of the batch, in float32, without parameters.",
    ]
    if any(one.field and one.field.whole for one in measured.layers):
        notes.append("all: some of what it sees was averaged over the whole image.")
    return notes


def _row(layer: Layer, measured: Measured) -> tuple[str, ...]:
    seen = measured.training if layer.only_trains else measured.evaluation
    what = describe(layer.name, layer.module, seen)
    return (
        layer.name or "(network)",
        f"{what}, in training only" if layer.only_trains else what,
        _shape(layer.output),
        f"{layer.parameters:,}" if layer.parameters else NONE,
        f"{layer.multiply_adds:,}" if layer.multiply_adds else NONE,
        *_field(layer.field),
        _mib(layer.peak),
        _mib(layer.kept),
    )


def _field(seen: Field | None) -> tuple[str, str]:
    if seen is None:
        return NONE, NONE
    single = seen.extent == (1, 1)
    return "all" if seen.whole else f"{seen.size:,}", NONE if single else f"{seen.stride}"


def _shape(output: tuple[int, ...]) -> str:
    flat = output[:1] if output[1:] == (1, 1) else output
    return "×".join(map(str, flat))


def _mib(count: int) -> str:
    return f"{count / MIB:,.2f}" if count else NONE
