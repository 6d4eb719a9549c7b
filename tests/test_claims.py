"""Files that claim more than they hold are refused unread, and so are states that no training has written."""

from __future__ import annotations

import copy
import gzip
import io
import os
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symnet as sn
from runtime_module import module
from symnet.export.weights import is_state_dict
from symnet.readers.idx import read_idx
from symnet.stream.npz import npz_headers
from symnet.support.errors import DataError, SymnetError
from symnet.support.files import read_arrays
from symnet.training.checkpoints.checkpoint import encode, load_checkpoint

READERS: dict[str, Callable[[Path], object]] = {
    "symnet": read_arrays,
    "module": module().load_params,
    "shards": npz_headers,
}


def header(shape: tuple[int, ...], dtype: str = "<f8") -> bytes:
    """What an array of that shape begins with."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def archive(path: Path, content: bytes, claimed: int | None = None, method: int = zipfile.ZIP_DEFLATED) -> Path:
    """An archive of one array; `claimed` is what its directory says of the array's length."""
    with zipfile.ZipFile(path, "w", method) as made:
        made.writestr("x.npy", content)
    if claimed is not None:
        data = path.read_bytes()
        at = data.rindex(b"PK\x01\x02")
        path.write_bytes(data[: at + 24] + struct.pack("<I", claimed) + data[at + 28 :])
    return path


