"""FFCV's file format, version 2, of sets with an image and a label (ffcv 1.0.2: types.py, writer.py).

    header | descriptions of the fields | one entry a sample | pages of data | where the data of a sample lie

All numbers are little-endian. The data of a sample lie within one page; pages begin at multiples of
their size.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from topfive.problems import Problem

VERSION = 2
HEADER = np.dtype(
    [
        ("version", "<u2"),
        ("num_fields", "<u2"),
        ("page_size", "<u4"),
        ("num_samples", "<u8"),
        ("alloc_table_ptr", "<u8"),
    ]
)
FIELD = np.dtype([("type_id", "u1"), ("name", "u1", 16), ("arguments", "u1", 1024)])
FIELDS = {"label": 1, "image": 2}  # FFCV's numbers of an integer and of an image
IMAGE = np.dtype([("mode", "u1"), ("width", "<u2"), ("height", "<u2"), ("data_ptr", "<u8")])
SAMPLE = np.dtype(
    {"names": ["f0", "f1"], "formats": [IMAGE, "<i8"], "offsets": [0, 16], "itemsize": 24}
)
ALLOCATION = np.dtype([("sample_id", "<u8"), ("ptr", "<u8"), ("size", "<u8")])
JPEG, RAW = 0, 1  # IMAGE's mode: a JPEG, or height x width x 3 bytes


@dataclass(frozen=True)
class Index:
    """Of every sample, in the order of the file: entry (SAMPLE), first byte and number of bytes.

    A sample whose entry points to no data has no bytes.
    """

    samples: np.ndarray
    pointers: np.ndarray
    sizes: np.ndarray


def preamble(samples: int, page_size: int, entries: np.ndarray, table: int) -> bytes:
    """What precedes the pages: header, fields and entries."""
    header = np.zeros(1, HEADER)
    header[0] = (VERSION, len(FIELDS), page_size, samples, table)
    fields = np.zeros(len(FIELDS), FIELD)
    for row, name in zip(fields, ("image", "label"), strict=True):
        row["type_id"] = FIELDS[name]
        row["name"][: len(name)] = np.frombuffer(name.encode(), np.uint8)
    return header.tobytes() + fields.tobytes() + entries.tobytes()


def first_page(samples: int, page_size: int) -> int:
    """Offset of the first page of a file with room for so many samples."""
    used = HEADER.itemsize + len(FIELDS) * FIELD.itemsize + samples * SAMPLE.itemsize
    return -(-used // page_size) * page_size


def read(path: Path) -> Index:
    """The index of `path`; raises Problem where it is damaged or holds other fields."""
    length = path.stat().st_size
    header = _read(path, HEADER, 1, 0)[0] if length >= HEADER.itemsize else None
    if header is None or header["version"] != VERSION or header["num_fields"] != len(FIELDS):
        raise Problem(_damaged(path, "its header is not of two fields in FFCV's format 2"))
    offset = HEADER.itemsize + len(FIELDS) * FIELD.itemsize
    count, table = int(header["num_samples"]), int(header["alloc_table_ptr"])
    if offset + count * SAMPLE.itemsize > length or not offset <= table <= length:
        raise Problem(_damaged(path, f"it is too short for the {count:,} samples it announces"))
    samples = _read(path, SAMPLE, count, offset)
    places = _read(path, ALLOCATION, (length - table) // ALLOCATION.itemsize, table)
    places = places[np.argsort(places["ptr"], kind="stable")]
    pointers = samples["f0"]["data_ptr"]
    found = np.searchsorted(places["ptr"], pointers)
    known = found < len(places)
    known[known] = places["ptr"][found[known]] == pointers[known]
    sizes = np.zeros(count, np.uint64)
    sizes[known] = places["size"][found[known]]
    return Index(samples, np.ascontiguousarray(pointers), sizes)


def _read(path: Path, dtype: np.dtype, count: int, offset: int) -> np.ndarray:
    found: np.ndarray = np.fromfile(path, dtype, count, offset=offset)
    return found


def _damaged(path: Path, why: str) -> str:
    return f"{path} is no .beton of images and labels: {why}. Write it anew with data/folder/prepare.py."
