"""What formulas mean: a few dozen of them worked in NumPy by hand, against the interpreter.

Nothing here comes from symnet but the text of the formula on one side and its value on the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from codegen.ir.affine import Affine
from codegen.ir.equation import Program, Tensor, all_reads
from codegen.notation import elaborate
from codegen.oracle.interpret import interpret
from running import run

RNG = np.random.default_rng(12)
INF = math.inf

GIVEN: dict[str, tuple[tuple[int | str, ...], np.ndarray]] = {
    "x": (("N", "T"), RNG.normal(size=(2, 5))),
    "z": (("N", 3), RNG.normal(size=(2, 3))),
    "w": ((3,), np.array([2.0, -1.0, 0.5])),
    "a": ((3, 4), RNG.normal(size=(3, 4))),
    "q": ((3, 3), RNG.normal(size=(3, 3))),
    "p": ((4, 6), RNG.normal(size=(4, 6))),
    "low": ((4,), np.array([-3.0, -1.0, -2.0, -5.0])),
    "pole": ((4,), np.array([1.0, 0.0, 2.0, 0.0])),
    "tok": ((5,), np.array([2, 0, 2, 7, -1])),
    "label": (("N",), np.array([1, 2])),
    "m": (("N", "T"), np.array([[1, 0, 1, 1, 0], [0, 0, 0, 0, 0]], bool)),
    "keep": ((4,), np.array([True, False, True, True])),
}
X, Z, W, A, Q, P, LOW, POLE, TOK, LABEL, M, KEEP = (array for _, array in GIVEN.values())
SIZES = {"N": 2, "T": 5}


class Meant(NamedTuple):
    """A formula; what its last line gives; what nothing tells: extents, the last line's shape, its indices."""

    text: str
    value: Callable[[], Any]
    sizes: dict[str, int | str] = {}  # noqa: RUF012 - never changed
    shape: tuple[int, ...] | None = None
    indices: str = ""


def shifted(array: np.ndarray, by: int) -> np.ndarray:
    """result[..., t] = array[..., t - by], 0 outside."""
    result = np.zeros_like(array)
    for t in range(array.shape[-1]):
        if 0 <= t - by < array.shape[-1]:
            result[..., t] = array[..., t - by]
    return result


def scanned(step: Callable[[np.ndarray, np.ndarray], np.ndarray], back: bool = False) -> np.ndarray:
    """h[n,t] = step(x[n,t], h[n,t-1]), from the other end with `back`."""
    h, before = np.zeros_like(X), np.zeros(2)
    for t in reversed(range(5)) if back else range(5):
        before = h[:, t] = step(X[:, t], before)
    return h


def windows(width: int, start: int = 0) -> np.ndarray:
    """[n, t, u] = x[n, t+u+start], nan outside."""
    found = np.full((2, 5, width), np.nan)
    for t in range(5):
        for u in range(width):
            if 0 <= t + u + start < 5:
                found[:, t, u] = X[:, t + u + start]
    return found


def lse(values: np.ndarray, axis: int = -1) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(np.exp(values).sum(axis))


