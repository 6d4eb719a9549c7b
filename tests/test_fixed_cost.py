"""What a step costs however small its arrays are: few calls on the straight path of NumPy, and all checks made."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import symnet as sn
from codegen.emit.code import Name, number
from codegen.emit.layout import printed, text
from codegen.emit.operand import Operand
from codegen.emit.optree import Leaf, Node, Scalar
from codegen.emit.ufuncs import UfuncWriter

SAMPLES, FEATURES, CLASSES = 32, 64, 10


def regression() -> ModuleType:
    x = sn.Input((FEATURES,), name="x")
    return sn.compile(sn.Model(x, sn.Dense(CLASSES)(x), loss=sn.CrossEntropy()), target="numpy").module


def perceptron(units: int, activation: str = "relu") -> sn.Network:
    x = sn.Input((FEATURES,), name="x")
    h = sn.Dense(units, activation=activation)(x)
    return sn.compile(sn.Model(x, sn.Dense(CLASSES)(h), loss=sn.CrossEntropy()), target="numpy")


def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(SAMPLES, FEATURES)).astype(np.float32), rng.integers(0, CLASSES, SAMPLES)


def body(source: str, name: str) -> list[str]:
    """The statements of a function of a module."""
    found = re.search(rf"^def {name}\(.*?\n(.*?)(?=^\S)", source, re.MULTILINE | re.DOTALL)
    assert found
    lines = [line.strip() for line in found[1].splitlines()]
    return [line for line in lines if line and not line.startswith(("#", '"""', "N = "))]


# The calls of a step.


def test_a_small_step_is_a_few_calls_none_of_which_converts_a_number() -> None:
    x = sn.Input((FEATURES,), name="x")
    net = sn.compile(sn.Model(x, sn.Dense(CLASSES)(x), loss=sn.CrossEntropy()), target="numpy")
    lines = [line for name in ("_forward", "_loss", "_backward") for line in body(net.source, name)]
    assert len(lines) <= 21
    calls = [line for line in lines if line.startswith("np.") and ".reduce(" not in line]
    assert not [line for line in calls if re.search(r"[(,] ?(N|\d[\d.]*|1 / N)[,)]", line)]
    assert not net.module.BUFFERED


def test_a_mean_divides_nothing() -> None:
    source = perceptron(20).source
    assert "np.dot(w.share_N, w.loss_sample, out=w.loss)" in body(source, "_loss")
    assert "self.share_N = np.full((N,), 1 / N, dtype)" in source


@pytest.mark.parametrize("units", [20, 2000])
def test_a_relu_is_a_clip_and_passes_on_what_is_not_finite(units: int) -> None:
    net = perceptron(units)
    assert any(".clip(" in line for line in body(net.source, "_forward"))
    module, (x, _) = net.module, batch()
    w = module.Workspace(SAMPLES)
    w.x[...] = x
    w.x[0, 0], w.x[1, 0], w.x[2, 0] = np.nan, np.inf, -np.inf
    params = module.init_params(0)
    with np.errstate(all="ignore"):
        module._forward(params, w)
        wanted = np.maximum(w.x @ params["dense_1.weight"].T + params["dense_1.bias"], 0)
        np.testing.assert_allclose(w.dense_1, wanted, rtol=1e-4, atol=1e-4)


# How a kernel is written.


def written(tree: Any, small: bool, aliases: str = "", **operands: Operand) -> tuple[list[str], bool]:
    writer = UfuncWriter(
        ("n", "c"),
        Name("y"),
        operands,
        lambda axes, dtype, number: Name(f"{dtype}_{''.join(axes)}{number}"),
        frozenset(aliases.split()),
        number=(lambda number, dtype: Name(f"number_{text(number)}")) if small else None,
        run=True,
    )
    return printed(writer.write(tree), 0), writer.buffered


A = Operand(Name("a"), frozenset("nc"), run=True)
B = Operand(Name("b"), frozenset("c"), run=True)
MASK = Operand(Name("m"), frozenset("nc"), "bool", run=True)
SUM = Node("add", (Leaf("A"), Leaf("B")))
CASES = [
    (SUM, False, "", ["y[...] = b", "np.add(a, y, out=y)"]),
    (SUM, True, "A", ["float_nc0[...] = b", "np.add(a, float_nc0, out=y)"]),
    (SUM, False, "A", ["np.add(a, b, out=y)"]),
    (SUM, True, "B", ["float_nc0[...] = b", "np.add(a, float_nc0, out=y)"]),
    (Node("multiply", (Leaf("A"), Leaf("M"))), False, "", ["y[...] = m", "np.multiply(a, y, out=y)"]),
    (Node("multiply", (Leaf("A"), Scalar(number(0.5), "float"))), True, "", ["np.multiply(a, number_0.5, out=y)"]),
    (Node("multiply", (Leaf("A"), Scalar(number(0.5), "float"))), False, "", ["np.multiply(a, 0.5, out=y)"]),
    (Node("minimum", (Leaf("A"), Scalar(number(1)))), False, "", ["a.clip(-np.inf, 1, out=y)"]),
]


