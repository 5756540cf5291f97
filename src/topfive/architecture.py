"""From a configuration to its network: no data, no training, and so without Lightning's long import."""

from typing import Any

import torch
from hydra.utils import instantiate

from topfive.problems import Problem


def architecture(config: dict[str, Any], classes: int | None = None) -> torch.nn.Module:
    """The network, its weights not yet the paper's; `classes` None is as many as its paper has.

    Raises Problem where an option is none that it knows.
    """
    wanted = config["model"].get("num_classes", classes)
    if classes is not None and wanted != classes:
        raise Problem(
            f"model.num_classes={wanted}, but data={config['choices']['data']} has {classes} classes: leave "
            f"model.num_classes out, it follows the data."
        )
    options = config["model"] | ({} if classes is None else {"num_classes": classes})
    try:
        net: torch.nn.Module = instantiate(options, _convert_="all")
    except Exception as error:
        cause = error.__cause__
        if isinstance(cause, Problem | ValueError | TypeError | KeyError):
            raise Problem(f"model={config['choices']['model']} cannot be built: {cause}") from error
        raise
    return net
