"""FFCV's loader gives what the torch loader gives, and none of FFCV's faults reaches a training."""

import gc
import logging
import multiprocessing
import os
import runpy
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from topfive import results
from topfive.crops import AreaAspect, FixedTen, Shift, ShorterSide, Warp
from topfive.datasets import Photographs
from topfive.loaders import torch_loader
from topfive.loaders.batch import UNREADABLE
from topfive.order import Share, TrainingOrder
from topfive.protocols import OneCrop, WarpedCrop

pytest.importorskip("jpeg_tiles", reason="needs the extra ffcv")
pytest.importorskip("ffcv", reason="needs the extra ffcv")
from tile_views import psnr

from topfive.datasets import beton, prepare_beton
from topfive.datasets.storage import Storage
from topfive.loaders import ffcv_epoch, ffcv_loader

pytestmark = pytest.mark.ffcv

ROOT = Path(__file__).parents[1]
CPU = torch.device("cpu")
CROPS = [
    AreaAspect(48, filters="random"),
    ShorterSide(64, 96, 48),
    ShorterSide(64, 64, 48, square=True),
    FixedTen(48, 64),
    Warp(48, 64),
    Shift(48, 6, True),
]


@pytest.fixture(scope="module")
def photographs(class_folders) -> Photographs:
    root = class_folders / "train"
    files = sorted(str(file.relative_to(root)) for file in root.rglob("*.JPEG"))
    return Photographs(root, files, np.array([int(file.startswith("bee")) for file in files]))


@pytest.fixture(scope="module")
def split(photographs, tmp_path_factory) -> beton.Beton:
    path = tmp_path_factory.mktemp("beton") / "train.beton"
    prepare_beton.write(photographs, ["ant", "bee"], path, Storage(), 1, False)
    return beton.load(path)


def order(batch: int = 4, images: int = 7, shared: int = 1) -> TrainingOrder:
    return TrainingOrder(np.arange(images), batch, 3, crop_shared_by=shared)


def ours(split, crop=CROPS[0], order=order(), share=Share(), steps=6, first=0, sizes=None):  # noqa: B008
    return ffcv_loader.FFCVTraining(split, crop, 3, order, share, steps, first, 2, CPU, sizes)


def torchs(images, crop=CROPS[0], order=order(), share=Share(), steps=6, first=0, sizes=None):  # noqa: B008
    return torch_loader.training(images, crop, 3, order, share, steps, first, 0, False, None, sizes)


def assert_same(batches, expected, decibels=44.0):
    """The same addresses, boxes and labels bit for bit; pixels as near as the two decoders are."""
    batches, expected = list(batches), list(expected)
    assert len(batches) == len(expected) > 0
    found = []
    for ours, theirs in zip(batches, expected, strict=True):
        assert ours.images.shape == theirs.images.shape
        assert ours.images.dtype == theirs.images.dtype == torch.uint8
        for a, b in zip(ours[1:], theirs[1:], strict=True):
            assert a.dtype == b.dtype
            assert torch.equal(a, b)
        found += [
            psnr(a.numpy(), b.numpy()) for a, b in zip(ours.images, theirs.images, strict=True)
        ]
    assert np.median(found) >= decibels


@pytest.mark.parametrize("crop", CROPS, ids=lambda crop: type(crop).__name__)
def test_views_are_those_of_the_torch_loader(split, photographs, crop):
    assert_same(ours(split, crop), torchs(photographs, crop))


def test_shared_crops_rounds_and_ranks_are_those_of_the_torch_loader(split, photographs):
    for rank in (0, 1):
        share = Share(rank, 2, accumulate=2)
        laid = order(batch=8, shared=4)
        assert_same(
            ours(split, order=laid, share=share), torchs(photographs, order=laid, share=share)
        )


