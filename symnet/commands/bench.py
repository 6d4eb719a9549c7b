"""symnet bench: how long compiling a network takes, and a step of its training for a few batch sizes."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import math
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from symnet.commands.arguments import Parser, add_dtype, add_model, add_target, one_of, real, whole
from symnet.commands.network import compiled, load_model
from symnet.errors import errors_of
from symnet.train.optimizers import OPTIMIZERS

BATCHES = (1, 32, 256)
LEAST = 5
"""Steps that are timed, however long they take."""
HEADER = ("batch", "us a step", "us a sample", "samples/s", "MB")


@dataclass(frozen=True)
class Cost:
    """Seconds of a step with a batch of this size, the median, and the bytes of the step's own arrays."""

    batch: int
    seconds: float
    memory: int

    def row(self) -> tuple[str, ...]:
        """For the table; see HEADER."""
        micro = 1e6 * self.seconds
        figures = (f"{micro:,.1f}", f"{micro / self.batch:,.2f}", f"{self.batch / self.seconds:,.0f}")
        return (f"{self.batch:,}", *figures, f"{self.memory / 1e6:,.2f}")


def declare(parser: Parser) -> None:
    """The command's options."""
    add_model(parser)
    parser.option("--batch", type=_sizes, default=BATCHES, metavar="N[,N...]", help="batch sizes (default: 1,32,256)")
    parser.option(
        "--length", type=whole(1), default=64, metavar="T", help="of sequences whose length is free (default: 64)"
    )
    parser.option(
        "--optimizer",
        type=one_of([o.name for o in OPTIMIZERS]),
        default="sgd",
        metavar="NAME",
        help="default: %(default)s",
    )
    parser.option("--workers", type=_workers, default=1, metavar="N", help="processes, or auto (default: 1)")
    parser.option("--seconds", type=real(0, 3600), default=1.0, metavar="S", help="to measure each size (default: 1)")
    add_target(parser)
    add_dtype(parser)


def run(args: argparse.Namespace) -> int:
    """Compile, time the steps on random data, print a table."""
    model = load_model(args.model, needs_loss=True)
    start = time.perf_counter()
    net = compiled(model, dtype=args.dtype, target=args.target)
    module = net.module
    seconds = time.perf_counter() - start
    count = sum(math.prod(shape) for shape in module.PARAMETERS.values())
    size = f"{count:,} parameters, {len(net.source.splitlines()):,} lines"
    print(f"{module.MODEL}: {size}; compiled in {seconds:.2f} s ({args.target}, {args.dtype}, {args.optimizer})")
    with errors_of(module):
        costs = [measured(module, batch, args) for batch in args.batch]
    show([cost.row() for cost in costs])
    return 0


def measured(module: ModuleType, batch: int, args: argparse.Namespace) -> Cost:
    """The cost of a step with a batch of this size.  Raises the module's DataError."""
    x, y = data(module, batch, args.length)
    options = {"batch_size": batch, "optimizer": args.optimizer, "learning_rate": 1e-6}
    if args.workers != 1:
        options["workers"] = args.workers
    params = module.init_params(seed=0)
    tracemalloc.start()
    step = module.make_step(params, **options)
    try:
        for _ in range(2):
            step(x, y)
        _, memory = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return Cost(batch, median_time(lambda: step(x, y), args.seconds), memory)
    finally:
        tracemalloc.stop()
        step.close()


def median_time(step: Callable[[], object], seconds: float) -> float:
    """The median of the times of as many steps as fit, but at least a few."""
    clock = time.perf_counter
    times: list[float] = []
    end = clock() + seconds
    while len(times) < LEAST or clock() < end:
        start = clock()
        step()
        times.append(clock() - start)
    return statistics.median(times)


def data(module: ModuleType, batch: int, length: int) -> tuple[Any, Any]:
    """Random inputs and targets; sizes that are free have this length, or the most that the network can take."""
    rng = np.random.default_rng(0)

    def shape(extents: Sequence[int | str]) -> tuple[int, ...]:
        free = (min(length, module.LIMITS.get(e, length)) if isinstance(e, str) else e for e in extents)
        return (batch, *free)

    def target(spec: tuple[Sequence[int | str], str, int | None], decision: str | None) -> np.ndarray:
        extents, kind, classes = spec
        if kind == "int" or decision == "threshold":
            return rng.integers(0, classes or 2, shape(extents))
        if decision == "sign":
            return 2.0 * rng.integers(0, 2, shape(extents)) - 1
        return rng.random(shape(extents))

    x = {}
    for name, (extents, kind) in module.INPUTS.items():
        if kind == "float":
            x[name] = rng.normal(size=shape(extents)).astype(module.DTYPE)
        else:
            drawn = rng.integers(0, module.RANGES.get(name, 2), shape(extents))
            x[name] = drawn.astype(bool) if kind == "bool" else drawn
    if module.TARGET is not None:
        return x, target(module.TARGET, module.DECISION)
    return x, {name: target(spec, module.OUTPUTS[name][1]) for name, (_, spec) in module.TARGETS.items()}


def show(rows: Sequence[Sequence[str]]) -> None:
    """Print the table: with rich on a terminal, plainly elsewhere."""
    if sys.stdout.isatty() and importlib.util.find_spec("rich") is not None:
        table = importlib.import_module("rich.table").Table(*HEADER)
        for column in table.columns:
            column.justify = "right"
        for row in rows:
            table.add_row(*row)
        importlib.import_module("rich.console").Console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(HEADER, *rows, strict=True)]
    for row in (HEADER, *rows):
        print("  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True)))


def _sizes(text: str) -> tuple[int, ...]:
    """`32` or `1,32,256`."""
    return tuple(whole(1)(part) for part in text.split(","))


def _workers(text: str) -> int | str:
    """A number of processes, or "auto"."""
    return text if text == "auto" else whole(1, 256)(text)
