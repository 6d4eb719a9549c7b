"""Data files: what is read, how it is fitted to a network, and what every bad file says."""

from __future__ import annotations

import gzip
import importlib.util
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from symnet.data.samples import HELD_OUT, Data, Signature, load_data, split
from symnet.readers.bundled import class_names
from symnet.support.errors import DataError
from symnet.support.files import write_arrays

IMAGE = Signature({"image": ((1, 4, 4), "float")}, ((), "int", 3))
FLAT = Signature({"x": ((2,), "float")}, ((1,), "float", None))
CLASSES = Signature({"x": ((2,), "float")}, ((), "int", 3))


def idx(path: Path, array: np.ndarray, code: int = 8, pack: bool = False) -> Path:
    data = struct.pack(">HBB", 0, code, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(data) if pack else data)
    return path


def npz(path: Path, **arrays: np.ndarray) -> Path:
    write_arrays(path, arrays)
    return path


# --- npz


def test_npz_is_taken_as_it_is(tmp_path: Path) -> None:
    x, y = np.random.default_rng(0).random((5, 1, 4, 4), dtype=np.float32), np.arange(5) % 3
    data = load_data(npz(tmp_path / "d.npz", x=x, y=y), IMAGE)
    assert data.count == 5 and data.y is not None and isinstance(data.x, np.ndarray)
    np.testing.assert_array_equal(data.x, x)
    np.testing.assert_array_equal(data.y, y)
    assert data.x.dtype == np.float32


def test_npz_under_the_inputs_own_name_and_without_targets(tmp_path: Path) -> None:
    data = load_data(npz(tmp_path / "d.npz", image=np.ones((2, 1, 4, 4))), IMAGE, target=False)
    assert data.y is None and data.count == 2


def test_npz_for_several_inputs(tmp_path: Path) -> None:
    two = Signature({"tok": (("T",), "int"), "mask": (("T",), "bool")}, ((), "int", 2))
    path = npz(tmp_path / "d.npz", tok=np.ones((4, 3), np.int64), mask=np.ones((4, 3), bool), y=np.zeros(4, np.int64))
    data = load_data(path, two)
    assert isinstance(data.x, dict) and list(data.x) == ["tok", "mask"]
    assert data.take(np.array([0, 2])).count == 2
    with pytest.raises(DataError, match=r"no array 'mask'.*'masks'"):
        load_data(npz(tmp_path / "e.npz", tok=np.ones((4, 3)), masks=np.ones((4, 3)), y=np.zeros(4)), two)


