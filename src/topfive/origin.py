"""Where a result comes from: code, libraries, device."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import TypedDict

from topfive.results import Json


class Origin(TypedDict):
    """Where a result comes from; the keys are fields of `Record`."""

    git: dict[str, Json]
    versions: dict[str, str | None]
    device: str
    threads: int


def origin(cuda: bool | None = None) -> Origin:
    """The code, libraries and device of this process; `cuda` None means: if there is one.

    `git` has null values where the package is not a file of a git work tree.
    """
    import torch

    versions: dict[str, str | None] = {"python": platform.python_version()}
    for library in ("topfive", "torch", "torchvision", "pytorch-lightning", "hydra-core", "numpy"):
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            versions[library] = None
    versions["torch"] = str(torch.__version__)  # names the CUDA build, the metadata does not
    use_cuda = torch.cuda.is_available() if cuda is None else cuda
    return {
        "git": _git(Path(__file__)),
        "versions": versions,
        "device": torch.cuda.get_device_name() if use_cuda else _cpu_model(),
        "threads": torch.get_num_threads(),
    }


def _git(file: Path) -> dict[str, Json]:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(file.parent), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    try:
        # A package installed into somebody's .venv lies in their work tree, but is not their code.
        git("ls-files", "--error-unmatch", file.name)
        return {"sha": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return {"sha": None, "dirty": None}


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
