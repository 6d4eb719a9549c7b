"""The parameters: their first values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from symnet.runtime.checks import _require
from symnet.runtime.head import BUFFERS, DTYPE, INITIALIZERS, PARAMETERS

# rule: (bound or standard deviation from the fans i and o, the draw)
_DRAWS: dict[str, tuple[Callable[[int, int], float], str]] = {
    "glorot_uniform": (lambda i, o: (6 / (i + o)) ** 0.5, "uniform"),
    "glorot_normal": (lambda i, o: (2 / (i + o)) ** 0.5, "normal"),
    "he_uniform": (lambda i, o: (6 / i) ** 0.5, "uniform"),
    "he_normal": (lambda i, o: (2 / i) ** 0.5, "normal"),
    "lecun_uniform": (lambda i, o: (3 / i) ** 0.5, "uniform"),
    "lecun_normal": (lambda i, o: (1 / i) ** 0.5, "normal"),
    "normal": (lambda i, o: 1.0, "normal"),
    "zeros": (lambda i, o: 0.0, "constant"),
    "ones": (lambda i, o: 1.0, "constant"),
}


def init_params(seed: int = 0) -> dict[str, np.ndarray]:
    """Fresh parameters, the same for the same seed: {name: array of DTYPE}.  Raises DataError."""
    _require("seed", seed, whole=True)
    rng = np.random.default_rng(seed)
    params = {}
    for name, shape in {**PARAMETERS, **BUFFERS}.items():
        rule, fan_in, fan_out = INITIALIZERS[name]
        scale, draw = _DRAWS[rule]
        size = scale(max(fan_in, 1), max(fan_out, 1))
        if draw == "uniform":
            values = rng.uniform(-size, size, shape)
        elif draw == "normal":
            values = rng.normal(0.0, size, shape)
        else:
            values = np.full(shape, size)
        params[name] = np.asarray(values, DTYPE)
    return params
