"""The package installs from its source distribution into an empty environment, and runs there with its core alone.

It takes a minute and asks the package index, so it runs where the variable CI is set, as in `.ci/run`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = shutil.ignore_patterns(
    "__pycache__", "*.egg-info", "build", "dist", ".*_cache", ".git", ".venv", ".hypothesis"
)

pytestmark = pytest.mark.skipif(not os.environ.get("CI"), reason="installs packages: set CI=1 to run it")


@dataclass(frozen=True)
class Place:
    """An environment and a folder to work in, away from the checkout."""

    environment: Path
    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.programs / ("python.exe" if os.name == "nt" else "python")

    @property
    def programs(self) -> Path:
        """Where its commands lie."""
        return self.environment / ("Scripts" if os.name == "nt" else "bin")

    def run(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the environment's Python, or `symnet`, with nothing of this process's own."""
        program = self.programs / words[0]
        return run([program, *words[1:]], self.folder)

    def good(self, *words: str | Path) -> str:
        """What a command prints that must succeed, both streams together."""
        done = self.run(*words)
        assert done.returncode == 0, f"{words}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


def run(command: Sequence[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "SYMNET_DEBUG"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden} | {"PYTHONUTF8": "0"}
    return subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=600
    )


def pip(*words: str | Path, folder: Path) -> None:
    done = run([sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *words], folder)
    assert done.returncode == 0, done.stderr


def environment(folder: Path, *packages: str | Path) -> Place:
    """A fresh environment with these packages and what they depend on."""
    place = Place(folder / "environment", folder)
    assert run([sys.executable, "-m", "venv", "--without-pip", place.environment], folder).returncode == 0
    pip("--python", place.python, "install", *packages, folder=folder)
    return place


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the source distribution, which is built from a clean copy of the tree."""
    folder = tmp_path_factory.mktemp("build")
    shutil.copytree(ROOT, folder / "tree", ignore=LEFT_OUT)
    tools = environment(folder, *project()["build-system"]["requires"])
    code = "import setuptools.build_meta as b; print(b.build_sdist('..'))"
    done = run([tools.python, "-c", code], folder / "tree")
    assert done.returncode == 0, done.stderr
    (source,) = folder.glob("symnet-*.tar.gz")
    pip("wheel", "--no-deps", "-w", folder, source, folder=folder)
    (path,) = folder.glob("symnet-*.whl")
    return path


@pytest.fixture(scope="module")
def place(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The wheel in an environment of its own, a network and data for it."""
    found = environment(tmp_path_factory.mktemp("installed"), wheel)
    shutil.copy(ROOT / "examples" / "digits_mlp.toml", found.folder / "net.toml")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, 400)
    x = rng.normal(size=(10, 64))[y] + rng.normal(0, 0.3, (400, 64))
    np.savez(found.folder / "data.npz", x=x.astype("f4"), y=y)
    (found.folder / "table.parquet").write_bytes(b"PAR1")
    return found


@pytest.fixture(scope="module")
def trained(place: Place) -> Place:
    """The same with a module and its parameters."""
    place.good("symnet", "compile", "net.toml", "-o", "net.py")
    place.good("symnet", "train", "net.toml", "--data", "data.npz", "--epochs", "3", "--params", "net.npz")
    return place


def project() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_holds_every_file(wheel: Path) -> None:
    tree = wheel.parent / "tree"
    files = [p for name in ("symnet", "codegen") for p in (tree / name).rglob("*") if p.is_file()]
    wanted = {p.relative_to(tree).as_posix() for p in files if p.name != "ruff.toml"}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == wanted


def test_brings_the_core_alone(place: Place) -> None:
    listed = "from importlib.metadata import distributions as d; print(*sorted(x.name for x in d()))"
    assert place.good("python", "-c", listed).split() == ["mpmath", "numexpr", "numpy", "symnet", "sympy"]
    assert place.good("symnet", "--version") == f"symnet {project()['project']['version']}\n"


