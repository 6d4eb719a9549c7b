"""Gradients of a formula's network, judged by central differences of the loss that the slow interpreter computes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

import symnet as sn
from codegen.ir.equation import Program
from codegen.oracle.interpret import interpret

STEP = 1e-6
TOLERANCE = 2e-7

Arrays = dict[str, np.ndarray]


def formula(text: str, x: np.ndarray, *, shape: tuple[int | str, ...] | None = None, **options: object) -> sn.Model:
    """A model of one formula of one input `x`, with a squared loss."""
    node = sn.Input(x.shape[1:] if shape is None else shape, name="x")
    made = sn.Formula(text, name="f", **options)(node)  # type: ignore[arg-type]
    return sn.Model(node, made, loss=sn.SquaredError(), name="judged")


def drawn(model: sn.Model, seed: int = 0) -> Arrays:
    """Parameters of a model, none of them 0."""
    rng = np.random.default_rng(seed)
    return {p.name: rng.normal(size=sn.compile(model).module.PARAMETERS[p.name]) for p in model.parameters}


def differences(program: Program, arrays: Mapping[str, np.ndarray], wrt: Iterable[str]) -> Arrays:
    """Central differences of the interpreter's `loss` by the named tensors; no derivative of symnet is involved."""
    found: Arrays = {}
    for name in wrt:
        slopes = np.zeros_like(arrays[name])
        for at in np.ndindex(arrays[name].shape):
            ends = []
            for step in (STEP, -STEP):
                moved = {key: np.array(value) for key, value in arrays.items()}
                moved[name][at] += step
                ends.append(float(interpret(program, moved)["loss"]))
            slopes[at] = (ends[0] - ends[1]) / (2 * STEP)
        found[name] = slopes
    return found


def judge(model: sn.Model, x: np.ndarray, *, target: str = "numpy", seed: int = 0) -> Arrays:
    """Check loss, output and all gradients (by x too) of the compiled model; returns the gradients."""
    module = sn.compile(model, dtype="float64", target=target, wrt_inputs=True).module
    params = drawn(model, seed)
    output = interpret(model.program, {"x": x, "target": np.zeros(module.forward(params, x).shape), **params})
    value = output[model.outputs[0].name]
    np.testing.assert_allclose(module.forward(params, x), value, rtol=1e-11, atol=1e-12)
    y = np.random.default_rng(seed + 1).normal(size=value.shape)
    arrays = {"x": x, "target": y, **params}
    for _ in range(2):  # what was not written may be right by chance
        loss, found = module.loss_and_grads(params, x, y)
        wanted = differences(model.program, arrays, found)
        assert abs(loss - float(interpret(model.program, arrays)["loss"])) <= 1e-11 * max(1.0, abs(loss))
        assert set(found) == {"x", *params}
        for name, slopes in wanted.items():
            worst = np.abs(found[name] - slopes).max(initial=0.0)
            assert worst <= TOLERANCE * max(1.0, np.abs(slopes).max(initial=0.0)), (name, found[name], slopes)
    return found
