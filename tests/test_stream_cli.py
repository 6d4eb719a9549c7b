"""The command line on data larger than memory: shards, memory maps, tables; to train, to predict, to audit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from symnet.cli.main import main
from symnet.support.files import write_arrays

MODEL = """
name = "little"
input = { name = "flower", shape = [4] }
loss = "cross_entropy"
[[layers]]
kind = "Dense"
name = "logits"
units = 3
"""
RNG = np.random.default_rng(0)
Y = np.arange(600) % 3
X = (RNG.normal(size=(600, 4)) + 4 * np.eye(4)[Y]).astype(np.float32)
MORE = ("--epochs", "4", "--batch-size", "20", "--learning-rate", "0.05", "--target", "numpy")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and the same data in several forms."""
    monkeypatch.chdir(tmp_path)
    Path("m.toml").write_text(MODEL)
    Path("parts").mkdir()
    for k in range(6):
        rows = slice(100 * k, 100 * k + 100)
        np.savez_compressed(f"parts/p{k}.npz", x=X[rows], y=Y[rows], w=np.full(100, 1.0))
    np.save("x.npy", X)
    np.save("y.npy", Y)
    write_arrays("d.npz", {"x": X, "y": Y})
    return tmp_path


def tables() -> None:
    """The same as tables: a column for each number, and all of them in one."""
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    feather = pytest.importorskip("pyarrow.feather")
    columns = {name: X[:, k] for k, name in enumerate("abcd")}
    parquet.write_table(pa.table({**columns, "kind": Y}), "t.parquet", row_group_size=100)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 4)
    feather.write_feather(pa.table({"name": ["a"] * 600, "kind": Y, "all": vectors}), "t.feather", chunksize=100)


