"""Which published numbers a run may be set beside.

Only those of the same thing: networks, options, recipe, data, split and protocol agree.
"""

from collections import Counter
from collections.abc import Sequence

from topfive.published.catalogue import load, networks
from topfive.published.entries import Published
from topfive.results import Member, Record, Score


def matching(
    record: Record, score: Score, published: Sequence[Published] | None = None
) -> list[Published]:
    """The numbers that `score` may be set beside: of just such a network, or of an ensemble of just these.

    Every option must be the one published: none of them is a departure, so nothing else would tell.
    Departures are not looked at; what they leave of a number is for the report.
    """
    quantities = ["top1_error"] + ["top5_error"] * (score.top5_errors is not None)
    return [
        one
        for one in (load() if published is None else published)
        if one.role == "target" and one.cannot_run is None and one.quantity in quantities
        if (one.data, one.split, one.protocol) == (record.data, score.split, score.protocol)
        if _same_networks(one, record.members or (record,))
    ]


def _same_networks(one: Published, found: Sequence[Record | Member]) -> bool:
    """Whether these are as many of the same networks, each trained so."""
    return (
        one.networks == len(found)
        and one.members == Counter(each.model for each in found)
        and all(each.recipe in one.recipes for each in found)
        and all(_same_options(one, each) for each in found)
    )


def recipes(network: str) -> frozenset[str]:
    """The recipes under which some paper published a number of `network`: choosing one of them is
    no departure."""
    own = networks().get(network)
    targets = (one for one in load() if one.network == network and one.role == "target")
    return frozenset(own.recipes if own else ()).union(*(one.recipes for one in targets))


def data_sets(network: str) -> frozenset[str]:
    """The data sets on which some paper published a number of `network`."""
    return frozenset(one.data for one in load() if one.network == network and one.role == "target")


def _same_options(one: Published, found: Record | Member) -> bool:
    own = networks()[found.model].options
    given = {**own, **found.options}
    given.pop("num_classes", None)  # follows from the data
    return given == {**own, **one.options}
