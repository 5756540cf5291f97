"""The graph that is exported: images in, scores out."""

import json
from typing import Any

import torch
from torch import Tensor, nn

from topfive.problems import Problem
from topfive.trained import Trained


class Scorer(nn.Module):
    """uint8 images (batch, channels, size, size) to scores (batch, classes), the largest wins.

    Whole bytes, because a picture on the scale 0..1 would give plausible scores that are wrong.
    """

    def __init__(self, trained: Trained):
        super().__init__()
        self.pipeline, self.net = trained.pipeline, trained.net
        self.dtype = next(trained.net.parameters()).dtype

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.net(self.pipeline(images, None, self.dtype))
        return scores


def program(trained: Trained, size: int, batch: int | None) -> torch.export.ExportedProgram:
    """The graph at `size` x `size` pixels, of `batch` images or, where it is None, of any number.

    Raises Problem where the network does not take that size.
    """
    scorer, images = Scorer(trained).eval(), noise(trained.channels, size, batch or 2)
    try:
        with torch.no_grad():
            scorer(images)
    except (RuntimeError, ValueError) as error:  # as torch says it
        raise Problem(
            f"{trained.name} does not take images of {size} x {size} pixels "
            f"({str(error).splitlines()[0].rstrip('.')}): choose another --size, or leave it out."
        ) from error
    dynamic = {"images": {0: torch.export.Dim("batch", min=1)}} if batch is None else None
    return torch.export.export(scorer, (images,), dynamic_shapes=dynamic)


def noise(channels: int, size: int, batch: int) -> Tensor:
    """Images whose pixels are drawn independently, always the same: uint8 (batch, channels, size, size)."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (batch, channels, size, size), dtype=torch.uint8, generator=generator)


def metadata(trained: Trained, size: int) -> dict[str, str]:
    """What a reader of the file has to know; all but plain text is JSON."""
    content: dict[str, Any] = {
        "model": trained.config["choices"]["model"],
        "input": f"uint8 images (batch, {trained.channels}, {size}, {size}), red, green, blue"
        if trained.channels == 3
        else f"uint8 images (batch, 1, {size}, {size}), gray",
        "output": "scores (batch, classes); softmax makes them probabilities",
        "size": size,
        "protocol": trained.config["protocol"],
        "filter": trained.filter,
        "classes": trained.classes,
        "origin": trained.origin,
        "departures": trained.departures,
    }
    return {key: one if isinstance(one, str) else json.dumps(one) for key, one in content.items()}
