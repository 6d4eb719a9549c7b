"""Recurrent layers with masks and with states that are given or computed, in combination.

The loss is the slow interpreter's; a gradient is judged by the central difference of the loss along a random direction.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import symnet as sn
from codegen.oracle.interpret import interpret

KINDS = {"SimpleRNN": sn.SimpleRNN, "GRU": sn.GRU, "LSTM": sn.LSTM}
STATES = ("none", "computed", "given")
STEPS = ("T", 4)
CASES = list(itertools.product(KINDS, STEPS, (False, True), (False, True), STATES))[::5]
"""Every fifth: 5 has no factor in common with the numbers of choices, so that each choice meets the others."""


def network(kind: str, steps: int | str, both: bool, sequences: bool, state: str) -> sn.Model:
    x = sn.Input((steps, 3), name="x")
    mask = sn.Input((steps,), name="mask", dtype="bool")
    inputs, named = [x, mask], {"mask": mask}
    letters = ("h", "c") if kind == "LSTM" else ("h",)
    for letter in letters if state != "none" else ():
        for suffix in ("", "_reverse") if both else ("",):
            name = f"{letter}_0{suffix}"
            node = sn.Input((2,) if state == "given" else (1,), name=f"of_{name}")
            inputs.append(node)
            named[name] = node if state == "given" else sn.Dense(2, name=f"make_{name}")(node)
    y = KINDS[kind](2, bidirectional=both, return_sequences=sequences, name="r")(x, **named)
    return sn.Model(inputs, y, loss=sn.CrossEntropy(), name="m")


def check(model: sn.Model, target: str) -> None:
    rng = np.random.default_rng(1)
    module = sn.compile(model, dtype="float64", target=target, wrt_inputs=True).module
    params = {p.name: rng.normal(size=module.PARAMETERS[p.name]) for p in model.parameters}
    x = {}
    for tensor in model.inputs:
        shape = tuple(e.evaluate({"N": 3, "T": 4}) for e in tensor.shape)
        x[tensor.name] = rng.random(shape) < 0.6 if tensor.dtype == "bool" else rng.normal(size=shape)
    output = module.forward(params, x)
    y = rng.integers(0, output.shape[-1], output.shape[:-1])
    loss, found = module.loss_and_grads(params, x, y)
    values = interpret(model.program, {**x, **params, "target": y})
    assert loss == pytest.approx(float(values["loss"]), rel=1e-10)
    np.testing.assert_allclose(output, values[model.output.name], rtol=1e-10, atol=1e-12)
    for name, gradient in found.items():
        holder = x if name in x else params
        way, step = rng.normal(size=holder[name].shape), 1e-5
        ends = []
        for sign in (1, -1):
            moved = {**holder, name: holder[name] + sign * step * way}
            ends.append(module.loss(params, moved, y) if name in x else module.loss(moved, x, y))
        slope = (ends[0] - ends[1]) / (2 * step)
        assert float((gradient * way).sum()) == pytest.approx(slope, rel=1e-6, abs=1e-8), name


@pytest.mark.parametrize(("kind", "steps", "both", "sequences", "state"), CASES)
def test_combinations(kind: str, steps: int | str, both: bool, sequences: bool, state: str) -> None:
    check(network(kind, steps, both, sequences, state), "numpy")


def test_in_expressions() -> None:
    check(network("LSTM", "T", False, False, "computed"), "numexpr")
