"""How closely a generated module has to agree with PyTorch."""

from __future__ import annotations

from types import ModuleType

import numpy as np

import torch_twin
from batch import Network, parameters

TOLERANCE = 1e-9
"""Of a gradient: the largest error over the largest entry (but at least 1e-3)."""


def error(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max(initial=0.0) / max(np.abs(expected).max(initial=0.0), 1e-3))


def agree(module: ModuleType, case: Network) -> None:
    """Loss, output and every gradient of a module are those of PyTorch."""
    params = parameters(case.model)
    expected_loss, expected_output, expected = torch_twin.run(case, params)
    loss, grads = module.loss_and_grads(params, case.x, case.y)
    assert list(grads) == list(expected)
    assert abs(loss - expected_loss) <= TOLERANCE * max(abs(expected_loss), 1e-3)
    assert abs(module.loss(params, case.x, case.y) - loss) <= 1e-15 * max(abs(loss), 1e-3)
    training = {"training": True} if case.model.buffers else {}
    assert error(module.forward(params, case.x, **training), expected_output) < TOLERANCE
    errors = {name: error(grads[name], expected[name]) for name in expected}
    assert all(e < TOLERANCE for e in errors.values()), errors
