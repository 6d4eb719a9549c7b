"""PyTorch where it is installed; where it is not, whatever calls it is skipped, visibly, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest


class Absent:
    """A stand-in for a package that is not there: it may be named anywhere, but calling it skips the test."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *arguments: object, **options: object) -> Any:
        pytest.skip("PyTorch is not installed")


torch: Any
Tensor: Any
F: Any
try:
    import torch
    from torch import Tensor
    from torch.nn import functional as F
except ModuleNotFoundError:
    torch = Tensor = F = Absent()
else:
    # One thread: the arrays are tiny, and the tests may run beside others.
    torch.set_num_threads(1)

__all__ = ["F", "Tensor", "torch"]
