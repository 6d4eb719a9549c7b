"""Every derived gradient against central differences, and the targets against each other and the interpreter."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import symnet as sn
from batch import Arrays, Network, parameters
from corpus import NETWORKS, TARGETS, compiled, network
from networks_drawn import networks
from symnet.differentiate.reverse import cotangent_name

QUIET = list(HealthCheck)
WIDTHS = (2e-5, 4e-6)
ENTRIES = 8
"""How many entries of each parameter are moved."""


def scale(gradient: np.ndarray) -> float:
    return max(float(np.abs(gradient).max(initial=0.0)), 1e-3)


def slopes(module: ModuleType, case: Network, params: Arrays, name: str, place: tuple[int, ...]) -> list[float]:
    """The central difference of the loss by one entry of a parameter, for each of the widths."""
    found = []
    for width in WIDTHS:
        sides = []
        for sign in (1, -1):
            moved = params[name].copy()
            moved[place] += sign * width
            sides.append(module.loss({**params, name: moved}, case.x, case.y))
        found.append((sides[0] - sides[1]) / (2 * width))
    return found


def agree_with_differences(module: ModuleType, case: Network) -> None:
    """Away from kinks and ties: where differences of two widths disagree, there is one in between."""
    params = parameters(case.model)
    _, grads = module.loss_and_grads(params, case.x, case.y)
    rng = np.random.default_rng(0)
    tried = smooth = 0
    for name, gradient in grads.items():
        places = list(np.ndindex(gradient.shape))
        for k in rng.permutation(len(places))[:ENTRIES]:
            wide, narrow = slopes(module, case, params, name, places[k])
            tried += 1
            if abs(wide - narrow) < 1e-6 * scale(gradient):
                smooth += 1
                assert min(abs(s - gradient[places[k]]) for s in (wide, narrow)) < 1e-6 * scale(gradient), name
    assert smooth > 0.8 * tried


def agree_with_each_other(modules: list[ModuleType], case: Network) -> None:
    """All targets, and the interpreter on the equations as derived, find the same numbers."""
    params = parameters(case.model)
    meant = sn.interpret(case.model, {**params, **case.x, "target": case.y})
    for module in modules:
        loss, grads = module.loss_and_grads(params, case.x, case.y)
        output = module.forward(params, case.x)
        assert abs(loss - meant["loss"]) < 1e-10 * max(abs(loss), 1e-3)
        assert np.abs(output - meant[case.model.output.name]).max() < 1e-10 * scale(output)
        for name, gradient in grads.items():
            assert np.abs(gradient - meant[cotangent_name(name)]).max() < 1e-10 * scale(gradient), name


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NETWORKS)
def test_layer_against_differences(name: str, target: str) -> None:
    agree_with_differences(compiled(name, target).module, network(name))


@pytest.mark.parametrize("name", NETWORKS)
def test_layer_against_the_interpreter(name: str) -> None:
    agree_with_each_other([compiled(name, target).module for target in TARGETS], network(name))


@settings(max_examples=12, deadline=None, suppress_health_check=QUIET)
@given(case=networks())
def test_drawn_networks_against_differences(case: Network) -> None:
    for target in TARGETS:
        agree_with_differences(sn.compile(case.model, dtype="float64", target=target).module, case)


@settings(max_examples=8, deadline=None, suppress_health_check=QUIET)
@given(case=networks())
def test_drawn_networks_against_the_interpreter(case: Network) -> None:
    modules = [sn.compile(case.model, dtype="float64", target=target).module for target in TARGETS]
    agree_with_each_other(modules, case)
