"""torch.export's archive, .pt2."""

import io
import json
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

EXTRA = "metadata.json"


def content(program: torch.export.ExportedProgram, metadata: Mapping[str, str]) -> bytes:
    """The file; torch.export.load finds `metadata` under extra_files."""
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={EXTRA: json.dumps(metadata)})
    return file.getvalue()


def reader(content: bytes) -> Callable[[Tensor], Tensor]:
    """What the file computes."""
    module: Callable[[Tensor], Tensor] = torch.export.load(io.BytesIO(content)).module()
    return module
