"""Which published numbers a run may be set beside.

Only those of the same thing: network, options, recipe, data, split and protocol agree.
"""

from collections.abc import Mapping, Sequence

from topfive.published.catalogue import load, networks
from topfive.published.entries import Published
from topfive.results import Json, Record, Score


def matching(
    record: Record, score: Score, published: Sequence[Published] | None = None
) -> list[Published]:
    """The numbers that `score` may be set beside: of one such network, trained and tested so.

    Every option of the record must be the one published: none of them is a departure, so nothing
    else would tell. Departures are not looked at; what they leave of a number is for the report.
    """
    quantities = ["top1_error"] + ["top5_error"] * (score.top5_errors is not None)
    return [
        one
        for one in (load() if published is None else published)
        if one.role == "target" and one.cannot_run is None and one.networks == 1
        if one.quantity in quantities and one.network == record.model
        if (one.data, one.split, one.protocol) == (record.data, score.split, score.protocol)
        if record.recipe in one.recipes and _same_options(one, record.options)
    ]


def recipes(network: str) -> frozenset[str]:
    """The recipes under which some paper published a number of `network`: choosing one of them is
    no departure."""
    own = networks().get(network)
    targets = (one for one in load() if one.network == network and one.role == "target")
    return frozenset(own.recipes if own else ()).union(*(one.recipes for one in targets))


def data_sets(network: str) -> frozenset[str]:
    """The data sets on which some paper published a number of `network`."""
    return frozenset(one.data for one in load() if one.network == network and one.role == "target")


def _same_options(one: Published, options: Mapping[str, Json]) -> bool:
    own = one.home.options if one.home else {}
    given = {**own, **options}
    given.pop("num_classes", None)  # follows from the data
    return given == {**own, **one.options}
