"""Batches that come from a Python iterable."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from symnet.stream.block import Block, Tree, batched
from symnet.support.arrays import numbers
from symnet.support.errors import DataError
from symnet.support.options import Strict, integer


class Batches(metaclass=Strict):
    """Whatever yields (x, y) or (x, y, sample_weight) as a source: `net.fit(Batches(read), None)`.

    Its items may have any number of samples; they come out in batches of the size that is asked for, in the order
    in which they came: shuffling is the iterable's own affair.
    """

    def __init__(self, items: Iterable[Any] | Callable[..., Iterable[Any]], samples: int | None = None) -> None:
        """Take an iterable, or a function that gives one for each epoch.

        items: arrays, or dicts of arrays by the names of inputs or outputs.  A function with a parameter gets the
        epoch's numpy.random.Generator; one that draws its order from nothing else can be resumed in the middle of an
        epoch, bit for bit.  An iterator serves for one epoch only.
        samples: how many an epoch has, if known; schedules that end with the training need it.
        """
        if not callable(items) and not isinstance(items, Iterable):
            raise DataError(
                f"Batches: expected an iterable of (x, y), or a function that returns one, got {type(items).__name__}"
            )
        self.samples = None if samples is None else integer("Batches(samples=)", samples)
        self._items = items
        self._used = False

    def batches(self, batch_size: int, rng: np.random.Generator) -> Iterator[tuple[Any, ...]]:
        """The batches of one epoch, of `batch_size` samples but for the last.

        Raises DataError for an item that is no pair, for items that differ, and where `samples` was wrong.
        """
        count = 0
        for block in batched(_blocks(self._iterable(rng)), batch_size):
            count += block.count
            yield block.batch
        if count == 0:
            raise DataError("Batches: the iterable gave no samples; expected at least one item (x, y)")
        if self.samples not in (None, count):
            raise DataError(f"Batches(samples={self.samples}): the iterable gave {count} samples in this epoch")

    def _iterable(self, rng: np.random.Generator) -> Iterable[Any]:
        if not callable(self._items):
            if isinstance(self._items, Iterator):
                if self._used:
                    raise DataError(
                        "Batches: the iterator was used up by the epoch before; give a function that returns a new "
                        "one, such as Batches(lambda: read()), or train for epochs=1"
                    )
                self._used = True
            return self._items
        needed = _parameters(self._items)
        if needed > 1:
            raise DataError(f"Batches: the function needs {needed} arguments; expected none, or one: the generator")
        items = self._items(rng) if needed else self._items()
        if not isinstance(items, Iterable):
            raise DataError(f"Batches: the function returned {type(items).__name__}; expected an iterable of (x, y)")
        return items


def _parameters(function: Callable[..., object]) -> int:
    """How many positional arguments the function needs."""
    needed = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some functions of extension modules do not say
        return 0
    return sum(p.kind in needed and p.default is p.empty for p in parameters)


def _blocks(items: Iterable[Any]) -> Iterator[Block]:
    """The items, checked: pairs whose arrays have as many samples, all of one form."""
    first: dict[str, tuple[int, ...]] = {}
    for number, item in enumerate(items, 1):
        where = f"Batches: item {number}"
        if not isinstance(item, (tuple, list)) or len(item) not in (2, 3):
            raise DataError(f"{where}: expected (x, y) or (x, y, sample_weight), got {_shown(item)}")
        x, y, *weights = item
        weight = numbers(where, weights[0]) if weights and weights[0] is not None else None
        block = Block(_tree(where, x), _tree(where, y), weight)
        for name, array in block.arrays.items():
            if array.ndim == 0 or len(array) != block.count:
                raise DataError(
                    f"{where}: {name} has shape {array.shape} where the input has {block.count} samples; an item is a "
                    "batch, and each of its arrays has the samples along the first axis"
                )
        shapes = {name: array.shape[1:] for name, array in block.arrays.items()}
        first = first or shapes
        if shapes.keys() != first.keys():
            raise DataError(f"{where} has {', '.join(shapes)}; the first has {', '.join(first)}")
        for name, shape in shapes.items():
            if shape != first[name]:
                raise DataError(
                    f"{where}: {name} has samples of shape {shape}; the first item has {first[name]}: make them alike, "
                    "such as by padding"
                )
        if block.count:
            yield block


def _tree(where: str, value: Any) -> Tree:
    if isinstance(value, dict) and value:
        return {str(name): numbers(f"{where}, {name!r}", array) for name, array in value.items()}
    return numbers(where, value)


def _shown(item: object) -> str:
    return f"{len(item)} values" if isinstance(item, (tuple, list)) else type(item).__name__
