"""What an ImageNet folder holds: counts, classes, damaged files, and a fingerprint of all of it."""

import hashlib
import os
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from topfive.datasets.imagenet_classes import agreement_with_real, wordnet_ids
from topfive.datasets.jpeg_files import DAMAGED, examine
from topfive.datasets.progress import bar

SPLITS = ("train", "val")
THREADS = 16
NAMED = 20  # so many files a message names; the report names all


@dataclass(frozen=True)
class Expected:
    """How much must be there; by default all of ILSVRC-2012. train: 0 where val alone is wanted, to test on."""

    train: int = 1_281_167
    val: int = 50_000
    classes: int = 1000

    @property
    def has_official_val(self) -> bool:
        return replace(self, train=0) == Expected(train=0)

    @property
    def splits(self) -> tuple[str, ...]:
        return SPLITS if self.train else ("val",)


@dataclass
class Report:
    """What was found. Files are named as in train/n01440764/n01440764_10026.JPEG.

    wordnet_ids: in the order of the class index. unusual: whole images that are no JPEG (the
    official training set has one PNG). fingerprint: SHA-256 over the sorted names and sizes.
    """

    train: int = 0
    val: int = 0
    wordnet_ids: list[str] = field(default_factory=list)
    unusual: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    agreement_with_real: float | None = None
    fingerprint: str = ""
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _File:
    split: str
    wordnet_id: str
    name: str
    size: int
    verdict: str

    def __str__(self) -> str:
        return f"{self.split}/{self.wordnet_id}/{self.name}"


def check(root: Path, expected: Expected, labels: Mapping[str, str], progress: bool) -> Report:
    """Look at every file under root/{train,val}; complaints go into the report, none is raised.

    labels: WordNet id by file stem, to compare the validation folders with; may be empty.
    """
    folders = {split: _classes(root / split) for split in expected.splits}
    files = _survey(root, folders, progress)
    report = Report(wordnet_ids=folders[expected.splits[0]])
    report.train, report.val = (sum(file.split == split for file in files) for split in SPLITS)
    odd = [file for file in files if file.verdict != "JPEG"]
    report.damaged = {str(file): file.verdict for file in odd if file.verdict in DAMAGED}
    report.unusual = {str(file): file.verdict for file in odd if file.verdict not in DAMAGED}
    listing = "".join(f"{file}\t{file.size}\n" for file in files)
    report.fingerprint = hashlib.sha256(listing.encode()).hexdigest()

    report.problems += _class_problems(folders, expected)
    report.problems += _count_problems(report, files, expected)
    report.problems += _label_problems(files, labels)
    if expected.has_official_val and not report.problems:
        placed = {PurePosixPath(f.name).stem: f.wordnet_id for f in files if f.split == "val"}
        report.agreement_with_real = agreement = agreement_with_real(placed)
        if agreement is not None and agreement < 0.85:
            report.problems.append(
                f"the folders of val agree with the ReaL labels in {agreement:.1%} of "
                "the images, expected 90.0%: they were sorted by labels in a wrong order. Move the "
                "images back to val/ and sort them by the development kit's labels."
            )
    if report.damaged:
        report.problems.append(
            f"{len(report.damaged):,} damaged or not images: {_some(report.damaged)}. Delete them "
            "and unpack again: what is deleted comes back, what is there is kept."
        )
    return report


def _survey(root: Path, folders: Mapping[str, list[str]], progress: bool) -> list[_File]:
    """Every file in a class folder, in alphabetical order; hidden files are passed over."""
    homes = [(split, name) for split, names in folders.items() for name in names]

    def look(home: tuple[str, str]) -> list[_File]:
        folder = root / home[0] / home[1]
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
        return [_File(*home, name, *_examined(folder / name)) for name in names]

    pool = ThreadPoolExecutor(THREADS)
    try:
        with bar(progress) as shown:
            work = pool.map(look, homes)
            found = list(shown.track(work, total=len(homes), description="Checking class folders"))
    finally:
        pool.shutdown(cancel_futures=True)
    return [file for folder in found for file in folder]


def _examined(path: Path) -> tuple[int, str]:
    return (0, "not an image") if path.is_dir() else examine(path)


def _classes(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))


def _class_problems(folders: Mapping[str, list[str]], expected: Expected) -> list[str]:
    problems = []
    official = set(wordnet_ids()) if expected.classes == len(wordnet_ids()) else set()
    for split, found in folders.items():
        if len(found) != expected.classes:
            problems.append(
                f"{split} holds {len(found):,} class folders, expected {expected.classes:,}."
            )
        wanted = official or set(folders[expected.splits[0]])
        if missing := sorted(wanted - set(found)):
            problems.append(f"{split} lacks the classes {_some(missing)}.")
        if unknown := sorted(set(found) - wanted):
            whose = "ILSVRC-2012" if official else "train"
            problems.append(f"{split} holds folders, no class of {whose}: {_some(unknown)}.")
    return problems


def _count_problems(report: Report, files: list[_File], expected: Expected) -> list[str]:
    problems = [
        f"{split} holds {getattr(report, split):,} files, expected {getattr(expected, split):,}. "
        f"Unpack again (--{split}-tar FILE), or say what you mean to have: --expect-{split} NUMBER."
        for split in SPLITS
        if getattr(report, split) != getattr(expected, split)
    ]
    each, rest = divmod(expected.val, expected.classes)
    counts = Counter(file.wordnet_id for file in files if file.split == "val")
    uneven = {name: f"{count}" for name, count in sorted(counts.items()) if count != each}
    if uneven and not rest:
        problems.append(f"val has classes without {each} images: {_some(uneven)}.")
    return problems


def _label_problems(files: list[_File], labels: Mapping[str, str]) -> list[str]:
    astray = {
        str(file): f"belongs to {labels[stem]}"
        for file in files
        if file.split == "val"
        and labels.get(stem := PurePosixPath(file.name).stem, file.wordnet_id) != file.wordnet_id
    }
    if not astray:
        return []
    return [
        f"{len(astray):,} validation images lie in the wrong class folder: {_some(astray)}. Move "
        "them back to val/ and run again, which sorts them by the labels."
    ]


def _some(names: Mapping[str, str] | list[str]) -> str:
    """The first names, with what is said of them, and how many more there are."""
    texts = [f"{k} ({v})" for k, v in names.items()] if isinstance(names, Mapping) else names
    more = f" and {len(texts) - NAMED:,} more" if len(texts) > NAMED else ""
    return ", ".join(texts[:NAMED]) + more
