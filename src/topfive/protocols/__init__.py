"""The tests that published numbers come from: the views of an image, whose scores are averaged.

Names and definitions are those of the papers and their released code; each class says who used it. A
name is a claim: a protocol of other sizes than its paper's is called otherwise.
"""

from topfive.protocols.crops import OneCrop, OneView, TenCrop, WarpedCrop
from topfive.protocols.dense import Both, Dense
from topfive.protocols.scales import GridOfScales, SquaresOfScales
from topfive.protocols.view import Head, Protocol, SquareViews, View

__all__ = [
    "Both", "Dense", "GridOfScales", "Head", "OneCrop", "OneView", "Protocol", "SquareViews", "SquaresOfScales",
    "TenCrop", "View", "WarpedCrop",
]  # fmt: skip
