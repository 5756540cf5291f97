"""What is written as a .beton can be read by FFCV and by us, is what was there, and survives an interruption."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from topfive.datasets import Photographs, Unreadable
from topfive.datasets.images import Pixels
from topfive.problems import Problem

pytest.importorskip("jpeg_tiles", reason="needs the extra ffcv")
pytest.importorskip("ffcv", reason="needs the extra ffcv")
from topfive.datasets import beton, beton_format, prepare_beton
from topfive.datasets.beton_writer import BetonWriter
from topfive.datasets.storage import Storage

pytestmark = pytest.mark.ffcv

SMALL_PAGE = 1 << 21
ORIENTATION = 0x0112


@pytest.fixture
def photographs(class_folders, tmp_path) -> Photographs:
    """A copy that a test may spoil, of seven images in two classes."""
    root = tmp_path / "train"
    shutil.copytree(class_folders / "train", root)
    files = sorted(str(file.relative_to(root)) for file in root.rglob("*.JPEG"))
    return Photographs(root, files, np.array([int(file.startswith("bee")) for file in files]))


def written(images, path, storage=Storage(), workers=2, **options):  # noqa: B008
    """The report and the split as it is read again."""
    report = prepare_beton.write(images, ["ant", "bee"], path, storage, workers, False, **options)
    return report, beton.load(path)


def rgb(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))


def test_the_format_is_ffcvs():
    from ffcv import types
    from ffcv.fields import IntField, RGBImageField

    assert beton_format.HEADER.itemsize == types.HeaderType.itemsize == 24
    assert beton_format.FIELD.itemsize == types.FieldDescType.itemsize == 1041
    assert beton_format.ALLOCATION == types.ALLOC_TABLE_TYPE
    assert types.get_metadata_type([RGBImageField(), IntField()]) == beton_format.SAMPLE
    assert types.TYPE_ID_HANDLER[beton_format.FIELDS["image"]] is RGBImageField
    assert types.TYPE_ID_HANDLER[beton_format.FIELDS["label"]] is IntField
    assert types.CURRENT_VERSION == beton_format.VERSION


def test_ffcv_itself_reads_the_file(photographs, tmp_path):
    """Its own loader and decoder, uncompiled: images at their full size, labels, order."""
    from ffcv.libffcv import imdecode
    from ffcv.loader import Loader, OrderOption
    from ffcv.pipeline.compiler import Compiler
    from ffcv.reader import Reader

    path = tmp_path / "train.beton"
    written(photographs, path)
    Compiler.set_enabled(False)
    try:
        loader = Loader(
            str(path),
            2,
            1,
            order=OrderOption.SEQUENTIAL,
            drop_last=False,
            pipelines={"image": None},
        )
        labels = [int(label) for (batch,) in loader for label in batch.flatten()]
    finally:
        Compiler.set_enabled(True)
    assert labels == photographs.labels.tolist()
    reader = Reader(str(path))
    content = np.fromfile(path, np.uint8)
    for k, (entry, place) in enumerate(zip(reader.metadata["f0"], reader.alloc_table, strict=True)):
        height, width = int(entry["height"]), int(entry["width"])
        decoded = np.zeros((height, width, 3), np.uint8)
        start = int(entry["data_ptr"])
        data = content[start : start + int(place["size"])]
        assert imdecode(data, decoded, height, width, height, width) == 0
        # FFCV decodes with the fast transform.
        assert np.abs(decoded.astype(int) - rgb(photographs.read(k))).mean() < 2


def test_lossless_storage_has_the_pixels_of_every_kind_of_file(tmp_path):
    root, picture = tmp_path / "train", Image.fromarray(pattern(60, 84))
    (root / "ant").mkdir(parents=True)
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    kinds = {
        "a.jpg": ({"subsampling": 2}, "JPEG RGB"),
        "b.jpg": ({"progressive": True}, "JPEG RGB progressive"),
        "c.jpg": ({"exif": exif}, "JPEG RGB rotated"),
        "d.png": ({}, "PNG RGB"),
    }
    for name, (options, _) in kinds.items():
        picture.save(root / "ant" / name, **options)
    picture.convert("L").save(root / "ant" / "e.jpg")
    picture.convert("CMYK").save(root / "ant" / "f.jpg")
    files = [f"ant/{name}" for name in (*kinds, "e.jpg", "f.jpg")]
    images = Photographs(root, files, np.zeros(6, np.int64))
    report, split = written(images, tmp_path / "train.beton")
    for k in range(6):
        assert np.array_equal(rgb(split.read(k)), rgb(images.read(k)))
    assert report["stored"] == {"lossless": 4, "raw": 2}
    counted = [kind for _, kind in kinds.values()] + ["JPEG L", "JPEG CMYK"]
    assert report["kinds"] == {kind: 1 for kind in sorted(counted)}


def pattern(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([(3 * x + y) % 256, (x * y) % 256, (5 * y) % 256], -1).astype(np.uint8)


@pytest.mark.parametrize(
    ("storage", "how", "longest"),
    [
        (Storage(max_side=64), "re-encoded", 64),
        (Storage(max_side=4000, quality=50), "re-encoded", 203),
        (Storage(quality=95), "re-encoded", 203),
        (Storage(raw=True), "raw", 203),
        (Storage(raw=True, max_side=32), "raw", 32),
    ],
)
def test_images_are_kept_as_asked(photographs, tmp_path, storage, how, longest):
    report, split = written(photographs, tmp_path / "train.beton", storage)
    assert report["stored"] == {how: 7}
    sides = [split.read(k).size for k in range(7)]
    assert max(max(side) for side in sides) == longest
    if storage == Storage(raw=True):
        assert all(np.array_equal(rgb(split.read(k)), rgb(photographs.read(k))) for k in range(7))
    assert (split.fingerprint() == photographs.fingerprint()) == storage.is_lossless


def test_small_images_of_a_set_in_memory_are_kept_as_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 32, 32), dtype=np.uint8)
    images = Pixels(pixels, np.arange(5))
    _, split = written(images, tmp_path / "train.beton")
    assert all(np.array_equal(rgb(split.read(k)), rgb(images.read(k))) for k in range(5))


def test_a_file_that_cannot_be_read_is_counted_named_and_keeps_its_place(photographs, tmp_path):
    spoilt = photographs.root / photographs.files[2]
    spoilt.write_bytes(spoilt.read_bytes()[:500])
    (photographs.root / photographs.files[5]).write_bytes(b"no image")
    report, split = written(photographs, tmp_path / "train.beton")
    assert report["stored"] == {"lossless": 5, "unreadable": 2}
    assert list(report["unreadable"]) == [photographs.files[2], photographs.files[5]]
    assert "truncated" in report["unreadable"][photographs.files[2]].lower()
    assert len(split) == 7
    assert split.labels.tolist() == photographs.labels.tolist()
    assert len(split.index.samples) == 5
    with pytest.raises(Unreadable, match=photographs.files[2]):
        split.read(2)
    assert np.array_equal(rgb(split.read(3)), rgb(photographs.read(3)))


def test_a_part_is_the_part_of_the_photographs(photographs, tmp_path):
    _, split = written(photographs, tmp_path / "train.beton")
    part, expected = split.take(np.array([6, 1, 4])), photographs.take(np.array([6, 1, 4]))
    assert part.fingerprint() == expected.fingerprint() != split.fingerprint()
    assert part.labels.tolist() == expected.labels.tolist()
    gray, expected_gray = part.with_channels(1), expected.with_channels(1)
    assert gray.fingerprint() == expected_gray.fingerprint()
    assert np.array_equal(np.asarray(gray.read(2)), np.asarray(expected_gray.read(2)))


def test_the_file_does_not_depend_on_how_many_threads_wrote_it(photographs, tmp_path):
    contents = []
    for workers in (1, 3):
        path = tmp_path / str(workers) / "train.beton"
        written(photographs, path, workers=workers)
        contents.append([file.read_bytes() for file in (path, beton.details_of(path))])
    assert contents[0] == contents[1]


@pytest.fixture
def many(tmp_path) -> Photographs:
    """Thirty images that fill several of the smallest pages as raw pixels."""
    root = tmp_path / "many"
    (root / "ant").mkdir(parents=True)
    files = []
    for k in range(30):
        files.append(f"ant/{k:02}.png")
        Image.fromarray(np.roll(pattern(300, 400 + k), k)).save(root / files[-1])
    return Photographs(root, files, np.arange(30))


@pytest.mark.parametrize("stops", [[0], [5], [20], [3, 11, 12, 29]])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(
    many, tmp_path, monkeypatch, stops
):
    expected, _ = (
        tmp_path / "whole.beton",
        written(many, tmp_path / "whole.beton", page_size=SMALL_PAGE),
    )
    path = tmp_path / "cut.beton"
    seen: list[int] = []
    original = prepare_beton._stored

    def stored(images, storage, index):
        seen.append(index)
        if stops and index == stops[0]:
            del stops[0]
            raise KeyboardInterrupt
        return original(images, storage, index)

    monkeypatch.setattr(prepare_beton, "_stored", stored)
    while stops:
        with pytest.raises(KeyboardInterrupt):
            written(many, path, workers=1, page_size=SMALL_PAGE)
        assert not path.exists()
    seen.clear()
    written(many, path, workers=1, page_size=SMALL_PAGE)
    assert path.read_bytes() == expected.read_bytes()
    assert beton.details_of(path).read_bytes() == beton.details_of(expected).read_bytes()
    assert not list(tmp_path.glob("*.part*"))


def test_pages_that_are_whole_are_not_written_again(many, tmp_path, monkeypatch):
    path = tmp_path / "train.beton"
    seen: list[int] = []
    original = prepare_beton._stored

    def stored(images, storage, index):
        seen.append(index)
        if index == 25 and len(seen) < 30:
            raise KeyboardInterrupt
        return original(images, storage, index)

    monkeypatch.setattr(prepare_beton, "_stored", stored)
    with pytest.raises(KeyboardInterrupt):
        written(many, path, workers=1, page_size=SMALL_PAGE)
    before = len(seen)
    written(many, path, workers=1, page_size=SMALL_PAGE)
    # A page holds five such images: what is done again is less than a page and the threads' lead.
    assert min(seen[before:]) >= 5


@pytest.mark.parametrize("damage", ["data", "entries"])
def test_a_page_cut_short_by_a_power_failure_is_written_again(many, tmp_path, damage):
    expected = tmp_path / "whole.beton"
    written(many, expected, page_size=SMALL_PAGE)
    path = tmp_path / "cut.beton"
    wish = {"source": many.fingerprint(), "storage": "lossless", "tile": 4}
    writer = BetonWriter(path, 30, wish, SMALL_PAGE)
    for k in range(17):
        writer.add(prepare_beton._stored(many, Storage(), k), k)
    writer.close()
    if damage == "data":
        with writer.part.open("ab") as file:
            file.write(b"x" * 12345)
    else:
        with writer.entries_file.open("ab") as file:
            file.write(b"half an entry")
    written(many, path, page_size=SMALL_PAGE)
    assert path.read_bytes() == expected.read_bytes()


def test_a_second_run_changes_nothing_and_other_images_write_anew(photographs, tmp_path):
    path = tmp_path / "train.beton"
    first, _ = written(photographs, path)
    stamp = path.stat().st_mtime_ns
    assert written(photographs, path)[0] == first
    assert path.stat().st_mtime_ns == stamp
    other = photographs.take(np.arange(6))
    assert written(other, path)[0]["images"] == 6
    assert written(photographs, path, Storage(quality=50))[0]["storage"] == "quality=50"


def test_an_unfinished_file_of_another_wish_is_not_continued(many, tmp_path):
    path = tmp_path / "train.beton"
    writer = BetonWriter(path, 30, {"storage": "other"}, SMALL_PAGE)
    for k in range(17):
        writer.add(prepare_beton._stored(many, Storage(), k), k)
    writer.close()
    assert writer.done > 0
    anew = BetonWriter(path, 30, {"storage": "lossless"}, SMALL_PAGE)
    anew.close()
    assert anew.done == 0


def test_changed_bytes_are_found_and_named(photographs, tmp_path):
    path = tmp_path / "train.beton"
    report, split = written(photographs, path)
    place = int(split.index.pointers[4]) + int(split.index.sizes[4]) // 2
    with path.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(Problem, match=f"1 images have changed.*{photographs.files[4]}"):
        prepare_beton.check(path, report, False)


@pytest.mark.parametrize("length", [0, 10, 24, 2000, 1 << 20])
def test_a_file_cut_short_is_a_problem_with_its_remedy(photographs, tmp_path, length):
    path = tmp_path / "train.beton"
    written(photographs, path)
    with path.open("r+b") as file:
        file.truncate(length)
    with pytest.raises(Problem, match=r"no .beton of images and labels.*prepare.py"):
        beton.load(path)


def test_files_that_do_not_belong_together_are_a_problem(photographs, tmp_path):
    path, other = tmp_path / "train.beton", tmp_path / "other.beton"
    written(photographs, path)
    written(photographs.take(np.arange(5)), other)
    shutil.copy(other, path)
    with pytest.raises(Problem, match="do not fit together"):
        beton.load(path)
    beton.details_of(path).write_bytes(b"x")
    with pytest.raises(Problem, match="npz cannot be read"):
        beton.load(path)
    beton.report_of(path).write_text("{}")
    with pytest.raises(Problem, match="json cannot be read"):
        beton.load(path)


def test_an_image_larger_than_a_page_names_the_remedy(many, tmp_path):
    writer = BetonWriter(tmp_path / "x.beton", 1, {}, SMALL_PAGE)
    stored = prepare_beton._stored(many, Storage(), 0)._replace(content=bytes(SMALL_PAGE + 1))
    with pytest.raises(Problem, match=r"2,097,153 bytes, a page 2,097,152.*--page-size"):
        writer.add(stored, 0)
    writer.close()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"quality": 0}, "quality is 1 to 100"),
        ({"max_side": 0}, "expected 1 to 65535"),
        ({"raw": True, "quality": 90}, "have no quality"),
    ],
)
def test_wishes_that_no_jpeg_fulfils_are_refused(wrong, message):
    with pytest.raises(Problem, match=message):
        Storage(**wrong)


def test_the_command_writes_checks_and_tells(class_folders, tmp_path):
    import subprocess
    import sys

    root = tmp_path / "set"
    shutil.copytree(class_folders, root)
    script = Path(__file__).parents[1] / "data" / "folder" / "prepare.py"
    done = subprocess.run(
        [sys.executable, script, "--root", root, "--quiet"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert f"{root}/train.beton: 7 images" in done.stdout
    assert f"{root}/val.beton: 4 images" in done.stdout
    assert "1 JPEG L, 6 JPEG RGB" in done.stdout
    with (root / "val.beton").open("r+b") as file:
        file.seek(int(beton.load(root / "val.beton").index.pointers[0]))
        file.write(b"spoilt")
    again = subprocess.run(
        [sys.executable, script, "--root", root, "--quiet", "--check"],
        capture_output=True,
        text=True,
    )
    assert again.returncode == 1
    assert f"{root}/train.beton: 7 images, unchanged" in again.stdout
    assert "the bytes of 1 images have changed" in again.stderr
    wrong = subprocess.run(
        [sys.executable, script, "--root", tmp_path / "none"], capture_output=True, text=True
    )
    assert wrong.returncode == 1
    assert "does not exist" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_pillow_reads_the_stored_bytes(photographs, tmp_path):
    _, split = written(photographs, tmp_path / "train.beton")
    with Image.open(io.BytesIO(split.content(0))) as image:
        assert image.format == "JPEG"
