"""The devices that runs are planned for: devices.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from topfive.problems import Problem

FILE = Path(__file__).with_name("devices.yaml")


@dataclass(frozen=True)
class Rate:
    """Operations a second: the `peak`, and the part of it that training reaches (0 to 1)."""

    peak: float
    utilization: float


@dataclass(frozen=True, kw_only=True)
class Device:
    """One of devices.yaml; `key` is what it is asked for by, `unverified` empty where all has a source."""

    key: str
    name: str
    matches: str
    watts: float
    source: str
    precisions: Mapping[str, Rate]
    utilization: str
    unverified: str = ""

    def rate(self, precision: str) -> Rate:
        """Of a value of trainer.precision; a Problem where nothing is known of it."""
        if precision not in self.precisions:
            raise Problem(
                f"nothing is known of precision={precision} on {self.key}: choose {' or '.join(self.precisions)}."
            )
        return self.precisions[precision]

    @property
    def is_core(self) -> bool:
        """Whether it is one core of a processor, and its speed that of one thread."""
        return self.key == "cpu"

    def is_one(self, named: str) -> bool:
        """Whether that is what torch, or the processor, calls such a device."""
        return self.matches in named


@cache
def devices() -> Mapping[str, Device]:
    """All of them, by key."""
    content = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return {key: _device(key, dict(facts)) for key, facts in content.items()}


def device(key: str) -> Device:
    """The device of that key; a Problem, which lists them, where there is none."""
    known = devices()
    if key not in known:
        raise Problem(f"there is no device {key!r}. Devices: {', '.join(known)}")
    return known[key]


def _device(key: str, facts: dict[str, object]) -> Device:
    rates = facts.pop("precisions")
    assert isinstance(rates, dict)
    precisions = {name: Rate(**rate) for name, rate in rates.items()}
    return Device(key=key, precisions=precisions, **facts)  # type: ignore[arg-type]
