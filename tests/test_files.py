"""Files are written whole or not at all, and the same arrays give the same bytes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from symnet.errors import CheckpointError, SymnetError
from symnet.files import check_output, read_arrays, write_arrays, write_atomic


def test_written_arrays_are_the_same_bytes_each_time_and_numpy_reads_them(tmp_path: Path) -> None:
    arrays = {"dense_1.weight": np.eye(3, dtype=np.float32), "file": np.arange(2)}
    one, two = tmp_path / "1.npz", tmp_path / "2.npz"
    write_arrays(one, arrays)
    write_arrays(two, arrays)
    assert one.read_bytes() == two.read_bytes()
    with np.load(one, allow_pickle=False) as archive:
        assert sorted(archive.files) == ["dense_1.weight", "file"]
        np.testing.assert_array_equal(archive["dense_1.weight"], np.eye(3))


def test_a_file_is_replaced_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")
    path.chmod(0o640)
    link = tmp_path / "link.txt"
    link.symlink_to(path)
    write_atomic(link, "new\n")
    assert path.read_text() == "new\n" and link.is_symlink() and path.stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.txt", "out.txt"]


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.txt"
    path.write_text("old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SymnetError, match="No space left"):
        write_atomic(path, "new")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_output_paths_are_checked_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text("")
    with pytest.raises(SymnetError, match=r"folder '.*none' does not exist"):
        check_output(tmp_path / "none" / "out.py")
    with pytest.raises(SymnetError, match="it is a folder"):
        check_output(tmp_path)
    with pytest.raises(SymnetError, match="reads this very file"):
        check_output(tmp_path / "model.toml", [tmp_path / "model.toml"])
    write_atomic(os.devnull, "gone")
    assert not Path(os.devnull).is_file()


def test_checkpoints_have_their_own_error(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        read_arrays(tmp_path / "p.npz", CheckpointError)