def works(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    status = main(words)
    out, err = capsys.readouterr()
    assert status == 0, out + err
    return out


def fails(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    before = {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()}
    status = main(words)
    out, err = capsys.readouterr()
    assert status == 2, out + err
    assert err.startswith("symnet: error: ") and "Traceback" not in err
    assert {p: p.read_bytes() for p in Path().rglob("*") if p.is_file()} == before
    return err.removeprefix("symnet: error: ").rstrip("\n")


SOURCES = {
    "pattern": ("parts/p*.npz",),
    "folder": ("parts",),
    "maps": ("x.npy,y.npy",),
    "parquet": ("t.parquet", "--target-column", "kind"),
    "feather": ("t.feather", "--target-column", "kind", "--feature-columns", "all"),
}


@pytest.mark.parametrize("form", SOURCES)
def test_train_and_predict(place: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    if form in ("parquet", "feather"):
        tables()
    data = ("--data", *SOURCES[form])
    out = works(capsys, "train", "m.toml", *data, *MORE, "--params", "p.npz")
    held = 150 if form == "maps" else 200
    assert f"{600 - held} samples to train, {held} to validate" in out
    for part in ("train", "validation"):
        line = next(line for line in out.splitlines() if line.startswith(part))
        assert float(line.split("accuracy")[1].strip(" %")) > 90
    expected = works(capsys, "predict", "m.toml", "--params", "p.npz", "--data", "d.npz")
    assert works(capsys, "predict", "m.toml", "--params", "p.npz", *data) == expected
    assert len(expected.splitlines()) == 600
    for name in ("o.npy", "o.csv"):
        works(capsys, "predict", "m.toml", "--params", "p.npz", "--data", "d.npz", "-o", f"whole-{name}", "--raw")
        out = works(capsys, "predict", "m.toml", "--params", "p.npz", *data, "-o", name, "--raw")
        assert out == f"{name}: 600 predictions\n"
        assert Path(name).read_bytes() == Path(f"whole-{name}").read_bytes()
    assert np.load("o.npy").shape == (600, 3)


def test_data_without_targets_are_enough_to_predict(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_arrays("p.npz", {"logits.weight": np.ones((3, 4)), "logits.bias": np.arange(3.0)})
    Path("bare").mkdir()
    np.savez("bare/0.npz", flower=X)
    for data in ("x.npy", "bare"):
        assert works(capsys, "predict", "m.toml", "--params", "p.npz", "--data", data) == "2\n" * 600


def test_a_folder_of_idx_files_stays_one(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("parts/train-images-idx3-ubyte").write_bytes(b"")
    assert "is no IDX file" in fails(capsys, "train", "m.toml", "--data", "parts")


def test_shards_or_memory_make_no_difference_to_the_figures(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_arrays("p.npz", {"logits.weight": RNG.normal(size=(3, 4)), "logits.bias": np.zeros(3)})
    options = ("--start", "p.npz", "--epochs", "1", "--learning-rate", "1e-12", "--holdout", "0")
    results = [
        works(capsys, "train", "m.toml", "--data", data, *options).splitlines()[1]
        for data in ("d.npz", "parts", "x.npy,y.npy")
    ]
    assert results[0].startswith("train") and results[0] == results[1] == results[2]


def test_a_target_that_is_a_number(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("r.toml").write_text(MODEL.replace("cross_entropy", "squared_error").replace("units = 3", "units = 1"))
    values = X @ np.arange(4) + 50 + np.arange(600)
    write_arrays("v.npz", {"x": X, "y": values})
    np.save("v.npy", values)
    lines = [
        works(capsys, "train", "r.toml", "--data", data, "--epochs", "1", "--holdout", "0").splitlines()[1]
        for data in ("v.npz", "x.npy,v.npy")
    ]
    assert "R2" in lines[0] and lines[0] == lines[1]


def test_weights_validation_and_checkpoints(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ("--data", "parts/p[0-4].npz", "--validation", "parts/p5.npz")
    out = works(capsys, "train", "m.toml", *data, *MORE, "--sample-weight", "w", "--params", "w.npz")
    assert "500 samples to train, 100 to validate" in out
    pytest.importorskip("safetensors")
    works(capsys, "train", "m.toml", *data, "--epochs", "2", "--checkpoint", "runs", "--checkpoint-every", "3")
    works(capsys, "train", "m.toml", *data, "--epochs", "4", "--checkpoint", "runs", "--resume", "--params", "r.npz")
    works(capsys, "train", "m.toml", *data, "--epochs", "4", "--params", "s.npz")
    assert Path("r.npz").read_bytes() == Path("s.npz").read_bytes()


def test_audit(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert works(capsys, "audit", "m.toml", "--data", "parts") == works(capsys, "audit", "m.toml", "--data", "d.npz")


MISTAKES: list[tuple[tuple[str, ...], str]] = [
    (
        ("parts/q*.npz",),
        "no file matches 'parts/q*.npz'; the folder 'parts' holds p0.npz, p1.npz, p2.npz, p3.npz and 2",
    ),
    (("prts/*.npz",), "the folder 'prts' does not exist; did you mean 'parts'?"),
    (("parts/*.csv",), "'parts/*.csv': a pattern stands for files that end in .npz, .parquet"),
    (("parts/p0*.npz",), "1 shard cannot be split into two parts of whole shards"),
    (("parts", "--holdout", "0.9"), "(--validation DATA), or hold out none (--holdout 0)"),
    (("parts", "--sample-weight", "ww"), "has no array 'ww'; it has x, y, w"),
    (("parts", "--class-weight", "balanced"), "--class-weight counts the labels of data in memory; 'parts' is read in"),
    (("parts", "--target-column", "kind"), "--target-column names columns of a table"),
    (("d.npz", "--feature-columns", "a,b"), "--feature-columns names columns of a table"),
    (("x.npy",), "'x.npy': expected the input and the targets, as in x.npy,y.npy; got 1 files"),
    (("x.npy,z.npy",), "no such file: 'z.npy'; did you mean"),
    (("x.npy,y.npy", "--sample-weight", "w"), "weights of samples come from .npz files or tables"),
    (("y.npy,x.npy",), "input 'flower': expected shape (N=20, 4), got (20,)"),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES)
def test_mistakes(place: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str) -> None:
    assert message in fails(capsys, "train", "m.toml", *MORE, "--data", *words)


TABLES: list[tuple[tuple[str, ...], str]] = [
    (
        ("t.parquet",),
        "'t.parquet': which column has the targets? name it with --target-column; there are a, b, c, d, k",
    ),
    (("t.parquet", "--target-column", "kin"), "'t.parquet' has no column 'kin'; it has a, b, c, d, kind; did you mean"),
    (("t.parquet", "--target-column", "a"), "the columns b, c, d, kind have 4 numbers"),
    (
        ("t.parquet", "--target-column", "kind", "--feature-columns", "a,b"),
        "the columns a, b have 2 numbers a row; shape",
    ),
    (("t.feather", "--target-column", "kind"), "column 'name' is string; expected numbers"),
    (("u.parquet", "--target-column", "kind"), "no such file: 'u.parquet'; did you mean 't.parquet'?"),
]


@pytest.mark.parametrize(("words", "message"), TABLES)
def test_mistakes_with_tables(
    place: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    tables()
    if words[-1] == "a":  # sound columns, but these targets are no labels
        message = "labels are whole numbers"
    assert message in fails(capsys, "train", "m.toml", *MORE, "--data", *words)


def test_a_prediction_that_fails_leaves_no_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_arrays("p.npz", {"logits.weight": np.ones((3, 4)), "logits.bias": np.arange(3.0)})
    x = X[:100].copy()
    x[3, 2] = np.nan
    np.savez("parts/p4.npz", x=x, y=Y[:100])
    error = fails(capsys, "predict", "m.toml", "--params", "p.npz", "--data", "parts", "-o", "out.csv")
    assert "shard 'parts/p4.npz': x holds nan at [3, 2]" in error
