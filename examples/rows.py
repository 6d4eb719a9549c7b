"""Train digits_rows.py on handwritten digits cut off after some row, and say how much of a digit it needs.

    python examples/rows.py
    python examples/rows.py --epochs 5 --seed 1

Every picture of a batch is cut at a row of its own. A quarter of the digits, with every class in proportion, is
held out and looked at once, when the training is over: whole, and cut after each row. Needs scikit-learn.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import symnet as sn
from symnet.definition import load

HERE = Path(__file__).resolve().parent
ROWS = 8
SHORTEST = 3
"""Above that there is next to nothing to be seen of a digit."""


def cut(pictures: np.ndarray, lengths: np.ndarray) -> dict[str, np.ndarray]:
    """Pictures (N, 8, 8) of which `lengths` (N,) rows are read; the rest holds noise, which must not matter."""
    read = np.arange(ROWS) < lengths[:, None]
    noise = np.random.default_rng(0).random(pictures.shape)
    return {"rows": np.where(read[..., None], pictures, noise).astype(np.float32), "read": read}


def run(epochs: int = 40, seed: int = 0) -> dict[int, float]:
    """Compile, train and report; returns the accuracy on the held-out digits by the number of rows read."""
    start = time.perf_counter()
    module = sn.compile(load(HERE / "digits_rows.py")).module
    size = sum(int(np.prod(shape)) for shape in module.PARAMETERS.values())
    print(f"compiled   digits_rows: {size:,} parameters, in {time.perf_counter() - start:.1f} s")

    digits, labels = load_digits(return_X_y=True)
    pictures = (digits / 16).reshape(-1, ROWS, 8)
    x_train, x_test, y_train, y_test = train_test_split(
        pictures, labels, test_size=0.25, stratify=labels, random_state=0
    )
    rng = np.random.default_rng(seed)
    start = time.perf_counter()
    params = module.init_params(seed)
    step = module.make_step(params, batch_size=32, learning_rate=3e-3, clip=1.0)
    for epoch in range(epochs):
        order = rng.permutation(len(x_train))
        losses = [
            step(cut(x_train[part], rng.integers(SHORTEST, ROWS + 1, len(part))), y_train[part])
            for part in np.split(order, range(32, len(order), 32))
        ]
        if (epoch + 1) % max(epochs // 5, 1) == 0:
            print(f"epoch {epoch + 1:4}   loss {np.mean(losses):.4f}")
    print(f"trained    {epochs} epochs on {len(y_train):,} digits, in {time.perf_counter() - start:.1f} s")

    found = {}
    for length in range(SHORTEST, ROWS + 1):
        guessed = module.predict(step.params(), cut(x_test, np.full(len(x_test), length)))
        found[length] = float((guessed == y_test).mean())
        print(f"after {length} rows   test accuracy {found[length]:.2%}  ({len(y_test)} held-out digits)")
    return found


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description="Classify handwritten digits read row by row, cut off after some row.")
    parser.add_argument("--epochs", type=int, default=40, help="how often to go through the digits")
    parser.add_argument("--seed", type=int, default=0, help="of the first parameters, the order and the cuts")
    options = parser.parse_args()
    run(options.epochs, options.seed)


if __name__ == "__main__":
    main()
