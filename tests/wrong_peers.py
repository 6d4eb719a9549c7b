"""Contenders that do not do what they should."""

from __future__ import annotations

from benchmarks.workloads import Arrays, Workload, parameters


class Idle:
    """It says that it trains, and does nothing: by far the fastest."""

    def __init__(self, workload: Workload) -> None:
        self.start = parameters(workload)

    def step(self) -> float:
        return 1.0

    def params(self) -> Arrays:
        return self.start


class Broken:
    """It fails."""

    def __init__(self, workload: Workload) -> None:
        raise ZeroDivisionError("no such luck")
