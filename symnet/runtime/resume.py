"""Where a training stands, so that it can go on from there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from symnet.runtime.containers import DataError, _quoted
from symnet.runtime.step import Step
from symnet.runtime.vectors import _require_like


class _Best:
    """The parameters of the best epoch, where there is a `patience`."""

    def __init__(self, patience: int | None) -> None:
        self.patience = patience
        self.params: dict[str, np.ndarray] = {}
        self.score = math.inf
        self.waited = 0

    def look(self, score: float, step: Step) -> None:
        """Look at one epoch."""
        if self.patience is None:
            return
        self.waited += 1
        if score < self.score:
            self.score, self.waited, self.params = score, 0, step.params()

    @property
    def waited_enough(self) -> bool:
        """Whether `patience` epochs in a row were no better than the best."""
        return self.patience is not None and self.waited >= self.patience


class _Run:
    """All that decides how a training goes on, beside its data and options: `state()` and `resume` it."""

    def __init__(
        self,
        step: Step,
        schedule: Any,
        seed: int,
        patience: int | None,
        options: dict[str, Any],
    ) -> None:
        self.step = step
        self.schedule = schedule
        self.learning_rate = step.learning_rate
        self.options = options
        self.best = _Best(patience)
        self.history: dict[str, list[float]] = {}
        self.order = np.random.default_rng(seed)
        step.rng = np.random.default_rng((seed, 1))  # noise, apart from the order
        self.augment = np.random.default_rng((seed, 2))
        self.begin(1)

    def begin(self, epoch: int) -> None:
        """At the start of an epoch: none of its batches is drawn yet."""
        self.epoch, self.done, self.seen, self.total = epoch, 0, 0, 0.0
        self.drawn = self.order.bit_generator.state

    def count(self, loss: float, samples: int) -> None:
        """After a step."""
        self.done += 1
        self.seen += samples
        self.total += loss * samples

    def state(self) -> dict[str, Any]:
        """{"arrays": {name: array}, "meta": what JSON can hold}, of now: for `train(..., resume=)`."""
        best = self.best
        arrays = self.step.state()
        arrays |= {f"best/{name}": array.copy() for name, array in best.params.items()}
        meta = {
            "epoch": self.epoch,  # under way, from 1
            "step": self.done,  # steps of it that are done
            "seen": self.seen,  # samples in these
            "total": self.total,  # the sum of their losses
            "order": self.drawn,  # the generator, before this epoch's order was drawn
            "noise": self.step.rng.bit_generator.state,
            "augment": self.augment.bit_generator.state,
            "score": None if math.isinf(best.score) else best.score,
            "waited": best.waited,
            "history": {name: list(values) for name, values in self.history.items()},
            "options": dict(self.options),
        }
        return {"arrays": arrays, "meta": meta}

    def resume(self, state: Any) -> None:
        """Go on from a state.  Raises DataError where it is of another training."""
        if not isinstance(state, dict) or not {"arrays", "meta"} <= state.keys():
            raise DataError(
                'resume: expected {"arrays": ..., "meta": ...}, the result of state() '
                f"in an event, got {type(state).__name__}"
            )
        arrays, meta = state["arrays"], state["meta"]
        if not isinstance(arrays, Mapping) or not isinstance(meta, Mapping):
            raise DataError(
                f"resume: expected two dicts, got {_quoted(arrays)} and {_quoted(meta)}"
            )
        arrays = dict(arrays)
        for name in self.state()["meta"]:
            if name not in meta:
                raise DataError(f"resume: meta has no {name!r}; the state is not whole")
        _require_sound(meta)
        _require_same(meta["options"], self.options)
        best = {
            name: arrays.pop(f"best/{name}")
            for name in self.step.p
            if f"best/{name}" in arrays
        }
        if best or meta["score"] is not None:
            _require_like(best, self.step.p)
        self.step.restore(arrays)
        if self.step.t < 0:
            raise DataError(
                f"resume: 'optimizer/t': expected steps from 0, got {self.step.t}"
            )
        for generator, name in (
            (self.order, "order"),
            (self.step.rng, "noise"),
            (self.augment, "augment"),
        ):
            try:
                generator.bit_generator.state = meta[name]
            except (KeyError, OverflowError, TypeError, ValueError) as error:
                raise DataError(
                    f"resume: meta[{name!r}] is no state of a {type(generator.bit_generator).__name__}: {error}"
                ) from None
        self.begin(meta["epoch"])
        self.done, self.seen, self.total = meta["step"], meta["seen"], meta["total"]
        self.history = {name: list(values) for name, values in meta["history"].items()}
        self.best.params = {name: np.array(array) for name, array in best.items()}
        self.best.score = math.inf if meta["score"] is None else meta["score"]
        self.best.waited = meta["waited"]


def _require_sound(meta: Mapping[str, Any]) -> None:
    """Refuse a state that no training has written: numbers of another kind, a history of other epochs."""
    counts = ("epoch", "step", "seen", "waited")
    kinds = {
        **{name: type(meta[name]) is int and meta[name] >= 0 for name in counts},
        "total": _is_number(meta["total"]),
        "score": meta["score"] is None or _is_number(meta["score"]),
        "options": isinstance(meta["options"], dict),
        "history": isinstance(meta["history"], dict),
    }
    wrong = [name for name, right in kinds.items() if not right]
    if not wrong and (
        meta["seen"] < meta["step"] or meta["seen"] * meta["step"] == 0 != meta["seen"]
    ):
        wrong = ["seen"]
    if wrong:
        raise DataError(
            f"resume: meta[{wrong[0]!r}]: no training writes {meta[wrong[0]]!r:.40}; the state is damaged"
        )
    before = meta["epoch"] - 1
    for name, values in {"loss": [], **meta["history"]}.items():
        numbers = isinstance(values, list) and all(map(_is_number, values))
        if (
            not numbers
            or len(values) > before
            or (name == "loss" and len(values) < before)
        ):
            raise DataError(
                f"resume: meta['history'][{name!r}]: expected numbers of the {before} epochs before, "
                f"got {values!r:.40}"
            )


def _is_number(value: Any) -> bool:
    return isinstance(value, float | int) and not isinstance(value, bool)


def _require_same(saved: dict[str, Any], options: dict[str, Any]) -> None:
    """Refuse a state of a training with other options."""
    for name, value in options.items():
        if name not in saved or saved[name] != value:
            raise DataError(
                f"resume: the state is of a training with {name}={_quoted(saved.get(name))}, "
                f"this one has {_quoted(value)}; give the same, or start anew from the state's parameters"
            )