def test_views_change_their_size_between_steps_as_the_torch_loaders_do(split, photographs):
    def sizes(step: int) -> int:
        return 32 + 8 * step

    made = list(ours(split, sizes=sizes))
    assert [batch.images.shape[-1] for batch in made] == [32, 40, 48, 56, 64, 72]
    assert_same(made, torchs(photographs, sizes=sizes))


def test_a_run_that_starts_at_batch_k_sees_the_rest_bit_for_bit(split):
    whole = [batch for batch in ours(split)]
    for first in (1, 4):
        rest = list(ours(split, first=first))
        assert len(rest) == 6 - first
        for ours_, theirs in zip(rest, whole[first:], strict=True):
            assert all(torch.equal(a, b) for a, b in zip(ours_, theirs, strict=True))


def test_length_counts_all_rounds_of_the_run(split):
    assert len(ours(split, first=4)) == 6
    assert len(ours(split, share=Share(0, 1, 2))) == 12


@pytest.mark.parametrize("world", [1, 2, 3])
def test_two_epochs_of_all_ranks_hold_every_sample_twice(split, world):
    laid = TrainingOrder(np.arange(7), 6, 3)
    seen = [
        int(index)
        for rank in range(world)
        for batch in ours(split, order=laid, share=Share(rank, world), steps=7)
        for index in batch.index
    ]
    assert np.bincount(seen).tolist() == [6] * 7


@pytest.mark.parametrize("world", [1, 2, 3, 10])
@pytest.mark.parametrize("protocol", [OneCrop(48, 64), WarpedCrop(48, 64)])
def test_evaluation_counts_every_sample_once(split, photographs, world, protocol):
    """FFCV would pad the last batch, and the last rank."""
    seen = []
    for rank in range(world):
        share = Share(rank, world)
        loader = ffcv_loader.FFCVEvaluation(split, np.arange(7), protocol, 20, share, 1, CPU)
        batches = list(loader)
        assert len(batches) == len(loader)
        seen += [int(index) for batch in batches for index in batch.index]
        theirs = torch_loader.evaluation(photographs, np.arange(7), protocol, 20, share, 0, False)
        if len(theirs):
            assert_same(batches, theirs)
    assert sorted(seen) == list(range(7))


def test_batches_that_are_kept_are_not_written_again(split):
    """FFCV's are views into a ring: of fifteen kept batches it overwrote ten."""
    kept, copies = [], []
    for batch in ours(split, steps=15):
        kept.append(batch)
        copies.append([tensor.clone() for tensor in batch])
    for batch, copy in zip(kept, copies, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(batch, copy, strict=True))


@pytest.mark.gpu
def test_batches_copied_to_a_gpu_beside_its_work_are_those_of_the_cpu(split):
    where = Share(), 6, 0, 2, torch.device("cuda")
    kept = list(ffcv_loader.FFCVTraining(split, CROPS[0], 3, order(), *where))
    for batch, expected in zip(kept, ours(split), strict=True):
        assert all(tensor.is_cuda for tensor in batch)
        assert all(torch.equal(a.cpu(), b) for a, b in zip(batch, expected, strict=True))


def ffcv_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "ffcv"]


def test_leaving_early_ends_the_thread_and_frees_its_batches(split):
    batches = iter(ours(split, steps=1000))
    first = weakref.ref(next(batches).images)
    assert ffcv_threads()
    batches.close()
    assert not ffcv_threads()
    del batches
    gc.collect()
    assert first() is None


def test_a_loop_that_breaks_ends_the_thread(split):
    for _ in ours(split, steps=1000):
        break
    gc.collect()
    assert not ffcv_threads()


def test_an_exception_on_the_way_is_raised_where_the_batch_is_asked_for(split):
    class Broken(AreaAspect):
        calls = 0

        def __call__(self, *arguments):
            Broken.calls += 1
            if Broken.calls > 6:
                raise ZeroDivisionError("seventh box")
            return super().__call__(*arguments)

    batches = iter(ours(split, Broken(48), steps=1000))
    next(batches)
    with pytest.raises(ZeroDivisionError, match="seventh box"):
        next(batches)
    assert not ffcv_threads()


