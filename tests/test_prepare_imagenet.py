import io
import json
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from topfive import whole_files
from topfive.datasets import imagenet_classes, imagenet_labels, imagenet_unpack
from topfive.datasets.jpeg_files import examine
from topfive.datasets.prepare_imagenet import Expected, prepare
from topfive.problems import Problem

# Three classes in alphabetical order, which is the order of the class index.
CLASSES = ["n01440764", "n02102040", "n03028079"]
# The class index of validation images 1 to 6, two of each class, and the ILSVRC ids of a
# development kit that counts the three classes in another order from 1.
INDICES = [2, 0, 1, 1, 2, 0]
KIT_ORDER = ["n03028079", "n01440764", "n02102040"]
KIT_IDS = [1, 2, 3, 3, 1, 2]
WORDNET_ID_OF = {f"ILSVRC2012_val_{i:08d}": CLASSES[c] for i, c in enumerate(INDICES, start=1)}
SMALL = Expected(train=12, val=6, classes=3)
PREPARE = Path(__file__).parents[1] / "data" / "imagenet" / "prepare.py"


@pytest.fixture(scope="module")
def photographs(real_data: Path) -> list[bytes]:
    """Eighteen photographs of ILSVRC, as downloaded."""
    files = sorted((real_data / "imagenet_samples").glob("*/*.JPEG"))[:18]
    return [file.read_bytes() for file in files]


@pytest.fixture
def downloads(tmp_path: Path, photographs: list[bytes]) -> Path:
    """A folder with the three official files in miniature."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    named = train_names()
    classes = {
        f"{wordnet_id}.tar": tar_of({name: photographs[named.index(name)] for name in names})
        for wordnet_id in CLASSES
        if (names := [name for name in named if name.startswith(wordnet_id)])
    }
    (folder / "ILSVRC2012_img_train.tar").write_bytes(tar_of(classes))
    val = dict(zip((f"{stem}.JPEG" for stem in WORDNET_ID_OF), photographs[12:], strict=True))
    (folder / "ILSVRC2012_img_val.tar").write_bytes(tar_of(val))
    kit = {
        "ILSVRC2012_devkit_t12/data/meta.mat": meta_mat(),
        "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt": lines(KIT_IDS),
    }
    (folder / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(tar_of(kit, "w:gz"))
    return folder


@pytest.fixture
def prepared(downloads: Path) -> Path:
    prepare(downloads, expected=SMALL, progress=False)
    return downloads


def train_names() -> list[str]:
    return [f"{wordnet_id}_{10 * i + 7}.JPEG" for wordnet_id in CLASSES for i in range(4)]


def tar_of(files: dict[str, bytes], mode: str = "w") -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return sink.getvalue()


def meta_mat() -> bytes:
    """As the kit's: leaves of the hierarchy first, then inner nodes, which have children."""
    rows = [(i, name, 0) for i, name in enumerate(KIT_ORDER, start=1)] + [(4, "n00001740", 3)]
    fields = [("ILSVRC2012_ID", "u2"), ("WNID", object), ("num_children", "u1")]
    sink = io.BytesIO()
    savemat(sink, {"synsets": np.array(rows, dtype=fields)[:, None]})
    return sink.getvalue()


def lines(values: list[object] | list[int] | list[str]) -> bytes:
    return "".join(f"{value}\n" for value in values).encode()


def tree(root: Path) -> dict[str, bytes]:
    """Everything below train/ and val/, and the report."""
    files = [p for split in ("train", "val") for p in (root / split).rglob("*") if p.is_file()]
    files += [p for p in [root / "prepared.json"] if p.exists()]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_the_official_archives_become_class_folders(
    downloads: Path, photographs: list[bytes]
) -> None:
    report = prepare(downloads, expected=SMALL, progress=False)
    content = tree(downloads)
    written = json.loads(content.pop("prepared.json"))
    train = {f"train/{name[:9]}/{name}": photographs[i] for i, name in enumerate(train_names())}
    val = {
        f"val/{wordnet_id}/{stem}.JPEG": photographs[12 + i]
        for i, (stem, wordnet_id) in enumerate(WORDNET_ID_OF.items())
    }
    assert content == train | val
    assert (report.train, report.val, report.wordnet_ids) == (12, 6, CLASSES)
    assert written["train"] == 12
    assert written["problems"] == []


def test_a_second_run_changes_nothing(prepared: Path) -> None:
    before = tree(prepared)
    stamps = {path: path.stat().st_mtime_ns for path in prepared.rglob("*.JPEG")}
    prepare(prepared, expected=SMALL, progress=False)
    assert tree(prepared) == before
    assert {path: path.stat().st_mtime_ns for path in prepared.rglob("*.JPEG")} == stamps


