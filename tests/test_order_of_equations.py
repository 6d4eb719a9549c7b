"""Lines out of order are refused with the line to move; the lines of one recurrence may stand in any order."""

from __future__ import annotations

import numpy as np
import pytest

import symnet as sn

MEAN = "m[n] = mean[i](x[n,i])"

LATE = {
    "the use first": (
        f"y[n,i] = x[n,i] - m[n]\n{MEAN}",
        "'m' is read before line 2 defines it",
        "move line 2 above line 1",
    ),
    "without subscripts": ("y[n,i] = x[n,i] - m\nm[n,i] = 2*x[n,i]", "'m' is read", "move line 2 above line 1"),
    "in a reduction": ("y[n] = max[i](x[n,i] - m[n])\n" + MEAN, "'m' is read", "move line 2 above line 1"),
    "in a guard": ("y[n] = sum[i | i < q[n]](x[n,i])\nq[n] = argmax[i](x[n,i])", "'q' is read", "line 2 above line 1"),
    "in a subscript": ("y[n] = x[n,q[n]]\nq[n] = argmax[i](x[n,i])", "'q' is read", "line 2 above line 1"),
    "in the middle": (f"a[n] = 2*m[n]\n{MEAN}\ny[n,i] = x[n,i] - m[n]*a[n]", "'m' is read", "line 2 above line 1"),
    "before it is complete": (
        f"{MEAN}\ny[n,i] = x[n,i] - m[n]\nm[n] += x[n,0]",
        "'m' is read before line 3 adds to it",
        "move line 3 above line 2",
    ),
    "a step before it is complete": (
        f"{MEAN}\nq[n] = m[n]\nm[n] += x[n,0]\ny[n,i] = x[n,i]*m[n]*q[n]",
        "'m' is read before line 3 adds to it",
        "move line 3 above line 2",
    ),
    "before a recurrence": (
        "y[n,i] = h[n,i]\nh[n,i] = tanh(x[n,i] + h[n,i-1])",
        "'h' is read before line 2 defines it",
        "move line 2 above line 1",
    ),
}


def build(text: str, shape: tuple[int | str, ...] = (4,), **options: object) -> sn.Model:
    x = sn.Input(shape, name="x")
    return sn.Model(x, sn.Formula(text, name="f", **options)(x), loss=sn.SquaredError(), name="m")  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "what", "mend"), LATE.values(), ids=LATE)
def test_a_line_that_comes_too_late(text: str, what: str, mend: str) -> None:
    with pytest.raises(sn.FormulaError) as found:
        build(text)
    assert what in str(found.value)
    assert mend in str(found.value)


UNUSED = {
    "the output first": ("y[n,i] = x[n,i]*2\n" + MEAN, "'y' is computed for nothing", "move line 1 to the end"),
    "a line of no use": (f"{MEAN}\ny[n,i] = x[n,i]", "'m' is computed for nothing", "line 1"),
    "a chain of no use": (f"{MEAN}\nq[n] = m[n]**2\ny[n,i] = x[n,i]", "'m' is computed for nothing", "line 1"),
    "a recurrence of no use": ("h[n,i] = x[n,i] + h[n,i-1]\ny[n] = x[n,0]", "'h' is computed for nothing", "line 1"),
}


@pytest.mark.parametrize(("text", "what", "mend"), UNUSED.values(), ids=UNUSED)
def test_a_line_that_nobody_reads(text: str, what: str, mend: str) -> None:
    with pytest.raises(sn.FormulaError) as found:
        build(text)
    assert what in str(found.value)
    assert mend in str(found.value)


def forward(text: str, x: np.ndarray, **options: object) -> np.ndarray:
    return sn.compile(build(text, x.shape[1:], **options), dtype="float64").module.forward({}, x)


def test_lines_of_one_recurrence_in_either_order() -> None:
    """c[t] = x[t] + h[t-1], h[t] = tanh(c[t]), in a NumPy loop."""
    x = np.array([[0.2, -0.5, 1.0], [0.7, 0.1, -0.3]])
    want = np.zeros_like(x)
    for t in range(3):
        want[:, t] = np.tanh(x[:, t] + (want[:, t - 1] if t else 0))
    c, h = "c[n,t] = x[n,t] + h[n,t-1]", "h[n,t] = tanh(c[n,t])"
    for lines in ((c, h), (h, c, "y[n,t] = h[n,t]"), (c, h, "y[n,t] = h[n,t]")):
        np.testing.assert_allclose(forward("\n".join(lines), x), want, rtol=1e-14)


def test_two_states_that_read_each_other() -> None:
    x = np.array([[0.2, -0.5, 1.0]])
    text = "h[n,t] = tanh(x[n,t] + c[n,t-1])\nc[n,t] = c[n,t-1]/2 + h[n,t]\ny[n,t] = h[n,t] + c[n,t]"
    h = c = 0.0
    want = []
    for value in x[0]:
        h = np.tanh(value + c)
        c = c / 2 + h
        want.append(h + c)
    np.testing.assert_allclose(forward(text, x)[0], want, rtol=1e-14)


def test_a_state_that_a_later_line_of_its_cycle_adds_to() -> None:
    """z reads the whole of h, whichever line adds to it: h = 0, 1 + 0, 2 + 1, 3 + 3 at x = 0, 1, 2, 3."""
    text = "h[n,t] = x[n,t]\nz[n,t] = h[n,t]\nh[n,t] += z[n,t-1]"
    np.testing.assert_allclose(forward(text, np.array([[0.0, 1, 2, 3]])), [[0, 1, 3, 6]])


def test_an_index_of_a_tensors_name_is_no_read() -> None:
    x = np.arange(6.0).reshape(2, 3)
    text = "a[n] = max[m](x[n,m])\nm[n] = a[n]**2\ny[n] = m[n] + a[n]"
    np.testing.assert_allclose(forward(text, x), x.max(1) ** 2 + x.max(1))


def test_lines_in_order_are_complete_when_they_are_read() -> None:
    x = np.array([[1.0, 2, 3, 6]])
    np.testing.assert_allclose(forward(f"{MEAN}\nm[n] += x[n,0]\ny[n,i] = x[n,i] - m[n]", x), [[-3.0, -2, -1, 2]])
