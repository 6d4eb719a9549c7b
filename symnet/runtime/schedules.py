"""The learning rate along the way: schedules, and factors for single parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from symnet.runtime.checks import _nearest, _require, _require_function
from symnet.runtime.containers import DataError, _quoted

# name: (the factor of the learning rate when the part r of the steps is done, from 0 to 1; its options)
SCHEDULES: dict[str, tuple[Callable[..., float], dict[str, float]]] = {
    "constant": (lambda r: 1.0, {}),
    "linear": (lambda r, end: 1 - (1 - end) * r, {"end": 0.0}),
    "cosine": (
        lambda r, end: end + (1 - end) * (1 + math.cos(math.pi * r)) / 2,
        {"end": 0.0},
    ),
    "exponential": (lambda r, end: end**r, {"end": 0.01}),
    "step": (
        lambda r, factor, drops: factor ** math.floor(r * (drops + 1)),
        {"factor": 0.1, "drops": 2},
    ),
}


class _Schedule:
    """The factor of the learning rate at each step, counted from 0 through all epochs.

    In the first `warmup` steps it rises linearly, from 1/warmup to 1; the schedule has the steps that follow.
    steps: of the whole training; None where nobody knows.
    """

    def __init__(
        self,
        schedule: str | Callable[[int, int | None], float],
        warmup: int,
        steps: int | None,
    ) -> None:
        _require("warmup", warmup, whole=True)
        self.warmup = warmup
        self.call: Callable[[int, int | None], float] | None = None
        self.name = "callable"
        self.options: dict[str, float] = {}
        if callable(schedule):
            _require_function("schedule", schedule, "step", "steps")
            self.call = schedule
        elif isinstance(schedule, str):
            self.name, self.options = _parsed(schedule)
        else:
            raise DataError(
                f"schedule: expected a name or a function schedule(step, steps), got {_quoted(schedule)}"
            )
        self.steps = steps
        if steps is None and self.name not in ("constant", "callable"):
            raise DataError(
                f"schedule: {self.name!r} needs the number of steps; give the source its `samples`, "
                "or a function schedule(step, steps)"
            )

    @property
    def is_constant(self) -> bool:
        return self.name == "constant" and self.warmup == 0

    def factor(self, step: int) -> float:
        """The factor at this step."""
        rise = min((step + 1) / self.warmup, 1.0) if self.warmup else 1.0
        if self.call is not None:
            factor = self.call(step, self.steps)
            _require(f"schedule({step}, {self.steps})", factor)
            return rise * float(factor)
        if self.steps is None or step < self.warmup:
            return rise
        r = (step - self.warmup) / max(self.steps - self.warmup, 1)
        return SCHEDULES[self.name][0](min(r, 1.0), **self.options)

    def described(self) -> dict[str, Any]:
        """What decides it, for the state of a training."""
        return {
            "schedule": {"name": self.name, **self.options},
            "warmup": self.warmup,
            "steps": None if self.name == "constant" else self.steps,
        }


def _parsed(text: str) -> tuple[str, dict[str, float]]:
    """The name and the options of "step, factor=0.5, drops=3"."""
    name, *given = (part.strip() for part in text.split(","))
    if name not in SCHEDULES:
        raise DataError(f"schedule: unknown {name!r}; {_nearest(name, SCHEDULES)}")
    options = dict(SCHEDULES[name][1])
    for part in given:
        key, _, value = (piece.strip() for piece in part.partition("="))
        if key not in options:
            known = _nearest(key, options) if options else "it has none"
            raise DataError(f"schedule: {name!r} has no option {key!r}; {known}")
        try:
            options[key] = float(value)
        except ValueError:
            raise DataError(
                f"schedule: {name}, {key}=: expected a number, got {value!r}"
            ) from None
        _require(f"schedule: {name}, {key}=", options[key])
    return name, options


def _factors(rates: dict[str, float] | None, names: list[str]) -> list[float]:
    """The factor of the learning rate of each parameter: that of the longest key that is it, or leads to a dot."""
    rates = {} if rates is None else rates
    if not isinstance(rates, dict):
        raise DataError(
            f"rates: expected a dict {{name: factor}}, got {type(rates).__name__}"
        )
    for key, value in rates.items():
        _require(f"rates[{_quoted(key)}]", value)
        if not any(_leads(key, name) for name in names):
            parts = [name.split(".") for name in names]
            known = {".".join(p[:k]): None for p in parts for k in range(1, len(p) + 1)}
            raise DataError(
                f"rates: no parameter to train is called {_quoted(key)} or begins with {_quoted(f'{key}.')}; "
                f"{_nearest(key, known)}"
            )
    found = []
    for name in names:
        keys = [key for key in rates if _leads(key, name)]
        found.append(float(rates[max(keys, key=len)]) if keys else 1.0)
    return found


def _leads(key: str, name: str) -> bool:
    return name == key or name.startswith(f"{key}.")
