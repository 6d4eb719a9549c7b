"""How the bytes of a file go wrong: by chance, and by somebody who knows the format."""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mistakes.executed import CODE, Pickled
from mistakes.values import misspelled, wrong
from symnet.training.checkpoints.checkpoint import encode

Damaged = tuple[str, bytes]
LARGE = (2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 10**12, -1, 0, 1)
LETTERS = "\0\x1b\n\r\t ,;\"'[]{}()=#.-+0123456789eaN_é\u202e"


def binary(rng: random.Random, data: bytes) -> Damaged:
    """What happens to the bytes of any file."""
    k, n = rng.randrange(len(data) + 1), rng.choice((1, 2, 4, 8, 40, 400))
    size = rng.choice((1, 2, 4, 8))
    large = (rng.choice(LARGE) % 256**size).to_bytes(size, rng.choice(("little", "big")))
    noise = rng.randbytes(n)
    flipped = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 3, 20))):
        if flipped:
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
    ways: dict[str, Callable[[], bytes]] = {
        f"cut at {k}": lambda: data[:k],
        f"{n} bytes from {k} on left out": lambda: data[:k] + data[k + n :],
        f"{n} random bytes at {k}": lambda: data[:k] + noise + data[k + n :],
        f"{n} random bytes put in at {k}": lambda: data[:k] + noise + data[k:],
        f"{large.hex()} at {k}": lambda: data[:k] + large + data[k + size :],
        f"{n} zeros at {k}": lambda: data[:k] + bytes(n) + data[k + n :],
        "bits flipped": lambda: bytes(flipped),
        "twice": lambda: data + data,
        f"the first {k} bytes last": lambda: data[k:] + data[:k],
        "empty": lambda: b"",
    }
    way = rng.choice([*ways])
    return way, ways[way]()


def text(rng: random.Random, data: bytes) -> Damaged:
    """What happens to a text: characters, words, lines."""
    lines = data.decode().splitlines(keepends=True)
    for _ in range(rng.choice((1, 1, 2, 3))):
        k = rng.randrange(len(lines))
        line = lines[k]
        j = rng.randrange(len(line) + 1)
        words = line.split(" ")
        w = rng.randrange(len(words))
        value = wrong(rng, rng.choice((1, "tanh", [6], {"k": 5})))
        lines[k] = rng.choice(
            (
                line[:j] + rng.choice(LETTERS) + line[j:],
                line[:j] + line[j + 1 :],
                line[:j] + rng.choice(CODE) + line[j:],
                " ".join([*words[:w], misspelled(rng, words[w].strip()), *words[w + 1 :]]) + "\n",
                " ".join([*words[:w], value.text, *words[w + 1 :]]) + "\n",
                " ".join([*words[:w], str(rng.choice(LARGE)), *words[w + 1 :]]) + "\n",
                line + line,
                line + lines[rng.randrange(len(lines))],
                "",
                line[:j] + line[j:] * 50,
            )
        )
    return "text changed", "".join(lines).encode("utf-8", "surrogatepass")


