"""Generated code against the interpreter, on programs drawn by Hypothesis: values, gradients, dtypes."""

from __future__ import annotations

from typing import Any

import numexpr
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import corpus
from building import Case, with_loss
from chains import chains
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Program, Read, Reduction, Tensor, slot
from codegen.oracle.interpret import interpret
from equations import cases
from running import load, run
from symnet.differentiate.reverse import cotangent_name, gradient

EXAMPLES = 20 if "numba" in corpus.TARGETS else 150
QUIET = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
TARGETS = [target for target in corpus.TARGETS if target != "auto"]


def agree(case: Case, outputs: tuple[str, ...], target: str, expected: dict[str, np.ndarray], rewriting: bool) -> None:
    with np.errstate(all="ignore"):
        found = run(case.program, case.arrays, case.sizes, outputs, target, rewriting)
        for name in outputs:
            wanted = np.asarray(expected[name], float)
            scale = max(np.max(np.abs(wanted), initial=0.0, where=np.isfinite(wanted)), 1e-3)
            np.testing.assert_allclose(found[name] / scale, wanted / scale, atol=1e-10, rtol=0, err_msg=name)


def differentiated(case: Case) -> tuple[Case, tuple[str, ...]]:
    """The case with the gradient of a loss by every float it is given, and the names of those cotangents."""
    given_floats = tuple(
        t.name for t in case.program.tensors if t.kind in ("input", "parameter") and t.dtype == "float"
    )
    whole = with_loss(case)
    program = gradient(whole.program, given_floats)
    return Case(case.family, program, whole.arrays, whole.sizes), tuple(map(cotangent_name, given_floats))


@pytest.mark.parametrize("target", TARGETS)
@QUIET
@given(case=st.one_of(cases(), chains()), rewriting=st.booleans())
def test_values(target: str, case: Case, rewriting: bool) -> None:
    expected = interpret(case.program, case.arrays, case.sizes)
    agree(case, (case.result,), target, expected, rewriting)


@pytest.mark.parametrize("target", TARGETS)
@QUIET
@given(case=st.one_of(cases(), cases(differentiable=True), chains()), rewriting=st.booleans())
def test_gradients(target: str, case: Case, rewriting: bool) -> None:
    case, outputs = differentiated(case)
    agree(case, outputs, target, interpret(case.program, case.arrays, case.sizes), rewriting)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("reduce", ["sum", "prod", "logsumexp"])
def test_reads_beside_an_axis_of_one_point(reduce: Reduction, target: str) -> None:
    """Each is a zero, and what flows back to them is dropped."""
    at = [(Affine.of(place), Affine.of(0)) for place in (1, -1, 0)]
    reads = tuple(Read("x", place) for place in at)
    body = slot(0) - 2 * slot(1) + 3 * slot(2)
    n = Affine.of("N")
    equation = Equation("y", (Affine.of("n"),), body, reads, (("n", n),), (), reduce)
    tensors = (Tensor("x", (Affine.of(1),) * 2, kind="parameter"), Tensor("y", (n,), kind="result"))
    case, outputs = differentiated(Case("beside", Program(tensors, (equation,)), {"x": np.array([[0.7]])}, {"N": 2}))
    agree(case, outputs, target, interpret(case.program, case.arrays, case.sizes), rewriting=True)


class Watched:
    """NumPy, but every ufunc refuses to compute in float64."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(np, name)
        return Single(found) if isinstance(found, np.ufunc) else found


class Single:
    """A ufunc that refuses to compute in float64."""

    def __init__(self, ufunc: np.ufunc) -> None:
        self.ufunc = ufunc

    def __call__(self, *args: Any, out: np.ndarray, **options: Any) -> Any:
        kinds = [
            np.dtype(bool) if isinstance(a, bool) else type(a) if isinstance(a, int | float) else a.dtype for a in args
        ]
        computed = self.ufunc.resolve_dtypes((*kinds, None))
        assert np.dtype(np.float64) not in computed, f"{self.ufunc.__name__}{tuple(map(str, kinds))}"
        return self.ufunc(*args, out=out, **options)

    def reduce(self, source: np.ndarray, *, out: np.ndarray, **options: Any) -> Any:
        assert source.dtype == out.dtype, f"{self.ufunc.__name__}.reduce of {source.dtype} into {out.dtype}"
        return self.ufunc.reduce(source, out=out, **options)

    def at(self, target: np.ndarray, places: np.ndarray, values: Any) -> Any:
        assert isinstance(values, float) or values.dtype == target.dtype, f"add.at of {values.dtype}"
        return self.ufunc.at(target, places, values)


class WatchedExpressions:
    """numexpr, but every result is float32 by itself."""

    @staticmethod
    def evaluate(expression: str, local: dict[str, Any], out: np.ndarray, **options: Any) -> Any:
        assert numexpr.evaluate(expression, dict(local)).dtype == np.float32, expression
        return numexpr.evaluate(expression, local, out=out, **options)


@pytest.mark.parametrize("target", TARGETS)
@settings(parent=QUIET, max_examples=100)
@given(case=st.one_of(cases(), chains()))
def test_float32_stays_float32(target: str, case: Case) -> None:
    case, outputs = differentiated(case)
    generated = load(case.program, outputs, target, dtype="float32")
    generated.names["np"] = Watched()
    generated.names["ne"] = WatchedExpressions
    workspace = generated.workspace(case.arrays, case.sizes)
    with np.errstate(all="ignore"):
        generated.compute(generated.parameters(case.arrays), workspace)
    arrays = [value for value in vars(workspace).values() if isinstance(value, np.ndarray)]
    assert {array.dtype for array in arrays} <= {np.dtype(t) for t in (np.float32, np.int64, bool)}
