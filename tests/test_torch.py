"""Every layer, loss and optimizer against PyTorch, on every target.  Skipped where PyTorch is not installed."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

import symnet as sn
from batch import Network, parameters
from corpus import NETWORKS, TARGETS, compiled, network
from networks_drawn import networks

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch

import torch_twin
from agreement import TOLERANCE, agree, error


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
