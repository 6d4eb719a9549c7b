"""Formulas that are too large for one equation: the same numbers from several, or a refusal that says what to do."""

from __future__ import annotations

import numpy as np
import pytest
import sympy

import symnet as sn
from codegen.analysis.cost import expanded, nodes, terms
from codegen.notation.parts import MOST, REFUSED, written_out
from codegen.passes.scalar.simplify import simplify_body
from effort import instructions

GIVEN = np.random.default_rng(0).normal(size=(3, 40))


def declared(text: str, **options: object) -> sn.Model:
    x = sn.Input((40,), name="x")
    return sn.Model(x, sn.Formula(text, name="f", **options)(x), loss=sn.SquaredError(), name="m")


def formula(text: str) -> sn.Network:
    return sn.compile(declared(text), dtype="float64", wrt_inputs=True)


def bodies(model: sn.Model) -> list[int]:
    return [nodes(e.body) for e in model.program.equations]


def nested(function: str, argument: str, times: int) -> str:
    return f"{function}({nested(function, argument, times - 1)})" if times else argument


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" + ".join(f"sin(x[n,{k}])" for k in range(40)), np.sin(GIVEN).sum(1)),
        (" - ".join(f"x[n,{k}]**2/{k + 1}" for k in range(40)), None),
        ("*".join(f"(1 + x[n,{k}]/8)" for k in range(40)), np.prod(1 + GIVEN / 8, axis=1)),
        ("1/" + "/".join(f"(2 + cos(x[n,{k}]))" for k in range(40)), 1 / np.prod(2 + np.cos(GIVEN), axis=1)),
        ("3 + " + " + ".join(f"sum[i](x[n,i]**2)*sin(x[n,{k}])" for k in range(40)), None),
        (f"tanh({'+'.join(f'x[n,{k}]*x[n,0]' for k in range(40))})**3 - x[n,0]", None),
    ],
    ids=["sum", "difference", "product", "quotient", "sums", "power"],
)
def test_parts_have_tensors_of_their_own(text: str, expected: np.ndarray | None) -> None:
    net = formula(f"y[n] = {text}")
    assert max(bodies(net.model)) <= 1.5 * MOST, "every body is bounded"
    assert len(bodies(net.model)) > 2
    values = net.module.forward({}, GIVEN)
    if expected is None:
        target = np.zeros_like(values)
        expected = sn.interpret(net.model, {"x": GIVEN, "target": target})["f"]
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    assert max(net.module.check().values()) < 1e-6


@pytest.mark.parametrize("function", ["silu", "gelu_tanh", "softplus"])
def test_activations_within_activations(function: str) -> None:
    made = [bodies(declared(f"y[n,i] = {nested(function, 'x[n,i]', depth)}")) for depth in (9, 18, 36)]
    assert max(made[1]) == max(made[2]) <= 1.5 * MOST, "a deeper one has more equations, no larger ones"
    assert len(made[2]) <= 2 * len(made[1]) <= 4 * len(made[0])


def test_the_numbers_of_nested_activations() -> None:
    expected = GIVEN
    for _ in range(7):
        expected = expected * sigmoid(expected)
    values = formula(f"y[n,i] = {nested('silu', 'x[n,i]', 7)}").module.forward({}, GIVEN)
    net = formula(f"y[n,i] = {nested('silu', 'x[n,i]', 5)}")
    assert max(net.module.check().values()) < 1e-6
    np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_parts_under_reductions_and_in_recurrences() -> None:
    many = " + ".join(f"sin({k}*x[n,i])" for k in range(1, 25))
    for text in (
        f"y[n] = sum[i]({many})",
        f"y[n] = max[i]({many})",
        f"y[n] = prod[i](1 + ({many})/40)",
        f"y[n] = sum[i | i != 3]({many})",
        f"y[n,i] = tanh(({many})*y[n,i-1] + x[n,i])",
    ):
        net = formula(text)
        assert max(bodies(net.model)) <= 1.5 * MOST
        values = net.module.forward({}, GIVEN)
        told = sn.interpret(net.model, {"x": GIVEN, "target": np.zeros_like(values)})["f"]
        np.testing.assert_allclose(values, told, rtol=1e-12)
        assert max(net.module.check().values()) < 1e-6


