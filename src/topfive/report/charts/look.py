"""How every chart looks: its colors on a light or a dark ground, its width, its letters."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from topfive.inspect.labels import STYLE

Style = dict[str, Any]  # keyword arguments of matplotlib's artists
WIDE, NARROW = 760, 358  # pixels; a phone of 390 less 16 on either side
LETTERS = 12.0  # pixels
PADDING = 7  # likewise


@dataclass(frozen=True)
class Palette:
    """Colors as hexadecimal digits, all different; letters and marks have 4.5:1 against the ground.

    `series` are Okabe and Ito's, in the shade that the ground needs; `grid` is there to be overlooked.
    """

    ground: str
    text: str
    muted: str
    grid: str
    series: tuple[str, ...]

    @property
    def ours(self) -> str:
        """What was measured here, in every chart."""
        return self.series[0]


# Grounds and letters are those of the page (templates/page.css).
LIGHT = Palette(
    ground="#fdfdfb",
    text="#1d1d1b",
    muted="#5b5b56",
    grid="#e7e6e0",
    series=("#0072b2", "#b94e00", "#007a5a", "#a34a7d", "#846000", "#4b4b46"),
)
DARK = Palette(
    ground="#171716",
    text="#e7e6e1",
    muted="#a5a49c",
    grid="#302f2e",
    series=("#56b4e9", "#f07c2a", "#1fbf92", "#d890b8", "#e6b422", "#c5c4bc"),
)


class Look(NamedTuple):
    """One of the variants in which a chart is drawn."""

    palette: Palette
    narrow: bool

    @property
    def name(self) -> str:
        """light, dark, light-narrow or dark-narrow."""
        return f"{'dark' if self.palette == DARK else 'light'}{'-narrow' if self.narrow else ''}"

    @property
    def width(self) -> int:
        """Pixels."""
        return NARROW if self.narrow else WIDE

    @contextmanager
    def figure(self, height: float) -> Iterator[Figure]:
        """A figure of this look, `height` pixels high; nothing of matplotlib's state is changed."""
        with mpl.rc_context(self._style()):
            made = Figure(figsize=(self.width / 72, height / 72), layout="constrained")
            FigureCanvasAgg(made)
            yield made

    def _style(self) -> dict[Any, Any]:
        palette = self.palette
        return STYLE | {
            "figure.dpi": 72,  # a point is a pixel
            "font.size": LETTERS,
            "axes.titlesize": LETTERS + 1,
            "axes.labelsize": LETTERS,
            "legend.fontsize": LETTERS,
            "legend.title_fontsize": LETTERS,
            "legend.handletextpad": 0.4,
            "legend.columnspacing": 1.2,
            "legend.borderaxespad": 0.2,
            "figure.facecolor": palette.ground,
            "savefig.facecolor": palette.ground,
            "axes.facecolor": palette.ground,
            "axes.edgecolor": palette.muted,
            "axes.labelcolor": palette.muted,
            "axes.titlecolor": palette.text,
            "text.color": palette.text,
            "xtick.color": palette.muted,
            "ytick.color": palette.muted,
            "grid.color": palette.grid,
            "axes.linewidth": 0.8,
            "figure.constrained_layout.h_pad": PADDING / 72,
            "figure.constrained_layout.w_pad": PADDING / 72,
        }

    def title(self, made: Figure, text: str) -> None:
        """Above all of a figure, in lines that fit."""
        lines = "\n".join(wrap(text, self.width // 9))
        made.suptitle(lines, x=PADDING / self.width, ha="left", weight="bold", size=LETTERS + 1)


def settle(made: Figure) -> None:
    """Fixes the layout, which costs as much as the drawing: what is added now takes no room."""
    engine = made.get_layout_engine()
    assert engine is not None
    engine.execute(made)
    made.set_layout_engine("none")
