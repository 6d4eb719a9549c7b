"""MNIST's IDX files: four bytes of magic, the big-endian extents, the numbers in row-major order."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from symnet.support.errors import DataError
from symnet.support.files import existing

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
"""Element type by the third byte of the magic number."""

GZIP = b"\x1f\x8b"
HEADER = 4 + 4 * 255
"""The most bytes that a header may have."""
MOST = 1032
"""The most bytes that one byte of a packed file can stand for."""


def looks_like_idx(path: Path) -> bool:
    """Whether a file's name says that it is an IDX file, packed with gzip or not."""
    return "idx" in path.name.lower() or "ubyte" in path.name.lower()


def labels_beside(images: Path) -> Path:
    """The file of labels that belongs to a file of images: `train-images-idx3-ubyte` -> `train-labels-idx1-ubyte`.

    Raises DataError when the name does not say, or when there is no such file.
    """
    name = images.name.replace("images", "labels").replace("idx3", "idx1")
    if name == images.name:
        raise DataError(
            f"'{images}': no labels can be found for this name; expected 'images' in it (train-images-idx3-ubyte), "
            "with the labels beside it under the same name with 'labels' (train-labels-idx1-ubyte)"
        )
    return existing(images.with_name(name))


def images_in(folder: Path) -> Path:
    """The training images in a folder of IDX files, or in one folder within it.

    Raises DataError if there are none, or some in several folders.
    """
    every = sorted(p for p in folder.rglob("*train*") if "images" in p.name and looks_like_idx(p) and p.is_file())
    found = [p for p in every if p.parent == folder] or every
    if len(places := {p.parent for p in found}) > 1:
        raise DataError(
            f"the folder '{folder}' holds training images in {len(places)} folders; name one of them, such as "
            f"'{found[0].parent}'"
        )
    if not found:
        raise DataError(
            f"the folder '{folder}' holds no IDX files of training images; expected one such as "
            "train-images-idx3-ubyte or train-images-idx3-ubyte.gz, or name the file itself"
        )
    return found[0]


def read_idx(path: str | Path) -> np.ndarray:
    """The array of an IDX file, in the machine's byte order.

    Raises DataError for a missing, truncated, overlong or foreign file.
    """
    data = _bytes(path)
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in DTYPES:
        raise DataError(
            f"'{path}' is no IDX file: it begins with {data[:4].hex(' ') or 'nothing'}; expected 00 00 08 .."
        )
    dtype, start = np.dtype(DTYPES[data[2]]), 4 + 4 * data[3]
    if len(data) < start:
        raise DataError(f"'{path}' is truncated: {len(data)} bytes end within its header of {start} bytes")
    shape, expected = _claimed(data)
    if len(data) != expected:
        state = "truncated" if len(data) < expected else "longer than its header says"
        extents = " x ".join(map(str, shape))
        raise DataError(f"'{path}' is {state}: expected {expected} bytes for {extents} numbers, got {len(data)}")
    return np.frombuffer(data, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def _claimed(header: bytes) -> tuple[tuple[int, ...], int]:
    """The shape that a header claims, and the bytes of such a file."""
    start = 4 + 4 * header[3]
    shape = struct.unpack(f">{header[3]}I", header[4:start])
    return shape, start + math.prod(shape) * np.dtype(DTYPES[header[2]]).itemsize


def _bytes(path: str | Path) -> bytes:
    """The bytes of a file, packed or not: at most one more than its header claims, and it can hold."""
    file = existing(path)
    with open(file, "rb") as start:
        packed = start.read(len(GZIP)) == GZIP
    most = file.stat().st_size * (MOST if packed else 1)
    try:
        with gzip.open(file) if packed else open(file, "rb") as stream:
            head = stream.read(HEADER)
            if len(head) < HEADER or head[2] not in DTYPES:
                return head
            return head + stream.read(max(0, min(_claimed(head)[1] + 1, most) - HEADER))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"'{path}' is a truncated or damaged gzip file ({error}); fetch or pack it again") from error
