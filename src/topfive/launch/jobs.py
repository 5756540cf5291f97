"""The jobs of a multirun as commands of their own, and what each of them needs."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.core.utils import setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict, read_write

from topfive.config import settle
from topfive.problems import Problem
from topfive.runs import AUTO, SWEEP


@dataclass(frozen=True)
class Size:
    """nodes; devices and GPUs of each (no GPUs where the CPU computes); CPUs of each device."""

    nodes: int
    devices: int
    gpus: int
    cpus: int


@dataclass(frozen=True)
class Job:
    """number: its place in the multirun; composed: its configuration, Hydra's part included; config: settled.

    directory: where it runs, the same for all its processes, wherever and however often they start.
    """

    number: int
    composed: DictConfig
    config: dict[str, Any]
    directory: Path

    @property
    def command(self) -> list[str]:
        """train.py as one run of this job, that behaves as a job of a sweep."""
        quoted = QuotedString(str(self.directory), Quote.single).with_quotes()
        return [
            sys.executable,
            str(Path(sys.argv[0]).resolve()),
            *self.composed.hydra.overrides.task,
            f"resume={SWEEP}",
            "hydra.mode=RUN",
            f"hydra.run.dir={quoted}",
        ]

    def size(self, cpus: int | None) -> Size:
        """cpus: of each device; None follows the loader. Raises Problem where devices are not counted."""
        trainer, workers = self.config["trainer"], self.config["loader"]["workers"]
        devices = trainer["devices"]
        if not isinstance(devices, int) or devices < 1:
            raise Problem(
                f"trainer.devices={devices} does not say how many devices job {self.number} needs: give a number."
            )
        if cpus is None:
            cpus = 1 + (min(8, os.cpu_count() or 1) if workers is None else workers)
        gpus = 0 if trainer["accelerator"] == "cpu" else devices
        return Size(trainer["num_nodes"], devices, gpus, cpus)


def composed(
    context: HydraContext, master: DictConfig, overrides: Sequence[Sequence[str]], first: int
) -> list[Job]:
    """The jobs of a multirun, numbered from `first`. Raises Problem where one of them cannot be."""
    setup_globals()
    jobs = []
    for number, one in enumerate(overrides, first):
        jobs.append(job(context, master, one, number))
        if (resume := jobs[-1].config["resume"]) not in (None, AUTO, SWEEP):
            raise Problem(
                f"resume={resume}: a job of a launcher goes on where it was, however often it starts. Leave resume "
                f"out, and delete what is to be done again."
            )
    return jobs


def job(context: HydraContext, master: DictConfig, overrides: Sequence[str], number: int) -> Job:
    """One job of a multirun. Raises Problem where it cannot be."""
    config = context.config_loader.load_sweep_config(master, list(overrides))
    with open_dict(config):
        config.hydra.job.id = config.hydra.job.num = number
    with current(config):
        directory = Path(str(config.hydra.sweep.dir), str(config.hydra.sweep.subdir)).absolute()
        with read_write(config.hydra.runtime), open_dict(config.hydra.runtime):
            config.hydra.runtime.output_dir = str(directory)
        settled = settle(config, config.hydra.runtime.choices)
    return Job(number, config, settled, directory)


@contextmanager
def current(config: DictConfig) -> Iterator[None]:
    """Within, ${hydra:...} and callbacks see this job."""
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before
