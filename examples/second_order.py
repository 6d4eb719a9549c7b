"""Logistic regression three ways: gradient descent, L-BFGS and Newton-CG, on the breast cancer data.

All three minimise the same convex loss, that of logistic_breast_cancer.py, over all
training samples at once and in float64, from zero, until the norm of the gradient is at most 1e-6.

    gradient descent   w <- w - g/L, with L the largest eigenvalue of the Hessian at the start
    L-BFGS             a quadratic model of the loss from the last few gradients
    Newton-CG          H p = -g, solved by conjugate gradients: only products of H with vectors

The products are derived like the gradients and stand in the generated module as `hvp`.

    python examples/second_order.py

Needs scikit-learn and SciPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import symnet as sn
from symnet.definition import load
from train import HERE, RECIPES, Split, split

TOLERANCE = 1e-6
STEPS_OF_DESCENT = 30_000


@dataclass(frozen=True)
class Result:
    """How one method ended."""

    method: str
    iterations: int
    loss: float
    gradient_norm: float
    accuracy: float
    """On the held-out quarter."""


def norm(arrays: dict[str, np.ndarray]) -> float:
    """The Euclidean norm of all arrays end to end."""
    return float(np.sqrt(sum(np.vdot(a, a) for a in arrays.values())))


def curvature(module: Any, params: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> float:
    """The largest eigenvalue of the Hessian, by the power method on its products with vectors."""
    rng = np.random.default_rng(0)
    v = {name: rng.normal(size=shape) for name, shape in module.PARAMETERS.items()}
    for _ in range(100):
        length = norm(v)
        v = module.hvp(params, x, y, {name: a / length for name, a in v.items()})
    return norm(v)


def descend(module: Any, x: np.ndarray, y: np.ndarray) -> tuple[dict[str, np.ndarray], int, float, float]:
    """(parameters, steps, loss, norm of the gradient) of gradient descent from zero."""
    params = {name: np.zeros(shape) for name, shape in module.PARAMETERS.items()}
    rate = 1 / curvature(module, params, x, y)
    for step in range(STEPS_OF_DESCENT + 1):
        loss, grads = module.loss_and_grads(params, x, y)
        if norm(grads) <= TOLERANCE or step == STEPS_OF_DESCENT:
            break
        params = {name: params[name] - rate * grads[name] for name in params}
    return params, step, loss, norm(grads)


def compare() -> list[Result]:
    """Train three times, and test each on the samples held out."""
    net = sn.compile(load(HERE / "logistic_breast_cancer.py"), dtype="float64", hvp=True)
    data = split(RECIPES["logistic_breast_cancer"], (30,))
    x, y = data.x_train.astype(np.float64), data.y_train.reshape(-1, 1)
    found, steps, loss, slope = descend(net.module, x, y)
    results = [Result("gradient descent", steps, loss, slope, accuracy(net.module, found, data))]
    start = {name: np.zeros(shape) for name, shape in net.module.PARAMETERS.items()}
    for title, method in (("L-BFGS", "l-bfgs"), ("Newton-CG", "newton-cg")):
        fit = sn.fit_scipy(net, x, y, method=method, params=start, tolerance=TOLERANCE)
        right = accuracy(net.module, fit.params, data)
        results.append(Result(title, fit.iterations, fit.loss, fit.gradient_norm, right))
    return results


def accuracy(module: Any, params: dict[str, np.ndarray], data: Split) -> float:
    """The share of held-out samples that come out right."""
    return float(np.mean(module.predict(params, data.x_test) == data.y_test))


def main() -> None:
    """Compare and print the table."""
    print(f"{'':18}{'iterations':>10}  {'loss':>12}  {'gradient norm':>13}  {'test accuracy':>13}")
    for r in compare():
        print(f"{r.method:18}{r.iterations:10,}  {r.loss:12.9f}  {r.gradient_norm:13.2e}  {r.accuracy:13.2%}")


if __name__ == "__main__":
    main()
