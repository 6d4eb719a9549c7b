"""Truth values and large whole numbers as numbers: every target computes with them as the language does, as reals."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

import symnet as sn
from judging import TARGETS, judged, module

M = np.array([[True, True, False], [False, True, True]])
B = np.array([[True, False, False], [True, True, False]])
X = np.array([[0.3, -1.2, 0.7], [1.9, 0.4, -0.2]])
TRUTHS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "m[n,i] + b[n,i] + x[n,i]": lambda m, b: m + b + X,
    "(m[n,i] + b[n,i])*(1 + x[n,i])": lambda m, b: (m + b) * (1 + X),
    "(m[n,i] - b[n,i])*(1 + x[n,i])": lambda m, b: (m - b) * (1 + X),
    "exp(x[n,i])*(m[n,i] + b[n,i])": lambda m, b: np.exp(X) * (m + b),
    "tanh(m[n,i] + b[n,i] + x[n,i])": lambda m, b: np.tanh(m + b + X),
    "x[n,i] + (m[n,i] + b[n,i])**2": lambda m, b: X + (m + b) ** 2,
    "x[n,i]*(m[n,i]*b[n,i] + m[n,i])": lambda m, b: X * (m * b + m),
    "x[n,i] + 1/(1 + m[n,i] + b[n,i])": lambda m, b: X + 1 / (1 + m + b),
    "where(x[n,i] > 0.5, x[n,i], m[n,i] + b[n,i])": lambda m, b: np.where(X > 0.5, X, m + b),
    "x[n,i]*(where(x[n,i] > 0.5, m[n,i], b[n,i]) + m[n,i])": lambda m, b: X * (np.where(X > 0.5, m, b) + m),
    "exp(-x[n,i]) + max(m[n,i], b[n,i]) + max(m[n,i] + b[n,i], 0)": lambda m, b: (
        np.exp(-X) + np.maximum(m, b) + np.maximum(m + b, 0)
    ),
    "x[n,i]*(abs(m[n,i] - b[n,i]) + exp(m[n,i]))": lambda m, b: X * (abs(m - b) + np.exp(m)),
    "x[n,i]*(2 + [x[n,i] > 0.5])*(3 + m[n,i])*999999999": lambda m, b: X * (2 + (X > 0.5)) * (3 + m) * 999999999,
    "x[n,i] + 1/(1 + [x[n,i] > 0.5] + m[n,i])": lambda m, b: X + 1 / (1 + (X > 0.5) + m),
    "(3 + x[n,i])**m[n,i]*b[n,i]": lambda m, b: (3 + X) ** m * b,
    "x[n,i]*m[n,i]**b[n,i]": lambda m, b: X * m**b,
    "x[n,i]*(3 + x[n,i])**where(m[n,i], 1, 0)": lambda m, b: X * (3 + X) ** m,
    "x[n,i]*(3 + x[n,i])**[x[n,i] > 0.5]/2**m[n,i]": lambda m, b: X * (3 + X) ** (X > 0.5) / 2**m,
    "x[n,i]*(3 + x[n,i])**(m[n,i] + b[n,i])": lambda m, b: X * (3 + X) ** (m + b),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", TRUTHS)
def test_arithmetic_with_truth_values(text: str, target: str) -> None:
    inputs = {"x": X, "m": M} | ({"b": B} if "b[" in text else {})
    right = TRUTHS[text](M.astype(float), B.astype(float))
    judged(module(f"y[n,i] = {text}", target, inputs), inputs, right, {})


@pytest.mark.parametrize("exponent", ["m[n,i]", "m[n,i+1]", "where(m[n,i], 1, 0)", "[m[n,i] != 0]"])
def test_no_compiled_power_of_a_truth_value(exponent: str) -> None:
    """LLVM makes a call of it that nothing answers: the process would end."""
    x, m = sn.Input((3,), name="x"), sn.Input((3,), name="m", dtype="bool")
    layer = sn.Formula(f"y[n,i] = (3 + x[n,i])**{exponent}*(4 + x[n,i])**2.5", sizes={"i": 3}, name="f")
    source = sn.compile(sn.Model([x, m], layer(x=x, m=m), name="m"), target="numba").source
    powers = [line for line in source.splitlines() if "**" in line and "real(" in line]
    assert powers and all(line.count("**") == line.count("** real(2.5)") for line in powers)


K = np.array([[3, 1, 0], [2, 7, -1]])
"""Positions, of which two are outside."""
LOOKED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "x[n,i]*m[n,k[n,i]]": lambda at: X * at,
    "x[n,i] + m[n,k[n,i]]": lambda at: X + at,
    "where(m[n,k[n,i]], x[n,i], 2)": lambda at: np.where(at, X, 2),
    "where(m[n,k[n,i]], 2, x[n,i]) + m[n,i]": lambda at: np.where(at, 2, X) + M,
    "x[n,i]*(m[n,k[n,i]] + m[n,i])": lambda at: X * (at + M),
    "x[n,i]*max(m[n,k[n,i]], m[n,i+1])": lambda at: X * np.maximum(at, np.pad(M, ((0, 0), (0, 1)))[:, 1:]),
    "sum[j | m[n,k[n,j]]](x[n,j]*x[n,i])": lambda at: (X * at).sum(1)[:, None] * X,
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", LOOKED)
def test_truth_values_that_are_looked_up(text: str, target: str) -> None:
    for places in (K, np.clip(K, 0, 2)):
        inputs = {"x": X, "m": M, "k": places}
        at = np.take_along_axis(M, np.clip(places, 0, 2), 1) & (places >= 0) & (places <= 2)
        right = LOOKED[text](at.astype(float))
        judged(module(f"y[n,i] = {text}", target, inputs, sizes={"i": 3}), inputs, right, {})


LARGE = np.array([[3_000_000, -4_000_000_000, 2**62]])
OTHER = np.array([[2, 4_000_000_000, 2**61]])
R = np.array([[1.5, -0.5, 0.25]])
WHOLE: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "x[n,i]*k[n,i]**3/(1 + l[n,i])/10**20": lambda x, k, m: x * k**3 / (1 + m) / 1e20,
    "x[n,i]*10**20/(1 + k[n,i]**2 + l[n,i])": lambda x, k, m: x * 1e20 / (1 + k**2 + m),
    "x[n,i]*k[n,i]*l[n,i]/10**15": lambda x, k, m: x * k * m / 1e15,
    "x[n,i]*(k[n,i] + l[n,i])**2*l[n,i]/10**30": lambda x, k, m: x * (k + m) ** 2 * m / 1e30,
    "x[n,i]*tanh(k[n,i]*l[n,i]/10**19) + k[n,i]*l[n,i]/10**30": lambda x, k, m: (
        x * np.tanh(k * m / 1e19) + k * m / 1e30
    ),
    "x[n,i] + k[n,i]*l[n,i]/10**38 + where(k[n,i] > l[n,i], 1, 2)": lambda x, k, m: x + k * m / 1e38 + 1 + (k <= m),
    "x[n,i]*where(k[n,i] > 10**25, 1, 2)": lambda x, k, m: x * 2,
    "x[n,i]*where(k[n,i] + 10**25 > l[n,i], 1, 2)": lambda x, k, m: x,
    "where(x[n,i] > -10**22, x[n,i], 2*x[n,i])": lambda x, k, m: x,
    "(10**20 + N)*x[n,i]*(1 + i*10**20)": lambda x, k, m: 1e20 * x * (1 + np.arange(3) * 1e20),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", WHOLE)
def test_whole_numbers_beyond_64_bits(text: str, target: str) -> None:
    """Each is linear in `x`."""
    inputs = {"x": R} | {name: a for name, a in (("k", LARGE), ("l", OTHER)) if f"{name}[" in text}
    made = module(f"y[n,i] = {text}", target, inputs, sizes={"i": 3})
    k, m = LARGE.astype(float), OTHER.astype(float)
    right, slope = WHOLE[text](R, k, m), WHOLE[text](R, k, m) - WHOLE[text](0 * R, k, m)
    given = inputs if len(inputs) > 1 else R
    np.testing.assert_allclose(made.forward({}, given), right, rtol=1e-12)
    _, gradients = made.loss_and_grads({}, given, np.zeros((1, 3)))
    np.testing.assert_allclose(gradients["x"], 2 * right * slope / R, rtol=1e-9)


COMPARED: dict[str, tuple[int, Callable[[int, int], bool]]] = {
    "k[n,i]*l[n,i] >= 9223372030926249001": (3037000499, lambda k, m: k * m >= 9223372030926249001),
    "k[n,i]*l[n,i] - l[n,i]**2 == 0": (2147483647, lambda k, m: k * m == m**2),
    "k[n,i]**3 > l[n,i]": (2097151, lambda k, m: k**3 > m),
    "k[n,i]*2**40 > l[n,i]": (2**23 - 1, lambda k, m: k * 2**40 > m),
    "k[n,i] + l[n,i] > 0": (2**62 - 1, lambda k, m: k + m > 0),
    "2*k[n,i] + 1 < 2*l[n,i]": (2**62 - 1, lambda k, m: 2 * k + 1 < 2 * m),
    "3*k[n,i] + 1 > 3*l[n,i]": (3074457345618258602, lambda k, m: 3 * k + 1 > 3 * m),
    "4*k[n,i] - 2*l[n,i] = 2*l[n,i] - 1": ((2**63 - 2) // 6, lambda k, m: 4 * k - 2 * m == 2 * m - 1),
    "where(k[n,i] > 2, k[n,i]*l[n,i], 7) > 6": (3037000499, lambda k, m: (k * m if k > 2 else 7) > 6),
}
"""The largest numbers that are compared exactly, and what the comparison says, in Python's own integers."""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("text", COMPARED)
def test_comparisons_of_whole_numbers_are_exact_or_refused(text: str, target: str, dtype: str) -> None:
    largest, holds = COMPARED[text]
    values = [[largest, largest - 1, -largest], [largest, 3, -largest + 1]]
    inputs = {"x": np.ones((2, 3)), "k": np.array(values), "l": np.array(values)[::-1].copy()}
    made = module(f"y[n,i] = x[n,i]*where({text}, 2, 5)", target, inputs, dtype=dtype)
    pairs = zip(inputs["k"], inputs["l"], strict=True)
    right = [[2 if holds(int(k), int(m)) else 5 for k, m in zip(*rows, strict=True)] for rows in pairs]
    np.testing.assert_array_equal(made.forward({}, inputs), right)
    np.testing.assert_array_equal(interpreted(text, inputs), right)
    for number in (largest + 1, -largest - 1):
        inputs["k"][1, 2] = number
        with pytest.raises(made.DataError, match=f"'k': expected whole numbers up to {largest}, .* got {largest + 1}"):
            made.forward({}, inputs)


