"""An ensemble beside its members, and beside what papers print of such ensembles."""

from collections.abc import Mapping, Sequence

from topfive import published
from topfive.predictions.aligned import Tested, aligned
from topfive.predictions.ensemble import ensemble, networks, shared
from topfive.predictions.file import Predictions
from topfive.predictions.scores import errors, tested
from topfive.predictions.tables import Row, Table
from topfive.problems import Problem
from topfive.published import Published
from topfive.report import wording
from topfive.report.lines import lines
from topfive.results import Json, Record


def average(
    tests: Sequence[Tested], weights: Sequence[float] | None = None
) -> tuple[Predictions, list[Table]]:
    """The ensemble of `tests`, and two tables: its error below those of its members, and published ones.

    Raises Problem where a file is named twice, the files are not of the same images, or the weights are no such.
    """
    paths = [path.resolve() for path, _ in tests]
    twice = [str(path) for path in paths if paths.count(path) > 1]
    if twice:
        raise Problem(
            f"{twice[0]} is named twice: name it once, and give it twice the weight with --weights."
        )
    members = aligned(tests)
    mean = ensemble(members, weights)
    about = [one.about for one in members]
    count, files = networks(about), len(members)
    title = (
        f"Mean of the probabilities of {count} network{'s' * (count > 1)} in {files} file{'s' * (files > 1)}, "
        f"{shared(about, 'protocol')}"
    )
    rows: list[Row] = [
        {"file": str(path), **_who(one), "weight": weight, **errors(one)}
        for (path, _), one, weight in zip(tests, members, weights or [1.0] * files, strict=True)
    ]
    rows.append({"file": "mean", **_who(mean), "weight": None, **errors(mean)})
    notes = ["Errors in %, with Wilson's 95% interval over the images."]
    return mean, [Table("errors", title, rows, notes), _beside(about)]


def comparable(members: Sequence[Mapping[str, Json]]) -> list[Published]:
    """The numbers that papers print of as many networks on the same data, split and protocol.

    Of ensembles of one network of ours only where all members are that network; of those that mix networks,
    all: which networks these were, the papers do not always say.
    """
    test = tuple(shared(members, key) for key in ("data", "split", "protocol"))
    return [
        one
        for one in published.load()
        if one.role == "target" and one.networks == networks(members)
        if (one.data, one.split, one.protocol) == test
        if one.quantity in ("top1_error", "top5_error")
        if one.home is None or one.network == shared(members, "model")
    ]


def judged(record: Record) -> Table:
    """What the record of an ensemble says of published numbers: those of just these networks, with verdicts."""
    rows = [
        {
            "network": wording.network(line.published),
            "error": wording.error(line.published.quantity),
            "published": wording.printed(line.published),
            "verdict": line.verdict,
            "reason": line.reason or None,
        }
        for line in lines([record], published.matching(record, record.scores[0]))
    ]
    notes = [f"Departs in {'; '.join(record.departures)}."] * bool(record.departures)
    notes += ["No published number is of just these networks, trained and tested so."] * (not rows)
    return Table("record", f"Record: {record.path}", rows, notes)


def _beside(members: Sequence[Mapping[str, Json]]) -> Table:
    found: dict[tuple[str, str], dict[str, str]] = {}
    for one in comparable(members):
        place = f"{one.paper.citation}, {one.where}"
        found.setdefault((one.network, place), {})[one.quantity] = one.value
    rows = [
        {
            "network": network,
            "top1_error": values.get("top1_error"),
            "top5_error": values.get("top5_error"),
            "printed_in": place,
        }
        for (network, place), values in found.items()
    ]
    title = "Published of as many networks under this protocol"
    return Table("published", title if rows else f"{title}: nothing", rows)


def _who(given: Predictions) -> Row:
    return {key: tested(given)[key] for key in ("model", "protocol")}
