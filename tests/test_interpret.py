"""The interpreter against NumPy written independently of it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import sympy
from hypothesis import HealthCheck, given, settings

from building import A, Case, c, d, equation, i, k, n, o, program, read, tensor, u
from by_definition import interpret as defined
from codegen.ir.affine import Affine
from codegen.ir.equation import Guard, Program, Quotient, Read, index_symbol, size_symbol, slot
from codegen.ir.errors import FormulaError, ShapeError
from codegen.oracle.interpret import interpret
from equations import cases
from whole_box import whole_box

RNG = np.random.default_rng(7)
FEW = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


@FEW
@given(case=cases())
def test_agrees_with_whole_arrays(case: Case) -> None:
    got = interpret(case.program, case.arrays, case.sizes)
    for name, expected in whole_box(case).items():
        np.testing.assert_allclose(got[name], expected, rtol=1e-10, atol=1e-12, err_msg=name)


@FEW
@given(case=cases())
def test_agrees_with_itself_where_nothing_is_done_ahead(case: Case) -> None:
    got, expected = interpret(case.program, case.arrays, case.sizes), defined(case.program, case.arrays, case.sizes)
    assert list(got) == list(expected)
    for name, array in expected.items():
        assert got[name].dtype == array.dtype
        np.testing.assert_array_equal(got[name], array, err_msg=name)


@FEW
@given(case=cases(differentiable=True))
def test_differentiable_cases_are_finite_floats(case: Case) -> None:
    result = interpret(case.program, case.arrays, case.sizes)[case.result]
    assert result.dtype == np.float64
    assert np.isfinite(result).all()


# --- each clause of the meaning, by hand ---------------------------------------------------------------------------


def run(made: Program, /, sizes: dict[str, int] | None = None, **arrays: object) -> np.ndarray:
    """The last tensor of a program."""
    return interpret(made, {name: np.asarray(array) for name, array in arrays.items()}, sizes)[made.tensors[-1].name]


def test_dense_is_a_matrix_product_and_n_is_inferred() -> None:
    w, x, b = RNG.normal(size=(4, 3)), RNG.normal(size=(5, 3)), RNG.normal(size=4)
    made = program(
        [tensor("x", "N", 3), tensor("W", 4, 3), tensor("b", 4), tensor("z", "N", 4)],
        equation("z", (n, o), [read("W", o, i), read("x", n, i)], over="i", n="N", o=4, i=3),
        equation("z", (n, o), [read("b", o)], accumulate=True, n="N", o=4),
    )
    np.testing.assert_allclose(run(made, x=x, W=w, b=b), x @ w.T + b)


def test_convolution_pads_with_zeros() -> None:
    x, w = RNG.normal(size=(2, 3, 8)), RNG.normal(size=(4, 3, 3))
    reads = [read("W", "p", d, u), read("x", n, d, i * 2 + u - 1)]
    made = program(
        [tensor("x", "N", 3, 8), tensor("W", 4, 3, 3), tensor("y", "N", 4, 4)],
        equation("y", (n, "p", i), reads, over="du", n="N", p=4, i=4, d=3, u=3),
    )
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1)))
    expected = np.zeros((2, 4, 4))
    for place, tap in itertools.product(range(4), range(3)):
        expected[:, :, place] += padded[:, :, 2 * place + tap] @ w[:, :, tap].T
    np.testing.assert_allclose(run(made, x=x, W=w), expected)


def pool(reduce: str, x: list[float], padding: int = 0, **options: object) -> np.ndarray:
    """A reduction over windows of two, or one with `padding` points before the first element."""
    made = program(
        [tensor("x", len(x)), tensor("y", len(x) // 2, dtype="int" if reduce == "argmax" else "float")],
        equation("y", (i,), [read("x", i * 2 + u - padding)], over="u", reduce=reduce, i=len(x) // 2, u=2, **options),
    )
    return run(made, x=x)


@pytest.mark.parametrize(
    ("reduce", "padding", "expected"),
    [
        ("sum", 1, [-3.0, -9.0]),
        ("prod", 1, [0.0, 20.0]),
        ("max", 1, [-3.0, -4.0]),
        ("argmax", 1, [1, 1]),
        ("argmax", 2, [-1, 0]),
        ("max", 2, [-np.inf, -3.0]),
        ("logsumexp", 2, [-np.inf, np.logaddexp(-3.0, -5.0)]),
        ("prod", 2, [0.0, 15.0]),
    ],
)
def test_reads_outside(reduce: str, padding: int, expected: list[float]) -> None:
    np.testing.assert_allclose(pool(reduce, [-3.0, -5.0, -4.0, 9.0], padding), expected)


def test_ties_go_to_the_first_in_row_major_order() -> None:
    x = np.array([[1.0, 2.0, 7.0], [7.0, 0.0, 7.0]])
    made = program(
        [tensor("x", 2, 3), tensor("y", dtype="int")],
        equation("y", (), [read("x", u, "v")], over="uv", reduce="argmax", u=2, v=3),
    )
    assert run(made, x=x) == 2  # (u, v) = (0, 2)
    turned = program(
        [tensor("x", 2, 3), tensor("y", dtype="int")],
        equation("y", (), [read("x", u, "v")], over="vu", reduce="argmax", v=3, u=2),
    )
    assert run(turned, x=x) == 1  # (v, u) = (0, 1)


def test_logsumexp_does_not_overflow_and_nan_wins_a_maximum() -> None:
    np.testing.assert_allclose(pool("logsumexp", [1e4, 1e4]), [1e4 + np.log(2)])
    assert pool("logsumexp", [np.inf, 0.0]) == np.inf
    assert pool("logsumexp", [-np.inf, -np.inf]) == -np.inf
    assert np.isnan(pool("max", [1.0, np.nan]))
    assert pool("argmax", [1.0, np.nan]) == 1
    assert pool("argmax", [-np.inf, -np.inf]) == 0


def test_guards() -> None:
    e, m, label = RNG.normal(size=(3, 3)), np.array([True, False, True]), np.array([2, 0, 1])
    t, s = A("t"), A("s")
    tensors = [tensor("e", 3, 3), tensor("m", 3, dtype="bool"), tensor("label", 3, dtype="int"), tensor("y", 3)]

    def guarded(*guards: Guard) -> np.ndarray:
        made = program(tensors, equation("y", "t", [read("e", t, s)], over="s", guards=guards, t=3, s=3))
        return run(made, e=e, m=m, label=label)

    np.testing.assert_allclose(guarded(Guard(">=", t - s)), np.tril(e).sum(1))
    np.testing.assert_allclose(guarded(Guard("!=", A(0), ((1, read("m", s)),))), e[:, m].sum(1))
    np.testing.assert_allclose(guarded(Guard("==", s * -1, ((1, read("label", t)),))), e[range(3), label])
    np.testing.assert_allclose(guarded(Guard("divides", t + s, (), 2)), [e[0, ::2].sum(), e[1, 1], e[2, ::2].sum()])
    np.testing.assert_allclose(guarded(Guard(">=", t - s), Guard("!=", t - s)), np.tril(e, -1).sum(1))
    # A guard that reads outside takes the value as 0.
    np.testing.assert_allclose(guarded(Guard("==", A(0), ((1, read("label", s + 2)),))), e[:, 1:].sum(1))


def test_data_dependent_subscripts_on_both_sides() -> None:
    table, tok = RNG.normal(size=(4, 2)), np.array([3, 3, -1, 4, 0])
    made = program(
        [tensor("E", 4, 2), tensor("tok", "N", dtype="int"), tensor("y", "N", 2)],
        equation("y", (n, k), [read("E", read("tok", n), k)], n="N", k=2),
    )
    np.testing.assert_allclose(run(made, E=table, tok=tok), [table[3], table[3], [0, 0], [0, 0], table[0]])
    adjoint = program(
        [tensor("g", "N", 2), tensor("tok", "N", dtype="int"), tensor("d", 4, 2)],
        equation("d", (read("tok", n), k), [read("g", n, k)], n="N", k=2),
    )
    expected = np.zeros((4, 2))
    expected[3], expected[0] = 3 + 5, 11
    g = np.array([[3.0, 3.0], [5.0, 5.0], [7.0, 7.0], [9.0, 9.0], [11.0, 11.0]])
    np.testing.assert_allclose(run(adjoint, g=g, tok=tok), expected)


@pytest.mark.parametrize(("reduce", "expected"), [("sum", 1.0 + 3.0), ("max", 3.0), ("argmax", 1)])
def test_a_subscript_read_outside_is_0_or_leaves_the_point_out(reduce: str, expected: float) -> None:
    looked_up = read("x", read("tok", u - 1))  # tok[-1], then tok[0] = 1
    made = program(
        [tensor("x", 2), tensor("tok", 1, dtype="int"), tensor("y", dtype="int" if reduce == "argmax" else "float")],
        equation("y", (), [looked_up], over="u", reduce=reduce, u=2),
    )
    assert run(made, x=[1.0, 3.0] if reduce == "sum" else [9.0, 3.0], tok=[1]) == expected


@pytest.mark.parametrize(("reduce", "expected"), [("sum", 9.0 + 3.0), ("max", 3.0), ("argmax", 1)])
def test_a_guard_read_outside_is_0_or_leaves_the_point_out(reduce: str, expected: float) -> None:
    guard = Guard("==", A(0), ((1, read("m", u - 1)),))
    made = program(
        [tensor("x", 2), tensor("m", 1, dtype="bool"), tensor("y", dtype="int" if reduce == "argmax" else "float")],
        equation("y", (), [read("x", u)], over="u", reduce=reduce, guards=[guard], u=2),
    )
    assert run(made, x=[9.0, 3.0], m=[False]) == expected


def test_affine_left_side_scatters_and_drops_what_falls_outside() -> None:
    made = program(
        [tensor("x", 3), tensor("w", 3), tensor("y", 5)],
        equation("y", (i * 2 + u - 1,), [read("x", i), read("w", u)], i=3, u=3),
    )
    np.testing.assert_allclose(run(made, x=[1.0, 2.0, 3.0], w=[1.0, 10.0, 100.0]), [10, 102, 20, 203, 30])


def test_a_strong_read_outside_annihilates_an_infinite_cofactor() -> None:
    def gathered(strong: bool) -> np.ndarray:
        reads = [read("g", i + 1, strong=strong), read("s", i + 1)]
        made = program(
            [tensor("g", 3), tensor("s", 3), tensor("y", 3)], equation("y", (i,), reads, slot(0) / slot(1), i=3)
        )
        return run(made, g=[1.0, 2.0, 3.0], s=[1.0, 4.0, 0.0])

    np.testing.assert_array_equal(gathered(strong=True), [0.5, np.inf, 0.0])
    np.testing.assert_array_equal(gathered(strong=False), [0.5, np.inf, np.nan])


def test_quotients_indices_and_sizes_as_numbers() -> None:
    body = slot(0) * index_symbol("i") + size_symbol("N")
    made = program(
        [tensor("x", "N"), tensor("y", Affine.of("N") * 2)],
        equation("y", (i,), [Read("x", (Quotient(i + 1, 2),))], body, i=Affine.of("N") * 2),
    )
    np.testing.assert_allclose(run(made, x=[5.0, 7.0]), [2, 7 + 2, 14 + 2, 2])


def test_grouped_axis_with_symbolic_leading_extent() -> None:
    made = program(
        [tensor("x", "N", 3), tensor("y", A("N") * 3)],
        equation("y", (n * 3 + c,), [read("x", n, c)], n="N", c=3),
    )
    np.testing.assert_array_equal(run(made, x=np.arange(6.0).reshape(2, 3)), np.arange(6.0))


def recurrent(shift: int) -> Program:
    """z = U*x + w*h[t-shift]; h = tanh(z), and a sum of h over time."""
    return program(
        [tensor("x", "T"), tensor("w"), tensor("z", "T"), tensor("h", "T"), tensor("s")],
        equation("z", "t", [read("x", "t")], t="T"),
        equation("z", "t", [read("w"), read("h", A("t") - shift)], accumulate=True, t="T"),
        equation("h", "t", [read("z", "t")], sympy.tanh(slot(0)), t="T"),
        equation("s", (), [read("h", "t")], over="t", t="T"),
    )


@pytest.mark.parametrize("shift", [1, 2, -1])
def test_recurrences_in_either_direction(shift: int) -> None:
    x, h = RNG.normal(size=7), np.zeros(7)
    for t in range(7) if shift > 0 else reversed(range(7)):
        before = h[t - shift] if 0 <= t - shift < 7 else 0.0
        h[t] = np.tanh(x[t] + 0.7 * before)
    np.testing.assert_allclose(run(recurrent(shift), x=x, w=0.7), h.sum())


def test_nan_runs_through_a_recurrence() -> None:
    assert np.isnan(run(recurrent(1), x=[0.3, np.nan, 0.1], w=0.7))


def test_a_recurrence_without_a_beginning_is_refused() -> None:
    with pytest.raises(FormulaError, match="depends on itself"):
        run(recurrent(0), x=[0.3, 0.4], w=0.7)


# --- arguments -----------------------------------------------------------------------------------------------------


DOUBLE = program([tensor("x", "N", 3), tensor("y", "N", 3)], equation("y", (n, i), [read("x", n, i)], n="N", i=3))


@pytest.mark.parametrize(
    ("error", "message", "arrays", "sizes"),
    [
        (FormulaError, "no array for the input x", {}, None),
        (FormulaError, "did you mean it by 'xs'", {"xs": np.ones((2, 3))}, None),
        (ShapeError, r"x: expected 2 axes, got shape \(3,\)", {"x": np.ones(3)}, None),
        (ShapeError, r"x: expected shape \(N, 3\) = \(2, 3\) with N = 2, got \(2, 4\)", {"x": np.ones((2, 4))}, None),
        (ShapeError, "N = 5", {"x": np.ones((2, 3))}, {"N": 5}),
        (ShapeError, "size N: expected at least 1, got 0", {"x": np.ones((0, 3))}, None),
        (FormulaError, "expected an array of float, got complex128", {"x": np.ones((2, 3)) * 1j}, None),
        (FormulaError, "expected an array of float, got object", {"x": np.full((2, 3), None)}, None),
    ],
)
def test_bad_arguments(error: type, message: str, arrays: dict, sizes: dict | None) -> None:
    with pytest.raises(error, match=message):
        interpret(DOUBLE, arrays, sizes)


def test_a_size_that_no_array_shows_is_asked_for() -> None:
    made = program([tensor("y", "T")], equation("y", "t", [], sympy.Integer(1), t="T"))
    with pytest.raises(ShapeError, match="size T"):
        interpret(made, {})
    np.testing.assert_array_equal(interpret(made, {}, {"T": 2})["y"], [1, 1])


def test_integer_and_boolean_results_keep_their_type() -> None:
    tok = tensor("tok", 3, dtype="int")
    twice = program([tok, tensor("y", 3, dtype="int")], equation("y", (i,), [read("tok", i)], 2 * slot(0), i=3))
    assert run(twice, tok=[1, 2, 3]).tolist() == [2, 4, 6]
    body = sympy.Piecewise((1, slot(0) > 1), (0, True))
    mask = program([tok, tensor("y", 3, dtype="bool")], equation("y", (i,), [read("tok", i)], body, i=3))
    result = run(mask, tok=[1, 2, 3])
    assert result.dtype == bool
    assert result.tolist() == [False, True, True]


def test_inputs_are_copied_and_returned() -> None:
    x = np.ones((2, 3), np.float32)
    values = interpret(DOUBLE, {"x": x, "unused": np.ones(1)})
    assert values["x"].dtype == np.float64
    values["x"][:] = 5
    assert (x == 1).all()