KINDS = {"f": "float", "i": "int", "b": "bool"}


def interpreted(text: str, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    nodes = {k: sn.Input(a.shape[1:], name=k, dtype=KINDS[a.dtype.kind]) for k, a in inputs.items()}
    layer = sn.Formula(f"y[n,i] = x[n,i]*where({text}, 2, 5)", name="f")
    found = sn.interpret(sn.Model(list(nodes.values()), layer(**nodes), name="m"), dict(inputs))
    return found["f"]


def test_plain_comparisons_take_every_integer() -> None:
    inputs = {"x": np.ones((1, 2)), "k": np.array([[2**63 - 1, -(2**63)]]), "l": np.array([[2**63 - 2, 2**63 - 1]])}
    made = module("y[n,i] = x[n,i]*where(k[n,i] > l[n,i], 2, 5)", "numpy", inputs)
    assert made.EXACT == {}
    np.testing.assert_array_equal(made.forward({}, inputs), [[2, 5]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("k[n,i] + m[n,i] > l[n,i]", lambda k, m, b: k + b > m),
        ("2*k[n,i] + m[n,i] > 2*l[n,i]", lambda k, m, b: 2 * k + b > 2 * m),
        ("m[n,i] + k[n,i] = l[n,i]", lambda k, m, b: k + b == m),
        ("k[n,i] % 2 = 1", lambda k, m, b: k % 2 == 1),
        ("k[n,i] % 3 = l[n,i] % 3", lambda k, m, b: k % 3 == m % 3),
        ("(k[n,i] + i) % 4 = 1", lambda k, m, b: (k + np.arange(3)) % 4 == 1),
    ],
)
def test_truth_values_and_remainders_beside_whole_numbers(
    text: str, right: Callable[..., np.ndarray], target: str, dtype: str
) -> None:
    k = np.array([[2**24, 2**53, 2**53 + 1], [2**24 + 1, 2**60 + 1, -(2**53) - 1]])
    other = k + np.array([[0, 0, 0], [1, 0, 1]])
    b = np.array([[True, True, False], [False, True, True]])
    inputs = {"x": np.ones((2, 3)), "k": k, "l": other, "m": b}
    inputs = {name: array for name, array in inputs.items() if name == "x" or f"{name}[" in text}
    made = module(f"y[n,i] = x[n,i]*where({text}, 2, 5)", target, inputs, dtype=dtype)
    wanted = np.where(right(k, other, b.astype(int)), 2, 5)
    np.testing.assert_array_equal(made.forward({}, inputs), wanted)
    np.testing.assert_array_equal(interpreted(text, inputs), wanted)
