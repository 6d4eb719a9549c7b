"""Parquet, Arrow IPC and Feather files as sources, a row group at a time."""

from __future__ import annotations

import importlib.util
import tracemalloc
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from runtime_module import module
from symnet.stream import Arrow
from symnet.support.errors import DataError

pa = pytest.importorskip("pyarrow")
feather = pytest.importorskip("pyarrow.feather")
parquet = pytest.importorskip("pyarrow.parquet")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(42, 64)).astype(np.float32)
Y = RNG.integers(0, 10, 42)
GROUP = 9
FORMS = (".parquet", ".feather", ".arrow")


@pytest.fixture(scope="module")
def net() -> ModuleType:
    return module()


def vectors(x: np.ndarray) -> Any:
    """Rows as lists of a fixed size."""
    return pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), x.shape[1])


def table(**columns: Any) -> Any:
    return pa.table(columns)


def write(path: Path, data: Any, group: int = GROUP) -> Path:
    """A table in the form that its name says, in row groups of this many rows."""
    if path.suffix == ".parquet":
        parquet.write_table(data, path, row_group_size=group)
    elif path.suffix == ".feather":
        feather.write_feather(data, path, chunksize=group)
    else:
        with pa.ipc.new_file(path, data.schema) as out:
            for batch in data.to_batches(group):
                out.write_batch(batch)
    return path


def epoch(source: Arrow, size: int = 8, seed: int = 0) -> list[tuple[Any, ...]]:
    return list(source.batches(size, np.random.default_rng(seed)))


def rows(x: np.ndarray) -> list[int]:
    return [int(np.flatnonzero((row == X).all(axis=1))[0]) for row in x]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("mix", [1, 3])
