"""Files of weights that other programs wrote: a table of named tensors, and nothing that could run."""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from topfive.problems import Problem

WRAPPERS = ("state_dict", "model")  # where training scripts put the table, beside epochs and scores
PARALLEL = "module."  # torch.nn.DataParallel's, before every name


def read(file: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a state dict that torch.save wrote, in float32.

    Taken out of a wrapper ({"state_dict": ...}), and without "module." before the names. Raises Problem
    where the file is missing, damaged, holds anything that is not a tensor, or values that are not finite.
    """
    if not file.is_file():
        raise Problem(f"there is no file {file}: name a .pth, .pt, .th or .safetensors file.")
    content = _safetensors(file) if file.suffix == ".safetensors" else _pickled(file)
    return table(content, str(file))


def table(content: object, where: str) -> dict[str, Tensor]:
    """What `read` does to what a file holds; `where` names it in a Problem."""
    for name in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not content:
        raise Problem(
            f"{where} holds a {type(content).__name__}: expected a table of named tensors."
        )
    named = {str(name).removeprefix(PARALLEL): value for name, value in content.items()}
    for name, value in named.items():
        if not isinstance(value, Tensor):
            raise Problem(
                f"{where} holds {name}, a {type(value).__name__}, among its tensors: expected a state dict."
            )
        if not value.isfinite().all():
            raise Problem(
                f"{where} holds values in {name} that are not finite: it is damaged, or a network whose "
                f"last layers were never trained. Name weights of the whole network."
            )
    return {n: value.float() if value.is_floating_point() else value for n, value in named.items()}


def with_counters(state: Mapping[str, Tensor], net: nn.Module) -> dict[str, Tensor]:
    """`state` with the batch normalizations' counters of batches, which torch had none of before 0.4.1."""
    names = (name for name in net.state_dict() if name.endswith(".num_batches_tracked"))
    return {**{name: torch.tensor(0) for name in names}, **state}


def _safetensors(file: Path) -> object:
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise Problem(
            f"{file} is no readable .safetensors file ({error}): fetch it anew."
        ) from error


def _pickled(file: Path) -> Any:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = re.search(r"GLOBAL (\S+)", str(error))
        if refused is None:
            raise _damaged(file, error) from error
        raise Problem(
            f"{file} holds {refused[1]} besides tensors, and opening it might run any code: it is not "
            f"opened. Save the state dict alone, where you trust the file: torch.save(net.state_dict(), FILE)."
        ) from error
    except (OSError, EOFError, RuntimeError, ValueError, KeyError) as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> Problem:
    return Problem(
        f"{file} is damaged or was not written by torch.save ({type(error).__name__}): fetch it anew, or "
        f"name a .pth, .pt, .th or .safetensors file."
    )
