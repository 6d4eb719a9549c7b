"""Weights of samples, which these formulas have no place for."""

from __future__ import annotations

from typing import Any

import numpy as np

from symnet.runtime.containers import DataError
from symnet.runtime.head import MODEL, Workspace


def _put_weights(w: Workspace, sample_weight: Any) -> None:
    _training_weights(None, None, sample_weight)


def _training_weights(
    y: Any, samples: int | None, sample_weight: Any = None, class_weight: Any = None
) -> np.ndarray | None:
    if sample_weight is not None or class_weight is not None:
        raise DataError(
            f"sample_weight, class_weight: {MODEL} has none; generate it with compile(..., weighted=True)"
        )
    return None
