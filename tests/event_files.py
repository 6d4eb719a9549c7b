"""What TensorBoard's event files hold."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def records(folder: Path) -> Iterator[Any]:
    """The events of a folder's files: length, its checksum, the message, its checksum."""
    proto = pytest.importorskip("tensorboardX.proto.event_pb2")
    for file in sorted(folder.iterdir()):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            yield proto.Event.FromString(data[12 : 12 + length])
            data = data[16 + length :]


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for each in records(folder):
        for value in each.summary.value:
            found.setdefault(value.tag, []).append((each.step, value.simple_value))
    return found
