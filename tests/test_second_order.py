"""Training by SciPy's optimizers, and the examples of second order and of the perceptron."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import symnet as sn

pytest.importorskip("scipy", reason="SciPy is not installed")
pytest.importorskip("sklearn")

FOLDER = Path(__file__).resolve().parent.parent / "examples"
sys.path.insert(0, str(FOLDER))

import perceptron  # noqa: E402
import second_order  # noqa: E402

METHODS = ("newton-cg", "l-bfgs")


def quadratic(hvp: bool = True, **options: object) -> sn.Network:
    """Linear regression: one Newton step solves it."""
    x = sn.Input((3,), name="x")
    model = sn.Model(x, sn.Dense(2, name="unit", **options)(x), loss=sn.SquaredError())
    return sn.compile(model, dtype="float64", hvp=hvp)


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 3)), rng.normal(size=(40, 2))


@pytest.mark.parametrize("method", METHODS)
def test_linear_regression_is_solved_as_by_the_normal_equations(method: str) -> None:
    net, (x, y) = quadratic(), data()
    seen: list[tuple[int, float, float]] = []
    start = net.module.init_params(3)
    before = {name: array.copy() for name, array in start.items()}
    fit = sn.fit_scipy(net, x, y, method, start, tolerance=1e-7, on_iteration=lambda *at: seen.append(at))
    rows = np.concatenate([x, np.ones((40, 1))], axis=1)
    best = np.linalg.lstsq(rows, y, rcond=None)[0]
    np.testing.assert_allclose(fit.params["unit.weight"], best[:3].T, atol=1e-6)
    np.testing.assert_allclose(fit.params["unit.bias"], best[3], atol=1e-6)
    assert fit.converged
    assert fit.gradient_norm <= 1e-7
    assert fit.loss == pytest.approx(net.module.loss(fit.params, x, y))
    assert fit.history["loss"][0] == pytest.approx(net.module.loss(start, x, y))
    assert seen == [
        (k, *at) for k, at in enumerate(zip(*fit.history.values(), strict=True)) if k
    ] and fit.iterations == len(seen)
    assert (fit.products > 0) == (method == "newton-cg")
    assert all(np.array_equal(start[name], before[name]) for name in start)


@pytest.mark.parametrize("method", METHODS)
def test_a_network_learns_and_frozen_parameters_and_buffers_stay(method: str) -> None:
    rng = np.random.default_rng(1)
    x = sn.Input((2,), name="x")
    h = sn.BatchNorm1D(name="norm")(sn.Dense(6, activation="tanh", name="first")(x))
    h = sn.Dense(6, activation="tanh", trainable=False, name="still")(h)
    net = sn.compile(
        sn.Model(x, sn.Dense(1, name="last")(h), loss=sn.BinaryCrossEntropy(), l2=1e-3), "float64", hvp=True
    )
    points = rng.normal(size=(60, 2))
    labels = (points[:, :1] * points[:, 1:] > 0).astype(int)
    start = net.module.init_params(0)
    fit = sn.fit_scipy(net, points, labels, method, max_iterations=60, tolerance=1e-4)
    assert fit.loss < 0.6 * fit.history["loss"][0]
    assert set(fit.params) == set(start)
    for name in ("still.weight", "still.bias", *net.module.BUFFERS):
        assert np.array_equal(fit.params[name], start[name])


def test_it_stops_at_the_start_of_a_minimum_and_after_so_many_iterations() -> None:
    net, (x, y) = quadratic(), data()
    done = sn.fit_scipy(net, x, y, tolerance=0)
    assert not done.converged
    assert "no further step" in done.message
    assert done.gradient_norm < 1e-6
    again = sn.fit_scipy(net, x, y, params=done.params, tolerance=1e-6)
    assert (again.iterations, again.converged) == (0, True)
    short = sn.fit_scipy(net, x, y, "l-bfgs", max_iterations=1, tolerance=0)
    assert (short.iterations, short.converged) == (1, False)
    assert short.message


def test_single_precision_comes_near() -> None:
    x = sn.Input((3,), name="x")
    net = sn.compile(sn.Model(x, sn.Dense(2, name="unit")(x), loss=sn.SquaredError()), hvp=True)
    rows, y = data()
    for method in METHODS:
        fit = sn.fit_scipy(net, rows, y, method, tolerance=1e-4)
        assert fit.params["unit.weight"].dtype == np.float32
        assert fit.gradient_norm <= 1e-4


def test_mistakes_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    net, (x, y) = quadratic(), data()
    with pytest.raises(sn.DefinitionError, match="did you mean 'newton-cg'"):
        sn.fit_scipy(net, x, y, "newton_cg")
    with pytest.raises(sn.DefinitionError, match="hvp=True"):
        sn.fit_scipy(quadratic(hvp=False), x, y)
    assert sn.fit_scipy(quadratic(hvp=False), x, y, "l-bfgs").converged
    with pytest.raises(sn.DefinitionError, match="max_iterations"):
        sn.fit_scipy(net, x, y, max_iterations=0)
    with pytest.raises(sn.DefinitionError, match="unknown option 'tolerence'"):
        sn.fit_scipy(net, x, y, tolerence=1.0)
    with pytest.raises(sn.DefinitionError, match=r"expected what sn\.compile returns"):
        sn.fit_scipy(net.model, x, y)
    with pytest.raises(sn.DefinitionError, match="no trainable parameters"):
        sn.fit_scipy(quadratic(trainable=False), x, y)
    with pytest.raises(sn.DataError, match="expected shape"):
        sn.fit_scipy(net, x[:, :2], y)
    with pytest.raises(sn.DataError, match="is missing"):
        sn.fit_scipy(net, x, y, params={})
    unit = sn.Input((3,), name="x")
    with pytest.raises(sn.DefinitionError, match="no loss"):
        sn.fit_scipy(sn.compile(sn.Model(unit, sn.Dense(1)(unit))), x, y)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(sn.DefinitionError, match=r"pip install 'symnet\[scipy\]'"):
        sn.fit_scipy(net, x, y)


def test_the_three_methods_meet_in_one_minimum(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(second_order, "STEPS_OF_DESCENT", 4000)
    descent, lbfgs, newton = results = second_order.compare()
    monkeypatch.setattr(second_order, "compare", lambda: results)
    second_order.main()
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert newton.iterations < lbfgs.iterations < descent.iterations
    assert lbfgs.loss == pytest.approx(newton.loss, abs=1e-10)
    assert descent.loss == pytest.approx(newton.loss, abs=1e-3)
    assert max(lbfgs.gradient_norm, newton.gradient_norm) <= second_order.TOLERANCE
    assert min(r.accuracy for r in (descent, lbfgs, newton)) > 0.93


@pytest.mark.parametrize("seed", range(4))
def test_both_perceptrons_find_the_same_plane_by_the_same_mistakes(seed: int) -> None:
    x, y = perceptron.flowers(seed)
    one, other = perceptron.primal(x, y), perceptron.dual(x, y)
    assert one.missed == other.missed
    assert one.mistakes == other.mistakes
    assert one.mistakes[-1] == 0
    assert sum(one.mistakes) == len(one.missed) > 0
    assert np.abs(one.weights - other.weights).max() < 1e-9
    assert (np.sign(perceptron.distances(one.weights, x)) == y).all()
    # Novikoff: no more mistakes than (R/gamma)**2, for the margin of whatever plane through the origin.
    margin = (y * (x @ one.weights)).min() / np.linalg.norm(one.weights)
    assert len(one.missed) <= (np.linalg.norm(x, axis=1).max() / margin) ** 2


def test_the_perceptron_prints_its_plane(capsys: pytest.CaptureFixture[str]) -> None:
    perceptron.main()
    text = capsys.readouterr().out
    assert "the same mistakes: True" in text
    assert text.count("distance to the plane") == 2
