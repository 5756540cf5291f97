"""By which protocol the network is shown an image."""

from typing import Any

from hydra.utils import instantiate
from omegaconf import OmegaConf

from topfive.config import CONF, options
from topfive.loaders.datamodule import watched
from topfive.problems import Problem
from topfive.protocols import Protocol, SquareViews


def usual(config: dict[str, Any]) -> SquareViews:
    """One view after the network's own protocol, its paper's; of many views the central crop remains."""
    own: Protocol = instantiate(config["protocol"], _convert_="all")
    return watched(own, config["recipe"]["crop"]["size"])


def protocol_of(config: dict[str, Any], name: str | None) -> Protocol:
    """The protocol `name` of conf/protocol for the network of `config`, or its usual one.

    Raises Problem for an unknown name.
    """
    if name is None:
        return usual(config)
    protocol: Protocol = instantiate(_section(config, name), _convert_="all")
    return protocol


def _section(config: dict[str, Any], name: str) -> dict[str, Any]:
    if name not in options("protocol"):
        raise Problem(f"--protocol {name}: expected one of {', '.join(options('protocol'))}.")
    asked = {**config, "protocol": OmegaConf.load(CONF / "protocol" / f"{name}.yaml")}
    section: dict[str, Any] = OmegaConf.to_container(OmegaConf.create(asked).protocol, resolve=True)  # type: ignore[assignment]
    return section