def test_compiles_trains_and_shows(trained: Place) -> None:
    labels = trained.good("symnet", "predict", "net.toml", "--params", "net.npz", "--data", "data.npz").split()
    assert labels == trained.good("python", "net.py", "predict", "--data", "data.npz", "--params", "net.npz").split()
    with np.load(trained.folder / "data.npz", allow_pickle=False) as data:
        assert np.mean(data["y"] == np.array(labels, int)) > 0.9
    assert r"\frac{\partial L}" in trained.good("symnet", "latex", "net.toml")
    trained.good("symnet", "report", "net.toml", "-o", "net.html")
    page = (trained.folder / "net.html").read_text(encoding="utf-8")
    assert all(part in page for part in ("katex", "font/woff2", "<svg"))
    for words in (("summary",), ("audit",), ("graph", "-o", "net.svg"), ("check",), ("bench", "--seconds", "0.1")):
        trained.good("symnet", words[0], "net.toml", *words[1:])


def test_generated_module_is_a_program(trained: Place) -> None:
    assert "epoch 2/2" in trained.good(
        "python", "net.py", "train", "--data", "data.npz", "--params", "p.npz", "--epochs", "2"
    )
    assert "ok" in trained.good("python", "net.py", "check")


TRAIN = ("train", "net.toml", "--data", "data.npz", "--epochs", "1")


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ((*TRAIN, "--target", "numba"), "numba"),
        (("export", "net.toml", "--onnx", "net.onnx"), "onnx"),
        (("export", "net.toml", "--weights", "net.safetensors"), "checkpoints"),
        ((*TRAIN, "--checkpoint", "runs"), "checkpoints"),
        ((*TRAIN, "--tensorboard", "runs"), "tensorboard"),
        ((*TRAIN, "--plot", "runs"), "plot"),
        (("train", "net.toml", "--data", "table.parquet", "--target-column", "y"), "arrow"),
        (("train", "net.toml", "--data", "sklearn:digits"), "sklearn"),
        (("check", "net.toml", "--plot", "errors.png"), "plot"),
        (("audit", "net.toml", "-o", "errors.png"), "plot"),
    ],
    ids=["target", "onnx", "weights", "checkpoint", "tensorboard", "plot", "arrow", "data", "check", "audit"],
)
def test_says_what_to_install(trained: Place, words: Sequence[str], name: str) -> None:
    before = set(trained.folder.iterdir())
    done = trained.run("symnet", *words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"pip install 'symnet[{name}]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert set(trained.folder.iterdir()) == before
    assert name in project()["project"]["optional-dependencies"]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("import symnet.sklearn", "sklearn"),
        (
            "import symnet as sn\nfrom symnet.definition import load\n"
            "sn.fit_scipy(sn.compile(load('net.toml')), 0, 0, method='l-bfgs')",
            "scipy",
        ),
    ],
    ids=["sklearn", "scipy"],
)
def test_a_function_says_so_too(place: Place, code: str, name: str) -> None:
    done = place.run("python", "-c", code)
    assert f"pip install 'symnet[{name}]'" in done.stderr


def test_bundle_runs_with_numpy_alone(trained: Place, tmp_path: Path) -> None:
    trained.good("symnet", "bundle", "net.toml", "--params", "net.npz", "-o", "net.pyz")
    numpy = trained.good("python", "-c", "import numpy; print(numpy.__version__)").strip()
    bare = environment(tmp_path, f"numpy=={numpy}")
    shutil.copy(trained.folder / "net.pyz", tmp_path)
    assert "ok" in bare.good("python", "net.pyz", "check")
    data = ("--data", str(trained.folder / "data.npz"))
    expected = trained.good("symnet", "predict", "net.toml", "--params", "net.npz", *data)
    assert bare.good("python", "net.pyz", "predict", *data) == expected
    shutil.copy(trained.folder / "net.py", tmp_path)
    assert "epoch 1/1" in bare.good("python", "net.py", "train", *data, "--params", "p.npz", "--epochs", "1")
