"""One checkpoint file: what goes in comes out; whatever was not written by symnet is refused."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symnet as sn
from symnet.training.checkpoints import checkpoint as file_layer
from symnet.training.checkpoints.checkpoint import DamagedError, decode, encode
from symnet.training.checkpoints.identity import difference, identity

ROOT = Path(__file__).resolve().parent.parent
safetensors = pytest.importorskip("safetensors.numpy")

HERE = Path("here.safetensors")


def network(units: int = 3, activation: str = "tanh", loss: Any = None, name: str = "small", **options: Any) -> Any:
    x = sn.Input((4,), name="x")
    h = sn.Dense(units, activation=activation, name="hidden", **options)(x)
    return sn.Model(x, sn.Dense(2, name="out")(h), loss=loss or sn.CrossEntropy(), name=name)


STATE: dict[str, Any] = {
    "arrays": {
        "params/a": np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2],
        "params/empty": np.zeros((0, 2)),
        "best/β": np.array([np.pi, np.inf, -0.0, 5e-324]),
        "optimizer/t": np.array(2**40),
    },
    "meta": {
        "epoch": 3,
        "step": 17,
        "order": {"state": {"state": 2**127 + 1}},
        "history": {"loss": [0.1, 1e-300], "val_loss": []},
        "options": {"clip": None, "optimizer": "adam"},
    },
}
MODEL = identity(network(), "float32")
DATA = encode(STATE, MODEL)


def test_what_goes_in_comes_out() -> None:
    read = decode(DATA, HERE)
    assert read.meta == STATE["meta"]
    assert read.model == MODEL
    assert read.arrays.keys() == STATE["arrays"].keys()
    for name, array in STATE["arrays"].items():
        got = read.arrays[name]
        assert (got.dtype, got.shape, got.tobytes()) == (array.dtype, array.shape, array.tobytes())
        assert got.flags.writeable
    assert read.params.keys() == {"β"}, "the best epoch's, where there are such"


def test_numpy_scalars_among_the_options_are_numbers() -> None:
    meta = {**STATE["meta"], "options": {"clip": np.float32(0.5), "seed": np.int64(3)}}
    assert decode(encode({**STATE, "meta": meta}, MODEL), HERE).meta["options"] == {"clip": 0.5, "seed": 3}


def test_it_is_a_safetensors_file_of_its_own_arrays() -> None:
    np.testing.assert_array_equal(safetensors.load(DATA)["params/a"], STATE["arrays"]["params/a"])


def test_equal_states_are_equal_files_in_another_process() -> None:
    code = "import test_checkpoint_file as t, hashlib; print(hashlib.sha256(t.DATA).hexdigest())"
    path = os.pathsep.join(map(str, (Path(sn.__file__).parent.parent, ROOT / "tests")))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "1"}
    other = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == hashlib.sha256(DATA).hexdigest()


def refused(data: bytes) -> None:
    with pytest.raises(DamagedError, match=r"here\.safetensors"):
        decode(data, HERE)


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80, 0xFF])
def test_every_altered_byte_is_found(mask: int) -> None:
    for position in range(len(DATA)):
        altered = bytearray(DATA)
        altered[position] ^= mask
        refused(bytes(altered))


def test_random_damage_is_found() -> None:
    rng = np.random.default_rng(0)
    for _ in range(500):
        altered = np.frombuffer(DATA, np.uint8).copy()
        spots = rng.integers(0, len(DATA), rng.integers(1, 9))
        altered[spots] = rng.integers(0, 256, len(spots))
        if altered.tobytes() != DATA:
            refused(altered.tobytes())


def test_every_truncation_and_every_addition_is_found() -> None:
    for length in range(len(DATA)):
        refused(DATA[:length])
    for more in (b"\0", b" ", DATA):
        refused(DATA + more)


HEADER = b'{"__metadata__":{"symnet":"{}"}}'

FOREIGN = {
    "empty": b"",
    "zeros": bytes(5000),
    "text": b"hello, world\n" * 40,
    "pickle": pickle.dumps({"a": 1}),
    "an enormous header": struct.pack("<Q", 2**64 - 1) + b"{}",
    "a header of the file's length": struct.pack("<Q", 5000) + bytes(5000),
    "no JSON": struct.pack("<Q", 5) + b"{{{{{",
    "deep JSON": struct.pack("<Q", 100_000) + b"[" * 100_000,
    "other JSON": struct.pack("<Q", 2) + b"[]",
    "a number for JSON": struct.pack("<Q", 5001) + b"1" * 5001,
    "no checksum": struct.pack("<Q", len(HEADER)) + HEADER,
    "other weights": safetensors.save({"w": np.ones(3)}),
    "a note that is no object": safetensors.save({"w": np.ones(3)}, metadata={"symnet": "[1]"}),
    "a note with a checksum that is no text": safetensors.save(
        {"w": np.ones(3)}, metadata={"symnet": '{"checksum":7}'}
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_other_files_are_refused(kind: str, tmp_path: Path) -> None:
    refused(FOREIGN[kind])
    path = tmp_path / "here.safetensors"
    path.write_bytes(FOREIGN[kind])
    with pytest.raises(sn.CheckpointError, match=re.escape(str(path))):
        sn.load_checkpoint(path)


def test_paths_that_are_no_file(tmp_path: Path) -> None:
    with pytest.raises(sn.CheckpointError, match="is no file"):
        sn.load_checkpoint(tmp_path)
    (tmp_path / "checkpoint-000012.safetensors").write_bytes(DATA)
    with pytest.raises(sn.CheckpointError, match=r"did you mean 'checkpoint-000012\.safetensors'"):
        sn.load_checkpoint(tmp_path / "checkpoint-00012.safetensors")
    assert sn.load_checkpoint(str(tmp_path / "checkpoint-000012.safetensors")).meta == STATE["meta"]


def test_a_later_version_is_refused_and_not_called_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_layer, "VERSION", 2)
    later = encode(STATE, MODEL)
    monkeypatch.undo()
    with pytest.raises(sn.CheckpointError, match="version 2; this symnet reads up to 1") as caught:
        decode(later, HERE)
    assert not isinstance(caught.value, DamagedError)


@pytest.mark.parametrize(("key", "value"), [("state", None), ("state", {"epoch": "3"}), ("model", {"name": "x"})])
def test_a_whole_file_with_the_wrong_content_is_refused(key: str, value: object) -> None:
    state = {**STATE, "meta": value} if key == "state" else STATE
    refused(encode(state, value if key == "model" else MODEL))  # type: ignore[arg-type]


def test_without_the_package_an_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(sn.CheckpointError, match=r"pip install 'symnet\[checkpoints\]'"):
        sn.load_checkpoint("any.safetensors")


def test_the_name_is_no_part_of_the_fingerprint() -> None:
    assert MODEL["fingerprint"] == identity(network(name="other"), "float32")["fingerprint"]
    assert difference(MODEL, identity(network(name="other"), "float32")) == ""


@pytest.mark.parametrize(
    ("other", "words", "in_use"),
    [
        (identity(network(), "float64"), "expected dtype float32, got float64; compile", ""),
        (identity(network(units=5), "float32"), r"'hidden\.weight' float\[3,4\], got float\[5,4\]", None),
        (identity(network(use_bias=False), "float32"), r"'hidden\.bias' float\[3\], got none", None),
        (identity(network(activation="relu"), "float32"), r"equation hidden\[n,o\] = tanh.* got .*where", None),
        (identity(network(loss=sn.SquaredError()), "float32"), "equation loss", ""),
        (identity(network(trainable=False), "float32"), r"frozen parameter not to be there, got hidden\.weight", ""),
    ],
)
def test_other_models_differ_and_it_is_said_how(other: Any, words: str, in_use: str | None) -> None:
    assert other["fingerprint"] != MODEL["fingerprint"]
    assert re.search(words, difference(MODEL, other))
    expected = difference(MODEL, other) if in_use is None else in_use
    assert difference(MODEL, other, use_only=True) == expected


def test_the_size_of_a_window_counts() -> None:
    def pooled(size: int) -> Any:
        x = sn.Input((1, 8, 8), name="x")
        h = sn.MaxPool2D(size, stride=4)(x)
        return identity(sn.Model(x, sn.Dense(2)(sn.Flatten()(h)), loss=sn.CrossEntropy()), "float32")

    assert pooled(2)["parameters"] == pooled(3)["parameters"]
    assert re.search(r"equation.*u<2,v<2.*got.*u<3,v<3", difference(pooled(2), pooled(3), use_only=True))


PICKLING = re.compile(
    r"^\s*(?:import|from)\s+(?:pickle|cPickle|dill|joblib|shelve|marshal|cloudpickle)\b", re.MULTILINE
)


def test_symnet_reads_and_writes_no_pickle_files() -> None:
    for path in (*ROOT.glob("symnet/**/*.py"), *ROOT.glob("codegen/**/*.py")):
        assert not PICKLING.search(path.read_text(encoding="utf-8")), path


def test_the_note_is_readable_without_symnet() -> None:
    header = json.loads(DATA[8 : 8 + int.from_bytes(DATA[:8], "little")])
    assert list(header["__metadata__"]) == ["symnet"]
    note = json.loads(header["__metadata__"]["symnet"])
    assert note["state"] == STATE["meta"]
    assert note["model"]["parameters"]["hidden.weight"] == "float[3,4]"
