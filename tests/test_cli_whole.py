"""The command line from end to end, as its own process: real model files, real data."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from symnet.cli.main import main
from symnet.support.files import write_arrays

MLP = """
name = "iris_mlp"
input = { name = "flower", shape = [4] }
loss = "cross_entropy"
l2 = 1e-4
[[layers]]
kind = "Dense"
units = 16
activation = "tanh"
[[layers]]
kind = "Dense"
name = "logits"
units = 3
"""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`python -m symnet ...` in a folder."""
    root = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))}
    command = [sys.executable, "-m", "symnet", *words]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a model and its data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.toml").write_text(MLP)
    generator = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = generator.normal(size=(90, 4)) + 3 * np.eye(4)[y]
    write_arrays("d.npz", {"x": x, "y": y})
    np.savetxt("d.csv", np.column_stack([x, y]), delimiter=",", header="a,b,c,d,kind", comments="")
    return tmp_path


def test_compile_and_run_the_module_alone(folder: Path) -> None:
    done = run(folder, "compile", "m.toml", "-o", "m.py", "--target", "numpy")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("m.py: iris_mlp, 131 parameters")
    alone = [sys.executable, "-I", "m.py", "train", "--data", "d.npz", "--epochs", "3", "--params", "p.npz"]
    ran = subprocess.run(alone, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert run(folder, "predict", "m.toml", "--params", "p.npz", "--data", "d.csv").returncode == 0


@pytest.mark.parametrize("data", ["d.npz", "d.csv", "sklearn:iris"])
def test_train_and_predict(data: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if data.startswith("sklearn"):
        pytest.importorskip("sklearn")
    assert (
        main(["train", "m.toml", "--data", data, "--epochs", "60", "--params", "p.npz", "--learning-rate", "0.01"]) == 0
    )
    out = capsys.readouterr().out
    accuracy = float(out.split("validation")[1].split("accuracy")[1].split("%")[0])
    assert accuracy > 85
    assert main(["predict", "m.toml", "--params", "p.npz", "--data", data, "-o", "labels.npy"]) == 0
    labels = np.load("labels.npy")
    assert labels.dtype.kind == "i" and set(labels) == {0, 1, 2}


@pytest.mark.parametrize("target", ["numpy", "numexpr", "auto"])
def test_check(target: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "m.toml", "--target", target]) == 0
    out = capsys.readouterr().out
    assert "logits.weight   3 x 16" in out and "all 4 gradients agree" in out


def test_summary_and_latex(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["summary", "m.toml"]) == 0
    assert "131" in capsys.readouterr().out
    assert main(["latex", "m.toml", "-o", "m.tex"]) == 0
    assert "\\sum" in (folder / "m.tex").read_text(encoding="utf-8")


def test_a_closed_pipe_is_no_traceback(folder: Path) -> None:
    root = str(Path(__file__).parents[1])
    command = f"'{sys.executable}' -m symnet compile m.toml | head -n 1"
    environment = os.environ | {"PYTHONPATH": root}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == "" and done.stdout.count("\n") == 1


BAD = {
    "no toml": ("name = ", ""),
    "unknown kind": (MLP.replace('kind = "Dense"\nunits', 'kind = "Dens"\nunits'), "did you mean 'Dense'?"),
    "unknown option": (MLP.replace("units = 16", "unitz = 16"), "did you mean 'units'?"),
    "unknown activation": (MLP.replace('"tanh"', '"tahn"'), "tanh"),
    "unknown loss": (MLP.replace("cross_entropy", "crossentropy"), "cross_entropy"),
    "unknown key": ("nmae = 'x'\n" + MLP, "name"),
    "no units": (MLP.replace("units = 16", "units = 0"), "units"),
    "text for a number": (MLP.replace("units = 16", 'units = "many"'), "units"),
    "no identifier": (MLP.replace('"logits"', '"2 logits"'), "2 logits"),
    "code for a name": (MLP.replace('"logits"', "'''x\\n__import__(\"os\").abort()'''"), "name"),
    "code for an activation": (MLP.replace('"tanh"', "'__import__(\"os\").abort()'"), ""),
    "deep formula": (MLP.replace('"tanh"', f'"{"(" * 999}x{")" * 999}"'), ""),
    "huge power": (MLP.replace('"tanh"', '"x + 9**9**9**9"'), ""),
    "negative l2": (MLP.replace("1e-4", "-1.0"), "l2"),
    "infinite l2": (MLP.replace("1e-4", "inf"), "l2"),
    "no layers": (MLP.split("[[layers]]")[0], ""),
    "wrong shape": (MLP.replace("[4]", "[0]"), "shape"),
    "clashing names": (MLP.replace('"Dense"\nunits', '"Dense"\nname = "logits"\nunits'), "logits"),
    "kernel too large": (
        MLP.replace("[4]", "[1, 3, 3]").replace('"Dense"\nunits = 16', '"Conv2D"\nfilters = 4\nkernel_size = 5'),
        "5",
    ),
    "groups": (
        MLP.replace("[4]", "[3, 8, 8]").replace(
            '"Dense"\nunits = 16', '"Conv2D"\nfilters = 4\nkernel_size = 3\ngroups = 2'
        ),
        "groups",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_model_files(case: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, message = BAD[case]
    (folder / "bad.toml").write_text(text)
    (folder / "out.py").write_text("old")
    assert main(["compile", "bad.toml", "-o", "out.py"]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("symnet: error: ") and "Traceback" not in err and message in err and not out
    assert (folder / "out.py").read_text() == "old"
    assert sorted(p.name for p in folder.iterdir()) == ["bad.toml", "d.csv", "d.npz", "m.toml", "out.py"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("none.toml", None),
        ("none/m.toml", None),
        ("m.yaml", "name: x"),
        ("m.py", "x = 1"),
        ("m.py", "model = 3"),
        ("m.py", "def broken(:"),
        ("m.py", "import no_such_module_here"),
        ("m.toml", b"\xff\xfe\x00"),
    ],
)
def test_model_files_that_define_no_model(
    name: str, text: str | bytes | None, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main(["summary", name]) == 2
    err = capsys.readouterr().err
    assert err.startswith("symnet: error: ") and "Traceback" not in err


@pytest.mark.parametrize("command", ["compile", "summary", "latex", "check"])
def test_a_folder_is_no_model(command: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "."]) == 2
    assert capsys.readouterr().err.startswith("symnet: error: ")


def test_a_model_that_is_not_there_may_be_the_one_beside(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("mm.toml", "m"):
        assert main(["summary", name]) == 2
        assert "; did you mean 'm.toml'?" in capsys.readouterr().err


def test_several_targets_are_not_for_data_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("two.py").write_text(
        "import symnet as sn\nx = sn.Input((4,), name='x')\nouts = [sn.Dense(2, name=n)(x) for n in 'ab']\n"
        "model = sn.Model(x, outs, loss=[sn.CrossEntropy(), sn.CrossEntropy()], name='two')\n"
    )
    for command in ("train", "audit"):
        assert main([command, "two.py", "--data", "d.npz"]) == 2
        assert "'two' has the targets of a, b; data files have one, y: train" in capsys.readouterr().err


def test_real_data_mistakes(folder: Path) -> None:
    arrays = {"x": np.ones((8, 4)), "y": np.arange(8)}
    write_arrays("labels.npz", arrays)
    write_arrays("width.npz", {"x": np.ones((8, 5)), "y": np.zeros(8, int)})
    write_arrays("real.npz", {"x": np.ones((8, 4)), "y": np.zeros(8)})
    for name in ("labels.npz", "width.npz", "real.npz"):
        done = run(folder, "train", "m.toml", "--data", name, "--params", "p.npz")
        assert done.returncode == 2 and done.stderr.startswith("symnet: error: "), done.stderr
        assert "Traceback" not in done.stderr and not (folder / "p.npz").exists()


def test_divergence_is_one_message_and_a_huge_batch_is_no_problem(folder: Path) -> None:
    (folder / "r.toml").write_text(MLP.replace("cross_entropy", "squared_error"))
    base = ("train", "r.toml", "--data", "d.npz", "--params", "p.npz", "--quiet")
    done = run(folder, *base, "--optimizer", "sgd", "--learning-rate", "1e9")
    assert done.returncode == 2 and not (folder / "p.npz").exists()
    assert done.stderr.startswith("symnet: error: training diverged") and done.stderr.count("error") == 1
    assert "; the first equation that is not finite is in the loss:\n    loss[] = " in done.stderr, done.stderr
    done = run(folder, *base, "--batch-size", "2000000000")
    assert done.returncode == 0 and "accuracy" in done.stdout, done.stderr
