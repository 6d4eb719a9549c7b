"""How long compiling takes, once SymPy is imported: best of three, each in a fresh process.

python benchmarks/compile_time.py
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import symnet as sn

RUNS = 3


def mlp() -> sn.Model:
    """Two layers of sigmoid units with the squared error."""
    image = sn.Input((64,), name="image")
    h = sn.Dense(32, activation="sigmoid")(image)
    return sn.Model(image, sn.Dense(10, activation="sigmoid")(h), loss=sn.SquaredError(), name="mlp")


def cnn() -> sn.Model:
    """LeNet-like: two convolutions with pools, then two dense layers."""
    image = sn.Input((1, 28, 28), name="image")
    h = sn.MaxPool2D(2)(sn.Conv2D(6, 5, padding="same", activation="relu")(image))
    h = sn.AvgPool2D(2)(sn.Conv2D(16, 5, activation="tanh")(h))
    h = sn.Dense(84, activation="gelu")(sn.Dense(120, activation="relu")(sn.Flatten()(h)))
    return sn.Model(image, sn.Dense(10)(h), loss=sn.CrossEntropy(), name="cnn")


def deep() -> sn.Model:
    """52 layers: 16 residual blocks of two convolutions and an addition, with a stem and a head."""
    image = sn.Input((3, 32, 32), name="image")
    h = sn.Conv2D(16, 3, padding="same", activation="relu")(image)
    for _ in range(16):
        inner = sn.Conv2D(16, 3, padding="same", activation="relu")(h)
        h = h + sn.Conv2D(16, 3, padding="same", activation="silu")(inner)
    h = sn.Flatten()(sn.AvgPool2D(8)(h))
    return sn.Model(image, sn.Dense(10)(h), loss=sn.CrossEntropy(), name="deep")


def different() -> sn.Model:
    """Fifty dense layers, no two of the same shape, so that nothing repeats literally."""
    vector = sn.Input((100,), name="vector")
    h = vector
    for k in range(49):
        h = sn.Dense(99 - k, activation=("relu", "tanh", "silu", "elu", "gelu")[k % 5])(h)
    return sn.Model(vector, sn.Dense(10)(h), loss=sn.CrossEntropy(), name="different")


NETWORKS: dict[str, tuple[Callable[[], sn.Model], float]] = {
    "MLP": (mlp, 0.5),
    "CNN": (cnn, 2.0),
    "52 layers, residual": (deep, 10.0),
    "50 layers, all different": (different, 10.0),
}
"""With the time in seconds that each should stay under."""


def measure(name: str) -> float:
    """Seconds from the declaration to the source, in this process."""
    declare, _ = NETWORKS[name]
    start = time.perf_counter()
    sn.compile(declare())
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    if len(sys.argv) > 1:
        print(measure(sys.argv[1]))
        return
    print(f"{'network':26} {'seconds':>8} {'limit':>6}")
    for name, (_, limit) in NETWORKS.items():
        command = [sys.executable, __file__, name]
        root = Path(__file__).resolve().parent.parent
        runs = [subprocess.run(command, cwd=root, capture_output=True, text=True, check=True) for _ in range(RUNS)]
        print(f"{name:26} {min(float(r.stdout) for r in runs):8.2f} {limit:6.1f}")


if __name__ == "__main__":
    main()