def test_two_loaders_may_be_alive_at_once(split):
    training, other = iter(ours(split, steps=20)), iter(ours(split, CROPS[1], steps=20))
    alone = [list(ours(split, crop, steps=5)) for crop in (CROPS[0], CROPS[1])]
    for expected in zip(*alone, strict=True):
        for batch, theirs in zip((next(training), next(other)), expected, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(batch, theirs, strict=True))
    training.close()
    other.close()


def test_torchs_threads_stay_as_they_are():
    """FFCV sets them to one when it is imported, and to its workers with every epoch."""
    code = (
        "import torch; torch.set_num_threads(3); import topfive.loaders.ffcv_loader; "
        "print(torch.get_num_threads())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "3"


def test_numbas_threads_are_never_tbbs():
    """Those wait for ever at the end of a process that has forked."""
    code = "import topfive.loaders.ffcv_loader, numba; print(numba.threading_layer())"
    unset = {name: of for name, of in os.environ.items() if name != "NUMBA_THREADING_LAYER"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=unset)
    assert done.stdout.strip() == "workqueue"


def test_an_epoch_leaves_torchs_threads_as_they_are(split):
    before = torch.get_num_threads()
    list(ours(split))
    assert torch.get_num_threads() == before


def _digest(path, queue):
    split = beton.load(path)
    queue.put([int(batch.images.long().sum()) for batch in ours(split)])


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_it_works_in_a_child_process(split, method):
    """numba's compiled loops do not survive a fork; here are none."""
    expected = [int(batch.images.long().sum()) for batch in ours(split)]
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=_digest, args=(split.path, queue))
    child.start()
    assert queue.get(timeout=120) == expected
    child.join()
    assert child.exitcode == 0


