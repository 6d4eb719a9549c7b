"""Estimators for scikit-learn: networks that fit in its pipelines and searches.

Needs scikit-learn: the extra `symnet[sklearn]`.
"""

import importlib.util

if importlib.util.find_spec("sklearn") is None:
    raise ImportError(
        "symnet.sklearn needs scikit-learn, which is not installed: pip install 'symnet[sklearn]'", name="sklearn"
    )

from symnet.sklearn.classifier import SymNetClassifier
from symnet.sklearn.regressor import SymNetRegressor

__all__ = ["SymNetClassifier", "SymNetRegressor"]
