"""Matrix notation: recognised formulas against the equations, the notes' formulas, golden files for each layer."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import symnet as sn
from codegen.ir.equation import Program
from codegen.oracle.whole import evaluate
from katex import refused
from layer_models import LAYERS, model
from symnet.cli.main import main
from symnet.differentiate.reverse import gradient
from symnet.explain.gradients import Document, gradients
from symnet.explain.matrix.nodes import Array, Product
from symnet.explain.matrix.prepare import LAYOUTS, Prepared, prepare
from symnet.explain.matrix.recognise import Formula, Unrecognised
from symnet.explain.matrix.value import Setting, largest_difference, value
from symnet.model.layers.base import Layer
from symnet.support.errors import DefinitionError
from symnet.verify.draw import LENGTH, drawn

Golden = Callable[[str, str], None]
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs"))

import build_formulas  # noqa: E402

PARTLY = {
    "Attention",
    "Concat",
    "Conv3D",
    "Formula",
    "GRU",
    "GlobalMaxPool2D",
    "LSTM",
    "MaxPool1D",
    "MaxPool2D",
    "MaxPool3D",
    "MultiHeadAttention",
    "SimpleRNN",
    "SinusoidalEmbedding",
}
"""Layers of which some statement stays in index notation, with its reason."""


def whole(network: sn.Model) -> Program:
    """The equations of a network with the gradients by all parameters and float inputs."""
    inputs = [t.name for t in network.inputs if t.dtype == "float"]
    return gradient(network.program, [p.name for p in network.parameters] + inputs)


def worst(ready: Prepared, network: sn.Model, samples: int = 2) -> float:
    """The largest difference between the sides of any recognised formula."""
    values = evaluate(ready.program, drawn(network, seed=5, samples=samples))
    sizes = {name: samples if name == "N" else LENGTH for name in ready.program.sizes}
    formulas = [s for s in ready.statements if isinstance(s, Formula)]
    return max(largest_difference(s.target, s.node, s.labels, values, sizes, ready.transposed) for s in formulas)


def formula(ready: Prepared, tensor: str) -> str:
    """LaTeX of the right side that defines a tensor."""
    (found,) = (s for s in ready.statements if isinstance(s, Formula) and s.target.tensor == tensor)
    return ready.writer.text(found.node)


def test_every_layer_has_formulas() -> None:
    assert set(LAYERS) == set(Layer.kinds), "a layer without golden files: add it to tests/layer_models.py"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", LAYERS)
def test_recognised_formulas_mean_what_the_equations_do(kind: str, layout: str) -> None:
    network = model(kind)
    ready = prepare(whole(network), layout)
    assert worst(ready, network) < 1e-12
    left = [s for s in ready.statements if isinstance(s, Unrecognised)]
    assert bool(left) == (kind in PARTLY), [(s.target, s.reason) for s in left]


@pytest.mark.parametrize("kind", LAYERS)
def test_formulas_of_each_layer(kind: str, golden: Golden) -> None:
    network = model(kind)
    found = [gradients(network), *(gradients(network, "matrix", layout) for layout in LAYOUTS)]
    titles = ["Index notation", *(f"Matrix notation, {layout} layout" for layout in LAYOUTS)]
    parts = [f"# {title}\n\n{shown(document)}" for title, document in zip(titles, found, strict=True)]
    golden(f"layers/{kind.lower()}.md", "\n".join(parts))


def shown(document: Document) -> str:
    """A document without its head: the formulas and the notes of the layer."""
    return document.markdown().partition("## Forward")[2]


@pytest.mark.parametrize("kind", LAYERS)
def test_katex_takes_matrix_notation(kind: str) -> None:
    texts = [gradients(model(kind), "matrix", layout).markdown() for layout in LAYOUTS]
    texts += [gradients(model(kind), steps=True).markdown()] if kind in ("Dense", "Conv2D", "SimpleRNN") else []
    blocks = [b for text in texts for b in re.findall(r"```math\n(.*?)```", text, re.DOTALL)]
    rest = [re.sub(r"```math\n.*?```", "", text, flags=re.DOTALL) for text in texts]
    inline = [b for text in rest for b in re.findall(r"\$([^$]+)\$", text)]
    assert refused(dict.fromkeys(blocks + inline)) == []


def test_the_page_of_formulas_is_what_is_derived() -> None:
    built = build_formulas.page()
    assert built == (ROOT / "docs" / "formulas.md").read_text(encoding="utf-8"), "run docs/build_formulas.py"
    assert refused(re.findall(r"\$([^$]+)\$", built)) == []


def test_formulas_of_the_notes() -> None:
    """Those of the page, letter for letter."""
    dense = prepare(whole(build_formulas.dense()))
    one, two = r"\text{one}", r"\text{two}"
    back = rf"\left({{W^{{{two}}}}}^{{\top}} \, \delta^{{{two}}}_{{n}}\right)"
    assert formula(dense, "d_one.z") == rf"{back} \odot \sigma'\left(z^{{{one}}}_{{n}}\right)"
    assert formula(dense, "d_two") == r"\hat{y}_{n} - y_{n}"
    images = prepare(whole(build_formulas.convolutions()))
    rotated = r"\sum_{p} \operatorname{rot180}\left(W^{\text{near},p,d}\right) \mathbin{\tilde{\otimes}} "
    expected = rf"\tanh'\left(Z^{{\text{{far}},d}}_{{n}}\right) \odot {rotated}\delta^{{\text{{near}},p}}_{{n}}"
    assert formula(images, "d_far.z") == expected
    states = prepare(whole(build_formulas.recurrent()))
    text = formula(states, "d_rnn")
    assert text.startswith(r"{W^{\text{o}}}^{\top} \, \left(\hat{y}_{n,t} - y_{n,t}\right) + ")
    assert r"\operatorname{diag}\left(1 - \left(h^{\text{rnn}}_{n,t + 1}\right)^{2}\right) \, \delta" in text


def test_a_sabotaged_formula_is_noticed() -> None:
    network = model("Dense")
    ready = prepare(whole(network))
    (found,) = (s for s in ready.statements if isinstance(s, Formula) and s.target.tensor == "layer.z")
    values = evaluate(ready.program, drawn(network))
    wrong = {**values, "layer.weight": values["layer.weight"] + 1}
    assert largest_difference(found.target, found.node, found.labels, values, {"N": 4}) < 1e-12
    kept = {**wrong, "layer.z": values["layer.z"]}
    assert largest_difference(found.target, found.node, found.labels, kept, {"N": 4}) > 0.1


def test_shapes_that_do_not_fit_are_noticed() -> None:
    node = Product((Array("a", (None, None)), Array("a", (None, None))))
    with pytest.raises(ValueError, match="mismatch"):
        value(node, Setting({"a": np.ones((2, 3))}, {}, {}))


def test_a_flipped_kernel_and_a_chain_of_products() -> None:
    image = sn.Input((2, 6, 6), name="image")
    flipped = sn.Conv2D(2, 3, flip_kernel=True, padding=1, name="c")(image)
    network = sn.Model(image, sn.Dense(2)(sn.Flatten()(flipped)), loss=sn.CrossEntropy())
    ready = prepare(whole(network))
    assert r"\operatorname{rot180}\left(W^{\text{c},p,d}\right) \mathbin{\otimes_{P=1}} X^{d}_{n}" in formula(
        ready, "c"
    )
    assert worst(ready, network) < 1e-12
    x = sn.Input((6,), name="x")
    text = "y[n,k] = sum[i,j](U[k,i]*g[i]*V[i,j]*x[n,j])"
    layer = sn.Formula(text, params={"U": "k,i", "g": "i", "V": "i,j"}, sizes={"k": 5, "i": 4}, name="f")
    network = sn.Model(x, layer(x), loss=sn.SquaredError())
    ready = prepare(whole(network))
    assert (
        formula(ready, "f") == r"U^{\text{f}} \, \operatorname{diag}\left(g^{\text{f}}\right) \, V^{\text{f}} \, x_{n}"
    )
    assert worst(ready, network) < 1e-12


# The command


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    layers = '[[layers]]\nkind = "Dense"\nunits = 4\nactivation = "tanh"\n[[layers]]\nkind = "Dense"\nunits = 3\n'
    text = f'name = "net"\ninput = {{ name = "x", shape = [5] }}\nloss = "cross_entropy"\n{layers}'
    (tmp_path / "m.toml").write_text(text)
    return "m.toml"


def test_the_command_writes_matrix_notation(file: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["latex", file, "--notation", "matrix", "--wrt", "dense_1.weight"]) == 0
    text = capsys.readouterr().out
    assert "Layout: denominator" in text
    assert r"\odot \tanh'\left(z^{\text{dense\_1}}_{n}\right)" in text
    assert r"$W^{\text{dense\_1}}$: $4 \times 5$" in text
    assert r"\partial b" not in text
    assert main(["latex", file, "--notation", "matrix", "--layout", "numerator", "-o", "m.tex"]) == 0
    text = (tmp_path / "m.tex").read_text()
    assert text.startswith(r"\documentclass") and "Layout: numerator" in text
    assert r"\operatorname{diag}\left(\tanh'" in text


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--notation", "matrx"], "matrix"),
        (["--layout", "numerator"], "--notation matrix"),
        (["--notation", "matrix", "--layout", "nominator"], "numerator"),
        (["--wrt", "dense_1.wieght"], "dense_1.weight"),
        (["--wrt", "target"], "no floating-point numbers"),
    ],
)
def test_mistakes_in_options(file: str, options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["latex", file, *options]) == 2
    assert message in capsys.readouterr().err


def test_without_a_loss_there_is_nothing_to_differentiate() -> None:
    x = sn.Input((3,), name="x")
    with pytest.raises(DefinitionError, match="no loss"):
        gradients(sn.Model(x, sn.Dense(2)(x)), wrt="dense_1.weight")
