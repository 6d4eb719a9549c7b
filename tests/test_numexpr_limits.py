"""What numexpr cannot take is left to NumPy: many operands, many numbers, deep and long expressions."""

from __future__ import annotations

import numpy as np
import pytest

import symnet as sn
from codegen.emit.code import Name
from codegen.emit.numexpr import chosen
from codegen.emit.operand import Operand
from codegen.emit.optree import Leaf, Node, Tree
from codegen.ir.affine import Affine
from codegen.ir.equation import slot
from codegen.ir.plan import Compute
from codegen.ir.view import View
from codegen.machine.model import MACHINE
from codegen.machine.target import TARGETS
from judging import judged, module

RNG = np.random.default_rng(13)


@pytest.mark.parametrize("target", ["numexpr", "auto"])
@pytest.mark.parametrize("count", [31, 64])
def test_many_operands(count: int, target: str) -> None:
    x = RNG.normal(size=(3, count))
    text = "y[n] = " + " + ".join(f"sin(x[n,{k}])" for k in range(count))
    judged(module(text, target, {"x": x}), {"x": x}, np.sin(x).sum(1), {})


def forward(text: str, x: np.ndarray) -> np.ndarray:
    node = sn.Input(x.shape[1:], name="x")
    model = sn.Model(node, sn.Formula(text, name="f")(node), name="m")
    return sn.compile(model, dtype="float64", target="numexpr").module.forward({}, x)


def test_many_numbers() -> None:
    x, rates = RNG.normal(size=(3, 4)), [0.5 + k / 7 for k in range(40)]
    text = "y[n,i] = " + " + ".join(f"{rate!r}*sin(x[n,i]*{rate!r})" for rate in rates)
    np.testing.assert_allclose(forward(text, x), sum(rate * np.sin(rate * x) for rate in rates), rtol=1e-9)


def test_many_integers() -> None:
    """numexpr numbers its constants and intermediate results in a byte, and brackets nest 200 deep at most."""
    x = RNG.normal(size=(3, 4))
    text = "y[n,i] = " + " + ".join(f"sin({k}*x[n,i])" for k in range(1, 262))
    right = np.sin(x[..., None] * np.arange(1, 262)).sum(2)
    np.testing.assert_allclose(forward(text, x), right, rtol=1e-9, atol=1e-9)


def test_maxima_of_maxima_are_left_to_numpy() -> None:
    """Each maximum spells its arguments twice: fourteen within each other would be some ten thousand."""
    tree: Tree = Leaf("_0")
    for _ in range(14):
        tree = Node("maximum", (Node("sin", (tree,)), Leaf("_1")))
    known = {name: Operand(Name(name), frozenset("n")) for name in ("_0", "_1")}
    axes = (("n", Affine.of("N")),)
    step = Compute(View("y", (), ("n",)), slot(0), (View("x", (), ("n",)),), axes)
    assert not chosen(tree, known, step, TARGETS["numexpr"], MACHINE)
    assert chosen(Node("sin", (Leaf("_0"),)), known, step, TARGETS["numexpr"], MACHINE)
