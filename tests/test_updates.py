"""The optimizers' updates on every target: against PyTorch over 50 steps, by their text, and by what they allocate."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pytest

import symnet as sn
from codegen.emit import native_functions
from codegen.machine.target import TARGETS
from runtime_module import loaded
from symnet.optim.optimizers import OPTIMIZERS, USUAL, Optimizer
from symnet.optim.update import Update, update

WRITTEN = ("numpy", "numexpr", "numba")
COUNT, STEPS = 1000, 50
RNG = np.random.default_rng(7)
START = RNG.normal(size=COUNT)
GRADIENTS = RNG.normal(size=(STEPS, COUNT))

RESILIENT = Optimizer(
    "resilient",
    """
    d_next[k] = where(g[k]*p[k] > 0, min(1.2*d[k], 50), where(g[k]*p[k] < 0, max(0.5*d[k], 0.000001), d[k] + lr[]))
    p_next[k] = where(g[k]*p[k] < 0, 0, g[k])
    w_next[k] = w[k] - sign(p_next[k])*d_next[k]
    """,
    state=("d", "p"),
    learning_rate=0.01,
)
"""A rule with cases, whose vectors are called as scratch is."""
WARMED = Optimizer(
    "warmed",
    """
    m_next[k] = m[k] + abs(g[k])/(1 + t[])
    w_next[k] = w[k] - where(t[] > 10, lr[]*sqrt(t[]), 0)*tanh(m_next[k])
    """,
    state=("m",),
    learning_rate=0.1,
)
"""One with cases that are the same for all weights."""


def resilient(w: np.ndarray, g: np.ndarray, state: dict[str, Any], rate: float, step: int) -> np.ndarray:
    zero = np.zeros_like(g)
    d, p = state.get("d", zero), state.get("p", zero)
    same, turned = g * p > 0, g * p < 0
    state["d"] = np.where(same, np.minimum(1.2 * d, 50), np.where(turned, np.maximum(0.5 * d, 1e-6), d + rate))
    state["p"] = np.where(turned, 0, g)
    return w - np.sign(state["p"]) * state["d"]


def warmed(w: np.ndarray, g: np.ndarray, state: dict[str, Any], rate: float, step: int) -> np.ndarray:
    state["m"] = state.get("m", 0) + np.abs(g) / (1 + step)
    return w - (rate * math.sqrt(step) if step > 10 else 0) * np.tanh(state["m"])


def optimizer_named(name: str) -> Optimizer:
    return OPTIMIZERS[name]


@cache
def function(rule: Optimizer, target: str) -> tuple[Update, Callable[..., None]]:
    """The update, and its function in a module of its own."""
    made = update(rule, TARGETS[target])
    helpers = native_functions.HELPERS if "@kernel" in made.source else ""
    head = ["import math", "import numpy as np", *made.imports, "DTYPE = np.float64", helpers]
    return made, getattr(loaded("\n".join([*head, made.source])), f"_{rule.name}")


def stepped(rule: Optimizer, target: str, rate: float) -> np.ndarray:
    """The parameters after all steps."""
    made, apply = function(rule, target)
    w, state = START.copy(), [np.zeros(COUNT) for _ in made.state]
    scratch = [np.empty(COUNT, {"float": np.float64, "bool": bool}[kind]) for kind in made.scratch]
    for t, gradient in enumerate(GRADIENTS, 1):
        g = gradient.copy()
        apply(w, g, (*state, *scratch), rate, t)
        assert np.array_equal(g, gradient)
    return w


@pytest.mark.parametrize("target", WRITTEN)
@pytest.mark.parametrize("name", USUAL)
def test_50_steps_are_pytorch_s(name: str, target: str) -> None:
    torch = pytest.importorskip("torch")
    rule = optimizer_named(name)
    own = torch.tensor(START, requires_grad=True)
    theirs = twin(torch, name)([own], rule.learning_rate)
    for gradient in GRADIENTS:
        own.grad = torch.tensor(gradient)
        theirs.step()
    got = stepped(rule, target, rule.learning_rate)
    np.testing.assert_allclose(got, own.detach().numpy(), rtol=1e-10, atol=1e-12)
    assert np.abs(got - START).max() > 1e-3


def twin(torch: Any, name: str) -> Callable[..., Any]:
    """PyTorch's optimizer, of parameters and a rate."""
    optim = torch.optim
    return {
        "sgd": optim.SGD,
        "momentum": partial(optim.SGD, momentum=0.9),
        "nesterov": partial(optim.SGD, momentum=0.9, nesterov=True),
        "rmsprop": optim.RMSprop,
        "adam": optim.Adam,
        "adamw": optim.AdamW,
    }[name]


@pytest.mark.parametrize("target", WRITTEN)
@pytest.mark.parametrize(("rule", "meant"), [(RESILIENT, resilient), (WARMED, warmed)])
def test_cases_and_signs(rule: Optimizer, meant: Callable[..., np.ndarray], target: str) -> None:
    w, state = START.copy(), dict[str, Any]()
    for t, gradient in enumerate(GRADIENTS, 1):
        w = meant(w, gradient, state, rule.learning_rate, t)
    np.testing.assert_allclose(stepped(rule, target, rule.learning_rate), w, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("target", WRITTEN)
@pytest.mark.parametrize("rule", [*OPTIMIZERS.values(), RESILIENT], ids=lambda rule: rule.name)
def test_no_vector_is_allocated(rule: Optimizer, target: str) -> None:
    made, apply = function(rule, target)
    count = 100_000
    arrays = [np.full(count, 0.5) for _ in made.state]
    arrays += [np.empty(count, {"float": np.float64, "bool": bool}[kind]) for kind in made.scratch]
    w, g = np.ones((2, count))
    apply(w, g, tuple(arrays), 0.1, 1)
    tracemalloc.start()
    apply(w, g, tuple(arrays), 0.1, 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < count


def test_a_formula_reads_nothing_that_is_overwritten() -> None:
    late = Optimizer("late", "m_next[k] = 0.9*m[k] + g[k]\nw_next[k] = w[k] - lr[]*(g[k] + m[k])", ("m",), 0.1)
    with pytest.raises(ValueError, match="late: w_next reads m, which is m_next by then"):
        update(late, TARGETS["numpy"])


def test_a_function_that_not_every_module_has_is_refused() -> None:
    rule = Optimizer("smooth", "w_next[k] = w[k] - lr[]*erf(g[k])", (), 0.1)
    with pytest.raises(ValueError, match="smooth: its update calls erf, which not every module has"):
        update(rule, TARGETS["numpy"])


def test_numbers_are_computed_once_and_nothing_is_divided_by_10() -> None:
    for target in WRITTEN:
        source = update(optimizer_named("adam"), TARGETS[target]).source
        assert source.count("0.999**t") == 2 and source.count("0.9**t") == 2, target  # in the formula and in the code
        assert "/ 10" not in source and ", 10," not in source, target


def test_numexpr_evaluates_updates_where_it_pays_only() -> None:
    x = sn.Input((4,), name="x")
    net = sn.compile(sn.Model(x, sn.Dense(2, name="d")(x), loss=sn.SquaredError()), target="numexpr")
    updates = net.source[net.source.index("# --- The optimizers") :]
    assert "ne.evaluate" not in updates and "np.multiply(m, 0.9, out=m)" in updates
    assert "ne.evaluate" in update(optimizer_named("adam"), TARGETS["numexpr"]).source
