"""Recurrences in the generated source: one loop forward, one backward, and the products outside them."""

from __future__ import annotations

import re

import numpy as np
import pytest

import symnet as sn
from codegen.analysis.loops import Recurrence
from codegen.analysis.schedule import schedule
from codegen.ir.affine import Affine
from codegen.ir.equation import Program, Tensor
from codegen.ir.errors import FormulaError
from codegen.notation import elaborate
from symnet.differentiate.programs import network


def elman() -> sn.Model:
    x = sn.Input(("T", 3), name="x")
    h = sn.SimpleRNN(4, name="rnn")(x)
    return sn.Model(x, sn.Dense(2, name="out")(h), loss=sn.CrossEntropy(), name="elman")


def function(source: str, name: str) -> tuple[str, str]:
    """(what stands in loops, what stands outside) of one function of a module."""
    body = re.search(rf"def {name}\(.*?\n(?=\n\n)", source, re.DOTALL)
    assert body
    lines = body.group().splitlines()
    inside, looping = [], False
    outside = []
    for line in lines:
        if line.startswith("    for "):
            looping = True
        elif line.strip() and not line.startswith("        ") and looping and not line.startswith("    )"):
            looping = False
        (inside if looping else outside).append(line)
    return "\n".join(inside), "\n".join(outside)


def test_one_loop_forward_with_the_input_projection_outside() -> None:
    inside, outside = function(sn.compile(elman()).source, "_forward")
    assert len(re.findall(r"in w\.\w+_steps:", inside)) == 1
    assert "rnn.weight_hh" in inside and "rnn.weight_ih" not in inside and "out.weight" not in inside
    assert "rnn.weight_ih" in outside and "out.weight" in outside


def test_one_loop_backward_with_the_weight_gradients_outside() -> None:
    inside, outside = function(sn.compile(elman()).source, "_backward")
    assert len(re.findall(r"in reversed\(w\.\w+_steps\):", inside)) == 1
    assert 'g["' not in inside
    for name in ("rnn.weight_ih", "rnn.weight_hh", "rnn.bias_ih", "rnn.bias_hh", "out.weight"):
        assert f'g["{name}"]' in outside


def test_code_does_not_grow_with_the_length() -> None:
    def lines(steps: int | str) -> int:
        x = sn.Input((steps, 3), name="x")
        model = sn.Model(x, sn.Dense(2)(sn.LSTM(4)(x)), loss=sn.CrossEntropy())
        return len(sn.compile(model).source.splitlines())

    assert abs(lines(1000) - lines(10)) < 40  # longer numbers break a few lines, larger arrays need no prepared numbers
    assert abs(lines("T") - lines(10)) < 40


def test_one_module_runs_short_and_long_sequences() -> None:
    net = sn.compile(elman())
    params = net.module.init_params(0)
    for steps in (10, 1000):
        x = np.random.default_rng(0).normal(size=(2, steps, 3))
        loss, grads = net.module.loss_and_grads(params, x, np.zeros((2, steps), int))
        assert np.isfinite(loss) and all(np.isfinite(g).all() for g in grads.values())
    header = net.source.partition('"""')[2].partition('"""')[0]
    assert re.search(r"forward +[\d,]+\*N\*T", header)


def test_schedule_keeps_what_is_outside_the_cycle_outside() -> None:
    items = schedule(network(elman()))
    loops = [item for item in items if isinstance(item, Recurrence)]
    assert [loop.backward for loop in loops] == [False, True]
    assert {e.target for e in loops[0].equations} == {"rnn.z", "rnn"}
    assert all("rnn.weight_ih" not in {r.tensor for r in e.reads} for loop in loops for e in loop.equations)


def test_both_directions_in_one_cycle_are_refused() -> None:
    x = Tensor("x", (Affine.of("N"), Affine.of("T")), "float", "input")
    done = elaborate("h[n,t] = x[n,t] + h[n,t-1] + h[n,t+1]", {"x": x})
    program = Program((x, *done.tensors), done.equations, ("N", "T"))
    with pytest.raises(FormulaError, match="two directions need two recurrences"):
        schedule(program)


SHORT = {
    "two back, one step": ("h[n,t] = sigmoid(x[n,t] + h[n,t-2])", 1),
    "three ahead, two steps": ("h[n,t] = sigmoid(x[n,t] + h[n,t+3])", 2),
    "a product, two steps": ("h[n,t] = x[n,t]*h[n,t-2] + sigmoid(x[n,t])", 2),
    "two states, two steps": ("g[n,t] = x[n,t] + 0.5*h[n,t-2]\nh[n,t] = sigmoid(g[n,t])", 2),
}
"""Recurrences shorter than their distance: every read of the state is outside, so all are sigmoid(x)."""


@pytest.mark.parametrize("name", SHORT)
def test_a_recurrence_shorter_than_its_distance(name: str) -> None:
    text, steps = SHORT[name]
    x = sn.Input((steps,), name="x")
    model = sn.Model(x, sn.Formula(text, name="f")(x), loss=sn.MeanSquaredError(), name="m")
    module = sn.compile(model, dtype="float64", target="numpy", wrt_inputs=True).module
    a, target = np.linspace(-1, 2, 3 * steps).reshape(3, steps), np.full((3, steps), 0.25)
    y = 1 / (1 + np.exp(-a))
    np.testing.assert_allclose(module.forward({}, a), y, rtol=1e-14)
    gradient = module.loss_and_grads({}, a, target)[1]["x"]
    np.testing.assert_allclose(gradient, 2 * (y - target) * y * (1 - y) / y.size, rtol=1e-12)
