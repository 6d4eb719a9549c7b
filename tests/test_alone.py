"""The generated source: the same bytes every time, in standard form, and sufficient by itself."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import symnet as sn
from batch import parameters
from corpus import NETWORKS, TARGETS, compiled, network

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = (
    "lenet",
    "inception",
    "masked",
    "lookup",
    "conv2d everything",
    "pool max padded",
    "activation gelu",
    "frozen",
)
SEEDED = ("inception", "masked", "activation gelu")


@cache
def source(name: str, target: str, dtype: str = "float32") -> str:
    return sn.compile(network(name).model, dtype=dtype, target=target).source


def python(program: str, *arguments: str, **variables: str) -> str:
    """The output of a program in a fresh process that finds this project."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]), **variables}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_same_bytes_for_every_hash_seed() -> None:
    program = (
        "import hashlib\nimport symnet as sn\nfrom corpus import network\n"
        f"for name in {SEEDED!r}:\n"
        f"    for target in {TARGETS!r}:\n"
        "        text = sn.compile(network(name).model, target=target).source\n"
        "        print(name, target, hashlib.sha256(text.encode()).hexdigest())\n"
    )
    found = {python(program, PYTHONHASHSEED=seed) for seed in ("0", "1", "4321")}
    assert len(found) == 1
    assert len(found.pop().splitlines()) == len(SEEDED) * len(TARGETS)


def test_the_same_bytes_twice_in_one_process() -> None:
    """What was compiled before leaves no trace: counters, caches and the order of work."""
    first = source("lenet", "auto")
    for name in ("inception", "lookup"):
        sn.compile(network(name).model)
    assert sn.compile(network("lenet").model).source == first


def test_standard_form(tmp_path: Path) -> None:
    ruff = shutil.which("ruff", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if ruff is None:
        pytest.skip("ruff is not installed")
    for k, name in enumerate(NETWORKS):
        for target in (*TARGETS, "numba"):
            text = compiled(name, target).source
            (tmp_path / f"network_{k}_{target}.py").write_text(text, encoding="utf-8")
    for command in (["format", "--isolated", "--diff"], ["check", "--isolated", "--no-cache"]):
        done = subprocess.run([ruff, *command, "."], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", SAMPLES)
def test_imports(name: str, target: str) -> None:
    tree = ast.parse(source(name, target))
    plain = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    named = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    packages = {module.split(".")[0] for module in (*plain, *named)}
    used = any(isinstance(node, ast.Name) and node.id == "ne" for node in ast.walk(tree))
    assert packages - sys.stdlib_module_names == ({"numpy", "numexpr"} if used else {"numpy"})
    assert used or target != "numexpr"


@pytest.mark.parametrize("target", TARGETS)
def test_a_saved_module_needs_nothing_of_this_project(target: str, tmp_path: Path) -> None:
    case = network("lenet")
    net = sn.compile(case.model, dtype="float64", target=target)
    net.save(tmp_path / "alone.py")
    expected, grads = net.module.loss_and_grads(parameters(case.model), case.x, case.y)
    np.savez(tmp_path / "data.npz", x=case.x["image"], y=case.y)
    np.savez(tmp_path / "start.npz", **parameters(case.model))
    forbidden = {"sympy", "symnet", "codegen"} | ({"numexpr"} if "import numexpr" not in net.source else set())
    program = f"""
import sys
sys.path.insert(0, sys.argv[1])

class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {sorted(forbidden)!r}:
            raise ImportError(f"{{name}} must not be needed")

sys.meta_path.insert(0, Forbidden())
import numpy as np
import alone
data = np.load("data.npz", allow_pickle=False)
params = dict(np.load("start.npz", allow_pickle=False))
loss, grads = alone.loss_and_grads(params, data["x"], data["y"])
np.savez("found.npz", loss=loss, output=alone.forward(params, data["x"]), **grads)
trained, history = alone.train(params, data["x"], data["y"], epochs=2, batch_size=2)
assert alone.main(["train", "--data", "data.npz", "--epochs", "2", "--params", "out.npz"]) == 0
assert alone.main(["predict", "--data", "data.npz", "--params", "out.npz"]) == 0
assert alone.main(["check"]) == 0
"""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = np.load(tmp_path / "found.npz", allow_pickle=False)
    assert float(found["loss"]) == expected
    for name, gradient in grads.items():
        np.testing.assert_array_equal(found[name], gradient)
