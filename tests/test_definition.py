"""Model files, and every mistake of a declaration: the class of the error and what its message says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import symnet as sn
from codegen.oracle.check import check
from symnet.definition import load

MLP = """
name = "digits_mlp"
input = { name = "image", shape = [64] }
loss = "cross_entropy"
l2 = 1e-4
[[layers]]
kind = "Dense"
units = 32
activation = "relu"
[[layers]]
kind = "Formula"
formula = "y[n,k] = exp(-g[k]*sum[i]((x[n,i]-c[k,i])**2))"
params = { c = "k,i", g = "k" }
sizes = { k = 16 }
[[layers]]
kind = "Dense"
name = "logits"
units = 10
"""

BRANCHES = """
name = "branches"
loss = "mean_squared_error"
[[inputs]]
name = "image"
shape = [2, 6, 6]
[[inputs]]
name = "mask"
shape = [2, 6, 6]
[[layers]]
kind = "Conv2D"
filters = 2
kernel_size = [3, 3]
padding = "same"
inputs = ["image"]
[[layers]]
kind = "Add"
inputs = ["conv2d_1", "mask"]
[[layers]]
kind = "Concat"
axis = 1
inputs = ["add_1", "image"]
[[layers]]
kind = "AvgPool2D"
pool_size = 2
"""

SCRIPT = """
import symnet as sn

