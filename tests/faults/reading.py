"""Read errors in the data: images, and their folder."""

import sys
from functools import partial
from itertools import count
from pathlib import Path

from comparison import one_line, result, same_as
from injection import Bench, Fault
from pictures import PICTURES, draw, files
from small_training import Training, training
from started import expect, wait_for

TORCH = ("loader=torch", "loader.workers=1")


def on_pictures(bench: Bench, name: str, *overrides: str) -> tuple[Training, Path]:
    root = draw(bench.folder / f"{name}-pictures")
    return Training(bench.folder / name, [*PICTURES, f"data.root={root}", *overrides]), root


def few_unreadable(bench: Bench, name: str, times: int) -> str:
    """One cut in half, one of which the disk says EIO: 2 of 60, below a limit of 5 %."""
    one, root = on_pictures(bench, name, *TORCH)
    first, second, *_ = files(root)
    first.write_bytes(first.read_bytes()[:400])
    second.unlink()
    second.symlink_to("/proc/self/mem")  # which opens, and whose first byte cannot be read
    one.finish()
    said = one.started[-1].output
    expect(first.name in said and second.name in said, "they are not named")
    # 40 steps of 16 are 640 images, ten whole passes and 40 more.
    counted = result(one.run)["trained_on"]["unreadable"]
    expect(20 <= counted <= 22, f"{counted} were counted, of 20 to 22")
    return f"named; {counted} of 640 counted in the record"


def many_unreadable(bench: Bench, name: str, times: int) -> str:
    one, root = on_pictures(bench, name, *TORCH)
    for file in files(root)[:10]:
        file.write_bytes(file.read_bytes()[:400])
    last = one.start()
    expect(last.end() == 1, f"status {last.poll()}")
    said = one_line(last, "could not be decoded", "data.max_unreadable=0.05")
    expect(not list(one.outputs.rglob("result.json")), "there is a result")
    return f"status 1: {said[:100]} ..."


def folder_vanishes(bench: Bench, name: str, times: int) -> str:
    """As a network drive does; what is saved afterwards must not have learned from holes."""
    undisturbed, root = on_pictures(bench, f"{name}-undisturbed", *TORCH)
    undisturbed.finish()
    with training(bench.folder / name, *undisturbed.overrides) as one:
        process = one.start()
        wait_for(lambda: list(one.outputs.glob("*/last.ckpt")), process, "the first checkpoint")
        away = root.rename(root.with_name("away"))
        status = process.end()
        away.rename(root)
        expect(status == 1, f"status {status}")
        said = one_line(process, "could not be (decoded|read)|does not exist")
        one.finish()
        same_as(undisturbed, one)
    return f"status 1: {said[:80]} ...; once it was back, went on bit for bit"


SAVES = 14  # every third of 40 steps, and at the end


def away_ahead_of_the_test(root: str) -> None:
    """In the training: the data folder is gone when its last checkpoint is put in place."""
    saves = count(1)

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        saved = event == "os.rename" and Path(str(arguments[1])).name == "last.ckpt"
        if saved and next(saves) == SAVES:
            Path(root).rename(f"{root}-away")

    sys.addaudithook(hear)


def folder_vanishes_in_the_test(bench: Bench, name: str, times: int) -> str:
    """Every image that cannot be decoded counts as wrong: that would be a result, and a wrong one."""
    undisturbed, root = on_pictures(bench, f"{name}-undisturbed", *TORCH)
    undisturbed.finish()
    with training(bench.folder / name, *undisturbed.overrides) as one:
        process = one.start(partial(away_ahead_of_the_test, str(root)))
        status = process.end()
        Path(f"{root}-away").rename(root)
        expect(status == 1, f"status {status}, a result from images that were not there")
        said = one_line(process, "of the test could not be decoded|images can be decoded")
        expect(not list(one.outputs.rglob("result.json")), "there is a result")
        one.finish()
        same_as(undisturbed, one)
    return f"status 1: {said[:80]} ...; once it was back, ended as the undisturbed one"


FAULTS = (
    Fault(
        "images_unreadable",
        "a truncated JPEG and one that the disk cannot read",
        2,
        "named and counted in the record",
        few_unreadable,
    ),
    Fault(
        "images_too_unreadable",
        "a sixth of the JPEGs truncated",
        10,
        "one line; no result",
        many_unreadable,
    ),
    Fault(
        "folder_vanishes",
        "the data folder vanishes in mid-run, and returns",
        1,
        "one line; then goes on from before",
        folder_vanishes,
    ),
    Fault(
        "folder_vanishes_in_test",
        "the data folder vanishes before the test, and returns",
        1,
        "one line and no result; then the test",
        folder_vanishes_in_the_test,
    ),
)
