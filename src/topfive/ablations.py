"""`ablation=NAME` in a multirun stands for all sides of it, the files of conf/ablation/NAME."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "conf" / "ablation"
MULTIRUN = ("-m", "--multirun")


def sides(name: str) -> list[str]:
    """The sides of ablation `name` as Hydra names them; itself where it is one side already."""
    if (FOLDER / f"{name}.yaml").is_file():
        return [name]
    found = sorted(f"{name}/{file.stem}" for file in (FOLDER / name).glob("*.yaml"))
    if not found:
        known = ", ".join(sorted(folder.name for folder in FOLDER.iterdir()))
        sys.exit(f"train.py: there is no ablation={name}. Ablations: {known}")
    return found


def expand(arguments: list[str]) -> list[str]:
    """The command line with every ablation replaced by its sides.

    An unknown ablation is refused (exit status 1), and so is one without -m: one side alone shows
    nothing.
    """
    expanded = []
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key == "ablation" and value not in ("", "null"):
            all_sides = [side for name in value.split(",") for side in sides(name)]
            if len(all_sides) > 1 and not set(MULTIRUN) & set(arguments):
                command = " ".join(["python train.py -m", *arguments])
                sys.exit(
                    f"train.py: {argument} has {len(all_sides)} sides; run them all: {command}"
                )
            argument = f"ablation={','.join(all_sides)}"
        expanded.append(argument)
    return expanded
