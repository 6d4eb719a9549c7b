"""Formulas as networks: the output against right values, gradients against central differences of the loss."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

import numpy as np
import pytest

import symnet as sn
from uncompiled import plain, uncompiled

TARGETS = ("numpy", "numexpr", "numba")


def module(
    text: str,
    target: str,
    inputs: Mapping[str, np.ndarray],
    symbolic: tuple[str, ...] = (),
    dtype: str = "float64",
    **options: object,
) -> ModuleType:
    """The module of one formula, with gradients by its inputs.

    symbolic: the inputs whose second axis has the size T.
    """
    kinds = {"f": "float", "b": "bool", "i": "int"}
    nodes = {
        k: sn.Input(("T", *a.shape[2:]) if k in symbolic else a.shape[1:], name=k, dtype=kinds[a.dtype.kind])
        for k, a in inputs.items()
    }
    model = sn.Model(
        list(nodes.values()), sn.Formula(text, name="f", **options)(**nodes), loss=sn.SquaredError(), name="m"
    )
    with uncompiled(target):
        made = sn.compile(model, dtype=dtype, target=target, wrt_inputs=True).module
        plain(vars(made), target)
    return made


def judged(
    made: ModuleType, inputs: Mapping[str, np.ndarray], right: np.ndarray, params: Mapping[str, np.ndarray]
) -> None:
    """The output is `right`, and every gradient what differences of the loss say."""
    data = {k: np.array(a) for k, a in inputs.items()}
    given = data if len(data) > 1 else next(iter(data.values()))
    np.testing.assert_allclose(made.forward(params, given), right, rtol=1e-9, atol=1e-9)
    if not np.isfinite(right).all():
        return
    goal = np.linspace(-1, 1, right.size).reshape(right.shape)
    _, gradients = made.loss_and_grads(params, given, goal)
    for name, gradient in {k: np.array(g) for k, g in gradients.items()}.items():
        of = {**data, **params}[name]
        for at in list(np.ndindex(of.shape))[::5]:
            kept, step = of[at], 1e-6
            of[at] = kept + step
            up = made.loss(params, given, goal)
            of[at] = kept - step
            slope = (up - made.loss(params, given, goal)) / (2 * step)
            of[at] = kept
            assert gradient[at] == pytest.approx(slope, rel=1e-5, abs=1e-5), (name, at)