def test_an_epoch_has_every_row_once(tmp_path: Path, form: str, mix: int) -> None:
    path = write(tmp_path / f"t{form}", table(image=vectors(X), label=pa.array(Y), note=pa.array(["a"] * 42)))
    source = Arrow(path, ["image"], "label", mix=mix)
    assert source.samples == 42 and list(source.counts) == [9, 9, 9, 9, 6]
    batches = epoch(source)
    order = rows(np.concatenate([x for x, _ in batches]))
    assert [len(x) for x, _ in batches] == [8, 8, 8, 8, 8, 2] and sorted(order) == list(range(42)) != order
    assert (np.concatenate([y for _, y in batches]) == Y[order]).all()
    assert len(set(np.array(order)[: GROUP * mix - 3] // GROUP)) <= mix  # one group has 3 rows less
    assert order == rows(np.concatenate([x for x, _ in epoch(source)]))
    rest, held = source.split(0.25, seed=1)
    assert rest.samples + held.samples == 42 and held.samples >= 11


def test_columns_stand_side_by_side_in_a_shape(tmp_path: Path) -> None:
    data = table(b=pa.array(X[:, 1]), rest=vectors(X[:, 2:8]), a=pa.array(X[:, 0]), weight=pa.array(X[:, 9] ** 2))
    path = write(tmp_path / "t.parquet", data)
    x, y, weight = epoch(Arrow(path, ["a", "b", "rest"], "a", shape=(2, 2, 2), weight="weight"), 42)[0]
    order = [int(np.flatnonzero(X[:, 0] == value)[0]) for value in y]
    assert x.dtype == np.float32 and (x == X[order, :8].reshape(42, 2, 2, 2)).all()
    assert (weight == X[order, 9] ** 2).all()
    x, y = epoch(Arrow(path, {"p": "rest", "q": ["b", "a"]}, ["a", "b"], shape={"p": (3, 2)}), 42)[0]
    assert x["p"].shape == (42, 3, 2) and x["q"].shape == (42, 2) and list(y) == ["a", "b"]
    x, _ = epoch(Arrow(path, target="weight"), 42)[0]
    assert x.shape == (42, 8)


def test_kinds_of_numbers(tmp_path: Path) -> None:
    bits, half, count = Y > 4, X[:, 0].astype(np.float16), Y.astype(np.uint8)
    nested = pa.FixedSizeListArray.from_arrays(vectors(X[:, :4].reshape(84, 2)), 2)
    data = table(bits=pa.array(bits), half=pa.array(half), count=pa.array(count), nested=nested)
    for form in FORMS:
        source = Arrow(write(tmp_path / f"t{form}", data), {"n": "nested", "h": "half"}, ["bits", "count"])
        x, y = epoch(source, 42)[0]
        order = rows_by(x["h"][:, 0], half)
        assert x["n"].shape == (42, 4) and (x["n"] == X[order, :4]).all()
        assert y["bits"].dtype == bool and (y["bits"] == bits[order]).all() and y["count"].dtype == np.uint8


def rows_by(values: np.ndarray, known: np.ndarray) -> list[int]:
    return [int(np.flatnonzero(known == value)[0]) for value in values]


def test_a_folder_of_files_is_resumed(net: ModuleType, tmp_path: Path) -> None:
    for k, form in enumerate(FORMS):
        part = slice(14 * k, 14 * k + 14)
        write(tmp_path / f"{k}{form}", table(image=vectors(X[part]), label=pa.array(Y[part])), 5)
    source = Arrow(tmp_path, ["image"], "label", mix=2)
    assert list(source.counts) == [5, 5, 4] * 3
    options: dict[str, Any] = {"epochs": 2, "batch_size": 9}
    states: list[dict[str, Any]] = []
    straight = net.train(
        net.init_params(), source, None, **options, on_step=lambda event: states.append(event["state"]())
    )
    for state in states[::3]:
        params, history = net.train(net.init_params(), source, None, **options, resume=state)
        assert history == straight[1]
        assert all(array.tobytes() == straight[0][name].tobytes() for name, array in params.items())


@pytest.mark.parametrize("form", FORMS)
def test_training_holds_a_row_group(net: ModuleType, tmp_path: Path, form: str) -> None:
    count, group = 20_000, 2_000
    data = table(image=vectors(np.ones((count, 64), np.float32)), label=pa.array(np.zeros(count, int)))
    source = Arrow(write(tmp_path / f"t{form}", data, group), ["image"], "label")
    del data
    params = net.init_params()
    net.train(params, source, None, epochs=1, batch_size=2000)
    before = pa.total_allocated_bytes()
    held: list[int] = []
    tracemalloc.start()
    net.train(params, source, None, epochs=1, batch_size=256, on_step=lambda _: held.append(pa.total_allocated_bytes()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    one = group * (64 * 4 + 8)
    assert peak < one + 1_000_000 and max(held) - before < 2 * one


MISSING = pa.array([1.0 if k != 12 else None for k in range(42)])
LISTS = pa.FixedSizeListArray.from_arrays(pa.array([None if k == 57 else 0.5 for k in range(84)]), 2)
BAD = {
    "null": (table(x=MISSING, y=Y), r"row group 1 of '.*': column 'x' has 1 missing values, the first in its row 3"),
    "null within": (table(x=LISTS, y=Y), r"row group 3 of '.*': column 'x' has 1 missing .* in its row 1"),
    "text": (table(x=pa.array(["a"] * 42), y=Y), "column 'x' is string; expected numbers.*number its values from 0"),
    "lists": (table(x=pa.array([[1.0]] * 42), y=Y), r"column 'x' is list<.*cast it to lists of a fixed size"),
    "time": (table(x=pa.array([0] * 42, pa.timestamp("ms")), y=Y), r"column 'x' is timestamp\[ms\]; expected numbers"),
    "nan": (table(x=np.where(np.arange(42) == 20, np.nan, 1), y=Y), r"row group 2 of '.*': x holds nan at \[2, 0\]"),
    "name": (table(X=Y, y=Y), "has no column 'x'; it has X, y; did you mean 'X'"),
    "empty": (table(x=Y[:0], y=Y[:0]), "the files have no rows"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("case", BAD)
def test_bad_columns_are_named(tmp_path: Path, case: str, form: str) -> None:
    data, message = BAD[case]
    with pytest.raises(DataError, match=message):
        epoch(Arrow(write(tmp_path / f"t{form}", data), ["x"], "y"))


@pytest.mark.parametrize("form", FORMS)
def test_bad_files_are_named(tmp_path: Path, form: str) -> None:
    path = write(tmp_path / f"t{form}", table(x=X[:, 0], y=Y))
    whole = path.read_bytes()
    for data in (b"", b"hello" * 50, whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises(DataError, match=rf"cannot read '.*t{form}': it is damaged"):
            Arrow(path, ["x"], "y")
    path.write_bytes(whole)
    other = write(tmp_path / f"u{form}", table(x=X[:, 0].astype(float), y=Y))
    with pytest.raises(DataError, match=rf"u{form}': column 'x' is double; expected float, as '.*t{form}' has it"):
        Arrow([path, other], ["x"], "y")
    with pytest.raises(DataError, match=r"no such file.*did you mean"):
        Arrow(tmp_path / f"tt{form}", ["x"], "y")


def test_names_and_shapes(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", table(x=X[:, 0], y=Y))
    with pytest.raises(DataError, match=r"t.parquet': the columns x have 1 numbers a row; shape=\(2, 2\) takes 4"):
        Arrow(path, ["x"], "y", shape=(2, 2))
    with pytest.raises(DataError, match=r"input 'a': the columns y, x have 2 numbers a row; shape=\(3,\) takes 3"):
        Arrow(path, {"a": ["y", "x"]}, shape={"a": (3,)})
    with pytest.raises(DataError, match="no targets to train on"):
        epoch(Arrow(path))
    with pytest.raises(DataError, match="at least one column"):
        Arrow(path, [], "y")
    (tmp_path / "t.parqet").write_bytes(path.read_bytes())
    with pytest.raises(DataError, match=r"t.parqet' is no table; .*did you mean '.parquet'"):
        Arrow(tmp_path / "t.parqet", ["x"], "y")
    with pytest.raises(DataError, match=r"no file matches"):
        Arrow(tmp_path / "*.arrow", ["x"], "y")


def test_without_pyarrow_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "t.parquet", table(x=X[:, 0], y=Y))
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "pyarrow" else found(name))
    with pytest.raises(DataError, match=r"needs the package pyarrow.* pip install 'symnet\[arrow\]'"):
        Arrow(path, ["x"], "y")
