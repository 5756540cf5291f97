"""What a command line asks for: trainings, how often each, and the tests of them."""

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from topfive.config import CONF, options
from topfive.problems import Problem

# Only how a run is carried out, or where it starts, which another step of the command says.
_CARRIED = ("loader", "logger", "hydra", "resume", "trainer.devices", "trainer.num_nodes")
_START = "recipe.initialization.checkpoint"


@dataclass(frozen=True)
class Job:
    """One training up to its seed: `overrides` as compose takes them, in the order of their names.

    seeds: how many runs are reported. tries: how many candidates a sweep tests before, with as many seeds each.
    protocols: what it is tested by beside its own.
    """

    overrides: tuple[str, ...]
    seeds: int = 1
    tries: int = 0
    protocols: tuple[str, ...] = ()

    @property
    def runs(self) -> int:
        return self.seeds * (1 + self.tries)

    @property
    def label(self) -> str:
        """The network and all that is not its own: resnet34 model.shortcut=C."""
        model = next(one for one in self.overrides if one.startswith("model="))
        rest = [one for one in self.overrides if one != model]
        return " ".join([model.removeprefix("model="), *rest])


def jobs(command: str) -> list[Job]:
    """The trainings of a command, tests and all; steps of other programs cost nothing worth counting.

    Raises Problem where it tests what it does not train.
    """
    found: list[Job] = []
    for step in re.split(r"\s*(?:&&|;)\s+", command):
        words = shlex.split(step)
        if any(word.endswith("train.py") for word in words):
            start = next(n for n, word in enumerate(words) if word.endswith("train.py"))
            found.append(_training(words[start + 1 :]))
        elif "topfive.evaluate" in words:
            if not found:
                raise Problem(
                    f"{step}: a test of a run that is there costs next to nothing, and none is planned here. "
                    f"Name the training, too: python train.py model=NAME && {step}"
                )
            arguments = dict(word.partition("=")[::2] for word in words)
            number = _tested(found, arguments.get("run", ""))
            protocols = _listed(arguments)
            found[number] = replace(found[number], protocols=(*found[number].protocols, *protocols))
    return merged(found)


def merged(several: Iterable[Job]) -> list[Job]:
    """Each training once, with the most seeds that any of them asks for and the tests of all."""
    found: dict[tuple[str, ...], Job] = {}
    for job in several:
        other = found.get(job.overrides, job)
        found[job.overrides] = Job(
            job.overrides,
            max(job.seeds, other.seeds),
            max(job.tries, other.tries),
            tuple(dict.fromkeys((*other.protocols, *job.protocols))),
        )
    return list(found.values())


def needed(commands: Iterable[str]) -> list[Job]:
    """The trainings of several commands together, each once."""
    return merged(job for command in commands if command for job in jobs(command))


def _training(arguments: list[str]) -> Job:
    kept, seeds, tries = [], 1, 0
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if key == "seed":
            seeds = len(value.split(","))
        elif key == "sweep":
            tries = 0 if value == "null" else _candidates(value)
        elif equals and key.lstrip("+") != _START and not key.startswith(_CARRIED):
            kept.append(argument)
    return Job(tuple(sorted(kept)), seeds, tries)


def _candidates(sweep: str) -> int:
    """How many values a sweep chooses among."""
    file = CONF / "sweep" / f"{sweep}.yaml"
    if not file.is_file():
        raise Problem(f"there is no sweep={sweep}. Sweeps: {', '.join(options('sweep'))}")
    content = yaml.safe_load(file.read_text(encoding="utf-8"))["hydra"]
    key = content.get("callbacks", {}).get("selection", {}).get("key")
    if key is None:
        raise Problem(f"sweep={sweep} does not choose among values: plan its runs one by one.")
    params = {name.lstrip("+"): value for name, value in content["sweeper"]["params"].items()}
    swept = OverridesParser.create().parse_override(f"{key}={params[key]}".replace("\n", " "))
    return len(list(swept.sweep_string_iterator()))


def _tested(found: list[Job], run: str) -> int:
    """The last training of the model and recipe that a run's directory names; else the last one."""
    model, recipe = [*run.split("/"), "", "", ""][1:3]
    for number in reversed(range(len(found))):
        said = dict(one.partition("=")[::2] for one in found[number].overrides)
        if said.get("model") == model and said.get("recipe", recipe) == recipe:
            return number
    return len(found) - 1


def _listed(arguments: dict[str, str]) -> list[str]:
    several = arguments.get("protocols", "").strip("[]").split(",")
    return [name for name in (arguments.get("protocol", ""), *several) if name]
