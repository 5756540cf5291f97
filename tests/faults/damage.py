"""What a run resumes from is damaged: its checkpoints, its configuration, its curve."""

import io
import re
import shutil
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from comparison import one_line, same_as
from injection import Bench, Fault
from points import killed_ahead_of
from small_training import Training, training
from started import expect

HALF_WAY = 40  # operations on its files: two checkpoints and rows of the curve are there


def half_way(bench: Bench, name: str) -> Training:
    """A copy of a training that was killed half-way."""
    origin = bench.folder / "half-way"
    if not origin.exists():
        with training(origin) as killed:
            killed.start(killed_ahead_of(HALF_WAY)).end()
    folder = bench.folder / name
    shutil.copytree(origin, folder)
    return Training(folder, started=[])


def resumed(bench: Bench, name: str, damage: Callable[[Path], None]) -> str:
    """What the run said when it went on after `damage` to its directory, to the same end."""
    one = half_way(bench, name)
    damage(one.run)
    one.overrides = ["hydra.run.dir=outputs/later"]
    last = one.finish()
    expect("Traceback" not in last.output, "a stack trace")
    same_as(bench.reference(), one)
    return last.output


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    """A bit of its largest tensor: elsewhere it may fall into what pads the file."""
    with zipfile.ZipFile(io.BytesIO(content)) as records:
        largest = records.read(max(records.infolist(), key=lambda record: record.file_size))
    middle = content.index(largest) + len(largest) // 2
    return content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]


HARMS: dict[str, Callable[[bytes], bytes]] = {
    "truncated": cut,
    "bit-flipped": flip,
    "emptied": lambda content: b"",
    "garbage": lambda content: b"garbage" * 1000,
}


def change(harm: Callable[[bytes], bytes], pattern: str, run: Path) -> None:
    for file in run.glob(pattern):
        file.write_bytes(harm(file.read_bytes()))


def newest_damaged(bench: Bench, name: str, times: int) -> str:
    for how, harm in HARMS.items():
        said = resumed(bench, f"{name}-{how}", partial(change, harm, "last.ckpt"))
        expect(re.search(r"last\.ckpt is damaged.*the one before", said), f"{how}: it said nothing")
    return f"{', '.join(HARMS)}: says so, goes on from the one before, bit for bit"


def all_damaged(bench: Bench, name: str, times: int) -> str:
    """Whether to begin anew is the user's decision: hours of work lie there."""
    one = half_way(bench, name)
    change(cut, "last*.ckpt", one.run)
    last = one.start()
    expect(last.end() == 1, f"status {last.poll()}, as if nothing were lost")
    return f"status 1: {one_line(last, 'no checkpoint of .* is whole')[:110]} ..."


def configuration_damaged(bench: Bench, name: str, times: int) -> str:
    one = half_way(bench, name)
    change(cut, "config.yaml", one.run)
    last = one.start()
    last.end()
    expect("config.yaml" in last.output, "its work is abandoned without a word")
    return one_line(last, "config.yaml")[:110] if last.poll() else "told, then begun anew"


def curve_cut(bench: Bench, name: str, times: int) -> str:
    def harm(run: Path) -> None:
        with open(run / "curve.csv", "a") as file:
            file.write("20,0.8000,repor")

    resumed(bench, name, harm)
    return "the half row is dropped and written again, bit for bit"


FAULTS = (
    Fault(
        "checkpoint_damaged",
        "the newest checkpoint truncated, bit-flipped, emptied, garbage",
        4,
        "says so; goes on from the one before",
        newest_damaged,
    ),
    Fault(
        "checkpoints_damaged", "all checkpoints truncated", 1, "refused in one line", all_damaged
    ),
    Fault(
        "configuration_damaged",
        "config.yaml of the run truncated",
        1,
        "told",
        configuration_damaged,
    ),
    Fault(
        "curve_cut", "curve.csv ends in mid-row", 1, "rows whole, none lost, none twice", curve_cut
    ),
)
