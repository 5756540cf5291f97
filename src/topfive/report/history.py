"""The contest's own numbers, by year."""

from collections.abc import Iterable

from topfive.published import Published

OF_A_PAPER = "ResNet ensemble"  # the winner of 2015, whose results page is quoted by its paper only


def history(published: Iterable[Published]) -> list[Published]:
    """Top-5 errors on the contest's test sets, by year, the lowest first; people are among them."""
    entries = [
        one
        for one in published
        if one.quantity == "top5_error" and one.split == "test" and one.role != "restated"
        if one.paper.key.startswith("ilsvrc") or one.network == OF_A_PAPER
    ]
    return sorted(entries, key=lambda one: (one.paper.year or 0, one.number))
