"""What python -m topfive.evaluate was asked to test: which network, on which images, under which protocols."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from hydra.utils import instantiate
from omegaconf import OmegaConf

from topfive import build, checkpoints, trained
from topfive.config import CONF, options
from topfive.crops import FILTERS
from topfive.datasets import Dataset
from topfive.evaluation.counting import Split
from topfive.identity import digest, identity
from topfive.loaders.betons import storage_departures
from topfive.problems import Problem
from topfive.protocols import Protocol
from topfive.results import Json
from topfive.runs import CHECKPOINT, RESULT, checkpoint_of, read_config
from topfive.trained import Trained

FOREIGN = Path("outputs") / "foreign"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """folder: where predictions and record go. identity: of the run, or of the foreign weights.

    own_data: whether the images are of the set that the network was trained on. checkpoint: of a run; step: its
    updates. data_departures: in how its images are kept.
    """

    trained: Trained
    config: dict[str, Any]
    split: Split
    protocols: Sequence[Protocol]
    folder: Path
    identity: str
    own_data: bool
    checkpoint: Path | None
    step: int
    data_departures: Sequence[str]

    @property
    def about(self) -> dict[str, Json]:
        """What its predictions say of it."""
        origin = self.trained.origin or (self.checkpoint and self.checkpoint.name)
        return {
            "model": self.config["choices"]["model"],
            "identity": self.identity,
            "seed": None if self.trained.origin else self.config["seed"],
            "origin": str(origin),
        }


def of(asked: Mapping[str, Any], choices: Mapping[str, Any]) -> Subject:
    """From the command's own configuration, unresolved, and what was chosen in its groups."""
    run, weights, filter = asked["run"], asked["weights"], asked["filter"]
    if filter not in (None, *FILTERS):
        raise Problem(f"filter={filter}: choose one of {', '.join(FILTERS)}.")
    if run is None or weights is not None:
        network = trained.load(run, weights, asked["model"])
        config, checkpoint = network.config, None
    else:
        checkpoint = checkpoint_of(Path(run))
        found = read_config(checkpoint.parent)
        network, config = None, found if found is not None else {}
    own = _own_data(config, asked, choices) if config else True
    if not config:
        trained.load(run, weights)  # raises what is to be said
    data = _data(config)
    if network is None:
        network = trained.load(run, weights, asked["model"], classes=len(data.classes))
    split = Split.reported(data, config["choices"]["data"])
    step = (
        int(checkpoints.read(checkpoint, "global_step", "name another.", mmap=True))
        if checkpoint
        else 0
    )
    return Subject(
        trained=replace(network, config=config),
        config=config,
        split=split if network.classes is None else _mapped(split, network.classes),
        protocols=_protocols(asked, choices, config),
        folder=_folder(network, checkpoint, step, config, own),
        identity=identity(config) if checkpoint else digest([network.origin, config["model"]]),
        own_data=own,
        checkpoint=checkpoint,
        step=step,
        data_departures=storage_departures(data),
    )


def _data(config: dict[str, Any]) -> Dataset:
    """What was trained on need not be there, but for a candidate, whose minival is held out from it."""
    candidate = config["data"].get("candidate")
    return build.data_module(config).dataset if candidate else build.data_set(config)


def _own_data(config: dict[str, Any], asked: Mapping[str, Any], choices: Mapping[str, Any]) -> bool:
    """Puts what was asked of trainer, loader and data into `config`; whether its data stay the same."""
    config["trainer"] |= asked["trainer"]
    # Tests read the photographs themselves, whatever a training is fed from.
    config["loader"] |= {**asked["loader"], "kind": "torch"}
    chosen, before = choices["data"], config["choices"]["data"]
    if config["data"].get("candidate"):
        if chosen is not None:
            raise Problem("a candidate of a sweep is tested on its minival alone: leave out data=.")
        config["data"]["root"] = asked["data"]["root"] or config["data"].get("root")
        return True
    if chosen is not None:
        section = OmegaConf.create({"data": asked["data"]})
        config["data"] = OmegaConf.to_container(section, resolve=True)["data"]  # type: ignore[index, call-overload]
        config["choices"]["data"] = chosen
    elif asked["data"]["root"] is not None:
        config["data"]["root"] = asked["data"]["root"]
    return chosen is None or (chosen == before and chosen != "folder")


def _mapped(split: Split, classes: Sequence[str]) -> Split:
    """The split with its labels as numbers of the network's `classes`, found by their names."""
    if list(split.classes) == list(classes):
        return replace(split, classes=classes)
    place = {name: number for number, name in enumerate(classes)}
    missing = [name for name in split.classes if name not in place]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise Problem(
            f"the network knows no class {', '.join(missing[:5])}{more} of data={split.data}; its {len(classes)} "
            f"classes are {', '.join(classes[:3])} ... Name the folders as its classes, or take its own data."
        )
    numbers = np.array([place[name] for name in split.classes])
    return replace(split, labels=numbers[split.labels], classes=classes)


def _protocols(
    asked: Mapping[str, Any], choices: Mapping[str, Any], config: Mapping[str, Any]
) -> list[Protocol]:
    """Those that were asked for, else the network's own."""
    sections = [] if choices["protocol"] is None else [asked["protocol"]]
    for name in asked["protocols"]:
        path = CONF / "protocol" / f"{name}.yaml"
        if not path.exists():
            known = ", ".join(options("protocol"))
            raise Problem(f"protocols has {name}, which is none: choose of {known}.")
        sections.append(OmegaConf.to_container(OmegaConf.load(path), resolve=False))
    found = [_protocol(section, config) for section in sections or [config["protocol"]]]
    if len({protocol.name for protocol in found}) < len(found):
        raise Problem("a protocol is asked for twice: name each once in protocol= and protocols=.")
    return found


def _protocol(section: Any, config: Mapping[str, Any]) -> Protocol:
    # Sizes follow the network or its recipe.
    around = {"protocol": section, "model": config["model"], "recipe": config["recipe"]}
    settled: Any = OmegaConf.to_container(OmegaConf.create(around), resolve=True)
    made: Protocol = instantiate(settled["protocol"], _convert_="all")
    return made


def _folder(
    network: Trained, checkpoint: Path | None, step: int, config: Mapping[str, Any], own: bool
) -> Path:
    """The run's directory for its final weights on its own data; else one that says what is tested.

    With the step: an unfinished run's checkpoint holds other weights later.
    """
    data = config["choices"]["data"]
    if checkpoint is None:
        return FOREIGN / network.name / ("" if own else data)
    finished = checkpoint.name == CHECKPOINT and (checkpoint.parent / RESULT).exists()
    if finished and own:
        return checkpoint.parent
    return checkpoint.parent / "evaluations" / f"{checkpoint.stem}-{step}" / ("" if own else data)
