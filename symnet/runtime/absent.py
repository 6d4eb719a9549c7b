"""Options of parts that this module has not."""

from __future__ import annotations

from typing import Any

import numpy as np

from symnet.runtime.containers import DataError
from symnet.runtime.head import (
    HAS_RESUME,
    HAS_SCHEDULES,
    HAS_STREAMS,
    HAS_WORKERS,
    MODEL,
)


def _lacking(part: str, name: str, value: Any, default: Any = None) -> None:
    """Refuse an option that belongs to a part which this module was written without."""
    if value is not default and not np.array_equal(value, default):
        raise DataError(
            f"{name}: {MODEL} was compiled without the part {part!r}; give compile(..., parts=[..., {part!r}])"
        )


def _refuse_absent_of_steps(rates: Any, workers: Any) -> None:
    """Refuse what belongs to parts that this module has not."""
    if not HAS_SCHEDULES:
        _lacking("schedules", "rates", rates)
    if not HAS_WORKERS:
        _lacking("workers", "workers", workers, 1)


def _refuse_absent(schedule: Any, warmup: int, augment: Any, resume: Any) -> None:
    """Refuse what belongs to parts that this module has not."""
    if not HAS_SCHEDULES:
        _lacking("schedules", "schedule", schedule, "constant")
        _lacking("schedules", "warmup", warmup, 0)
    if not HAS_STREAMS:
        _lacking("streams", "augment", augment)
    if not HAS_RESUME:
        _lacking("resume", "resume", resume)
