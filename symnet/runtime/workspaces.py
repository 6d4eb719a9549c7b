"""Workspaces for given sizes."""

from __future__ import annotations

from typing import Any

from symnet.runtime.containers import DataError
from symnet.runtime.head import DTYPE, INPUTS, Workspace


def _made(
    kind: type[Workspace], sizes: dict[str, int], dtype: Any = DTYPE
) -> Workspace:
    """A workspace of this kind; a size whose name Python has another use for is called differently there."""
    shapes = (("N", *shape) for shape, _ in INPUTS.values())
    names = dict.fromkeys(e for shape in shapes for e in shape if isinstance(e, str))
    arguments: list[Any] = [*(sizes[name] for name in names), dtype]
    return kind(*arguments)


def _reserve(step: Any, batch_size: int) -> None:
    """Make the workspace of a step for its batches, where all sizes are known."""
    if not any(
        isinstance(extent, str) for shape, _ in INPUTS.values() for extent in shape
    ):
        try:
            step.workspace({"N": batch_size})
        except (MemoryError, ValueError) as error:
            step.close()
            raise DataError(
                f"batch_size: there is no memory for {batch_size:,} samples at once ({error})"
            ) from None
