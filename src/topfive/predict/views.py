"""What the network is shown of an image: the views of a protocol."""

from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from PIL import Image
from torch import Tensor

from topfive.config import CONF, options
from topfive.crops import Filter
from topfive.loaders.datamodule import watched
from topfive.loaders.views import cut
from topfive.problems import Problem
from topfive.protocols import SquareViews


def protocol_of(config: dict[str, Any], name: str | None) -> SquareViews:
    """The protocol `name` of conf/protocol for the network of `config`; None is its own, by one view.

    The network's own is its paper's; of many views it is the central crop that remains. Raises Problem
    for an unknown name, and for views that are not squares of one size.
    """
    if name is None:
        return watched(
            instantiate(config["protocol"], _convert_="all"), config["recipe"]["crop"]["size"]
        )
    protocol = instantiate(_section(config, name), _convert_="all")
    if not isinstance(protocol, SquareViews):
        raise Problem(
            f"--protocol {name} shows whole images of any shape, and predict shows squares: choose another, such "
            f"as one_crop or ten_crop."
        )
    return protocol


def _section(config: dict[str, Any], name: str) -> dict[str, Any]:
    if name not in options("protocol"):
        raise Problem(f"--protocol {name}: expected one of {', '.join(options('protocol'))}.")
    asked = {**config, "protocol": OmegaConf.load(CONF / "protocol" / f"{name}.yaml")}
    section: dict[str, Any] = OmegaConf.to_container(OmegaConf.create(asked).protocol, resolve=True)  # type: ignore[assignment]
    return section


def views_of(image: Image.Image, protocol: SquareViews, filter: Filter) -> Tensor:
    """uint8 (views, channels, size, size), resized by `filter` where the protocol resizes."""
    boxes = protocol(image.height, image.width)
    cuts = [
        cut(image, box._replace(filter=filter), protocol.size, protocol.resizes) for box in boxes
    ]
    return torch.from_numpy(np.stack(cuts))
