"""Noise, which training draws before each forward pass."""

from __future__ import annotations

import numpy as np

from symnet.runtime.checks import _require
from symnet.runtime.head import NOISE, Workspace


def _draw_noise(w: Workspace, rng: np.random.Generator) -> None:
    """Draw all noise in the workspace from [0, 1)."""
    for name in NOISE:
        array = getattr(w, name)
        rng.random(out=array, dtype=array.dtype)


def _draw_noise_of(w: Workspace, seed: int) -> None:
    """The same, as it is for this seed."""
    _require("seed", seed, whole=True)
    if NOISE:
        _draw_noise(w, np.random.default_rng(seed))
