"""Damage to FFCV's file."""

import signal
from importlib.util import find_spec
from pathlib import Path

from comparison import one_line, result, same_as
from injection import Bench, Fault
from reading import on_pictures
from small_training import Training, training
from started import NotHere, expect, wait_for

from topfive.datasets import prepare_beton
from topfive.datasets.beton import load as load_beton
from topfive.datasets.folders import load

FFCV = ("loader=ffcv", "loader.workers=1")


def beton(bench: Bench, name: str) -> tuple[Training, Path]:
    """A training from FFCV's files, and the file that it reads."""
    if find_spec("ffcv") is None:
        raise NotHere("needs the extra ffcv")
    one, root = on_pictures(bench, name, *FFCV)
    write_betons(root)
    return one, root / "train.beton"


def write_betons(root: Path) -> None:
    from topfive.datasets.storage import Storage

    sets = load(root)
    for split, images in (("train", sets.train), ("val", sets.reported)):
        prepare_beton.write(images, sets.classes, root / f"{split}.beton", Storage(), 1, False)


def beton_truncated(bench: Bench, name: str, times: int) -> str:
    one, file = beton(bench, name)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    last = one.start()
    status = last.end()
    expect(status == 1, f"status {status}, {last.output[-200:]}")
    return f"status 1: {one_line(last, 'train.beton')[:110]}"


def beton_flipped(bench: Bench, name: str, times: int) -> str:
    """They decode to other pixels, which only their checksums tell."""
    one, file = beton(bench, name)
    whole, images = bytearray(file.read_bytes()), load_beton(file)
    for index in bench.draws(name).sample(range(len(images)), times):
        image = bytes(images.content(index))
        whole[whole.index(image) + len(image) // 2] ^= 4
    file.write_bytes(bytes(whole))
    one.finish()
    # 40 steps of 16 are 640 images: ten whole passes over 60, and 40 more.
    counted = result(one.run)["trained_on"]["unreadable"]
    expect(10 * times <= counted <= 11 * times, f"{counted} counted, of {10 * times} and more")
    return f"{counted} of 640 images counted in the record, by their checksums"


def beton_cut_under_the_map(bench: Bench, name: str, times: int) -> str:
    """The kernel answers a read past the end with SIGBUS, which no Python code survives or hears."""
    undisturbed, file = beton(bench, f"{name}-undisturbed")
    undisturbed.finish()
    with training(bench.folder / name, *undisturbed.overrides) as one:
        process = one.start()
        wait_for(lambda: list(one.outputs.glob("*/last.ckpt")), process, "the first checkpoint")
        whole = file.read_bytes()
        with open(file, "r+b") as cut:
            cut.truncate(4096)
        status = process.end()
        file.write_bytes(whole)
        expect(status in (1, -signal.SIGBUS), f"status {status}")
        one.finish()
        same_as(undisturbed, one)
    how = "SIGBUS, the shell says `Bus error`" if status != 1 else one_line(process)[:100]
    return f"{how}; the file whole again, went on bit for bit"


FAULTS = (
    Fault("beton_truncated", "FFCV's file is half as long", 1, "one line", beton_truncated),
    Fault(
        "beton_flipped",
        "a bit flipped in two images of FFCV's file",
        2,
        "named and counted in the record",
        beton_flipped,
    ),
    Fault(
        "beton_cut_in_use",
        "FFCV's file is truncated in mid-run",
        1,
        "ends at once; then goes on",
        beton_cut_under_the_map,
    ),
)
