"""sbatch, srun, sacct and scontrol of a cluster that takes every job, writes down what it was told and runs nothing."""

import os
import stat
import sys
from pathlib import Path

import pytest

SBATCH = """#!{python}
import pathlib, shutil, sys
folder = pathlib.Path("{scripts}")
number = 1000 + len(list(folder.glob("*.sh")))
shutil.copy(sys.argv[1], folder / f"{{number}}.sh")
print(f"Submitted batch job {{number}}")
"""
WRITTEN_DOWN = """#!{python}
import pathlib, sys
with open(pathlib.Path("{scripts}") / "{name}.txt", "a") as file:
    print(*sys.argv[1:], file=file)
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts them ahead on PATH; the folder in which the scripts come to lie, as NUMBER.sh."""
    commands, scripts = folder / "bin", folder / "scripts"
    commands.mkdir(parents=True)
    scripts.mkdir()
    for name in ("sbatch", "srun", "sacct", "scontrol", "scancel"):
        text = SBATCH if name == "sbatch" else WRITTEN_DOWN
        file = commands / name
        file.write_text(text.format(python=sys.executable, name=name, scripts=scripts))
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    return scripts