@pytest.mark.parametrize("files_before", [0, 1, 7, 12, 15])
def test_an_interrupted_run_goes_on_to_the_same_result(
    downloads: Path, monkeypatch: pytest.MonkeyPatch, files_before: int
) -> None:
    whole, copied = whole_files.copy, []

    def interrupted(path: Path, source: io.BytesIO) -> None:
        if len(copied) == files_before:
            raise KeyboardInterrupt
        copied.append(path)
        whole(path, source)

    with monkeypatch.context() as patch:
        patch.setattr(whole_files, "copy", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(downloads, expected=SMALL, progress=False)
    assert len(list(downloads.rglob("*.JPEG"))) == files_before
    half_written = copied[0].parent / f".x.1{whole_files.SUFFIX}" if copied else None
    if half_written:
        half_written.write_bytes(b"what a killed process leaves")
    report = prepare(downloads, expected=SMALL, progress=False)
    assert len(list(downloads.rglob("*.JPEG"))) == 18
    assert report.problems == []
    assert half_written is None or not half_written.exists()


def test_a_deleted_file_comes_back(prepared: Path) -> None:
    before = tree(prepared)
    (prepared / "train/n01440764/n01440764_7.JPEG").unlink()
    (prepared / "val/n03028079/ILSVRC2012_val_00000001.JPEG").unlink()
    prepare(prepared, expected=SMALL, progress=False)
    assert tree(prepared) == before


@pytest.mark.parametrize(
    ("name", "content", "synsets"),
    [
        ("indices.txt", lines(INDICES), None),
        ("ids.txt", lines(KIT_IDS), "meta.mat"),
        ("ids.txt", lines(KIT_IDS), "synsets.txt"),
        ("val.txt", lines([f"{s}.JPEG {c}" for s, c in zip(WORDNET_ID_OF, INDICES)]), None),  # noqa: B905
        ("pairs.txt", lines([f"val/{s}.JPEG {w}" for s, w in WORDNET_ID_OF.items()]), None),
        (
            "LOC_val_solution.csv",
            lines(
                ["ImageId,PredictionString"]
                + [f"{s},{w} 85 1 499 272 {w} 3 4 5 6" for s, w in WORDNET_ID_OF.items()]
            ),
            None,
        ),
        ("ILSVRC2012_devkit_t12.tar.gz", None, None),
    ],
)
def test_every_kind_of_label_file_gives_the_same_classes(
    tmp_path: Path, name: str, content: bytes | None, synsets: str | None
) -> None:
    folder = "ILSVRC2012_devkit_t12/data/"
    kit = {
        f"{folder}ILSVRC2012_validation_ground_truth.txt": lines(KIT_IDS),
        f"{folder}meta.mat": meta_mat(),
    }
    (tmp_path / name).write_bytes(tar_of(kit, "w:gz") if content is None else content)
    (tmp_path / "meta.mat").write_bytes(meta_mat())
    (tmp_path / "synsets.txt").write_bytes(lines(KIT_ORDER))
    table = tmp_path / synsets if synsets else None
    assert imagenet_labels.read(tmp_path / name, CLASSES, table) == WORDNET_ID_OF


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (lines(KIT_IDS), r"from 1 to 3: these are ILSVRC ids.*--synsets meta\.mat"),
        (lines([0, 1, 3]), "from 0 to 3, expected 3 classes"),
        (lines(["tench", "church"]), "one whole number a line"),
        (lines(["ILSVRC2012_val_00000001.JPEG tench"]), "neither 'file wordnet-id' nor"),
        (b"", "is empty"),
    ],
)
def test_labels_that_cannot_be_understood_are_refused(
    tmp_path: Path, content: bytes, complaint: str
) -> None:
    (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(Problem, match=complaint):
        imagenet_labels.read(tmp_path / "labels.txt", CLASSES)


def test_a_flat_validation_folder_is_sorted(prepared: Path) -> None:
    before = tree(prepared)
    for path in list((prepared / "val").glob("*/*")):
        path.rename(prepared / "val" / path.name)
    (prepared / "ILSVRC2012_img_val.tar").unlink()
    prepare(prepared, expected=SMALL, progress=False)
    assert tree(prepared) == before


def test_a_flat_validation_folder_without_labels_is_refused(prepared: Path) -> None:
    image = next((prepared / "val").glob("*/*"))
    image.rename(prepared / "val" / image.name)
    for name in ("ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"):
        (prepared / name).unlink()
    with pytest.raises(Problem, match=r"not in class folders.*--labels FILE"):
        prepare(prepared, expected=SMALL, progress=False)


def test_a_validation_image_in_the_wrong_class_folder_is_named(prepared: Path) -> None:
    val = prepared / "val"
    (prepared / "ILSVRC2012_img_val.tar").unlink()
    for here, there, number in (("n01440764", "n02102040", 2), ("n02102040", "n01440764", 3)):
        name = f"ILSVRC2012_val_{number:08d}.JPEG"
        (val / here / name).rename(val / there / name)
    with pytest.raises(Problem, match=r"2 validation images lie in the wrong.*belongs to n0"):
        prepare(prepared, expected=SMALL, progress=False)


def test_archives_that_were_unpacked_once_are_unpacked_again(
    downloads: Path, prepared: Path, tmp_path: Path
) -> None:
    """`tar xf ILSVRC2012_img_train.tar -C train` leaves a folder of class tars."""
    other = tmp_path / "other"
    (other / "train").mkdir(parents=True)
    with tarfile.open(downloads / "ILSVRC2012_img_train.tar") as archive:
        archive.extractall(other / "train", filter="data")
    (prepared / "val").rename(other / "val")
    prepare(other, expected=SMALL, progress=False)
    assert len(list((other / "train").glob("*/*.JPEG"))) == 12


def test_damaged_files_are_counted_and_named(prepared: Path, photographs: list[bytes]) -> None:
    for archive in prepared.glob("ILSVRC*"):
        archive.unlink()
    train = prepared / "train" / "n01440764"
    files = sorted(path.name for path in train.iterdir())
    (train / files[0]).write_bytes(photographs[0][: len(photographs[0]) // 2])
    (train / files[1]).write_bytes(b"<html>404 Not Found</html>")
    (train / files[2]).write_bytes(b"")
    with pytest.raises(Problem, match="3 damaged or not images: train/n01440764/") as caught:
        prepare(prepared, expected=SMALL, progress=False)
    told = {
        f"train/n01440764/{file}": verdict
        for file, verdict in zip(files, ["truncated", "not an image", "empty"], strict=False)
    }
    for name, verdict in told.items():
        assert f"{name} ({verdict})" in str(caught.value)
    assert json.loads((prepared / "prepared.json").read_text())["damaged"] == told


def test_a_png_under_a_jpeg_name_is_told_but_accepted(prepared: Path) -> None:
    """ILSVRC's own training set has one, n02105855_2933.JPEG."""
    (prepared / "ILSVRC2012_img_train.tar").unlink()
    path = prepared / "train/n01440764/n01440764_7.JPEG"
    Image.open(path).save(path, "PNG")
    report = prepare(prepared, expected=SMALL, progress=False)
    assert report.unusual == {"train/n01440764/n01440764_7.JPEG": "PNG"}
    assert report.damaged == {}


@pytest.mark.parametrize("extra", [b"", b"\0" * 20, b"a camera maker's notes"])
def test_bytes_after_the_end_of_a_jpeg_are_forgiven(
    tmp_path: Path, photographs: list[bytes], extra: bytes
) -> None:
    (tmp_path / "a.JPEG").write_bytes(photographs[0] + extra)
    assert examine(tmp_path / "a.JPEG") == (len(photographs[0]) + len(extra), "JPEG")


@pytest.mark.parametrize(
    ("expected", "complaint"),
    [
        (Expected(13, 6, 3), r"train holds 12 files, expected 13\..*--expect-train"),
        (Expected(12, 6, 4), "train holds 3 class folders, expected 4"),
        (Expected(), "train holds 3 class folders, expected 1,000"),
        (Expected(12, 9, 3), "labels 6 images, expected 9.*--expect-val"),
    ],
)
def test_wrong_counts_are_refused(prepared: Path, expected: Expected, complaint: str) -> None:
    if expected.classes == 1000:
        (prepared / "ILSVRC2012_devkit_t12.tar.gz").unlink()
        (prepared / "ILSVRC2012_img_val.tar").unlink()
    with pytest.raises(Problem, match=complaint):
        prepare(prepared, expected=expected, progress=False)


def test_val_alone_is_prepared_where_no_training_images_are_expected(downloads: Path) -> None:
    (downloads / "ILSVRC2012_img_train.tar").unlink()
    with pytest.raises(Problem, match=r"(?s)train was not found.*val is enough: --expect-train 0"):
        prepare(downloads, expected=SMALL, progress=False)
    with pytest.raises(Problem, match="val holds 3 class folders, expected 1,000"):
        prepare(downloads, expected=replace(SMALL, train=0, classes=1000), progress=False)
    for archive in downloads.glob("ILSVRC*"):
        archive.unlink()
    report = prepare(downloads, expected=replace(SMALL, train=0), progress=False)
    assert (report.train, report.val, report.wordnet_ids) == (0, 6, sorted(CLASSES))


def test_the_classes_of_a_smaller_set_are_told_by_its_folders(downloads: Path) -> None:
    (downloads / "ILSVRC2012_img_train.tar").unlink()
    with pytest.raises(Problem, match="which classes it has"):
        prepare(downloads, expected=replace(SMALL, train=0), progress=False)


def test_a_class_short_of_validation_images_is_named(prepared: Path) -> None:
    for archive in prepared.glob("ILSVRC*"):
        archive.unlink()
    (prepared / "val/n03028079/ILSVRC2012_val_00000001.JPEG").unlink()
    with pytest.raises(Problem, match=r"classes without 2 images: n03028079 \(1\)"):
        prepare(prepared, expected=SMALL, progress=False)


def test_a_folder_that_is_no_class_is_named(prepared: Path) -> None:
    (prepared / "val" / "thumbnails").mkdir()
    with pytest.raises(Problem, match="val holds folders, no class of train: thumbnails"):
        prepare(prepared, expected=SMALL, progress=False)


def test_check_changes_nothing_on_disk(prepared: Path) -> None:
    for path in list((prepared / "val").glob("*/*")):
        path.rename(prepared / "val" / path.name)
    (prepared / "prepared.json").unlink()
    before = tree(prepared)
    with pytest.raises(Problem, match="images outside class folders: run without --check"):
        prepare(prepared, expected=SMALL, check_only=True, progress=False)
    assert tree(prepared) == before


def test_missing_data_says_what_to_download_and_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(Problem, match=r"(?s)train and val was not found.*image-net\.org.*--root"):
        prepare(tmp_path / "nowhere", progress=False)
    assert not (tmp_path / "nowhere").exists()


def test_an_archive_that_ends_early_is_refused_and_then_resumed(downloads: Path) -> None:
    archive = downloads / "ILSVRC2012_img_train.tar"
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2])
    with pytest.raises(Problem, match=r"not a whole tar archive.*147,897,477,120 expected"):
        prepare(downloads, expected=SMALL, progress=False)
    kept = {path: path.read_bytes() for path in downloads.rglob("*.JPEG")}
    assert all(examine(path)[1] == "JPEG" for path in kept)
    archive.write_bytes(content)
    assert prepare(downloads, expected=SMALL, progress=False).train == 12
    assert all(path.read_bytes() == old for path, old in kept.items())


def test_the_wrong_archive_is_refused(downloads: Path) -> None:
    with pytest.raises(Problem, match=r"expected tars of classes such as n01440764\.tar"):
        prepare(downloads, train_tar=downloads / imagenet_unpack.VAL_TAR, progress=False)


def test_the_fingerprint_changes_with_a_name_and_with_a_size(prepared: Path) -> None:
    def fingerprint() -> str:
        return prepare(prepared, expected=SMALL, check_only=True, progress=False).fingerprint

    first = fingerprint()
    path = prepared / "train/n01440764/n01440764_7.JPEG"
    path = path.rename(path.with_name("n01440764_8.JPEG"))
    second = fingerprint()
    path.write_bytes(path.read_bytes() + b"\0")
    assert len({first, second, fingerprint()}) == 3


def test_the_classes_are_the_thousand_of_ilsvrc_in_alphabetical_order() -> None:
    wordnet_ids, names = imagenet_classes.wordnet_ids(), imagenet_classes.names()
    assert len(set(wordnet_ids)) == len(names) == 1000
    assert list(wordnet_ids) == sorted(wordnet_ids)
    # As listed in torchvision's and Caffe's tables.
    assert (wordnet_ids[0], names[0]) == ("n01440764", "tench, Tinca tinca")
    assert (wordnet_ids[207], names[207]) == ("n02099601", "golden retriever")
    assert wordnet_ids[999] == "n15075141"


def test_real_labels_tell_the_right_order_of_labels_from_a_wrong_one() -> None:
    """ILSVRC2012_val_00000001 to 10, as in the list that Caffe distributes."""
    first = [65, 970, 230, 809, 516, 57, 334, 415, 674, 332]
    classes = imagenet_classes.wordnet_ids()
    right = {imagenet_labels.stem_of(i): classes[c] for i, c in enumerate(first, start=1)}
    wrong = {imagenet_labels.stem_of(i): classes[c - 1] for i, c in enumerate(first, start=1)}
    assert imagenet_classes.agreement_with_real(right) >= 0.8
    assert imagenet_classes.agreement_with_real(wrong) <= 0.2


def test_the_command_line_prepares_and_complains(downloads: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(PREPARE), f"--root={downloads}", "--quiet", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    (downloads / "ILSVRC2012_devkit_t12.tar.gz").unlink()
    (downloads / "val_labels.txt").write_bytes(lines(INDICES))
    counts = ["--expect-train=12", "--expect-val=6"]
    good = run(*counts, "--expect-classes=3")
    assert (good.returncode, good.stderr) == (0, "")
    assert "3 classes, 12 training and 6 validation images, all whole" in good.stdout
    bad = run("--check", *counts, "--expect-classes=5")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert "train holds 3 class folders, expected 5" in bad.stderr
    assert "Traceback" not in bad.stderr
