"""The loops of single steps, run as plain Python, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from building import A
from codegen.analysis.elements import Arrays
from codegen.emit.code import Code, Field
from codegen.emit.layout import printed
from codegen.emit.native_function import LETTERS, Function
from codegen.emit.native_steps import write
from codegen.emit.scope import WORKSPACE
from codegen.ir.equation import slot
from codegen.ir.plan import ArgMax, Compute, Copy, Fill, Gather, MatMul, Reduce, ScatterAdd, Step
from codegen.ir.view import Take, Transpose, View


def _run(step: Step, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a step's loops make of arrays."""
    shapes = {name: tuple((A(int(size)),) for size in array.shape) for name, array in arrays.items()}
    dtypes: Any = {name: "float" if array.dtype.kind == "f" else "int" for name, array in arrays.items()}

    def code(view: View) -> Code:
        return Field(WORKSPACE, view.base + ("_flat" if view.ops else ""))

    function = Function(Arrays(shapes), code, dtypes, (), frozenset(LETTERS))
    write(step, function)
    source = "\n".join(printed([*function.prologue(), *function.body], 4))
    given = {name: arrays[v.base].reshape(-1) if v.ops else arrays[v.base] for name, v in function.views.items()}

    def multiply(left: np.ndarray, right: np.ndarray, out: np.ndarray) -> None:
        out[...] = left @ right

    names = {"np": np, "max_": max, "multiply": multiply, **given}
    exec(f"def loops():\n{source}\nloops()", names)  # noqa: S102
    return arrays


RNG = np.random.default_rng(5)
X, Y, Z = RNG.standard_normal((4, 3)), RNG.standard_normal((3, 5)), RNG.standard_normal((2, 4, 3))
PLACES = np.array([3, 0, 2])
TURNED = Transpose((1, 0))
OUT = View("out")
STEPS: dict[str, tuple[Step, np.ndarray, np.ndarray]] = {
    "copy": (Copy(OUT, View("x", (TURNED,))), np.empty((3, 4)), X.T),
    "broadcast": (Copy(OUT, View("x", (Take((A(1),)),))), np.empty((2, 3)), np.stack([X[1], X[1]])),
    "fill": (Fill(OUT, 0.25), np.empty((2, 3)), np.full((2, 3), 0.25)),
    "sum along": (Reduce("add", OUT, View("x"), (1,)), np.empty(4), X.sum(1)),
    "sum across": (Reduce("add", OUT, View("x"), (0,)), np.empty(3), X.sum(0)),
    "largest": (Reduce("maximum", OUT, View("z"), (0, 2)), np.empty(4), Z.max((0, 2))),
    "largest across": (Reduce("maximum", OUT, View("z"), (0, 1)), np.empty(3), Z.max((0, 1))),
    "product of all": (Reduce("multiply", OUT, View("x"), (0, 1)), np.empty(()), X.prod()),
    "arg max": (ArgMax(OUT, View("z"), 1), np.empty((2, 3), int), Z.argmax(1)),
    "gather": (Gather(OUT, View("x"), View("places")), np.empty(3), X.reshape(-1)[PLACES]),
    "gather rows": (Gather(OUT, View("x"), View("places"), rows=True), np.empty((3, 3)), X[PLACES]),
    "matrices": (MatMul(OUT, View("x"), View("y")), np.empty((4, 5)), X @ Y),
    "dots": (MatMul(OUT, View("x"), View("x", (TURNED,))), np.empty((4, 4)), X @ X.T),
    "turned": (MatMul(OUT, View("y", (TURNED,)), View("x", (TURNED,))), np.empty((5, 4)), Y.T @ X.T),
    "vector": (MatMul(OUT, View("x"), View("v")), np.empty(4), X @ Y[:, 0]),
    "vector first": (MatMul(OUT, View("v"), View("y")), np.empty(5), Y[:, 0] @ Y),
    "numbers": (MatMul(OUT, View("v"), View("v")), np.empty(()), Y[:, 0] @ Y[:, 0]),
    "batch": (MatMul(OUT, View("z"), View("y")), np.empty((2, 4, 5)), Z @ Y),
    "rows": (MatMul(OUT, View("x"), View("x"), rows=True), np.empty(4), (X * X).sum(1)),
}


@pytest.mark.parametrize("name", STEPS)
def test_loops_of_a_step(name: str) -> None:
    step, out, expected = STEPS[name]
    arrays = {"x": X, "y": Y, "z": Z, "v": Y[:, 0].copy(), "places": PLACES, "out": out.copy()}
    np.testing.assert_allclose(_run(step, arrays)["out"], expected, rtol=1e-12)


def test_loops_of_a_scatter() -> None:
    out = X.copy()
    _run(ScatterAdd(View("out"), View("places"), View("v"), False), {"out": out, "places": PLACES, "v": Y[:, 0].copy()})
    expected = X.copy()
    np.add.at(expected.reshape(-1), PLACES, Y[:, 0])
    np.testing.assert_allclose(out, expected)


def test_integers_stay_integers() -> None:
    """Positions beyond what float32 can count."""
    places = np.array([2**40 + 1, 5])
    view = View("places", (), ("i",))
    step = Compute(View("out", (), ("i",)), 3 * slot(0) + 1, (view,), (("i", A(2)),), dtype="int")
    found = _run(step, {"places": places, "out": np.empty(2, np.int64)})["out"]
    np.testing.assert_array_equal(found, 3 * places + 1)
