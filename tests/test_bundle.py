"""A bundle predicts what the network predicts, on a Python that has NumPy and nothing of symnet."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import symnet as sn
from symnet.cli.main import main
from symnet.export.bundle import write_bundle

ALONE = (
    "import sys, builtins\n"
    "whole = builtins.__import__\n"
    "def only(name, *rest, **named):\n"
    "    if name.partition('.')[0] in ('symnet', 'codegen', 'sympy', 'numexpr', 'scipy', 'sklearn'):\n"
    "        raise ImportError(name)\n"
    "    return whole(name, *rest, **named)\n"
    "builtins.__import__ = only\n"
    "import runpy\n"
    "sys.argv = sys.argv[1:]\n"
    "runpy.run_path(sys.argv[0], run_name='__main__')\n"
)
"""Runs a zip application where these packages cannot be imported."""


def run(path: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ALONE, str(path), *words],
        input=stdin,
        capture_output=True,
        text=True,
        cwd=path.parent,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        check=False,
    )


def _model() -> sn.Model:
    x = sn.Input((1, 6, 6), name="image")
    h = sn.MaxPool2D(2)(sn.Conv2D(4, 3, padding="same", activation="relu")(x))
    return sn.Model(x, sn.Dense(3)(sn.Flatten()(h)), loss=sn.CrossEntropy(), name="tiny")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "tiny.pyz"
    write_bundle(path, _model(), sn.compile(_model()).module.init_params(4))
    return path


def test_predicts_alone(bundle: Path, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((7, 1, 6, 6)).astype("f4")
    module = sn.compile(_model()).module
    expected = module.predict(module.init_params(4), x)
    np.savez(tmp_path / "x.npz", x=x)
    result = run(bundle, "predict", "--data", str(tmp_path / "x.npz"))
    assert [int(line) for line in result.stdout.split()] == expected.tolist(), result.stderr
    rows = "\n".join(",".join(map(repr, row.tolist())) for row in x.reshape(7, -1))
    assert run(bundle, "predict", "--data", "-", stdin=rows).stdout == result.stdout
    assert (
        run(bundle, "predict", "--data", str(tmp_path / "x.npz"), "--raw", "-o", str(tmp_path / "y.npy")).returncode
        == 0
    )
    np.testing.assert_array_equal(np.load(tmp_path / "y.npy"), module.forward(module.init_params(4), x))


def test_checks_itself(bundle: Path, tmp_path: Path) -> None:
    assert "ok" in run(bundle, "check").stdout
    altered = tmp_path / "altered.pyz"
    params = sn.compile(_model()).module.init_params(5)
    write_bundle(altered, _model(), params)
    with (
        zipfile.ZipFile(bundle) as good,
        zipfile.ZipFile(altered) as other,
        zipfile.ZipFile(tmp_path / "m.pyz", "w") as m,
    ):
        for name in good.namelist():
            m.writestr(name, (other if name == "check.npz" else good).read(name))
    result = run(tmp_path / "m.pyz", "check")
    assert result.returncode == 1
    assert "WRONG" in result.stdout


def test_is_importable(bundle: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(bundle)!r}); import bundle, numpy as np;"
        "print(bundle.predict(np.zeros((2, 1, 6, 6), 'f4')).shape, bundle.network.MODEL)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=bundle.parent)
    assert result.stdout == "(2,) tiny\n"


def test_same_bytes(bundle: Path, tmp_path: Path) -> None:
    write_bundle(tmp_path / "again.pyz", _model(), sn.compile(_model()).module.init_params(4))
    assert (tmp_path / "again.pyz").read_bytes() == bundle.read_bytes()


def test_uses_nothing_a_browser_lacks(bundle: Path) -> None:
    """What is imported at the start: no processes, threads, sockets or shared memory."""
    code = (
        f"import sys; sys.path.insert(0, {str(bundle)!r}); import numpy; before = set(sys.modules); import bundle;"
        "print(sorted({m.partition('.')[0] for m in set(sys.modules) - before}))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=bundle.parent)
    assert not {"multiprocessing", "socket", "ctypes", "mmap"} & set(_words(result.stdout))


def _words(text: str) -> list[str]:
    return [word.strip(" '\n") for word in text.strip("[]\n").split(",")]


@pytest.mark.parametrize(
    ("words", "stdin", "message"),
    [
        (("predict", "--data", "-"), "1,2,3\n", "do not make samples of shape (1, 6, 6)"),
        (("predict", "--data", "-"), "1,2\n3\n", "row 2: expected 2 numbers"),
        (("predict", "--data", "-"), "", "got none"),
        (("predict", "--data", "none.npz"), "", "No such file"),
        (("predict", "--data", "-"), ",".join(["nan"] * 36), "image"),
    ],
)
def test_mistakes(bundle: Path, words: tuple[str, ...], stdin: str, message: str) -> None:
    result = run(bundle, *words, stdin=stdin)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toml = tmp_path / "m.toml"
    toml.write_text(
        'name = "m"\ninput = { name = "x", shape = [4] }\nloss = "cross_entropy"\n'
        '[[layers]]\nkind = "Dense"\nname = "fc"\nunits = 3\n'
    )
    params = {"fc.weight": np.eye(3, 4, dtype="f4"), "fc.bias": np.zeros(3, "f4")}
    np.savez(tmp_path / "p.npz", **params)
    assert main(["bundle", str(toml), "--params", str(tmp_path / "p.npz"), "-o", str(tmp_path / "m.pyz")]) == 0
    assert "needs Python and NumPy" in capsys.readouterr().out
    assert run(tmp_path / "m.pyz", "predict", "--data", "-", stdin="a,b,c,d\n0,9,0,0\n5,1,0,0\n").stdout == "1\n0\n"
    np.savez(tmp_path / "p.npz", **{"fc.weight": params["fc.weight"]})
    assert main(["bundle", str(toml), "--params", str(tmp_path / "p.npz"), "-o", str(tmp_path / "no.pyz")]) == 2
    assert not (tmp_path / "no.pyz").exists()
