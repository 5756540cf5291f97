"""The lists of jobs behind sweep=table, sweep=cifar and sweep=ablations."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import filter_overrides
from hydra.types import HydraContext
from omegaconf import DictConfig

from topfive import ablations
from topfive.problems import Problem

CIFAR = ("cifar10", "cifar100")


@dataclass(frozen=True)
class Listed:
    """A network as it is trained: its overrides, without seeds. before: what must be done first, if anything."""

    overrides: tuple[str, ...]
    seeds: int
    model: str
    recipe: str
    data: str
    before: str = ""


def spelled_out(name: str, typed: Sequence[str]) -> tuple[list[list[str]], list[str]]:
    """The overrides of every job of a list, and a line for each reason to leave some out.

    What is typed overrules what is listed; of `model` it says whose jobs are meant. Raises Problem where
    there are none.
    """
    parser = OverridesParser.create()
    models = [one for one in parser.parse_overrides(list(typed)) if one.key_or_group == "model"]
    wanted = {
        value
        for one in models
        for value in (
            one.sweep_string_iterator() if one.is_sweep_override() else [str(one.value())]
        )
    }
    kept = [one for one in LISTS[name]() if not wanted or one.model in wanted]
    rest = [one for one in typed if one.partition("=")[0] != "model"]
    jobs: dict[tuple[str, ...], None] = {}
    for one in (one for one in kept if not one.before):
        seeds = ",".join(map(str, range(one.seeds)))
        overrides = parser.parse_overrides([*one.overrides, f"seed={seeds}", *rest])
        (batch,) = BasicSweeper.split_arguments(overrides, None)
        jobs |= dict.fromkeys(map(tuple, batch))
    if not kept:
        raise Problem(
            f"sweep={name} has no job of model={','.join(sorted(wanted))}: leave model out, or name one of "
            f"{', '.join(dict.fromkeys(one.model for one in LISTS[name]()))}."
        )
    ablations.register(override for job in jobs for override in job)
    return [list(job) for job in jobs], list(_left_out(kept))


def listing(
    context: HydraContext, master: DictConfig, jobs: Sequence[Sequence[str]], first: int
) -> Iterator[str]:
    """A line for each job, numbered from `first`: what became of it so far, and its overrides."""
    from topfive.launch.jobs import job
    from topfive.outcomes import state

    for number, overrides in enumerate(jobs, first):
        one = job(context, master, overrides, number)
        outcome = state(one.config, one.directory)
        where = f" {os.path.relpath(outcome.where)}" if outcome.where else ""
        yield f"#{number} {' '.join(filter_overrides(overrides))}: {outcome.state}{where}"


def _left_out(kept: Sequence[Listed]) -> Iterator[str]:
    for reason in dict.fromkeys(one.before for one in kept if one.before):
        labels = [" ".join(one.overrides) for one in kept if one.before == reason]
        yield f"left out: {'; '.join(labels)}: {reason}"


def _table() -> list[Listed]:
    """Every network that is published alone, as often as its number asks for."""
    from topfive.plan.jobs import needed
    from topfive.published import load
    from topfive.report.lines import lines

    single = (line.command for line in lines([], load()) if line.published.networks in (None, 1))
    found = []
    for job in needed(single):
        one = _listed(job.overrides, job.seeds, job.overrides)
        if job.tries:
            one = replace(
                one, before="the rate is chosen first: python train.py sweep=lr model=NAME"
            )
        found.append(one)
    return found


def _cifar() -> list[Listed]:
    return [one for one in _table() if one.data in CIFAR]


def _ablations() -> list[Listed]:
    found = []
    for name in ablations.names():
        ablation = ablations.load(name)
        for side, overrides in ablation.sides.items():
            told = (*ablation.common, *overrides)
            if any(one.startswith("model=") for one in told):
                found.append(_listed((f"ablation={name}/{side}",), 1, told))
    return found


def _listed(overrides: tuple[str, ...], seeds: int, told: Sequence[str]) -> Listed:
    """told: the overrides that name the network, and its recipe and data where these are not its own."""
    from topfive.published.conf_files import content, own

    said = dict(one.partition("=")[::2] for one in told)
    model = said["model"]
    recipe, data = (said.get(key) or own(model)[key] for key in ("recipe", "data"))
    start = content("recipe", recipe).get("starts_from")
    before = "they start from a trained network, see conf/recipe/vgg_384.yaml" if start else ""
    return Listed(overrides, seeds, model, recipe, data, before)


LISTS: Mapping[str, Callable[[], list[Listed]]] = {
    "table": _table,
    "cifar": _cifar,
    "ablations": _ablations,
}
