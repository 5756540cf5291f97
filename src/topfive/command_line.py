"""What train.py does to its arguments before Hydra reads them.

`ablation=NAME` in a multirun stands for all its sides. And Hydra composes a multirun first without
what is swept, so without the recipe of a swept model, where `recipe.shorten=40` has nothing to
overrule: it is turned into a sweep over the one value, which Hydra leaves to the jobs.
"""

import os
import re
import sys
from collections.abc import Callable

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from topfive import ablations
from topfive.launch.ranks import demand_one_directory, leave_store_of_torchrun
from topfive.problems import Problem

MULTIRUN = ("-m", "--multirun")
GROUPS = ("model", "recipe", "data", "protocol")  # a model names the other three
_INSIDE = re.compile(rf"(~|\+\+?|)({'|'.join(GROUPS)})\..+")


def run(main: Callable[[], None]) -> None:
    """Hands Hydra what it can read; Ctrl-C between two jobs ends all with exit status 130."""
    leave_store_of_torchrun(os.environ)
    sys.argv[1:] = expand(sys.argv[1:])
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)


def expand(arguments: list[str]) -> list[str]:
    """The command line as Hydra can read it, every ablation replaced by its sides.

    An unknown ablation is refused (exit status 1), and so is one without -m: one side alone shows
    nothing. So is, in a multirun, ~KEY of a group that each job chooses.
    """
    try:
        several = is_multirun(arguments)
        demand_one_directory(arguments, several, os.environ)
        expanded = [_all_sides(argument, arguments, several) for argument in arguments]
        ablations.register(expanded)
        if several:
            late = _chosen_by_jobs(expanded)
            expanded = [_left_to_jobs(argument, late) for argument in expanded]
    except Problem as problem:
        sys.exit(f"train.py: {problem}")
    return expanded


def is_multirun(arguments: list[str]) -> bool:
    """By flag, by hydra.mode, or by a sweep; a job of one is told hydra.mode=RUN."""
    asked = {"hydra.mode=MULTIRUN", *MULTIRUN} & set(arguments)
    by_sweep = any(one.startswith("sweep=") and one != "sweep=null" for one in arguments)
    return bool(asked or by_sweep) and "hydra.mode=RUN" not in arguments


def _all_sides(argument: str, arguments: list[str], several: bool) -> str:
    found = [side for name in ablations.named(argument) for side in ablations.sides(name)]
    if not found:
        return argument
    if len(found) > 1 and not several:
        command = " ".join(["python train.py -m", *arguments])
        raise Problem(f"{argument} has {len(found)} sides; run them all: {command}")
    for name in {side.partition("/")[0] for side in found if len(found) > 1}:
        overruled = sorted(
            ablations.load(name).varied & {one.partition("=")[0] for one in arguments}
        )
        if overruled:
            raise Problem(
                f"the sides of ablation={name} differ in {overruled[0]}, which {overruled[0]}= on the command line "
                f"overrules in all of them: leave it out."
            )
    return f"{argument.partition('=')[0]}={','.join(found)}"


def _chosen_by_jobs(arguments: list[str]) -> set[str]:
    """The groups that are not there, or may not be the job's, in Hydra's first composition."""
    chosen = dict(argument.partition("=")[::2] for argument in arguments if "=" in argument)
    fixed = {key for key, value in chosen.items() if not _is_sweep(f"{key}={value}")}
    by_model = "model" in fixed or ("experiment" in fixed and "model" not in chosen)
    if by_model and "ablation" not in chosen:
        return {group for group in GROUPS if group in chosen.keys() - fixed}
    return set(GROUPS) - fixed


def _left_to_jobs(argument: str, late: set[str]) -> str:
    inside = _INSIDE.fullmatch(argument)
    if inside is None or inside[2] not in late:
        return argument
    if inside[1] == "~":
        raise Problem(
            f"{argument}: Hydra cannot leave out a key of the {inside[2]} that each job of a multirun chooses. "
            f"Overrule it ({argument.strip('~').partition('=')[0]}=null or another value), or run the jobs one by one."
        )
    key, _, value = argument.partition("=")
    if value == "null":  # choice() takes everything else
        return f"++hydra.sweeper.params={{{key}: 'null'}}"
    return f"{key}=choice({value})" if value and not _is_sweep(argument) else argument


def _is_sweep(argument: str) -> bool:
    try:
        return OverridesParser.create().parse_override(argument).is_sweep_override()
    except HydraException:
        return True  # Hydra says what is wrong with it