x = sn.Input((4,), name="x")
model = sn.Model(x, sn.Dense(2)(x), loss=sn.CrossEntropy(), name="tiny")
"""


def written(folder: Path, text: str | bytes, name: str = "model.toml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(error: type[Exception], *fragments: str, act: Callable[[], object]) -> str:
    """The message of the error that `act` raises; it must hold all fragments."""
    with pytest.raises(error) as caught:
        act()
    message = str(caught.value)
    for fragment in fragments:
        assert fragment in message
    return message


def test_toml_model(tmp_path: Path) -> None:
    model = load(written(tmp_path, MLP))
    assert (model.name, model.l2) == ("digits_mlp", 1e-4)
    assert [placed.name for placed in model.layers] == ["dense_1", "formula_1", "logits"]
    assert [str(e) for e in model.output.shape] == ["N", "10"]
    assert isinstance(model.loss, sn.CrossEntropy)
    check(model.program)


def test_toml_branches(tmp_path: Path) -> None:
    model = load(written(tmp_path, BRANCHES))
    assert [t.name for t in model.inputs] == ["image", "mask"]
    assert [placed.name for placed in model.layers] == ["conv2d_1", "add_1", "concat_1", "avgpool2d_1"]
    assert [str(e) for e in model.output.shape] == ["N", "4", "3", "3"]


def test_script(tmp_path: Path) -> None:
    model = load(written(tmp_path, SCRIPT, "tiny.py"))
    assert model.name == "tiny"


def test_toml_and_python_declare_the_same_program(tmp_path: Path) -> None:
    text = 'input = { name = "x", shape = [4] }\nloss = "CrossEntropy"\n[[layers]]\nkind = "Dense"\nunits = 2\n'
    assert load(written(tmp_path, text)).program == load(written(tmp_path, SCRIPT, "tiny.py")).program


LAYER = 'input = { name = "x", shape = [4] }\n[[layers]]\n'
DENSE = 'kind = "Dense"\nunits = 2\n'

BAD_FILES: dict[str, tuple[str | bytes, type[Exception], tuple[str, ...]]] = {
    "unknown kind": (f'{LAYER}kind = "Dence"\n', sn.DefinitionError, ("layer 1", "'Dence'", "did you mean 'Dense'?")),
    "no kind": (f"{LAYER}units = 3\n", sn.DefinitionError, ("layer 1", "kind None")),
    "unknown option": (f'{LAYER}kind = "Dense"\nunit = 3\n', sn.DefinitionError, ("'unit'", "did you mean 'units'?")),
    "missing option": (f'{LAYER}kind = "Dense"\n', sn.DefinitionError, ("Dense", "'units'")),
    "unknown key": (f'los = "x"\n{LAYER}{DENSE}', sn.DefinitionError, ("'los'", "did you mean 'loss'?")),
    "unknown loss": (f'loss = "cross_entropi"\n{LAYER}{DENSE}', sn.DefinitionError, ("did you mean 'cross_entropy'?",)),
    "loss is no name": (f"loss = 3\n{LAYER}{DENSE}", sn.DefinitionError, ("loss", "got 3")),
    "unknown activation": (
        f'{LAYER}{DENSE}activation = "rellu"\n',
        sn.DefinitionError,
        ("'rellu'", "did you mean 'relu'?"),
    ),
    "no layers": ("input = { shape = [4] }\n", sn.DefinitionError, ("[[layers]]",)),
    "empty file": ("", sn.DefinitionError, ("input",)),
    "both input and inputs": ("input = 3\ninputs = 4\n", sn.DefinitionError, ("either",)),
    "input is no table": (f"input = 3\n[[layers]]\n{DENSE}", sn.DefinitionError, ("table", "got 3")),
    "input without shape": (f"input = {{}}\n[[layers]]\n{DENSE}", sn.DefinitionError, ("shape",)),
    "unknown input key": (f"input = {{ shap = [4] }}\n[[layers]]\n{DENSE}", sn.DefinitionError, ("'shape'",)),
    "unknown earlier layer": (
        f'{LAYER}{DENSE}[[layers]]\n{DENSE}inputs = ["dense_2"]\n',
        sn.DefinitionError,
        ("did you mean 'dense_1'?",),
    ),
    "unused layer": (
        f'{LAYER}{DENSE}[[layers]]\n{DENSE}inputs = ["x"]\n',
        sn.DefinitionError,
        ("'dense_1' is not used",),
    ),
    "names clash": (
        f'{LAYER}{DENSE}name = "x"\n',
        sn.DefinitionError,
        ("'x'", "differ"),
    ),
    "inputs of the wrong type": (f"{LAYER}{DENSE}inputs = 3\n", sn.DefinitionError, ("inputs",)),
    "boolean for a number": (f'{LAYER}kind = "Dense"\nunits = true\n', sn.DefinitionError, ("integer", "got True")),
    "out of range": (f'{LAYER}kind = "Dense"\nunits = -3\n', sn.DefinitionError, ("units=", "got -3")),
    "huge": (f'{LAYER}kind = "Dense"\nunits = 99999999999999\n', sn.DefinitionError, ("2147483647",)),
    "thousands of digits": (f'{LAYER}kind = "Dense"\nunits = {"9" * 5000}\n', sn.DefinitionError, ("TOML",)),
    "thousands of hexadecimal digits": (
        f'{LAYER}kind = "Dense"\nunits = 0x{"f" * 5000}\n',
        sn.DefinitionError,
        ("thousands of digits",),
    ),
    "l2 not finite": (f"l2 = nan\n{LAYER}{DENSE}", sn.DefinitionError, ("l2", "got nan")),
    "negative l2": (f"l2 = -1\n{LAYER}{DENSE}", sn.DefinitionError, ("l2", "at least 0")),
    "name is no identifier": (f'name = "a b"\n{LAYER}{DENSE}', sn.DefinitionError, ("'a b'",)),
    "name with code": (f'name = "x\\nimport os"\n{LAYER}{DENSE}', sn.DefinitionError, ("name of letters",)),
    "keyword": (f'{LAYER}{DENSE}name = "class"\n', sn.DefinitionError, ("word of Python",)),
    "broken toml": ("name = ", sn.DefinitionError, ("not valid TOML",)),
    "deep toml": (f"x = {'[' * 100_000}", sn.DefinitionError, ("TOML",)),
    "not text": (b"\xff\xfe\x00", sn.DefinitionError, ("UTF-8",)),
    "formula that does not parse": (f'{LAYER}kind = "Formula"\nformula = "y[n] = = x[n]"\n', sn.FormulaError, ()),
    "formula that is code": (
        f"""{LAYER}kind = "Formula"\nformula = "y[n] = __import__('os').getpid()"\n""",
        sn.FormulaError,
        (),
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_toml(case: str, tmp_path: Path) -> None:
    content, error, fragments = BAD_FILES[case]
    path = written(tmp_path, content)
    refused(error, str(path), *fragments, act=lambda: load(path))


BAD_SCRIPTS = {
    "x = 1": "it defines none",
    "modle = None": "it defines none",
    "model = 3": "got int",
    "import symnet as sn\nx = sn.Input((3,))\nmodle = sn.Model(x, sn.Dense(2)(x))": "did you mean 'modle'?",
    "\n1/0": "ZeroDivisionError: division by zero (line 2)",
    "import nowhere_to_be_found": "ModuleNotFoundError",
    "def f(:": "SyntaxError",
    "raise SystemExit(0)": "SystemExit",
    "import symnet as sn\nsn.Dense(0)": "Dense(units=)",
}


@pytest.mark.parametrize("script", BAD_SCRIPTS)
def test_bad_script(script: str, tmp_path: Path) -> None:
    path = written(tmp_path, script, "model.py")
    refused(sn.DefinitionError, "model.py", BAD_SCRIPTS[script], act=lambda: load(path))


def test_missing_files_and_other_kinds(tmp_path: Path) -> None:
    refused(sn.DefinitionError, "no such file", act=lambda: load(tmp_path / "none.toml"))
    (tmp_path / "folder.toml").mkdir()
    refused(sn.DefinitionError, "is a folder", act=lambda: load(tmp_path / "folder.toml"))
    refused(sn.DefinitionError, ".toml or .py", act=lambda: load(tmp_path / "model.txt"))


X: Any = sn.Input((4,), name="x")
PICTURE: Any = sn.Input((3, 8, 8), name="image")
TOKENS: Any = sn.Input(("T",), name="tokens", dtype="int")
D, S, F = sn.DefinitionError, sn.ShapeError, sn.FormulaError

BAD_DECLARATIONS: dict[str, tuple[Callable[[], object], type[Exception], tuple[str, ...]]] = {
    # options
    "unknown option": (lambda: sn.Dense(3, activatoin="relu"), D, ("did you mean 'activation'?",)),
    "missing option": (sn.Dense, D, ("units",)),
    "too many options": (lambda: sn.Flatten(3), D, ("Flatten",)),
    "unknown option of Input": (lambda: sn.Input((3,), nmae="x"), D, ("did you mean 'name'?",)),
    "unknown option of Model": (lambda: sn.Model(X, X, los=None), D, ("did you mean 'loss'?",)),
    "unknown option of a loss": (lambda: sn.CrossEntropy(axis=1), D, ("CrossEntropy",)),
    "zero units": (lambda: sn.Dense(0), D, ("units=", "got 0")),
    "units is a float": (lambda: sn.Dense(3.0), D, ("got 3.0",)),
    "units is a string": (lambda: sn.Dense("3"), D, ("got '3'",)),
    "use_bias is no flag": (lambda: sn.Dense(3, use_bias=1), D, ("use_bias=",)),
    "unknown init": (lambda: sn.Dense(3, init="glorot_unifrom"), D, ("did you mean 'glorot_uniform'?",)),
    "init of an unknown parameter": (lambda: sn.Dense(3, init={"wieght": "ones"}), D, ("did you mean 'weight'?",)),
    "kernel of three": (lambda: sn.Conv2D(2, (3, 3, 3)), D, ("kernel_size=", "got 3")),
    "zero stride": (lambda: sn.Conv2D(2, 3, stride=0), D, ("stride=",)),
    "unknown padding": (lambda: sn.Conv2D(2, 3, padding="sane"), D, ("did you mean 'same'?",)),
    "negative padding": (lambda: sn.Conv2D(2, 3, padding=-1), D, ("padding=",)),
    "too much padding of a pool": (lambda: sn.MaxPool2D(2, padding=2), D, ("half the window",)),
    "name is no identifier": (lambda: sn.Dense(3, name="a-b"), D, ("'a-b'",)),
    "reserved name": (lambda: sn.Dense(3, name="loss"), D, ("'loss'",)),
    "name of a gradient": (lambda: sn.Dense(3, name="d_x"), D, ("gradients",)),
    "very long name": (lambda: sn.Dense(3, name="a" * 100_000), D, ("80 characters",)),
    # activations
    "unknown activation": (lambda: sn.Dense(3, activation="rellu"), D, ("did you mean 'relu'?",)),
    "softmax": (lambda: sn.Activation("softmax"), D, ("CrossEntropy",)),
    "activation is a number": (lambda: sn.Activation(3), D, ("got 3",)),
    "activation of two variables": (lambda: sn.Activation("x*y"), F, ("x, y",)),
    "activation of none": (lambda: sn.Activation("1+2"), F, ("none",)),
    "activation with a function as its variable": (lambda: sn.Activation("exp + 1"), F, ()),
    "activation that does not parse": (lambda: sn.Activation("x/(1+"), F, ()),
    "activation with an unknown function": (lambda: sn.Activation("expp(x)"), F, ("exp",)),
    "activation that reduces": (lambda: sn.Activation("sum[i](x)"), F, ("brackets",)),
    "activation with two lines": (lambda: sn.Activation("x\ny[n]=x"), F, ()),
    "activation with an enormous power": (lambda: sn.Activation("x*9**9**9"), F, ()),
    # inputs
    "empty extent": (lambda: sn.Input((0,)), D, ("shape=", "got 0")),
    "extent is a float": (lambda: sn.Input((2.5,)), D, ("2.5",)),
    "shape is a table": (lambda: sn.Input({}), D, ("shape=",)),
    "batch in the shape": (lambda: sn.Input(("N", 3)), D, ("batch",)),
    "size like an index": (lambda: sn.Input(("t",)), D, ("'T'",)),
    "unknown dtype": (lambda: sn.Input((3,), dtype="flaot"), D, ("did you mean 'float'?",)),
    "unknown layout": (lambda: sn.Input((3,), layout="NHWC"), D, ("CHW",)),
    "too large": (lambda: sn.Input((10**6, 10**6)), D, ("2147483647",)),
    # shapes
    "Dense on integers": (lambda: sn.Dense(3)(TOKENS), S, ("float", "int")),
    "Conv2D on a vector": (lambda: sn.Conv2D(2, 3)(X), S, ("4 axes", "(N, 4)")),
    "kernel larger than the picture": (lambda: sn.Conv2D(2, 9)(PICTURE), S, ("does not fit", "at most 8")),
    "dilated kernel larger than the picture": (lambda: sn.Conv2D(2, 5, dilation=3)(PICTURE), S, ("dilated to 13",)),
    "window larger than the picture": (lambda: sn.MaxPool2D(9)(PICTURE), S, ("does not fit",)),
    "groups do not divide channels": (lambda: sn.Conv2D(4, 3, groups=2)(PICTURE), S, ("2 groups", "3 channels")),
    "groups do not divide filters": (lambda: sn.Conv2D(4, 3, groups=3), S, ("3 groups", "4 filters")),
    "shapes of a sum": (lambda: X + sn.Dense(5)(X), S, ("(N, 4)", "(N, 5)")),
    "ranks of a sum": (lambda: X + PICTURE, S, ("(N, 4)",)),
    "shapes of a concatenation": (lambda: sn.concat([PICTURE, sn.MaxPool2D(2)(PICTURE)]), S, ("axis 1",)),
    "axis of a concatenation": (lambda: sn.concat([X, X], axis=2), S, ("axis 2",)),
    "batch axis of a concatenation": (lambda: sn.concat([X, X], axis=0), D, ("batch",)),
    "concatenation of one node": (lambda: sn.concat(X), D, ("list",)),
    "too many parameters": (lambda: sn.Dense(2**31 - 1)(X), S, ("at most",)),
    "not a node": (lambda: sn.Dense(3)([1, 2]), D, ("expected a node",)),
    "no node": (sn.Dense(3), D, ("expected 1 input",)),
    "infinite number": (lambda: X * float("inf"), D, ("finite",)),
    # formulas
    "unbound index": (lambda: sn.Formula("y[n] = x[n,i]")(X), F, ("i",)),
    "wrong rank": (lambda: sn.Formula("y[n] = x[n,0,0]")(X), F, ()),
    "sizes disagree": (lambda: sn.Formula("y[n,i] = a[n,i]+b[n,i]")(X, sn.Dense(5)(X)), S, ("4", "5")),
    "batch is not first": (lambda: sn.Formula("y[i,n] = x[n,i]")(X), F, ("batch",)),
    "parameter never read": (lambda: sn.Formula("y[n,i] = g[i]*x[n,i]", params={"h": "i"}), D, ("'h'",)),
    "no input": (lambda: sn.Formula("y[n] = g[n]", params={"g": "n"}), D, ("no input",)),
    "formula is no text": (lambda: sn.Formula(3), D, ("formula=",)),
    "params is no table": (lambda: sn.Formula("y[n,i] = x[n,i]", params=["g"]), D, ("params=",)),
    "subscripts are no text": (lambda: sn.Formula("y[n,i] = g[i]*x[n,i]", params={"g": 1}), D, ("'g'",)),
    "size is no integer": (lambda: sn.Formula("y[n,i] = x[n,i]", sizes={"i": 1.5}), D, ("'i'",)),
    "wrong keyword": (lambda: sn.Formula("y[n,i] = x[n,i]")(z=X), D, ("no input 'z'",)),
    "too many inputs": (lambda: sn.Formula("y[n,i] = x[n,i]")(X, X), D, ("got 2",)),
    "too deep": (lambda: sn.Formula("y[n,i] = " + "(" * 5000 + "x[n,i]" + ")" * 5000), F, ()),
    "too long": (lambda: sn.Formula("y[n,i] = x[n,i]" + "+x[n,i]" * 10_000), F, ()),
    # models
    "loss class": (lambda: sn.Model(X, sn.Dense(2)(X), loss=sn.CrossEntropy), D, ("sn.CrossEntropy()",)),
    "loss by name": (lambda: sn.Model(X, sn.Dense(2)(X), loss="cross_entropy"), D, ("sn.CrossEntropy()",)),
    "unlisted input": (lambda: sn.Model(X, X + sn.Input((4,), name="other")), D, ("'other'",)),
    "unused input": (lambda: sn.Model([X, PICTURE], sn.Dense(2)(X)), D, ("'image'",)),
    "an input twice": (lambda: sn.Model([X, X], sn.Dense(2)(X)), D, ("twice",)),
    "input is a layer": (lambda: sn.Model(sn.Dense(2)(X), sn.Dense(2)(X)), D, ("sn.Input",)),
    "an output twice": (lambda: sn.Model(X, [y := sn.Dense(2)(X), y]), D, ("twice",)),
    "no layers": (lambda: sn.Model(X, X), D, ("result of a layer",)),
    "size of the batch": (lambda: sn.Formula("y[n,i] = N*x[n,i]", sizes={"N": 3}), D, ("'N'",)),
    "output is no node": (lambda: sn.Model(X, 3), D, ("got 3",)),
    "names clash": (lambda: sn.Model(X, sn.Dense(2, name="a")(sn.Dense(2, name="a")(X))), D, ("'a'", "differ")),
    "layer named as the input": (lambda: sn.Model(X, sn.Dense(2, name="x")(X)), D, ("'x'",)),
    "cross-entropy without classes": (
        lambda: sn.Model(X, sn.Formula("y[n] = sum[i](x[n,i])")(X), loss=sn.CrossEntropy()),
        S,
        ("class axis",),
    ),
    "size of no input": (
        lambda: sn.Model(X, sn.Formula("y[n,k] = g[k]*sum[i](x[n,i])", params={"g": "k"}, sizes={"k": "K"})(X)),
        S,
        ("K",),
    ),
    "model name": (lambda: sn.Model(X, X, name="a/b"), D, ("'a/b'",)),
}


@pytest.mark.parametrize("case", BAD_DECLARATIONS)
def test_bad_declaration(case: str) -> None:
    act, error, fragments = BAD_DECLARATIONS[case]
    message = refused(error, *fragments, act=act)
    assert len(message) < 1500


def test_every_mistake_is_a_symnet_error() -> None:
    assert all(issubclass(e, sn.SymnetError) for _, e, _ in BAD_DECLARATIONS.values())
    assert all(issubclass(e, sn.SymnetError) for _, e, _ in BAD_FILES.values())
