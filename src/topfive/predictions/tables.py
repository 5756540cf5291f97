"""Tables of figures, free of any output format."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from topfive.intervals import wilson


class Rate(NamedTuple):
    """A share of images and its 95% interval, as fractions."""

    value: float
    low: float
    high: float


class Difference(NamedTuple):
    """Of two rates, with its 95% interval, as fractions."""

    value: float
    low: float
    high: float


Cell: TypeAlias = str | int | float | Rate | Difference | None
Row: TypeAlias = Mapping[str, Cell]


@dataclass(frozen=True)
class Table:
    """`rows` all have the same columns; `name` is the key of the rows in a JSON file."""

    name: str
    title: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()


def rate(wrong: NDArray[np.bool_]) -> Rate:
    """The share of True in `wrong` (n,), with Wilson's interval."""
    count, n = int(wrong.sum()), len(wrong)
    return Rate(count / n, *wilson(count, n))
