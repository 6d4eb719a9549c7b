"""Train the network of pictures_table.toml on patches of two photographs, and see what it makes of unseen parts.

    python examples/patches.py
    python examples/patches.py --epochs 10 --seed 1

Each of scikit-learn's sample pictures, a temple and a flower, is divided into five upright strips: ten classes. A
patch of 48 x 48 pixels is to be told its strip, and with it its picture. The pictures are laid out in tiles of
48 x 48, and a quarter of the tiles is held out: training sees only patches that touch none of these. Needs
scikit-learn and Pillow.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from sklearn.datasets import load_sample_image

import symnet as sn
from symnet.definition import load

HERE = Path(__file__).resolve().parent
SIDE, STRIPS = 48, 5
PICTURES = ("china.jpg", "flower.jpg")
Patches = tuple[np.ndarray, np.ndarray]


def held_out(rows: int, columns: int) -> np.ndarray:
    """Which tiles (rows, columns) are kept for the test: every other one of every other row, half-way shifted."""
    row, column = np.indices((rows, columns))
    return (row % 2 == 1) & ((column + row // 2) % 2 == 1)


def strip(picture: int, column: np.ndarray, width: int) -> np.ndarray:
    """The class (N,) of patches whose left edges are at `column` (N,) of a picture `width` pixels wide."""
    return picture * STRIPS + (column + SIDE // 2) * STRIPS // width


def places(height: int, width: int, training: bool) -> np.ndarray:
    """The upper left corners (M, 2) of the test's tiles, or of all patches, 8 pixels apart, that touch none of them."""
    kept = held_out(height // SIDE, width // SIDE)
    if not training:
        return np.argwhere(kept) * SIDE
    taken = np.zeros((height, width), bool)
    for top, left in np.argwhere(kept) * SIDE:
        taken[top : top + SIDE, left : left + SIDE] = True
    corners = [(r, c) for r in range(0, height - SIDE + 1, 8) for c in range(0, width - SIDE + 1, 8)]
    return np.array([(r, c) for r, c in corners if not taken[r : r + SIDE, c : c + SIDE].any()])


def patches(training: bool) -> Patches:
    """(patches (M, 3, 48, 48) in -1..1, classes (M,)) of both pictures."""
    found, classes = [], []
    for number, name in enumerate(PICTURES):
        picture = load_sample_image(name).transpose(2, 0, 1) / np.float32(127.5) - 1
        corners = places(*picture.shape[1:], training)
        found += [picture[:, r : r + SIDE, c : c + SIDE] for r, c in corners]
        classes.append(strip(number, corners[:, 1], picture.shape[2]))
    return np.stack(found), np.concatenate(classes)


def run(epochs: int = 30, seed: int = 0) -> tuple[float, float]:
    """Compile, train and report; returns the accuracies on held-out tiles: of the strip, and of the picture."""
    start = time.perf_counter()
    net = sn.compile(load(HERE / "pictures_table.toml"))
    module = net.module
    print(net.summary())
    print(f"compiled   in {time.perf_counter() - start:.1f} s")

    (x, y), (x_test, y_test) = patches(training=True), patches(training=False)
    start = time.perf_counter()
    params, history = module.train(
        module.init_params(seed), x, y, epochs=epochs, batch_size=32, learning_rate=2e-3, seed=seed
    )
    print(f"trained    {epochs} epochs on {len(y):,} patches, in {time.perf_counter() - start:.1f} s")
    print(f"loss       {history['loss'][0]:.4f} after the first epoch, {history['loss'][-1]:.4f} after the last")

    guessed = module.predict(params, x_test)
    strips = float((guessed == y_test).mean())
    pictures = float((guessed // STRIPS == y_test // STRIPS).mean())
    print(f"test accuracy  {strips:.2%} of the strips, {pictures:.2%} of the pictures  ({len(y_test)} held-out tiles)")
    return strips, pictures


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description="Tell which part of which picture a patch of 48 x 48 pixels is from.")
    parser.add_argument("--epochs", type=int, default=30, help="how often to go through the patches")
    parser.add_argument("--seed", type=int, default=0, help="of the first parameters and the order")
    options = parser.parse_args()
    run(options.epochs, options.seed)


if __name__ == "__main__":
    main()