def zeroed(image):
    return image[: len(image) // 2] + bytes(len(image) - len(image) // 2)


def flipped(image):
    """One bit in the middle of the coded blocks: it decodes, to other pixels."""
    middle = len(image) // 2
    return image[:middle] + bytes([image[middle] ^ 4]) + image[middle + 1 :]


def spoilt(split, tmp_path, index, damage=zeroed):
    """The same split after damage to the bytes of one image."""
    path = tmp_path / "train.beton"
    content = bytearray(split.path.read_bytes())
    start, size = int(split.index.pointers[index]), int(split.index.sizes[index])
    content[start : start + size] = damage(bytes(content[start : start + size]))
    path.write_bytes(content)
    for of in (beton.report_of, beton.details_of):
        of(path).write_bytes(of(split.path).read_bytes())
    return beton.load(path)


@pytest.mark.parametrize("damage", [zeroed, flipped])
def test_a_damaged_image_is_black_counted_and_named(split, tmp_path, caplog, damage):
    """FFCV hands on whatever lay in the buffer, and what a flipped bit decodes to."""
    broken = spoilt(split, tmp_path, 4, damage)
    crop = Warp(48, 64)
    with caplog.at_level(logging.WARNING):
        batches = list(ours(broken, crop, order=TrainingOrder(np.arange(7), 7, 3), steps=1))
    (batch,) = batches
    row = batch.index.tolist().index(4)
    assert batch.labels[row] == UNREADABLE
    assert not batch.images[row].any()
    assert (batch.left[row], batch.top[row], batch.flip[row]) == (0, 0, False)
    assert (batch.labels == UNREADABLE).sum() == 1
    assert f"{split.files[4]}: {beton.CHANGED}" in caplog.text


def test_a_flipped_bit_makes_an_image_unreadable_in_either_loader_and_in_every_epoch(
    split, tmp_path
):
    broken = spoilt(split, tmp_path, 4, flipped)
    # Two epochs of 7 images, by the native decoder and by Pillow.
    for batches in (ours(broken), torchs(broken)):
        read = [pair for batch in batches for pair in zip(batch.index, batch.labels, strict=True)]
        assert len(read) == 24
        assert [int(index) for index, label in read if label == UNREADABLE] == [4] * sum(
            index == 4 for index, _ in read
        )


def test_an_image_that_was_missing_when_the_file_was_written_is_unreadable_in_either_loader(
    photographs, tmp_path, caplog
):
    import shutil

    root = tmp_path / "train"
    shutil.copytree(photographs.root, root)
    (root / photographs.files[1]).write_bytes(b"nothing")
    images = Photographs(root, photographs.files, photographs.labels)
    path = tmp_path / "train.beton"
    prepare_beton.write(images, ["ant", "bee"], path, Storage(), 1, False)
    assert_same(ours(beton.load(path)), torchs(images))
    assert "could not be read when the file was written" in caplog.text


def test_a_run_is_trained_and_tested_through_it_and_tells_how_its_images_were_kept(
    class_folders, tmp_path, monkeypatch
):
    """ResNet-18 by train.py: every image of val counts once; images encoded anew are a departure."""
    root = tmp_path / "set"
    for split in ("train", "val"):
        files = sorted((class_folders / split).rglob("*.JPEG"))
        names = [str(file.relative_to(class_folders / split)) for file in files]
        images = Photographs(
            class_folders / split, names, np.array([int(n.startswith("bee")) for n in names])
        )
        storage = Storage(quality=80) if split == "val" else Storage()
        path = root / f"{split}.beton"
        prepare_beton.write(images, ["ant", "bee"], path, storage, 1, False)
    short = ["recipe.batch_size=4", "recipe.bn_batch=4", "recipe.shorten={iterations:2}"]
    small = ["recipe.crop.smallest=40", "recipe.crop.largest=48", "recipe.crop.size=32"]
    tested = ["protocol=one_crop", "protocol.size=32", "protocol.shorter=40", "data.minival=2"]
    quiet = ["trainer.accelerator=cpu", "trainer.progress=false", "logger=csv", "~recipe.callbacks"]
    command = ["train.py", "model=resnet18", "data=folder", f"data.root={root}", "loader=ffcv"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", [*command, *short, *small, *tested, *quiet, "hydra.run.dir=run"]
    )
    runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
    record = results.read(tmp_path / "run" / "result.json")
    (score,) = record.scores
    assert (score.n, score.unreadable) == (4, 0)
    assert record.departures[-1] == "data.val kept as quality=80 (paper: the files as they are)"
    assert not ffcv_threads()


def test_no_opencv_was_built_in():
    """A machine that has OpenCV would hide that the stand-in was not used."""
    import ffcv._libffcv

    linked = subprocess.run(
        ["ldd", ffcv._libffcv.__file__], capture_output=True, text=True, check=True
    )
    assert "libturbojpeg" in linked.stdout
    assert "opencv" not in linked.stdout


def test_the_index_of_imagenet_takes_little_memory(tmp_path):
    """1,281,167 entries: FFCV's maps of pages took 704 MB; what is left is a few arrays."""
    import tracemalloc

    from ffcv.reader import Reader

    from topfive.datasets import beton_format

    count, page = 1_281_167, 1 << 23
    entries = np.zeros(count, beton_format.SAMPLE)
    places = np.zeros(count, beton_format.ALLOCATION)
    start = beton_format.first_page(count, page)
    entries["f0"]["data_ptr"] = places["ptr"] = start + 100 * np.arange(count)
    places["size"] = 100
    path = tmp_path / "train.beton"
    preamble = beton_format.preamble(count, page, entries, start)
    with path.open("wb") as file:
        file.write(preamble)
        file.seek(start)
        file.write(places.tobytes())
    tracemalloc.start()
    manager = ffcv_epoch.PagelessManager(Reader(str(path)))
    size, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(manager.ptrs) == count
    assert size < 120e6
    assert peak < 200e6
