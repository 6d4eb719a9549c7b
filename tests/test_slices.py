"""Workers divide the update too: each joins the gradients in its slice of the parameters, and updates it."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import symnet as sn

RNG = np.random.default_rng(0)
GIVEN, LABELS = RNG.normal(size=(12, 6)), RNG.integers(0, 3, 12)


@pytest.fixture(scope="module")
def module() -> ModuleType:
    x = sn.Input((6,), name="x")
    h = sn.BatchNorm1D(name="norm")(sn.Dense(9, activation="tanh", name="hidden")(x))
    model = sn.Model(x, sn.Dense(3, name="out")(h), loss=sn.CrossEntropy(), name="sliced")
    return sn.compile(model, dtype="float64").module


@pytest.fixture(scope="module")
def plain() -> ModuleType:
    """No layer that sees the other samples of a batch."""
    x = sn.Input((6,), name="x")
    h = sn.Dense(9, activation="tanh", name="hidden")(x)
    return sn.compile(sn.Model(x, sn.Dense(3, name="out")(h), loss=sn.CrossEntropy()), dtype="float64").module


def members(module: ModuleType, workers: int, rates: dict[str, float] | None = None) -> list[Any]:
    """The workers of a team, all of them here."""
    core = module._core(workers, "momentum")
    block = SimpleNamespace(buf=memoryview(bytearray(module._room(core))))
    shared = module._Shared(block, workers, "momentum")
    factors = module._factors(rates or {}, module._TRAINED)
    return [module._Member(shared, worker, "momentum", factors) for worker in range(workers)]


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_slices_are_disjoint_and_cover_every_parameter(module: ModuleType, workers: int) -> None:
    team = members(module, workers)
    trained = team[0].shared.vectors[0].trained
    for member in team:
        for weights, *_ in member.blocks:
            weights += 1
            assert weights.ctypes.data % 64 == trained.ctypes.data % 64  # on cache lines of their own
    assert (trained == 1).all()


@pytest.mark.parametrize("task", ["together", "apart"])
def test_the_slices_make_the_update_of_the_whole(module: ModuleType, task: str) -> None:
    """Seven samples among three workers: three, two and two."""
    rates = {"hidden.weight": 0.5, "out.bias": 0.0}
    team = members(module, 3, rates)
    shared = team[0].shared
    found = [RNG.normal(size=len(vectors.gradient)) for vectors in shared.vectors]
    for vectors, gradient in zip(shared.vectors, found, strict=True):
        vectors.gradient[...] = gradient
    shared.control[module._SAMPLES], shared.control[module._STEP] = 7, 1
    shared.scales[0], shared.scales[1] = 0.1, 1.0
    mean = np.average(found, axis=0, weights=[3, 2, 2])
    factor = 1.0
    for member in team:
        member.work(module._UPDATE if task == "together" else module._JOIN)
    if task == "apart":
        assert sum(shared.squares) == pytest.approx(mean @ mean)
        assert not shared.vectors[0].trained.any()
        factor = shared.scales[1] = 0.25
        for member in team:
            member.work(module._UPDATE_JOINED)
    moved = module._views(-shared.vectors[0].trained, module._TRAINED)
    for name, gradient in module._views(factor * mean, module._TRAINED).items():
        np.testing.assert_allclose(moved[name], 0.1 * rates.get(name, 1.0) * gradient, rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("options", [{}, {"clip": 0.3}, {"rates": {"hidden": 0.5, "out.bias": 0.0}}])
def test_workers_update_as_one_process_does(plain: ModuleType, optimizer: str, options: dict[str, Any]) -> None:
    """And the optimizer's state is one vector: it can be kept, put back, and taken over when the workers end."""
    settings = {"batch_size": 12, "optimizer": optimizer, "learning_rate": 0.1, **options}
    one = plain.make_step(plain.init_params(0), **settings)
    many = plain.make_step(plain.init_params(0), workers=2, **settings)
    for _ in range(2):
        assert many(GIVEN, LABELS) == pytest.approx(one(GIVEN, LABELS), rel=1e-10)
    kept = many.state()
    many(GIVEN, LABELS)
    many.restore(kept)
    again = many.state()
    assert kept.keys() == again.keys() and all(np.array_equal(kept[name], again[name]) for name in kept)
    assert many(GIVEN, LABELS) == pytest.approx(one(GIVEN, LABELS), rel=1e-10)
    many.close()
    whole, parts = one.state(), many.state()
    for name, array in whole.items():
        np.testing.assert_allclose(parts[name], array, rtol=1e-9, atol=1e-12, err_msg=name)


def test_the_same_workers_reach_the_same_numbers(module: ModuleType) -> None:
    found = [
        module.train(module.init_params(0), GIVEN, LABELS, epochs=2, batch_size=5, workers=2, clip=0.5)[0]
        for _ in range(2)
    ]
    assert all(np.array_equal(found[0][name], array) for name, array in found[1].items())


def test_a_learning_rate_may_change_between_steps(plain: ModuleType) -> None:
    losses = []
    for workers in (1, 2):
        with plain.make_step(plain.init_params(0), batch_size=12, optimizer="sgd", workers=workers) as step:
            first = step(GIVEN, LABELS)
            step.learning_rate = 0.0
            losses.append((first, step(GIVEN, LABELS), step(GIVEN, LABELS)))
    assert losses[1][1] == losses[1][2]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-10)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_gradient_that_is_not_finite_changes_nothing() -> None:
    """The slope at 0 is more than a float holds, the value is not."""
    x = sn.Input((6,), name="x")
    steep = sn.Formula("y[n,i] = tanh(1e300*x[n,i])", name="steep")(sn.Dense(40, name="hidden")(x))
    module = sn.compile(sn.Model(x, sn.Dense(3, name="out")(steep), loss=sn.CrossEntropy()), dtype="float64").module
    params = module.init_params(0)
    params["hidden.weight"][...] = 0
    params["hidden.bias"][...] = 1
    with module.make_step(params, batch_size=12, workers=2, optimizer="momentum") as step:
        step.guarded = True
        step(GIVEN, LABELS)
        step.p["hidden.weight"][...] = 0
        step.p["hidden.bias"][...] = 0
        step.p["out.weight"][...] *= 1e12
        before = step.state()
        with pytest.raises(module.Diverged, match=r"the gradient is not finite in step 2"):
            step(GIVEN, LABELS)
        now = step.state()
        assert all(np.array_equal(before[name], array) for name, array in now.items())
        step.p["hidden.bias"][...] = 1
        assert np.isfinite(step(GIVEN, LABELS))


def test_a_worker_that_dies_in_an_update_leaves_a_mixture(plain: ModuleType) -> None:
    """It is told: then the parameters are not those of one step."""
    step = plain.make_step(plain.init_params(0), batch_size=12, workers=2)
    step(GIVEN, LABELS)
    step._team.processes[0].kill()
    with pytest.raises(plain.DataError, match="some parameters are those of the last step, others those of the one"):
        step._team.update(0.1, 2, None, False)
    step.close()
    assert step.workers == 2 and all(np.isfinite(array).all() for array in step.params().values())


@pytest.mark.parametrize(
    ("parts", "squares"), [([3.0, 4.0], 25.0), ([1e200, 1.0], np.inf), ([np.nan, 1.0], np.nan), ([np.inf, 0.0], np.nan)]
)
def test_squares_tell_too_long_from_not_finite(module: ModuleType, parts: list[float], squares: float) -> None:
    assert module._squares(np.array(parts)) == pytest.approx(squares, nan_ok=True)
