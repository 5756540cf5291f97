"""Which class each ILSVRC-2012 validation image has, from any of the files that say so."""

import re
import tarfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath

from topfive.problems import Problem

DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
WORDNET_ID = re.compile(r"n\d{8}")


def stem_of(number: int) -> str:
    """The official name of a validation image, counted from 1, without its ending."""
    return f"ILSVRC2012_val_{number:08d}"


def read(path: Path, classes: Sequence[str], synsets: Path | None = None) -> dict[str, str]:
    """WordNet id by file stem.

    Understood are the development kit as it is downloaded (.tar.gz), a list of class indices from
    0, a list of ILSVRC ids from 1 (these need `synsets`: meta.mat of the kit, or the WordNet ids
    in the order of the ILSVRC ids), and lines of "file class" with a WordNet id or an index
    (Kaggle's LOC_val_solution.csv is one). classes: WordNet ids in the order of the class index.
    """
    if not path.is_file():
        raise Problem(f"the label file {path} does not exist. Name it with --labels FILE.")
    if path.name.endswith((".tar.gz", ".tgz")):
        truth, meta = _from_devkit(path)
        return _from_numbers(path, truth.split(), classes, _from_meta(meta))
    rows = [re.split(r"[,\s]+", line.strip()) for line in path.read_text().splitlines()]
    rows = [row for row in rows if row[0] and row[0] != "ImageId"]
    if not rows:
        raise Problem(f"the label file {path} is empty.")
    if len(rows[0]) == 1:
        order = _read_synsets(synsets) if synsets else None
        return _from_numbers(path, [row[0] for row in rows], classes, order)
    return {PurePosixPath(row[0]).stem: _class_of(path, row, classes) for row in rows}


def _class_of(path: Path, row: Sequence[str], classes: Sequence[str]) -> str:
    label = row[1] if len(row) > 1 else ""
    if WORDNET_ID.fullmatch(label):
        return label
    if label.isdigit() and int(label) < len(classes):
        return classes[int(label)]
    raise Problem(
        f"{path}: {' '.join(row[:2])!r} is neither 'file wordnet-id' nor 'file class-index' with "
        f"an index below {len(classes)}."
    )


def _from_numbers(
    path: Path, texts: Sequence[str], classes: Sequence[str], order: Mapping[int, str] | None
) -> dict[str, str]:
    try:
        numbers = [int(text) for text in texts]
    except ValueError as error:
        raise Problem(f"{path}: expected one whole number a line ({error}).") from error
    low, high, count = min(numbers), max(numbers), len(classes)
    if low == 0 and high < count:
        wordnet_ids = [classes[number] for number in numbers]
    elif low >= 1 and high <= count:
        if order is None:
            raise Problem(
                f"{path} counts classes from {low} to {high}: these are ILSVRC ids, whose order is "
                f"not alphabetical. Give the development kit itself (--labels {DEVKIT}) or its "
                "table (--synsets meta.mat, or a text file of the WordNet ids in that order)."
            )
        unknown = sorted(set(numbers) - set(order))
        if unknown:
            raise Problem(f"{path} has ILSVRC ids that the synsets do not: {unknown[:5]}.")
        wordnet_ids = [order[number] for number in numbers]
    else:
        raise Problem(f"{path} holds classes from {low} to {high}, expected {count} classes.")
    return {stem_of(i): wordnet_id for i, wordnet_id in enumerate(wordnet_ids, start=1)}


def _read_synsets(path: Path) -> dict[int, str]:
    if not path.is_file():
        raise Problem(f"the synsets file {path} does not exist. Name it with --synsets FILE.")
    if path.suffix == ".mat":
        return _from_meta(path.read_bytes())
    found = WORDNET_ID.findall(path.read_text())
    if not found:
        raise Problem(f"{path} names no WordNet id (n and eight digits).")
    return dict(enumerate(found, start=1))


def _from_meta(content: bytes) -> dict[int, str]:
    """WordNet id by ILSVRC id; the inner nodes of the hierarchy, ids above 1,000, have children."""
    from scipy.io import loadmat

    synsets = loadmat(BytesIO(content), squeeze_me=True)["synsets"]
    return {
        int(row["ILSVRC2012_ID"]): str(row["WNID"]) for row in synsets if not row["num_children"]
    }


def _from_devkit(path: Path) -> tuple[str, bytes]:
    """(ground truth, meta.mat)"""
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as kit:
            for member in kit:
                name = PurePosixPath(member.name).name
                if name in (GROUND_TRUTH, "meta.mat") and (source := kit.extractfile(member)):
                    found[name] = source.read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise Problem(f"{path} cannot be unpacked ({error}): download it again.") from error
    if len(found) < 2:
        raise Problem(
            f"{path} lacks {GROUND_TRUTH} or meta.mat: expected the development kit of tasks 1 and "
            f"2, {DEVKIT} (MD5 fa75699e90414af021442c21a62c3abf)."
        )
    return found[GROUND_TRUTH].decode(), found["meta.mat"]
