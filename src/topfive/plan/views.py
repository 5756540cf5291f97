"""What a protocol shows a network of one image, in views of the size that it was trained on."""

from collections.abc import Mapping
from typing import Any

import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf

from topfive.config import CONF, options
from topfive.evaluation.averages import Averages
from topfive.evaluation.plan import plan
from topfive.problems import Problem
from topfive.protocols import Protocol


def shown(config: Mapping[str, Any], protocol: str, shape: tuple[int, int]) -> float:
    """How much of an image of `shape` (height, width) `protocol` shows; "" is the configuration's own.

    Views count by their area, as the multiply-adds of convolutions do; equal views are shown once.
    """
    whole = float(config["recipe"]["crop"]["size"] ** 2)
    views = plan([_protocol(config, protocol)], Averages(), *shape).shown
    return sum(view.size[0] * view.size[1] / whole for view in views)


def _protocol(config: Mapping[str, Any], name: str) -> Protocol:
    made: Protocol
    if not name:
        made = instantiate(config["protocol"], _convert_="all")
        return made
    file = CONF / "protocol" / f"{name}.yaml"
    if not file.is_file():
        raise Problem(f"there is no protocol={name}. Protocols: {', '.join(options('protocol'))}")
    refers = {key: config[key] for key in ("model", "recipe")}
    whole = OmegaConf.create({**refers, "protocol": yaml.safe_load(file.read_text("utf-8"))})
    OmegaConf.resolve(whole)
    made = instantiate(whole.protocol, _convert_="all")
    return made
