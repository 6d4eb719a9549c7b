"""Files are written whole or not at all, and the same arrays give the same bytes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import symnet as sn
from runtime_module import module, source
from symnet.data.samples import load_data
from symnet.stream.paths import files_of
from symnet.support.errors import CheckpointError, SymnetError
from symnet.support.files import check_output, read_arrays, write_arrays, write_atomic
from symnet.training.callbacks.watching import Watch
from symnet.training.checkpoints import load_checkpoint


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


# --- links, devices, pipes, names


@pytest.fixture(scope="module")
def net() -> ModuleType:
    return module()


@pytest.fixture(params=["symnet", "module"])
def write(request: pytest.FixtureRequest, net: ModuleType) -> Callable[[Path], None]:
    """Writes parameters into a file, as symnet does and as a generated module does."""
    params = net.init_params()
    return (
        (lambda path: write_arrays(path, params))
        if request.param == "symnet"
        else (lambda path: net.save_params(path, params))
    )


def test_a_chain_of_links_stays(write: Callable[[Path], None], net: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to(Path("far") / "p.npz")  # which is not there yet
    for _ in range(2):
        write(tmp_path / "one")
        assert (tmp_path / "one").is_symlink() and (tmp_path / "two").is_symlink()
        assert net.load_params(tmp_path / "far" / "p.npz").keys() == net.PARAMETERS.keys()
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["far", "one", "p.npz", "two"]


def test_a_folder_that_is_a_link_and_the_mode_of_a_file(write: Callable[[Path], None], tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real", target_is_directory=True)
    (tmp_path / "real" / "p.npz").touch(0o600)
    write(tmp_path / "link" / "p.npz")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "p.npz").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_and_a_link_to_a_device_are_written_to(
    write: Callable[[Path], None], net: ModuleType, tmp_path: Path
) -> None:
    make: Any = os.mkfifo  # type: ignore[attr-defined, unused-ignore]
    make(tmp_path / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write(tmp_path / "pipe")
    reader.join()
    assert read[0].startswith(b"PK") and stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    (tmp_path / "null.npz").symlink_to(os.devnull)
    write(tmp_path / "null.npz")
    assert (tmp_path / "null.npz").is_symlink() and not Path(os.devnull).is_file()


@pytest.mark.skipif(not os.path.exists("/dev/stdout"), reason="the system has no such name")
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "link"])
def test_what_is_open_already_is_written_to_where_it_stands(name: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/stdout")
    code = (
        "import sys; from symnet.support.files import write_atomic; print('first', flush=True); "
        f"write_atomic({name!r}, 'second\\n'); print('third')"
    )
    with open(tmp_path / "out.txt", "w", encoding="utf-8") as out:
        subprocess.run([sys.executable, "-c", code], cwd=tmp_path, stdout=out, check=True)
    assert (tmp_path / "out.txt").read_text() == "first\nsecond\nthird\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "out.txt"]


def program(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The module in miniature, as a program."""
    command = [sys.executable, "linear.py", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_a_module_tries_its_output_before_it_trains(net: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "linear.py").write_text(source())
    x = np.zeros((4, 64))
    np.savez(tmp_path / "data.npz", x=x, y=np.zeros(4, int))
    net.save_params(tmp_path / "p.npz", net.init_params())
    before = sorted(tmp_path.iterdir())
    for out in ("none/p.npz", "p.npz/p.npz", ".", "data.npz", "a" * 300, "ä" * 200, "linear.py/"):
        for words in (
            ["train", "--data", "data.npz", "--epochs", "1", "--params", out],
            ["predict", "--data", "data.npz", "--params", "p.npz", "--out", out],
        ):
            run = program(tmp_path, *words)
            assert run.returncode == 2 and run.stderr.count("\n") == 1 and "cannot be written" in run.stderr, run.stderr
    assert sorted(p for p in tmp_path.iterdir() if p.name != "__pycache__") == before


def test_names_as_long_as_the_system_takes_them(write: Callable[[Path], None], tmp_path: Path) -> None:
    for name in ("n" * 255, "ä" * 127):
        write(tmp_path / name)
        assert (tmp_path / name).stat().st_size
    for name in ("n" * 256, "n" * 5000, "ä" * 128):
        with pytest.raises((SymnetError, ValueError), match="name too long"):
            write(tmp_path / name)
        with pytest.raises(SymnetError, match="name too long"):
            check_output(tmp_path / name)
    assert len(list(tmp_path.iterdir())) == 2


def test_no_path_is_too_long_or_too_odd_for_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    x = sn.Input((3,), name="x")
    net = sn.compile(sn.Model(x, sn.Dense(2)(x), loss=sn.CrossEntropy(), name="m"), target="numpy")
    data = np.ones((4, 3)), np.arange(4) % 2
    for name in ("n" * 256, "ü" * 3000, "a\0b", "deep/" * 1000):
        calls: list[Callable[[], object]] = [
            *(partial(load_data, name + end) for end in ("", ".npz", ".csv", "-idx3-ubyte", ":x")),
            partial(load_data, f"sklearn:{name}"),
            partial(load_checkpoint, name),
            partial(net.load, name),
            *(partial(files_of, name + end, (".npz",), "shards") for end in ("", "*")),
            *(partial(net.fit, *data, epochs=1, **{option: name}) for option in ("checkpoint", "resume")),
            *(partial(net.fit, *data, epochs=1, **{option: name}) for option in ("tensorboard", "plot")),
            partial(net.fit, *data, epochs=1, plot=f"new/{name}"),
        ]
        for call in calls:
            with pytest.raises(SymnetError):
                call()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_for_pictures_is_tried_before_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    Watch(plot=tmp_path / "some" / "where" / ".." / "new")
    Watch(plot=tmp_path)
    assert list(tmp_path.iterdir()) == []

    def refused(*words: object) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(SymnetError, match=r"plot: cannot write into '.*': Read-only file system"):
        Watch(plot=tmp_path / "new")