FORMULAS = {
    # sums, and indices that the terms lack
    "product": Meant("y[n,j] = sum[i](z[n,i]*a[i,j])", lambda: Z @ A),
    "trace": Meant("y[] = sum[i](q[i,i])", lambda: np.trace(Q)),
    "diagonal": Meant("y[i] = q[i,i]", lambda: np.diag(Q)),
    "an index that no read has": Meant("y[n] = sum[i,v](z[n,i])", lambda: 4 * Z.sum(1), {"v": 4}),
    "an index of one term": Meant("y[n] = sum[i](z[n,i] + x[n,0])", lambda: Z.sum(1) + 3 * X[:, 0]),
    "a sum of nothing but ones": Meant("y[i] = w[i]*sum[k,v](1)", lambda: 6 * W, {"k": 2, "v": 3}),
    "a factor without its index": Meant("y[n] = sum[i,t](z[n,i])/T", lambda: Z.sum(1), {"t": "T"}),
    "mean": Meant("y[n] = mean[t](x[n,t])", lambda: X.mean(1)),
    "two reductions": Meant("y[n] = sum[t](x[n,t]) - max[t](x[n,t])", lambda: X.sum(1) - X.max(1)),
    "a product of all": Meant("y[n] = prod[t](x[n,t])", lambda: X.prod(1)),
    "a product of what is kept": Meant("y[] = prod[i | keep[i]](low[i])", lambda: -3.0 * -2.0 * -5.0),
    "a product with a zero outside": Meant("y[i] = prod[u](low[i+u-1])", lambda: [0, 3, 2, 10], {"i": 4, "u": 2}),
    # +=
    "+= after a sum": Meant("y[n] = sum[t](x[n,t])\ny[n] += label[n]", lambda: X.sum(1) + LABEL),
    "+= after a maximum": Meant("y[n] = max[t](x[n,t])\ny[n] += z[n,0]", lambda: X.max(1) + Z[:, 0]),
    "+= after a logsumexp": Meant("y[n] = logsumexp[t](x[n,t])\ny[n] += 1", lambda: lse(X) + 1),
    "+= of a maximum": Meant("y[n] = z[n,0]\ny[n] += max[t](x[n,t])", lambda: Z[:, 0] + X.max(1)),
    "+= of part of it": Meant("y[i] = w[i]\ny[2*k] += 10", lambda: W + np.array([10, 0, 10]), {"k": 2}, (3,), "k"),
    # reads outside, and frames
    "a shift": Meant("y[n,t] = x[n,t-2]", lambda: shifted(X, 2), {"t": "T"}),
    "a sum sees zeros": Meant("y[n,t] = sum[u](x[n,t+u-1])", lambda: np.nansum(windows(3, -1), 2), {"t": "T", "u": 3}),
    "a maximum sees none": Meant("y[t] = max[u](low[t+u-1])", lambda: [-1, -1, -1, -2], {"t": 4, "u": 3}),
    "a maximum over a shifted axis": Meant("y[] = max[i](low[i-1])", lambda: -1.0, {"i": 2 + 4}),
    "where it is": Meant("y[] = argmax[i](low[i-1])", lambda: 2, {"i": 6}),
    "the lse of a window": Meant("y[t] = logsumexp[u](low[t+u-1])", lambda: [
        np.logaddexp(-3, -1), np.logaddexp.reduce([-3, -1, -2]), np.logaddexp.reduce([-1, -2, -5]),
        np.logaddexp(-2, -5)], {"t": 4, "u": 3}),
    "a concatenation": Meant("y[i] = w[i] + low[i-3]", lambda: [*W, *LOW], {"i": 7}),
    "reversed": Meant("y[i] = low[3-i]", lambda: LOW[::-1]),
    "every third, then outside": Meant("y[i] = low[3*i]", lambda: [LOW[0], LOW[3], 0], {"i": 3}),
    # what a zero does to what it meets
    "nothing times infinity": Meant("y[i] = pole[i+1]/pole[i]", lambda: [0, INF, 0, np.nan], {"i": 4}),
    "a log of nothing": Meant("y[i] = log(pole[i])", lambda: [0, -INF, math.log(2), -INF]),
    "a log of what is outside": Meant("y[i] = log(pole[i+2])", lambda: [math.log(2), -INF, -INF, -INF], {"i": 4}),
    "minus one by nothing": Meant("y[i] = -1/pole[i+2]", lambda: [-0.5, -INF, -INF], {"i": 3}),
    "a number by nothing": Meant("y[i] = low[i]/pole[i+2]", lambda: [-1.5, -INF, -INF, -INF], {"i": 4}),
    "nothing by a number": Meant("y[i] = low[i+2]/low[i]", lambda: [2 / 3, 5, 0, 0], {"i": 4}),
    "nothing times a log": Meant("y[i] = low[i+3]*log(pole[i]) + 1", lambda: [1, np.nan, 1, np.nan], {"i": 4}),
    "one in place of the other": Meant("y[i] = exp(low[i])*w[i-1]", lambda: [0, *np.exp(LOW[1:]) * W], {"i": 4}),
    # conditions
    "causal": Meant("y[t] = sum[s | s <= t](q[t,s])", lambda: np.tril(Q).sum(1)),
    "strictly": Meant("y[t] = max[s | s < t](q[t,s])", lambda: [-INF, Q[1, 0], Q[2, :2].max()]),
    "one step left out": Meant("y[n,t] = sum[u | u != 1](x[n,t+u])",
        lambda: np.nansum(windows(3)[:, :, [0, 2]], 2), {"u": 3, "t": 5}),
    "every second": Meant("y[n] = sum[t | t % 2 == 0](x[n,t])", lambda: X[:, ::2].sum(1)),
    "every third": Meant("y[n] = sum[t | t % 3 == 0](x[n,t])", lambda: X[:, 0] + X[:, 3]),
    "by a mask": Meant("y[n] = sum[t | m[n,t]](x[n,t])", lambda: (X * M).sum(1)),
    "a mask in a window": Meant("y[n,t] = sum[u | m[n,t+u-1]](x[n,t+u])",
        lambda: shifted(M, 1) * X + M * shifted(X, -1), {"t": "T", "u": 2}),
    "a maximum behind a mask": Meant("y[n] = max[t | m[n,t]](x[n,t])", lambda: [X[0][M[0]].max(), -INF]),
    "nothing to take the lse of": Meant("y[n] = logsumexp[t | m[n,t]](x[n,t])", lambda: [lse(X[0][M[0]]), -INF]),
    "nothing to point at": Meant("y[n] = argmax[t | m[n,t]](x[n,t])", lambda: [[0, 2, 3][X[0][M[0]].argmax()], -1]),
    "a product of nothing": Meant("y[n] = prod[t | m[n,t]](x[n,t])", lambda: [X[0][M[0]].prod(), 1]),
    "a masked softmax": Meant(
        "l[n] = logsumexp[t | m[n,t]](x[n,t])\ny[n,t] = where(m[n,t], exp(x[n,t] - l[n]), 0)",
        lambda: np.where(M, np.exp(X), 0) / np.maximum(np.where(M, np.exp(X), 0).sum(1, keepdims=True), 1e-300)),
    "a bracket": Meant("y[n,k] = [k = label[n]]*z[n,k]", lambda: Z * np.eye(3)[LABEL]),
    "two conditions": Meant("y[t] = sum[s | s <= t, s != 1](q[t,s])", lambda: np.tril(Q)[:, [0, 2]].sum(1)),
    "a condition on what is looked up": Meant("y[k] = sum[i | tok[i] == k](i + 1)", lambda: [2, 0, 1 + 3], {"k": 3}),
    # looking up
    "a label's entry": Meant("y[n] = z[n,label[n]]", lambda: Z[[0, 1], LABEL]),
    "numbers out of range": Meant("y[i,j] = a[tok[i],j]", lambda: [A[2], A[0], A[2], [0] * 4, [0] * 4]),
    "the greatest of what is there": Meant("y[] = max[i](low[tok[i]])", lambda: -2.0),
    "counted": Meant("y[tok[i]] = 1", lambda: [1, 0, 2], {"i": 5}, (3,), "i"),
    "an argmax looked up": Meant("k[n] = argmax[t](x[n,t])\ny[n] = x[n,k[n]]", lambda: X.max(1)),
    # left sides
    "every second written": Meant("y[2*i+1] = w[i]", lambda: [0, 2, 0, -1, 0], {}, (5,)),
    "overlapping": Meant("y[i+u] = w[i]*(u+1)", lambda: np.convolve(W, [1, 2])[:3], {"u": 2}, (3,), "u"),
    "flattened": Meant("y[(i,j)] = a[i,j]", lambda: [*A[0], *A[1], *A[2]]),
    "unfolded": Meant("y[i,j] = low[(i,j)]", lambda: LOW.reshape(2, 2), {"i": 2, "j": 2}),
    # quotients and numbers
    "twice each": Meant("y[i] = w[i//2]", lambda: np.repeat(W, 2), {"i": 6}),
    "twice each way": Meant("y[i,j] = p[i//2,j//3]", lambda: np.kron(P[:2, :2], np.ones((2, 3))), {"i": 4, "j": 6}),
    "a remainder": Meant("y[i] = i % 3 + i//3", lambda: [0, 1, 2, 1, 2, 3], {"i": 6}),
    "indices and sizes as numbers": Meant("y[n,t] = x[n,t]*(t+1)/(T-2)", lambda: X * np.arange(1, 6) / 3),
    "the size of the batch": Meant("y[n] = (n+1)/N", lambda: [0.5, 1], {"n": "N"}),
    "a power of a number": Meant("y[i] = 0.5**i", lambda: [1, 0.5, 0.25], {"i": 3}),
    # ties, kinks
    "the first of equals": Meant("y[] = argmax[i](0*low[i])", lambda: 0),
    "in row-major order": Meant("y[] = argmax[i,j](0*a[i,j] + [i + j == 2])", lambda: 2),
    "no slope": Meant("y[i] = max(low[i] + 2, 0)", lambda: [0, 1, 0, 0]),
    # recurrences
    "a sum so far": Meant("y[n,t] = x[n,t] + y[n,t-1]", lambda: X.cumsum(1)),
    "from the end": Meant("y[n,t] = x[n,t] + y[n,t+1]", lambda: X[:, ::-1].cumsum(1)[:, ::-1]),
    "decaying": Meant("y[n,t] = tanh(x[n,t] + 0.5*y[n,t-1])", lambda: scanned(lambda x, h: np.tanh(x + h / 2))),
    "backwards": Meant("y[n,t] = tanh(x[n,t] - y[n,t+1])", lambda: scanned(lambda x, h: np.tanh(x - h), back=True)),
    "from a given state": Meant("y[n,t] = 0.5*y[n,t-1] + [t = 0]*z[n,0] + x[n,t]",
        lambda: scanned(lambda x, h: x + h / 2) + Z[:, :1] * 0.5 ** np.arange(5)),
    "a maximum so far": Meant("y[n,t] = max(x[n,t], y[n,t-1])", lambda: np.maximum.accumulate(np.maximum(X, 0), 1)),
    "two states": Meant(
        "c[n,t] = x[n,t] + h[n,t-1]\nh[n,t] = 2*c[n,t]\ny[n] = h[n,T-1]",
        lambda: 2 * (X * 2.0 ** np.arange(4, -1, -1)).sum(1)),
    "what is read before the first step": Meant(
        "h[n,t] = x[n,t] + h[n,t-1]\ny[n] = max[t](h[n,t-1])", lambda: X.cumsum(1)[:, :4].max(1), {"t": "T"}),
}  # fmt: skip


