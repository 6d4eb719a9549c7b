"""The perceptron, primal and dual, on two kinds of iris: both find the same plane by the same mistakes.

    primal   z = w . x           after a mistake on sample n:  w += y[n]*x[n]
    dual     z = sum[m](alpha[m]*y[m]*(x[m] . x))              alpha[n] += 1

The primal rule is gradient descent on the perceptron's loss, one sample at a time with
learning rate 1. The dual keeps the number of mistakes on each sample instead of w, which
is w = sum[m](alpha[m]*y[m]*x[m]), and sees the samples only through their inner products,
the Gram matrix. The four measurements of setosa and versicolor are standardised; a 1
appended to them takes the place of a bias. The two kinds can be told apart by a plane, so
the mistakes come to an end.

    python examples/perceptron.py

Needs scikit-learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_iris

import symnet as sn

EPOCHS = 100


@dataclass(frozen=True)
class Learned:
    """weights (5,): the plane `weights . (x, 1) = 0`.  mistakes: by epoch.  missed: the samples, one by one."""

    weights: np.ndarray
    mistakes: list[int]
    missed: list[int]


def flowers(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Samples (100, 5), the last entry 1, and labels -1 (setosa) and +1 (versicolor), in a fixed random order."""
    x, y = load_iris(return_X_y=True)
    x, y = x[y < 2], y[y < 2]
    order = np.random.default_rng(seed).permutation(len(y))
    x = (x - x.mean(0)) / x.std(0)
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)[order], (2 * y - 1)[order]


def primal(x: np.ndarray, y: np.ndarray) -> Learned:
    """A Dense unit with the perceptron's loss, trained one sample at a time until an epoch has no mistakes."""
    flower = sn.Input((5,), name="flower")
    unit = sn.Dense(1, use_bias=False, init={"weight": "zeros"}, name="unit")(flower)
    model = sn.Model(flower, unit, loss=sn.PerceptronLoss(), name="perceptron")
    module = sn.compile(model, dtype="float64").module
    step = module.make_step(module.init_params(), batch_size=1, optimizer="sgd", learning_rate=1.0)
    mistakes: list[int] = []
    missed: list[int] = []
    while len(mistakes) < EPOCHS and (not mistakes or mistakes[-1]):
        before = len(missed)
        for n in range(len(x)):
            if y[n] * module.forward(step.params(), x[n : n + 1])[0, 0] <= 0:
                missed.append(n)
            # Where there is no mistake, the loss is 0 and so is its gradient.
            step(x[n : n + 1], y[n : n + 1])
        mistakes.append(len(missed) - before)
    return Learned(step.params()["unit.weight"][0], mistakes, missed)


def dual(x: np.ndarray, y: np.ndarray) -> Learned:
    """The same rule for the multipliers: a formula over the Gram matrix, of which each sample brings its row."""
    gram = sn.Input((len(x),), name="gram")
    scores = sn.Formula(
        "scores[n] = sum[m](alpha[m]*label[m]*gram[n,m])",
        params={"alpha": "m", "label": "m"},
        init={"alpha": "zeros", "label": "zeros"},
        name="dual",
    )(gram)
    module = sn.compile(sn.Model(gram, scores, name="dual_perceptron"), dtype="float64").module
    products = x @ x.T
    params = {"dual.alpha": np.zeros(len(x)), "dual.label": y.astype(float)}
    mistakes: list[int] = []
    missed: list[int] = []
    while len(mistakes) < EPOCHS and (not mistakes or mistakes[-1]):
        before = len(missed)
        for n in range(len(x)):
            if y[n] * module.forward(params, products[n : n + 1])[0] <= 0:
                missed.append(n)
                params["dual.alpha"][n] += 1
        mistakes.append(len(missed) - before)
    return Learned((params["dual.alpha"] * y) @ x, mistakes, missed)


def distances(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Signed distances (N,) of samples (N, 5) to the plane; positive on versicolor's side."""
    return np.asarray(x @ weights / np.linalg.norm(weights[:-1]))


def main() -> None:
    """Learn twice, and print the plane and how far the flowers are from it."""
    x, y = flowers()
    learned = {"primal": primal(x, y), "dual": dual(x, y)}
    for name, one in learned.items():
        *w, b = one.weights
        text = " ".join(f"{value:+.4f}*{letter}" for value, letter in zip(w, "abcd", strict=True))
        print(f"{name:8}{text} {b:+.4f} = 0   mistakes by epoch: {one.mistakes}")
    print("        (a, b, c, d: sepal length and width, petal length and width, standardised)")
    apart = np.abs(learned["primal"].weights - learned["dual"].weights).max()
    print(
        f"the two planes differ by {apart:.1e}; the same mistakes: {learned['primal'].missed == learned['dual'].missed}"
    )
    found = distances(learned["primal"].weights, x)
    for name, label in (("setosa", -1), ("versicolor", 1)):
        away = np.abs(found[y == label])
        print(
            f"{name:12}distance to the plane: "
            f"nearest {away.min():.4f}, mean {away.mean():.4f}, farthest {away.max():.4f}"
        )


if __name__ == "__main__":
    main()