@pytest.mark.parametrize(("tree", "small", "aliases", "lines"), CASES)
def test_arrays_of_one_shape_and_dtype_meet_in_a_call(tree: Any, small: bool, aliases: str, lines: list[str]) -> None:
    found, buffered = written(tree, small, aliases, A=A, B=B, M=MASK)
    assert found == lines
    assert buffered == (lines == ["np.add(a, b, out=y)"])


def test_scratch_that_an_argument_still_lies_in_is_not_written_over() -> None:
    """exp(a) in scratch, times b laid out in other scratch, into a destination that is b's storage."""
    tree = Node("multiply", (Node("exp", (Leaf("A"),)), Leaf("B")))
    lines, _ = written(tree, True, "B", A=A, B=B)
    assert lines == ["np.exp(a, out=float_nc0)", "float_nc1[...] = b", "np.multiply(float_nc0, float_nc1, out=y)"]


def test_what_falls_out_of_the_cache_is_not_laid_out() -> None:
    writer = UfuncWriter(("n", "c"), Name("y"), {"A": A, "B": B}, lambda *_: Name(""), run=True, near=False)
    assert printed(writer.write(SUM), 0) == ["np.add(a, b, out=y)"] and writer.buffered


def test_what_has_gaps_is_taken_through_a_buffer() -> None:
    lines, buffered = written(SUM, False, A=Operand(Name("a[:, 1:]"), frozenset("nc")), B=B)
    assert lines == ["np.add(a[:, 1:], b, out=y)"] and buffered


# The step around them.


@pytest.mark.parametrize(("activation", "units"), [("relu", 20), ("relu", 2000)])
def test_the_size_of_buffers_is_as_before(activation: str, units: int) -> None:
    module, (x, y) = perceptron(units, activation).module, batch()
    step = module.make_step(module.init_params(0), batch_size=SAMPLES)
    with np.errstate():
        np.setbufsize(4096)
        for _ in range(2):
            step(x, y)
            assert np.getbufsize() == 4096


def spoilt(x: np.ndarray, y: np.ndarray, how: str) -> tuple[Any, Any]:
    x, y = x.copy(), y.copy()
    match how:
        case "not a number":
            x[3, 5] = np.nan
        case "infinite":
            x[-1, -1] = -np.inf
        case "below":
            y[7] = -1
        case "above":
            y[0] = CLASSES
        case "far above":
            y[-1] = 2**62
        case "fewer labels":
            y = y[:-1]
        case "fewer features":
            x = x[:, :-1]
        case "one sample":
            x = x[0]
        case "no whole numbers":
            return x, y + 0.5
        case "text":
            return x.astype(str), y
    return x, y


@pytest.mark.parametrize(
    "how",
    "not a number,infinite,below,above,far above,fewer labels,fewer features,one sample,no whole numbers,text".split(
        ","
    ),
)
def test_the_checks_are_those_of_the_first_batch(how: str) -> None:
    module, (x, y) = regression(), batch()
    step = module.make_step(module.init_params(0), batch_size=SAMPLES, optimizer="adam")
    with pytest.raises(module.DataError) as first:
        step(*spoilt(x, y, how))
    losses = [step(x, y), step(x, y)]
    before = step.state()
    with pytest.raises(module.DataError) as later:
        step(*spoilt(x, y, how))
    assert str(later.value) == str(first.value)
    assert all(np.array_equal(array, before[name]) for name, array in step.state().items())
    assert losses[0] > losses[1] > step(x, y)


def test_a_loss_that_is_not_finite_changes_nothing() -> None:
    module, (x, y) = regression(), batch()
    step = module.make_step(module.init_params(0), batch_size=SAMPLES, optimizer="sgd")
    step(x, y)
    before = step.state()
    with pytest.raises(module.Diverged), np.errstate(all="ignore"):
        step(np.full_like(x, 3e38), y)
    assert all(np.array_equal(array, before[name]) for name, array in step.state().items())


def test_the_numbers_are_those_of_a_step_in_plain_numpy() -> None:
    module, (x, y) = regression(), batch()
    start = module.init_params(0)
    step = module.make_step(start, batch_size=SAMPLES, optimizer="sgd", learning_rate=0.5)
    weight, bias = start["dense_1.weight"].astype(float), start["dense_1.bias"].astype(float)
    for _ in range(5):
        z = x @ weight.T + bias
        lse = np.log(np.exp(z).sum(1))
        assert step(x, y) == pytest.approx(float((lse - z[range(SAMPLES), y]).mean()), rel=1e-5)
        d = (np.exp(z - lse[:, None]) - np.eye(CLASSES)[y]) / SAMPLES
        weight, bias = weight - 0.5 * d.T @ x, bias - 0.5 * d.sum(0)
    np.testing.assert_allclose(step.params()["dense_1.weight"], weight, atol=1e-5)
    np.testing.assert_allclose(step.params()["dense_1.bias"], bias, atol=1e-5)