def program(meant: Meant) -> tuple[Program, str]:
    """The program of a formula, and the name of its last tensor."""
    dtypes = {"b": "bool", "i": "int", "f": "float"}
    known = {
        name: Tensor(
            name,
            tuple(Affine.of(e) if isinstance(e, str) else Affine((), e) for e in shape),
            dtypes[array.dtype.kind],
            "input",
        )  # type: ignore[arg-type]
        for name, (shape, array) in GIVEN.items()
    }
    found = elaborate(
        meant.text, known, sizes=meant.sizes, shapes={"y": meant.shape} if meant.shape else {}, indices=meant.indices
    )
    used = {read.tensor for equation in found.equations for read in all_reads(equation)}
    tensors = (*(t for name, t in known.items() if name in used), *found.tensors)
    return Program(tensors, found.equations, tuple(SIZES)), found.output.name


@pytest.mark.parametrize("case", FORMULAS)
def test_formula(case: str) -> None:
    meant = FORMULAS[case]
    made, last = program(meant)
    arrays = {name: array for name, (_, array) in GIVEN.items() if name in made.table}
    found = interpret(made, arrays, SIZES)[last]
    expected = np.asarray(meant.value(), float)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.astype(float), expected, rtol=1e-13, atol=1e-13)


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
@pytest.mark.parametrize("target", ["numpy", "numexpr"])
@pytest.mark.parametrize("case", FORMULAS)
def test_code_of_the_formula(case: str, target: str) -> None:
    meant = FORMULAS[case]
    made, last = program(meant)
    arrays = {name: array for name, (_, array) in GIVEN.items() if name in made.table}
    found = run(made, arrays, SIZES, (last,), target)[last]
    np.testing.assert_allclose(found.astype(float), np.asarray(meant.value(), float), rtol=1e-12, atol=1e-12)
