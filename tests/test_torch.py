"""Every layer, loss and optimizer against PyTorch, on every target.  Skipped where PyTorch is not installed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import symnet as sn
from batch import Network, parameters
from corpus import NETWORKS, TARGETS, compiled, network
from networks_drawn import networks

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

import torch_twin

TOLERANCE = 1e-9
"""Of a gradient: the largest error over the largest entry (but at least 1e-3)."""


def error(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max(initial=0.0) / max(np.abs(expected).max(initial=0.0), 1e-3))


def agree(module: object, case: Network) -> None:
    """Loss, output and every gradient of a module are those of PyTorch."""
    params = parameters(case.model)
    expected_loss, expected_output, expected = torch_twin.run(case, params)
    loss, grads = module.loss_and_grads(params, case.x, case.y)
    assert list(grads) == list(expected)
    assert abs(loss - expected_loss) <= TOLERANCE * max(abs(expected_loss), 1e-3)
    assert abs(module.loss(params, case.x, case.y) - loss) <= 1e-15 * max(abs(loss), 1e-3)
    assert error(module.forward(params, case.x), expected_output) < TOLERANCE
    errors = {name: error(grads[name], expected[name]) for name in expected}
    assert all(e < TOLERANCE for e in errors.values()), errors


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NETWORKS)
def test_layer(name: str, target: str) -> None:
    agree(compiled(name, target).module, network(name))


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=networks())
def test_drawn_networks(case: Network) -> None:
    for target in TARGETS:
        agree(sn.compile(case.model, dtype="float64", target=target).module, case)


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.05),
    "momentum": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9),
    "nesterov": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, nesterov=True),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 0.05),
    "adam": lambda p: torch.optim.Adam(p, 0.05),
    "adamw": lambda p: torch.optim.AdamW(p, 0.05),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizer(optimizer: str) -> None:
    case, module = network("lenet"), compiled("lenet", "auto").module
    assert set(module.OPTIMIZERS) == set(OPTIMIZERS)
    start = parameters(case.model)
    step = module.make_step(start, batch_size=3, optimizer=optimizer, learning_rate=0.05)
    own = {name: torch.tensor(array, requires_grad=True) for name, array in start.items()}
    theirs = OPTIMIZERS[optimizer](list(own.values()))
    for _ in range(5):
        now = {name: tensor.detach().numpy().copy() for name, tensor in own.items()}
        expected, _, grads = torch_twin.run(case, now)
        for name, tensor in own.items():
            tensor.grad = torch.tensor(grads[name])
        theirs.step()
        assert abs(step(case.x, case.y) - expected) < TOLERANCE
    for name, array in step.params().items():
        assert error(array, own[name].detach().numpy()) < TOLERANCE, name