def npy(rng: random.Random, data: bytes) -> Damaged:
    """An .npy file with another header."""
    array = np.load(io.BytesIO(data))
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    key = rng.choice([*header])
    shapes = ((10**12,), (2**63,), (-1,), (10**9, 10**9), (), (0,), (8, 5), (8.0, 6), "x", ("a",), (True, 6), None, 7)
    other: Mapping[str, Any] = {
        "descr": rng.choice(
            ("|O", "<U9", "<f2", "<c16", "V8", "<f999", [("a", "<f8")], "|S8", 3, None, "M8[s]", "<i8")
        ),
        "fortran_order": rng.choice((True, 2, "x", None)),
        "shape": rng.choice(shapes),
    }
    way = rng.random()
    if way < 0.7:
        header[key] = other[key]
    elif way < 0.85:
        header.pop(key)
    else:
        header["more"] = 1
    written = repr(header) if rng.random() < 0.9 else rng.choice((*CODE, "(" * 500, "{", "1" * 9000, "[" * 5000))
    body = written.encode().ljust(118 - 10) + b"\n"
    version = rng.choice((b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\x09\0"))
    length = struct.pack("<H" if version == b"\1\0" else "<I", rng.choice((len(body), len(body), len(body), 65535)))
    return f"header {written[:80]}", b"\x93NUMPY" + version + length + body + array.tobytes()


def npz(rng: random.Random, data: bytes) -> Damaged:
    """An .npz file packed anew with one entry in which something is wrong."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {info.filename: archive.read(info) for info in archive.infolist()}
    name = rng.choice([*entries])
    told = f"{name}: "
    way = rng.choice(("header", "header", "bytes", "name", "gone", "twice", "more", "array", "folder", "pickle"))
    if way == "header":
        more, entries[name] = npy(rng, entries[name])
        told += more
    elif way == "bytes":
        more, entries[name] = binary(rng, entries[name])
        told += more
    elif way == "name":
        other = rng.choice((misspelled(rng, name), "\x1b[2J.npy", "../x.npy", "", "a/b.npy", "x", "é.npy", "x" * 300))
        entries[other] = entries.pop(name)
        told += f"called {other!r}"
    elif way == "gone":
        del entries[name]
        told += "gone"
    elif way == "more":
        entries["more.npy"] = rng.choice([*entries.values(), b"", b"text"])
        told += "and one more"
    elif way == "pickle":
        held = io.BytesIO()
        np.save(held, np.array([Pickled()], object), allow_pickle=True)
        entries[name] = held.getvalue()
        told += "a pickle"
    elif way == "array":
        value = wrong(rng, np.load(io.BytesIO(entries[name])))
        held = io.BytesIO()
        try:
            np.save(held, np.asarray(value.value), allow_pickle=False)
        except (ValueError, TypeError, OSError):
            np.save(held, np.array(5.0))
        entries[name] = held.getvalue()
        told += f"holds {value.text}"
    elif way == "folder":
        entries["folder/"] = b""
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))
    with zipfile.ZipFile(out, "w", method) as archive:
        for each, content in entries.items():
            archive.writestr(zipfile.ZipInfo(each) if each else zipfile.ZipInfo("_"), content, method)
    packed = out.getvalue()
    if way == "twice":  # the sizes that the directory claims
        place = packed.rfind(b"PK\1\2")
        packed = packed[: place + 24] + struct.pack("<I", rng.choice((2**31, 2**32 - 2, 1))) + packed[place + 28 :]
        told += "claims another size"
    return f"{told} ({way})", packed


def gz(rng: random.Random, data: bytes) -> Damaged:
    """A packed file of a damaged one."""
    way = rng.random()
    if way < 0.8:
        told, inner = binary(rng, gzip.decompress(data))
        return f"packed: {told}", gzip.compress(inner)
    if way < 0.9:
        return "many members", gzip.compress(gzip.decompress(data)) * 3
    shape = rng.choice(((2**32 - 1, 2**32 - 1), (1000, 1000), (0, 0)))
    return f"packed zeros of {shape}", gzip.compress(b"\0\0\x08\x02" + struct.pack(">2I", *shape) + bytes(10**6))


def safetensors(rng: random.Random, data: bytes) -> Damaged:
    """A safetensors file with another header."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    told, header = _changed(rng, header)
    written = json.dumps(header).encode()
    if rng.random() < 0.05:
        written = rng.choice((b"[" * 100_000, b"{", b"[]", b"1" * 9999, b'{"a":' * 20_000, b"null"))
    length = rng.choice((len(written),) * 8 + (2**63, 10**8 + 1, 0))
    return f"header: {told}", length.to_bytes(8, "little") + written + data[8 + size :]


def checkpoint(rng: random.Random, data: bytes) -> Damaged:
    """A checkpoint whose checksum is right, and of whose content something is not."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    note = json.loads(header.pop("__metadata__")["symnet"])
    arrays: dict[str, Any] = {}
    for name, about in header.items():
        first, last = about["data_offsets"]
        dtype = {"F32": "<f4", "F64": "<f8", "I64": "<i8"}[about["dtype"]]
        arrays[name] = np.frombuffer(data[8 + size + first : 8 + size + last], dtype).reshape(about["shape"])
    state: dict[str, Any] = {"arrays": arrays, "meta": note["state"]}
    way = rng.random()
    if way < 0.5:
        told, state["meta"] = _changed(rng, state["meta"])
    elif way < 0.6:
        told, note["model"] = _changed(rng, note["model"])
    else:
        name = rng.choice([*arrays])
        value = wrong(rng, arrays[name])
        told = f"{name} is {value.text}"
        try:
            made = np.asarray(value.value)
        except ValueError:
            made = np.array(5.0)
        if made.dtype.kind in "biuf" and made.dtype.itemsize <= 8:
            arrays[name] = made.astype(made.dtype.newbyteorder("="))
        else:
            arrays[misspelled(rng, name) or "x"] = arrays.pop(name)
            told = f"{name} has another name"
    try:
        return told, encode(state, note["model"])
    except (TypeError, ValueError, UnicodeError, AttributeError, KeyError, RecursionError):
        return "version", data.replace(b'\\"version\\": 1', b'\\"version\\": 7')


def _changed(rng: random.Random, tree: Any) -> tuple[str, Any]:
    """A tree of JSON with something wrong in one place."""
    tree = json.loads(json.dumps(tree))
    where, told = tree, ""
    while True:
        if isinstance(where, dict) and where:
            key: Any = rng.choice([*where])
        elif isinstance(where, list) and where:
            key = rng.randrange(len(where))
        else:
            return told, _json(wrong(rng, tree).value)
        told += f"[{key!r}]"
        if not isinstance(where[key], (dict, list)) or not where[key] or rng.random() < 0.4:
            break
        where = where[key]
    way = rng.random()
    if way < 0.7:
        value: Any = rng.choice((*LARGE, None, True, 1.5, "x", [], {}, [1], float("nan"), float("inf"), "é\x1b", [[]]))
        where[key] = value if rng.random() < 0.6 else _json(wrong(rng, where[key]).value)
        return f"{told} = {str(where[key])[:40]}", tree
    if way < 0.85 and isinstance(where, dict):
        where[misspelled(rng, str(key))] = where.pop(key)
        return f"{told} has another name", tree
    del where[key]
    return f"{told} is gone", tree


def _json(value: Any) -> Any:
    """A value as JSON can hold it."""
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError, RecursionError):
        return None


DAMAGE: Mapping[str, Callable[[random.Random, bytes], Damaged]] = {
    "binary": binary,
    "text": text,
    "npy": npy,
    "npz": npz,
    "gz": gz,
    "safetensors": safetensors,
    "checkpoint": checkpoint,
}
