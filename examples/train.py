"""Compile an example network, train it, and say how well it does on data that it has not seen.

    python examples/train.py                     # what there is to train
    python examples/train.py digits_cnn
    python examples/train.py mlp --epochs 20 --seed 1 --save my_mlp.py

A quarter of the data, the same one each time and with every class in proportion, is
held out: it is looked at once, when the training is over. Needs scikit-learn.
"""

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Small matrices: a second thread in each product costs more than it brings. NumPy reads this when it is imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.model_selection import train_test_split

import symnet as sn
from symnet.definition import load

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Recipe:
    """How an example is trained: its model file, its data and what to hand to `train`."""

    model: str
    data: Callable[..., Any]
    epochs: int
    learning_rate: float
    batch_size: int = 32
    optimizer: str = "adam"
    scale: float | None = None  # divide by this; None: standardise each feature


RECIPES = {
    "softmax_regression": Recipe("softmax_regression.py", load_digits, epochs=40, learning_rate=1e-2, scale=16),
    "mlp": Recipe("mlp.py", load_digits, epochs=40, learning_rate=1e-2, scale=16),
    "digits_mlp": Recipe("digits_mlp.toml", load_digits, epochs=30, learning_rate=2e-3, scale=16),
    "digits_cnn": Recipe("digits_cnn.py", load_digits, epochs=40, learning_rate=1e-3, scale=16),
    "inception_digits": Recipe("inception_digits.py", load_digits, epochs=25, learning_rate=3e-3, scale=16),
    "logistic_breast_cancer": Recipe("logistic_breast_cancer.py", load_breast_cancer, epochs=30, learning_rate=1e-2),
    "rbf_formula": Recipe("rbf_formula.py", load_wine, epochs=60, learning_rate=1e-2),
}


@dataclass(frozen=True)
class Split:
    """Training and held-out examples: float32 inputs (N, ...) and integer labels (N,)."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


def split(recipe: Recipe, shape: tuple[int, ...]) -> Split:
    """Load a recipe's data, hold a stratified quarter out and bring the inputs to `shape` per example."""
    x, y = recipe.data(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.25, stratify=y, random_state=0)
    # The test part must not influence its own scaling: both parts use the training part's statistics.
    shift, scale = (x_train.mean(0), x_train.std(0)) if recipe.scale is None else (0.0, recipe.scale)

    def prepare(part: np.ndarray) -> np.ndarray:
        return ((part - shift) / scale).astype(np.float32).reshape(len(part), *shape)

    return Split(prepare(x_train), y_train, prepare(x_test), y_test)


def labels(predicted: np.ndarray) -> np.ndarray:
    """Class numbers (N,) from what `predict` gives: labels already, or one score for each class."""
    scores = predicted.ndim == 2 and predicted.shape[1] > 1
    return predicted.argmax(1) if scores else predicted.reshape(-1)


def train(name: str, *, epochs: int | None = None, seed: int = 0, save: Path | None = None) -> float:
    """Train the example `name`, report on it and return its accuracy on the held-out quarter."""
    recipe = RECIPES[name]
    epochs = recipe.epochs if epochs is None else epochs

    start = time.perf_counter()
    net = sn.compile(load(HERE / recipe.model))
    module = net.module
    size = sum(int(np.prod(shape)) for shape in module.PARAMETERS.values())
    print(f"compiled   {name}: {size:,} parameters, in {time.perf_counter() - start:.1f} s")

    ((shape, _),) = module.INPUTS.values()
    data = split(recipe, shape)
    start = time.perf_counter()
    params, history = module.train(
        module.init_params(seed),
        data.x_train,
        data.y_train,
        epochs=epochs,
        batch_size=recipe.batch_size,
        optimizer=recipe.optimizer,
        learning_rate=recipe.learning_rate,
        seed=seed,
    )
    seconds = time.perf_counter() - start
    print(f"trained    {epochs} epochs on {len(data.y_train):,} examples, in {seconds:.1f} s")
    print(f"loss       {history['loss'][0]:.4f} after the first epoch, {history['loss'][-1]:.4f} after the last")

    right = int((labels(module.predict(params, data.x_test)) == data.y_test).sum())
    accuracy = right / len(data.y_test)
    print(f"test accuracy  {accuracy:.2%}  ({right} of {len(data.y_test)} held-out examples)")

    if save is not None:
        save.parent.mkdir(parents=True, exist_ok=True)
        net.save(save)
        np.savez(save.with_suffix(".npz"), **params)
        print(f"generated module  {save}  (its parameters: {save.with_suffix('.npz')})")
    return accuracy


def main() -> None:
    """Read the command line and train one example, or list them all."""
    parser = argparse.ArgumentParser(description="Train an example network and test it on held-out data.")
    parser.add_argument("name", nargs="?", choices=tuple(RECIPES), help="the example; without one, they are listed")
    parser.add_argument("--epochs", type=int, help="how often to go through the data (default: the example's own)")
    parser.add_argument("--seed", type=int, default=0, help="of the first parameters and the shuffling")
    parser.add_argument("--save", type=Path, metavar="FILE.py", help="keep the generated module and its parameters")
    options = parser.parse_args()
    if options.name is None:
        for name, recipe in RECIPES.items():
            print(f"{name:24} examples/{recipe.model}")
        return
    train(options.name, epochs=options.epochs, seed=options.seed, save=options.save)


if __name__ == "__main__":
    main()
