"""Unpacking the official ILSVRC-2012 archives, and sorting validation images into class folders.

Every file is written under another name and then renamed, and a file that is there with the right
size is passed over: an interrupted run goes on where it stopped, a deleted file comes back.
"""

import errno
import os
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from topfive import whole_files
from topfive.datasets.progress import bar
from topfive.problems import Problem

TRAIN_TAR, VAL_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
BYTES = {TRAIN_TAR: 147_897_477_120, VAL_TAR: 6_744_924_160}
MD5 = {TRAIN_TAR: "1d675b47d978889d74fa0da5fadfb00e", VAL_TAR: "29b22e2961454d5413ddabcf34fc5622"}
CLASS_TAR = re.compile(r"n\d{8}\.tar")


def train_archive(archive: Path, train: Path, progress: bool) -> int:
    """Unpack the tar of class tars to train/<wnid>/; the number of files written."""
    written = 0
    with _opened(archive) as outer, bar(progress, in_bytes=True) as shown:
        task = shown.add_task(f"Unpacking {archive.name}", total=archive.stat().st_size)
        for member in outer:
            name = PurePosixPath(member.name).name
            if not member.isfile():
                continue
            source = outer.extractfile(member)
            if source is None or not CLASS_TAR.fullmatch(name):
                raise Problem(
                    f"{archive} holds {member.name}, expected tars of classes such as "
                    f"n01440764.tar: is it {TRAIN_TAR}?"
                )
            written += _class_archive(source, train / name.removesuffix(".tar"))
            shown.update(task, completed=member.offset_data + member.size)
    return written


def loose_class_archives(train: Path, progress: bool) -> int:
    """Unpack train/<wnid>.tar, which `tar xf` makes of the official archive, to train/<wnid>/."""
    archives = sorted(path for path in train.glob("n*.tar") if CLASS_TAR.fullmatch(path.name))
    written = 0
    with bar(progress and bool(archives)) as shown:
        for path in shown.track(archives, description=f"Unpacking {train}/*.tar"):
            with path.open("rb") as source, _told(path):
                written += _class_archive(source, train / path.stem)
    return written


def val_archive(archive: Path, val: Path, labels: Mapping[str, str], progress: bool) -> int:
    """Unpack the flat tar of validation images to val/<wnid>/; the number of files written."""
    with _opened(archive) as flat, bar(progress, in_bytes=True) as shown:
        task = shown.add_task(f"Unpacking {archive.name}", total=archive.stat().st_size)

        def place(name: str) -> Path:
            return val / _label(name, labels, archive) / name

        return _unpack(flat, place, lambda done: shown.update(task, completed=done))


def sort_into_classes(val: Path, labels: Mapping[str, str]) -> int:
    """Move val/<file> to val/<wnid>/<file>; the number of files moved."""
    flat = _flat_images(val)
    homes = {name: val / _label(name, labels, val) for name in flat}
    for name, home in homes.items():
        home.mkdir(exist_ok=True)
        os.replace(val / name, home / name)
    return len(flat)


def lies_flat(val: Path) -> bool:
    """Whether validation images lie beside, not in, the class folders."""
    return val.is_dir() and bool(_flat_images(val))


def _flat_images(val: Path) -> list[str]:
    with os.scandir(val) as entries:
        images = [entry for entry in entries if entry.name.lower().endswith((".jpeg", ".jpg"))]
        return sorted(entry.name for entry in images if entry.is_file())


def _label(name: str, labels: Mapping[str, str], where: Path) -> str:
    try:
        return labels[PurePosixPath(name).stem]
    except KeyError:
        raise Problem(
            f"{where} holds {name}, for which the {len(labels):,} labels have no entry (the first "
            f"is for {next(iter(labels), 'nothing')}). Give its labels: --labels FILE."
        ) from None


def _class_archive(source: IO[bytes], folder: Path) -> int:
    with tarfile.open(fileobj=source, mode="r:") as inner:
        return _unpack(inner, lambda name: folder / name, lambda _: None)


def _unpack(
    archive: tarfile.TarFile, place: Callable[[str], Path], tick: Callable[[int], object]
) -> int:
    """Files written; `place` says where a file of this name belongs, `tick` hears the offset."""
    written, made = 0, set[Path]()
    for member in archive:
        # Only the last part of a name is used: no archive writes outside its folder.
        target = place(PurePosixPath(member.name).name) if member.isfile() else None
        if target is None or (target.is_file() and target.stat().st_size == member.size):
            continue
        if target.parent not in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            made.add(target.parent)
        source = archive.extractfile(member)
        if source is not None:
            whole_files.copy(target, source)
            written += 1
        tick(member.offset_data + member.size)
    return written


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    if not path.is_file():
        raise Problem(f"{path} does not exist: name the archive that you downloaded.")
    with _told(path), tarfile.open(path, "r:") as archive:
        yield archive


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Says what to do where an archive ends early or the disk is full."""
    try:
        yield
    except tarfile.TarError as error:
        official = BYTES.get(path.name)
        expected = f", {official:,} expected, MD5 {MD5[path.name]}" if official else ""
        raise Problem(
            f"{path} is not a whole tar archive ({error}; {path.stat().st_size:,} bytes{expected})."
            " Download it again, then run the same command: what is unpacked is kept."
        ) from error
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise Problem(
            f"the disk is full while unpacking {path}. ImageNet takes about 155 GB beside its "
            "archives: make room and run the same command, which goes on where this stopped."
        ) from error