CLAIMS = {
    "an array of terabytes": (header((10**6, 10**6)) + b"\0" * 80, None),
    "and an archive that says so": (header((2**28,)) + b"\0" * 80, 2**31 + 128),
    "negative extents": (header((-3, -7)) + b"\0" * 80, None),
    "less than there is": (header((3,)) + b"\0" * 80, None),
    "more than there is": (header((11,)) + b"\0" * 80, None),
}


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize("reader", READERS)
def test_arrays_that_claim_more_than_they_hold(reader: str, claim: str, tmp_path: Path) -> None:
    content, claimed = CLAIMS[claim]
    path = archive(tmp_path / "x.npz", content, claimed)
    tracemalloc.start()
    try:
        with pytest.raises((SymnetError, ValueError), match=r"x\.npz"):
            READERS[reader](path)
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("reader", ["symnet", "module"])
def test_more_than_the_machine_has(reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(os, "sysconf"):
        pytest.skip("the system does not tell its memory")
    content = header((2**17,)) + b"\0" * 2**20
    for k, method in enumerate((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)):
        path = archive(tmp_path / f"{k}.npz", content, method=method)
        assert read_arrays(path)["x"].shape == (2**17,) == npz_headers(path)["x"].shape
        with monkeypatch.context() as patch:
            patch.setattr("os.sysconf", lambda name: 1000)
            with pytest.raises((SymnetError, ValueError), match="more than this machine's memory, 1,000,000"):
                READERS[reader](path)
            assert read_arrays(path, names=["y"]) == {}


def test_what_is_no_array_is_left_alone(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as made:
        made.writestr("x.npy", header((2,)) + b"\0" * 16)
        made.writestr("README", "what this is")
    assert read_arrays(tmp_path / "d.npz")["x"].shape == (2,)


def test_a_bare_array_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(header((2**40,)) + b"\0" * 80)
    for read in (read_arrays, module().load_params):
        with pytest.raises((SymnetError, ValueError), match=r"x\.npz"):
            read(tmp_path / "x.npz")


def idx(shape: tuple[int, ...], numbers: bytes) -> bytes:
    """An IDX file of bytes."""
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + numbers


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_that_claim_too_much_or_unpack_to_more(packed: bool, tmp_path: Path) -> None:
    pack = gzip.compress if packed else bytes
    path = tmp_path / "t-idx3-ubyte"
    for shape in ((4, 5), (1, 4, 5), (20,)):
        path.write_bytes(pack(idx(shape, b"\7" * 20)))
        assert read_idx(path).shape == shape
    path.write_bytes(pack(idx((50, 30), b"\7" * 1500)))
    assert read_idx(path).sum() == 7 * 1500
    for shape, numbers in (((2**31, 2**31), 50), ((2**16,), 5), ((10, 10), 99), ((10, 10), 101), ((40, 40), 10**8)):
        path.write_bytes(pack(idx(shape, b"\0" * numbers)))
        tracemalloc.start()
        with pytest.raises(DataError, match=r"truncated|longer"):
            read_idx(path)
        assert not packed or tracemalloc.get_traced_memory()[1] < 5e6
        tracemalloc.stop()
    for broken in (
        b"",
        b"\x1f\x8b",
        pack(b""),
        pack(b"\0\0\x08"),
        pack(bytes([0, 0, 8, 255])),
        pack(b"\0\0\x07\1" + b"\0" * 2000),
    ):
        path.write_bytes(broken)
        with pytest.raises(DataError):
            read_idx(path)


def test_headers_of_weights_that_are_none(tmp_path: Path) -> None:
    for text in ('{"__metadata__": null}', '{"__metadata__": 3}', "[]", "[" * 10**5, "{"):
        (tmp_path / "w.safetensors").write_bytes(len(text).to_bytes(8, "little") + text.encode())
        assert is_state_dict(tmp_path / "w.safetensors") in (True, False)


# --- states that no training has written


@pytest.fixture(scope="module")
def net() -> sn.Network:
    x = sn.Input((3,), name="x")
    return sn.compile(sn.Model(x, sn.Dense(2)(x), loss=sn.CrossEntropy(), name="m"), target="numpy")


X, Y = np.random.default_rng(0).normal(size=(8, 3)), np.arange(8) % 2

CRAFTED: dict[str, Any] = {
    "epoch": [True, 0, -4, 7, 10**30],
    "step": [-1, 1, 10**9],
    "seen": [-1, 3, True],
    "waited": [-2],
    "total": ["1", None, [0.0], True],
    "score": ["low", [], False],
    "history": [
        [],
        None,
        {},
        {"loss": 3},
        {"loss": ["a"]},
        {"loss": [0.1] * 9},
        {"loss": [0.1] * 2, "val_x": [0.1] * 9},
    ],
    "options": [None, [], "none", {}],
    "order": [None, {}, [], {"bit_generator": "PCG64"}, {"bit_generator": "MT19937", "state": {}}, 3],
    "noise": [{"bit_generator": "PCG64", "state": {"state": -1, "inc": 2}, "has_uint32": 0, "uinteger": 0}, "x"],
}


@pytest.mark.parametrize("name", CRAFTED)
def test_crafted_checkpoints_are_refused(name: str, net: sn.Network, tmp_path: Path) -> None:
    pytest.importorskip("safetensors.numpy")
    net.fit(X, Y, epochs=2, checkpoint=tmp_path / "run", progress=False)
    good = load_checkpoint(sorted((tmp_path / "run").iterdir())[-1])
    for value in CRAFTED[name]:
        state = copy.deepcopy(good.state)
        state["meta"][name] = value
        with pytest.raises((SymnetError, net.module.DataError)):
            net.module.train(net.module.init_params(), X, Y, epochs=3, resume=state)
        path = tmp_path / "crafted.safetensors"
        path.write_bytes(encode(state, good.model))
        with pytest.raises(SymnetError):
            net.fit(X, Y, epochs=3, resume=path, progress=False)
    state = copy.deepcopy(good.state)
    assert len(net.module.train(net.module.init_params(), X, Y, epochs=3, resume=state)[1]["loss"]) == 3


@pytest.mark.parametrize("counted", [np.array(-5), np.array([1, 2]), np.array(3.0), np.zeros((0,))])
def test_crafted_counts_of_steps(counted: np.ndarray, net: sn.Network, tmp_path: Path) -> None:
    pytest.importorskip("safetensors.numpy")
    net.fit(X, Y, epochs=1, checkpoint=tmp_path / "run", progress=False)
    (path,) = (tmp_path / "run").iterdir()
    good = load_checkpoint(path)
    state = copy.deepcopy(good.state)
    state["arrays"]["optimizer/t"] = counted
    path.write_bytes(encode(state, good.model))
    with pytest.raises(SymnetError, match="optimizer/t"):
        net.fit(X, Y, epochs=2, checkpoint=tmp_path / "run", resume=True, progress=False)