def test_what_is_not_finite_everywhere_stays_in_its_case() -> None:
    root = " + ".join(f"sqrt(x[n,i] - {k}/100)" for k in range(20))
    net = formula(f"y[n,i] = where(x[n,i] > 1, {root}, x[n,i])")
    assert len(bodies(net.model)) == len(bodies(declared("y[n,i] = sin(x[n,i])")))
    _, gradients = net.module.loss_and_grads({}, GIVEN, np.zeros_like(GIVEN))
    assert np.isfinite(gradients["x"]).all()


@pytest.mark.parametrize(
    "text",
    [
        f"y[n,i] = where(x[n,i] > 0, {nested('silu', 'x[n,i]', 9)}, 0)",
        f"y[n] = sum[i | i > 2]({nested('silu', 'x[n,i]', 9)})",
        f"y[n,i] = max[u]({nested('silu', 'x[n,i+u-1]', 9)})",
    ],
)
def test_what_has_no_parts_is_refused_by_its_size(text: str) -> None:
    with pytest.raises(sn.errors.FormulaError, match=f"(?s)too large here.*at most {REFUSED}.*names of their own"):
        declared(text, sizes={"u": 3, "i": 40} if "max" in text else {})


def test_how_large_functions_are_written_out() -> None:
    assert written_out("tanh", 1) == (1, (1,))
    assert written_out("silu", 1) == (8, (2,))
    assert written_out("max", 2)[1] == (2, 2)
    assert written_out("tanh", 2) == (1, (1, 1)), "it is refused where it is applied"


A, B, C = sympy.symbols("a b c", real=True)


@pytest.mark.parametrize(
    "expr",
    [A, A + B, (A + B) ** 3, (A + B) * (B + C) * A, sympy.exp((A + B) ** 2) * (A + C), (A + B) ** -2, (A * B) ** 3 + A],
    ids=str,
)
def test_the_number_of_terms_is_foreseen(expr: sympy.Expr) -> None:
    assert len(sympy.Add.make_args(expr.expand())) <= terms(expr)[0]
    assert expanded(expr) == expr.expand()


def test_what_has_too_many_terms_is_not_multiplied_out(monkeypatch: pytest.MonkeyPatch) -> None:
    large = sum(sympy.symbols("x:10", real=True)) ** 12
    for expr in (large, sympy.sin(large), 1 / large):
        assert terms(expr)[1] == 293930
        assert expanded(expr) is expr
    monkeypatch.setattr(sympy, "factor", lambda expr: pytest.fail(f"{expr} is factored"))
    simplify_body(A * (A + B + 1 / C) ** 12 * (B + C + 1) ** 12)


def test_a_power_of_a_sum_under_a_maximum_is_compiled_as_it_stands() -> None:
    total = " + ".join(f"x[n,k+{i}]" for i in range(10))
    net = formula(f"y[n] = max[k](({total})**12)")
    values = np.stack([GIVEN[:, k : k + 10].sum(1) ** 12 for k in range(31)]).max(0)
    np.testing.assert_allclose(net.module.forward({}, GIVEN), values, rtol=1e-12)


def test_windows_over_huge_extents_are_not_tried_point_by_point() -> None:
    def made(extent: int) -> int:
        x = sn.Input((3 * extent,), name="x")
        sizes = {"u": 3, "i": extent, "j": extent, "k": extent}
        layer = sn.Formula("y[n,i,j,k] = max[u](x[n,i+j+k+u-1])", sizes=sizes, name="f")
        return instructions(lambda: sn.Model(x, layer(x), name="m"))

    assert made(1200) < 2 * made(100)


def test_a_window_that_lies_outside_is_found_among_many() -> None:
    x = sn.Input((9,), name="x")
    layer = sn.Formula("y[n,i,j] = max[u](x[n,i+40*j+u-30])", sizes={"u": 3, "i": 40, "j": 2}, name="f")
    with pytest.raises(sn.errors.ShapeError, match="lies wholly outside"):
        layer(x)
