"""A chart, and its text as SVG that stands in a page beside others and can be read aloud."""

import io
import logging
import re
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

import matplotlib as mpl
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from topfive.report.charts.look import DARK, LIGHT, Look, Palette

FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, 'DejaVu Sans', sans-serif"
NOTHING = {"Date": None, "Creator": None, "Format": None, "Type": None}


class Chart(NamedTuple):
    """A figure, its name among the charts, and what it says to who cannot see it."""

    name: str
    title: str
    description: str
    figure: Figure


def svg(chart: Chart, look: Look) -> str:
    """The chart as one SVG element: the same text for the same data, its letters kept as letters.

    Letters are measured in DejaVu Sans, which is wider than the fonts that a reader has. Names of chart
    and look are in every id: a page can hold all of them.
    """
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    prefix = f"{chart.name}-{look.name}"
    stream = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "topfive"}):
        canvas: Any = FigureCanvasSVG(chart.figure)
        canvas.print_svg(stream, metadata=NOTHING)  # savefig would draw it twice
    text = stream.getvalue()
    body = text[text.index("<defs>") : text.rindex("</svg>")]
    body = re.sub(r"\n *<defs>\s*<style.*?</style>\s*</defs>", "", f"\n{body}", flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.DOTALL)
    body = re.sub(r'(\bid="|url\(#|href="#)', rf"\1{prefix}-", body)
    body = re.sub(r" font-family: [^;\"]*;", "", body)
    width, height = (round(72 * side) for side in chart.figure.get_size_inches())
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'style="max-width: 100%; height: auto" font-family="{FONTS}" '
        f'stroke-linejoin="round" role="img" '
        f'aria-labelledby="{prefix}-title {prefix}-desc">\n'
        f'<title id="{prefix}-title">{escape(chart.title)}</title>\n'
        f'<desc id="{prefix}-desc">{escape(chart.description)}</desc>{body}</svg>\n'
    )


def in_dark(text: str) -> str:
    """What `svg` of a light look wrote, as that of the dark one, in no time."""
    colors = dict(zip(_colors(LIGHT), _colors(DARK), strict=True))
    text = re.sub("#[0-9a-f]{6}", lambda found: colors.get(found[0], found[0]), text)
    return re.sub(r'((?:id|labelledby)="|#| )(\w+)-light(-narrow)?-', r"\1\2-dark\3-", text)


def _colors(palette: Palette) -> tuple[str, ...]:
    return (palette.ground, palette.text, palette.muted, palette.grid, *palette.series)
