"""Nothing lost, nothing doubled, no wrong number: a run that was disturbed beside the one that was not."""

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from small_training import Training
from started import Started, expect

# Of a checkpoint, all that decides what comes next; "spent" is a time.
STATE = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "schedule", "window", "images")  # fmt: skip
COUNTS = ("identity", "scores", "iterations", "epochs", "trained_on", "train", "departures")
UNFINISHED = (".part", ".tmp")  # what names of files end with before they are whole


def same_as(reference: Training, disturbed: Training, bits: bool = True) -> None:
    """Raises Unexpected where the two differ in anything but time; without `bits`, counts alone are compared."""
    one_result(disturbed)
    ours, theirs = disturbed.run, reference.run
    if bits:
        expect(equal(state(ours), state(theirs)), "the weights or the optimizer's state differ")
        expect(curve(ours) == curve(theirs), "the curves differ")
    for key in COUNTS if bits else ("identity", "iterations", "epochs"):
        found, wanted = result(ours)[key], result(theirs)[key]
        expect(found == wanted, f"result.json: {key} is {found}, not {wanted}")
    expect(result(ours)["wall_seconds"] > 0, "wall_seconds is not positive")


def one_result(training: Training) -> None:
    """Raises Unexpected unless there is one result, and nothing else but what a run keeps."""
    found = list(training.outputs.glob("**/result.json"))
    expect(len(found) == 1, f"there are {len(found)} results of one training")
    expect(found[0].parent == training.run, "the result is not where the checkpoint is")
    steps = [(row["step"], row["split"]) for row in curve(training.run)]
    expect(len(steps) == len(set(steps)), "rows of the curve are doubled")
    stray = [file.name for file in training.run.rglob("*") if file.name.endswith(UNFINISHED)]
    expect(not stray, f"unfinished files are left: {', '.join(stray)}")
    expect(not (left := shared_memory()), f"shared memory is left: {', '.join(left)}")


def shared_memory() -> list[str]:
    """Segments of torch whose process is gone: torch_PID_..."""
    found = (re.fullmatch(r"torch_(\d+)_.*", file.name) for file in Path("/dev/shm").iterdir())
    return [match[0] for match in found if match and not Path("/proc", match[1]).exists()]


def one_line(started: Started, *says: str) -> str:
    """The last line that it said, in which is all of `says`; Unexpected where there is a stack trace."""
    output = started.output
    line = (output.strip().splitlines() or [""])[-1]
    expect("Traceback" not in output, f"a stack trace ends in: {line}")
    for part in says:
        expect(re.search(part, line), f"the last line says no {part!r}: {line or 'nothing'}")
    return line


def state(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(run / "last.ckpt", weights_only=True)
    return {key: content[key] for key in STATE}


def result(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "result.json").read_text())
    return content


def curve(run: Path) -> list[dict[str, str]]:
    with open(run / "curve.csv", newline="") as file:
        return [
            {k: v for k, v in row.items() if k != "images_per_second"}
            for row in csv.DictReader(file)
        ]


def equal(ours: Any, theirs: Any) -> bool:
    """Bit for bit, within lists and dictionaries."""
    if isinstance(ours, torch.Tensor):
        return isinstance(theirs, torch.Tensor) and torch.equal(ours, theirs)
    if isinstance(ours, Mapping):
        return ours.keys() == theirs.keys() and all(equal(ours[k], theirs[k]) for k in ours)
    if isinstance(ours, list | tuple):
        return len(ours) == len(theirs) and all(map(equal, ours, theirs))
    return bool(ours == theirs)
