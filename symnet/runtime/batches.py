"""The data of a training, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Protocol, cast

import numpy as np

from symnet.runtime.absent import _lacking
from symnet.runtime.checks import (
    _as_inputs,
    _put_input,
    _put_targets,
    _require_finite,
    _sizes,
    _targets_of,
)
from symnet.runtime.containers import DataError, _plain
from symnet.runtime.head import HAS_STREAMS, INPUTS, Workspace
from symnet.runtime.step import Step
from symnet.runtime.weights import _training_weights


class Source(Protocol):
    """Data that comes a batch at a time, such as a set larger than memory: `train(params, source, None)`."""

    @property
    def samples(self) -> int | None:
        """How many an epoch has, or None where nobody knows."""

    def batches(
        self, batch_size: int, rng: np.random.Generator
    ) -> Iterable[tuple[Any, ...]]:
        """The batches (x, y), or (x, y, sample_weight), of one epoch; asked for at the start of each.

        They are what `train` takes, for the samples of the batch: about `batch_size` of them, any number but 0.
        `rng` is for their order.  With `rng` in the same state the batches must be the same again: a training that
        is resumed in the middle of an epoch draws those it has seen, and drops them.
        """


class _Data(NamedTuple):
    """A data set in memory: checked, of the dtypes and shapes that the workspace has, by its attributes."""

    arrays: dict[str, np.ndarray]
    weights: np.ndarray | None
    sizes: dict[str, int]

    @property
    def samples(self) -> int:
        return self.sizes["N"]

    def batches(
        self,
        step: Step,
        batch_size: int,
        rng: np.random.Generator | None,
        place: str = "",
        skip: int = 0,
        kind: type[Workspace] | None = None,
    ) -> Iterator[tuple[Workspace, np.ndarray | None]]:
        """Workspaces of this kind with one batch after the other in them, and the rows that these are.

        rng: for their order; None for that of the data.  place: what messages about a batch begin with.
        skip: this many batches are left out.
        """
        size, w = 0, cast(Workspace, None)
        pairs: list[tuple[np.ndarray, np.ndarray]] = []
        for _, rows in _rows(self.samples, batch_size, rng, skip):
            if len(rows) != size:
                size = len(rows)
                w = step.workspace(self.sizes | {"N": size}, kind)
                pairs = [(self.arrays[name], getattr(w, name)) for name in self.arrays]
            for array, out in pairs:  # in range: "clip" only avoids a hidden buffer
                array.take(rows, 0, out=out, mode="clip")
            yield w, rows


class _Mapped(NamedTuple):
    """A data set in files that are mapped into memory: its rows are checked and converted when they are read."""

    inputs: dict[str, np.ndarray]
    y: Any
    weights: np.ndarray | None
    samples: int

    def batches(
        self,
        step: Step,
        batch_size: int,
        rng: np.random.Generator | None,
        place: str = "",
        skip: int = 0,
        kind: type[Workspace] | None = None,
    ) -> Iterator[tuple[Workspace, np.ndarray | None]]:
        """As of `_Data`."""
        for k, rows in _rows(self.samples, batch_size, rng, skip):
            x = {name: array[rows] for name, array in self.inputs.items()}
            y = (
                {name: array[rows] for name, array in self.y.items()}
                if isinstance(self.y, dict)
                else self.y[rows]
            )
            weights = None if self.weights is None else self.weights[rows]
            yield _load(step, (x, y, weights), kind, f"{place}batch {k}"), rows


class _Stream(NamedTuple):
    """The batches of a source."""

    source: Source
    weights: None = None  # its batches have their own

    @property
    def samples(self) -> int | None:
        return self.source.samples

    def batches(
        self,
        step: Step,
        batch_size: int,
        rng: np.random.Generator | None,
        place: str = "",
        skip: int = 0,
        kind: type[Workspace] | None = None,
    ) -> Iterator[tuple[Workspace, np.ndarray | None]]:
        """As of `_Data`, without rows."""
        rng = rng or np.random.default_rng(0)
        k = 0
        for k, batch in enumerate(self.source.batches(batch_size, rng), 1):
            where = f"{place}batch {k}"
            if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
                raise DataError(
                    f"{where}: expected a pair (x, y), got {type(batch).__name__}"
                )
            if k > skip:
                yield _load(step, batch, kind, where), None
        if k == 0 or k < skip:
            raise DataError(
                f"{place}the source has {k} batches, expected {skip or 'one'} at least"
            )


def _rows(
    samples: int, batch_size: int, rng: np.random.Generator | None, skip: int
) -> Iterator[tuple[int, np.ndarray]]:
    """The number and the rows of each batch of an epoch."""
    order = np.arange(samples) if rng is None else rng.permutation(samples)
    for k in range(skip, -(-samples // batch_size)):
        yield k + 1, order[k * batch_size : (k + 1) * batch_size]


def _load(
    step: Step, batch: tuple[Any, ...], kind: type[Workspace] | None, where: str
) -> Workspace:
    x, y, *weights = batch
    try:
        with np.errstate(all="ignore"):  # what is not finite is refused
            return step.load(x, y, kind, *weights)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def _augment(
    w: Workspace,
    augment: Callable[[Any, np.random.Generator], Any],
    rng: np.random.Generator,
    where: str,
) -> None:
    """Replace the inputs in the workspace by what `augment` makes of them."""
    given = {name: getattr(w, name).copy() for name in INPUTS}
    x = augment(given if len(INPUTS) > 1 else next(iter(given.values())), rng)
    try:
        for name, array in _as_inputs(x).items():
            out = getattr(w, name)
            if (array.shape, array.dtype) != (out.shape, out.dtype):
                raise DataError(
                    f"input {name!r}: expected {out.dtype} of shape {out.shape} as it was given, "
                    f"got {array.dtype} of shape {array.shape}"
                )
            _put_input(out, name, array)
    except DataError as error:
        raise DataError(f"{where}: the result of augment: {error}") from None


def _prepare(
    step: Step,
    batch_size: int,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    class_weight: Any = None,
) -> _Data | _Mapped | _Stream:
    """Check a data set once, so that no step has to, unless it may be larger than memory."""
    if not HAS_STREAMS and callable(getattr(x, "batches", None)):
        _lacking("streams", "x", x)
    if HAS_STREAMS and callable(getattr(x, "batches", None)):
        if y is not None:
            raise DataError(
                "y: expected None, because the batches of x have their own; "
                f"got {type(y).__name__}"
            )
        if x.samples is not None and not x.samples > 0:
            raise DataError(f"x: expected at least one sample, got {x.samples}")
        _training_weights(None, None, sample_weight, class_weight)
        return _Stream(x)
    with np.errstate(all="ignore"):  # what is not finite is refused
        return _checked(step, x, y, sample_weight, class_weight)


def _checked(
    step: Step, x: Any, y: Any, sample_weight: Any, class_weight: Any
) -> _Data | _Mapped:
    """A data set that is no source."""
    inputs = _as_inputs(x)
    sizes = _sizes(inputs)
    count = sizes["N"]
    w = step.workspace(sizes | {"N": 1}, Workspace)
    if _is_mapped(x) or _is_mapped(y):
        for array in y.values() if isinstance(y, dict) else [y]:
            if np.shape(array)[:1] != (count,):
                raise DataError(
                    f"y: expected {count} samples, as x has, got shape {np.shape(array)}"
                )
        weights = _training_weights(y, count, sample_weight, class_weight)
        return _Mapped(inputs, _rows_of(y), weights, count)
    arrays = {
        name: np.asarray(array, getattr(w, name).dtype, order="C")
        for name, array in inputs.items()
    }
    for name, array in arrays.items():
        _require_finite(f"input {name!r}", array)
    targets = {
        name: np.empty((count, *array.shape[1:]), array.dtype)
        for name, array in _targets_of(w).items()
    }
    _put_targets(targets, y)
    weights = _training_weights(y, count, sample_weight, class_weight)
    more = {} if weights is None else {"sample_weight": weights}
    return _Data(arrays | targets | more, weights, sizes)


def _is_mapped(data: Any) -> bool:
    values = data.values() if isinstance(data, dict) else [data]
    return any(isinstance(value, np.memmap) for value in values)


def _rows_of(y: Any) -> Any:
    """Targets as arrays whose rows can be taken."""
    if isinstance(y, dict):
        return {name: _plain(f"y of {name!r}", array) for name, array in y.items()}
    return _plain("y", y)