def damaged(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        write_arrays(path, {"x": np.random.default_rng(0).random((50, 2)), "y": np.zeros(50, np.int64)})
        path.write_bytes(change(path.read_bytes()))

    return write


def objects(path: Path) -> None:
    np.savez(path, x=np.array([[1.0, 2.0], None], dtype=object), y=np.zeros(2, np.int64))


BAD_NPZ: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty file": (lambda p: p.write_bytes(b""), "cannot read"),
    "foreign": (lambda p: p.write_bytes(b"hello, world" * 9), "cannot read"),
    "truncated": (damaged(lambda b: b[: len(b) // 2]), "cannot read"),
    "damaged within": (damaged(lambda b: b[:300] + b"\xff" * 8 + b[308:]), "cannot read array 'x'"),
    "objects": (objects, "array 'x'.*objects, which is never loaded"),
    "pickle": (lambda p: p.write_bytes(b"\x80\x04K\x01."), "cannot read"),
    "bare npy": (lambda p: np.save(p.open("wb"), np.ones(3)), "one bare array"),
    "no x": (lambda p: npz(p, X=np.ones((2, 2)), y=np.zeros(2)), "no array 'x'.*did you mean 'X'"),
    "no y": (lambda p: npz(p, x=np.ones((2, 2))), "no array 'y' for the targets; it has x"),
    "nothing": (npz, "it has none"),
    "lengths": (lambda p: npz(p, x=np.ones((3, 2)), y=np.zeros(2)), "'y' has 2 samples where the input has 3"),
    "no samples": (lambda p: npz(p, x=np.ones((0, 2)), y=np.zeros(0)), "is empty"),
    "scalar": (lambda p: npz(p, x=np.array(1.0), y=np.zeros(1)), "is empty"),
    "nan": (lambda p: npz(p, x=np.array([[1, 2], [3, np.nan]]), y=np.zeros(2)), r"'x' holds nan at \[1, 1\]"),
    "inf": (lambda p: npz(p, x=np.ones((2, 2)), y=np.array([1, np.inf])), r"'y' holds inf at \[1\]"),
    "text": (lambda p: npz(p, x=np.array([["a", "b"]]), y=np.zeros(1)), "dtype <U1; expected numbers"),
    "complex": (lambda p: npz(p, x=np.ones((1, 2), complex), y=np.zeros(1)), "dtype complex128"),
}


@pytest.mark.parametrize("case", BAD_NPZ)
def test_bad_npz(case: str, tmp_path: Path) -> None:
    write, message = BAD_NPZ[case]
    write(tmp_path / "d.npz")
    with pytest.raises(DataError, match=message):
        load_data(tmp_path / "d.npz", FLAT)


def test_a_lying_npz_header_is_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "d.npz", x=np.zeros((50, 2)), y=np.zeros(50))
    lie = path.read_bytes().replace(b"(50, 2), ", b"(9**9**9)")
    path.write_bytes(lie)
    with pytest.raises(DataError, match="cannot read"):
        load_data(path)


# --- csv


@pytest.mark.parametrize("header", ["", "a,b,label\n", '\ufeff"a","b","label"\n'])
def test_csv_with_and_without_names(header: str, tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text(header + "1,2.5,0\n\n3e0, 4,2\r\n", encoding="utf-8")
    data = load_data(path, CLASSES)
    assert data.y is not None
    np.testing.assert_array_equal(np.asarray(data.x), [[1, 2.5], [3, 4]])
    np.testing.assert_array_equal(data.y, [0, 2])
    assert data.y.dtype == np.int64


def test_csv_rows_become_pictures_and_real_targets_stay_real(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    np.savetxt(path, np.column_stack([np.arange(48.0).reshape(3, 16), [0, 1, 2]]), delimiter=",")
    assert np.shape(load_data(path, IMAGE).x) == (3, 1, 4, 4)
    path.write_text("1,2,3\n4,5,6\n")
    data = load_data(path, FLAT)
    assert data.y is not None and data.y.dtype == np.float64


def test_csv_without_targets_for_prediction(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("1,2\n3,4\n")
    data = load_data(path, FLAT, target=False)
    assert data.y is None and np.shape(data.x) == (2, 2)
    path.write_text("1,2,0\n3,4,1\n")
    assert load_data(path, FLAT, target=False).y is not None
    path.write_text("1,2\n3,4\n")
    with pytest.raises(DataError, match="one more, the target"):
        load_data(path, FLAT)


BAD_CSV: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "no rows"),
    "names only": (b"a,b,c\n", "no rows"),
    "ragged": (b"1,2,3\n4,5\n", "line 2: 2 fields where the rows before it have 3"),
    "word": (b"1,2,0\n3,x7,1\n", "line 2, column 2: 'x7' is no number"),
    "half a header": (b"a,2,0\n3,4,1\n", "line 1, column 1.*column names must hold no number"),
    "gap": (b"1,,0\n", "line 1, column 2: the field is empty"),
    "nan": (b"1,2,0\n1,nan,0\n", "line 2, column 2: 'nan' is not finite"),
    "inf": (b"p,q,r\n1,1e999,0\n", "line 2, column 2: '1e999' is not finite"),
    "semicolons": (b"1;2;0\n", "separate fields by commas"),
    "one column": (b"1\n2\n", "one column"),
    "binary": (b"\x89PNG\r\n\xff\xfe", "no UTF-8 text"),
    "nul": (b"1,\x00,2\n", "line 1"),
    "wrong width": (b"1,2,3,0\n", "3 numbers a sample; the network's input 'x' takes 2"),
}


@pytest.mark.parametrize("case", BAD_CSV)
def test_bad_csv(case: str, tmp_path: Path) -> None:
    content, message = BAD_CSV[case]
    (tmp_path / "d.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_data(tmp_path / "d.csv", FLAT)


# --- IDX


@pytest.mark.parametrize("pack", [False, True])
def test_idx_pictures_with_the_labels_beside_them(pack: bool, tmp_path: Path) -> None:
    end = ".gz" if pack else ""
    pixels = np.arange(48, dtype=np.uint8).reshape(3, 4, 4) * 5
    images = idx(tmp_path / f"train-images-idx3-ubyte{end}", pixels, pack=pack)
    idx(tmp_path / f"train-labels-idx1-ubyte{end}", np.array([2, 0, 1], np.uint8), pack=pack)
    for spec in (images, tmp_path):
        data = load_data(spec, IMAGE)
        assert np.shape(data.x) == (3, 1, 4, 4) and data.y is not None and data.y.tolist() == [2, 0, 1]
        np.testing.assert_allclose(np.asarray(data.x).reshape(3, 4, 4), pixels / 255)


def test_idx_of_other_types_keeps_its_numbers(tmp_path: Path) -> None:
    images = idx(tmp_path / "images-idx", np.array([[1.5, -2.0]], ">f4"), code=0x0D)
    data = load_data(images, target=False)
    np.testing.assert_array_equal(np.asarray(data.x), [[1.5, -2.0]])
    assert np.asarray(data.x).dtype == np.float32


IDX_HEAD = struct.pack(">HBB3I", 0, 8, 3, 2, 4, 4)
BAD_IDX: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "begins with nothing"),
    "foreign": (b"hello", "no IDX file: it begins with 68 65 6c 6c"),
    "unknown type": (b"\0\0\x0a\1" + bytes(8), "no IDX file"),
    "header cut": (IDX_HEAD[:9], "truncated: 9 bytes end within its header of 16"),
    "data cut": (IDX_HEAD + bytes(31), "truncated: expected 48 bytes for 2 x 4 x 4 numbers, got 47"),
    "too long": (IDX_HEAD + bytes(33), "longer than its header says"),
    "huge claim": (struct.pack(">HBB3I", 0, 8, 3, 2**31, 2**31, 9), "truncated"),
    "no samples": (struct.pack(">HBB3I", 0, 8, 3, 0, 4, 4), "is empty"),
    "gzip cut": (gzip.compress(IDX_HEAD + bytes(32))[:-9], "truncated or damaged gzip"),
    "labels instead": (struct.pack(">HBBI", 0, 8, 1, 2) + bytes(2), "plain list of 2 numbers"),
}


@pytest.mark.parametrize("case", BAD_IDX)
def test_bad_idx(case: str, tmp_path: Path) -> None:
    content, message = BAD_IDX[case]
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    idx(tmp_path / "train-labels-idx1-ubyte", np.zeros(2, np.uint8))
    with pytest.raises(DataError, match=message):
        load_data(path)


def test_idx_without_labels_or_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no IDX files of training images"):
        load_data(tmp_path)
    images = idx(tmp_path / "train-images-idx3-ubyte", np.zeros((2, 4, 4), np.uint8))
    with pytest.raises(DataError, match=r"no such file.*train-labels-idx1-ubyte"):
        load_data(images)
    with pytest.raises(DataError, match="expected 'images' in it"):
        load_data(images.rename(tmp_path / "pictures.idx"))


# --- scikit-learn's sets


@pytest.mark.parametrize(
    ("name", "features", "kind"),
    [("digits", 64, "i"), ("iris", 4, "i"), ("wine", 13, "i"), ("breast_cancer", 30, "i"), ("diabetes", 10, "f")],
)
def test_bundled_sets(name: str, features: int, kind: str) -> None:
    pytest.importorskip("sklearn")
    data = load_data(f"sklearn:{name}")
    assert np.shape(data.x)[1:] == (features,) and data.y is not None and data.y.dtype.kind == kind
    assert np.abs(np.asarray(data.x)).max() < 16


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer"])
def test_sets_are_standardised_by_the_part_that_is_trained_on(name: str) -> None:
    pytest.importorskip("sklearn")
    seen, held = (np.asarray(part.x) for part in split(load_data(f"sklearn:{name}"), HELD_OUT))
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(seen.std(axis=0), 1)
    assert np.abs(held.mean(axis=0)).max() > 0.01


def test_a_set_without_scikit_learn_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = r"'sklearn:iris' needs the package sklearn, which is not installed: pip install 'symnet\[sklearn\]'"
    with pytest.raises(DataError, match=message):
        load_data("sklearn:iris")
    assert class_names("sklearn:iris") is None


def test_digits_take_the_shape_of_the_input() -> None:
    pytest.importorskip("sklearn")
    x = np.asarray(load_data("sklearn:digits", Signature({"image": ((1, 8, 8), "float")})).x)
    assert x.shape == (1797, 1, 8, 8) and x.min() == 0 and x.max() == 1
    with pytest.raises(DataError, match="64 numbers a sample; the network's input 'image' takes 1 x 4 x 4 = 16"):
        load_data("sklearn:digits", IMAGE)
    with pytest.raises(DataError, match=r"give an .npz with these arrays"):
        load_data("sklearn:digits", Signature({"a": ((1,), "float"), "b": ((1,), "float")}))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("sklearn:digitss", "unknown data set 'sklearn:digitss'; did you mean 'digits'"),
        ("sklearn:zzz", "known: digits, iris, wine, breast_cancer or diabetes"),
        ("skleran:digits", "unknown source of data 'skleran:'.*did you mean 'sklearn'"),
        ("digit", "did you mean 'sklearn:digits'"),
        ("nothing.npz", "no such file: 'nothing.npz'"),
        ("nowhere/d.csv", "the folder 'nowhere' does not exist"),
        ("http://host/d.npz", "no such file"),
    ],
)
def test_data_that_is_not_there(spec: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_data(spec)


def test_misspelt_and_foreign_files(tmp_path: Path) -> None:
    npz(tmp_path / "train.npz", x=np.ones((1, 2)), y=np.zeros(1))
    with pytest.raises(DataError, match=r"did you mean 'train.npz'"):
        load_data(tmp_path / "trian.npz")
    (tmp_path / "d.xls").write_text("?")
    with pytest.raises(DataError, match=r"no kind of data file known here; expected .npz, .csv"):
        load_data(tmp_path / "d.xls")


# --- splitting


def test_split_is_stratified_exact_and_repeatable() -> None:
    y = np.repeat([0, 1, 2], [60, 30, 11])
    data = Data(np.arange(101.0)[:, None], y)
    rest, held = split(data, 0.25, seed=3)
    assert held.count == 26 and rest.count == 75
    assert held.y is not None
    assert abs(np.bincount(held.y) - np.array([15, 7.5, 2.75])).max() < 1
    together = np.sort(np.concatenate([np.asarray(rest.x), np.asarray(held.x)]).ravel())
    np.testing.assert_array_equal(together, np.arange(101.0))
    np.testing.assert_array_equal(np.asarray(split(data, 0.25, seed=3)[1].x), np.asarray(held.x))
    assert not np.array_equal(np.asarray(split(data, 0.25, seed=4)[1].x), np.asarray(held.x))


def test_split_of_real_targets_and_of_too_little() -> None:
    rest, held = split(Data(np.zeros((10, 1)), np.linspace(0, 1, 10)), 0.2)
    assert (rest.count, held.count) == (8, 2)
    with pytest.raises(DataError, match="cannot be split"):
        split(Data(np.zeros((1, 1)), np.zeros(1)), 0.25)


def test_idx_files_in_a_folder_of_the_folder(tmp_path: Path) -> None:
    """As torchvision leaves them: MNIST/raw/train-images-idx3-ubyte, packed and not."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for pack, suffix in ((False, ""), (True, ".gz")):
        idx(raw / f"train-images-idx3-ubyte{suffix}", np.full((2, 4, 4), 255, np.uint8), pack=pack)
        idx(raw / f"train-labels-idx1-ubyte{suffix}", np.array([0, 2], np.uint8), pack=pack)
    data = load_data(tmp_path, IMAGE)
    np.testing.assert_array_equal(np.asarray(data.x), np.ones((2, 1, 4, 4)))
    (tmp_path / "FashionMNIST").mkdir()
    idx(tmp_path / "FashionMNIST" / "train-images-idx3-ubyte", np.zeros((2, 4, 4), np.uint8))
    with pytest.raises(DataError, match="training images in 2 folders; name one of them"):
        load_data(tmp_path, IMAGE)
