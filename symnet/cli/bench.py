"""symnet bench: how long compiling a network takes, and a step of its training for a few batch sizes."""

from __future__ import annotations

import argparse
import math
import statistics
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from symnet.cli.arguments import Parser, add_dtype, add_model, add_target, one_of, real, whole
from symnet.cli.network import compiled, load_model
from symnet.cli.table import show
from symnet.network.drawn import drawn
from symnet.optim.chosen import optimizers_of
from symnet.optim.optimizers import OPTIMIZERS
from symnet.support.errors import errors_of

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
    parser.option(
        "--batch-size",
        "--batch",
        dest="batch",
        type=_sizes,
        default=BATCHES,
        metavar="N[,N...]",
        help="one or several (default: 1,32,256)",
    )
    parser.option(
        "--length", type=whole(1), default=64, metavar="T", help="of sequences whose length is free (default: 64)"
    )
    parser.option(
        "--optimizer",
        type=one_of(tuple(OPTIMIZERS)),
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
    optimizers = optimizers_of(model, args.optimizer)
    net = compiled(model, dtype=args.dtype, target=args.target, optimizers=optimizers)
    module = net.module
    seconds = time.perf_counter() - start
    count = sum(math.prod(shape) for shape in module.PARAMETERS.values())
    size = f"{count:,} parameters, {len(net.source.splitlines()):,} lines"
    print(f"{module.MODEL}: {size}; compiled in {seconds:.2f} s ({args.target}, {args.dtype}, {args.optimizer})")
    with errors_of(module):
        costs = [measured(module, batch, args) for batch in args.batch]
    show(HEADER, [cost.row() for cost in costs])
    return 0


def measured(module: ModuleType, batch: int, args: argparse.Namespace) -> Cost:
    """The cost of a step with a batch of this size.  Raises the module's DataError."""
    x, y = drawn(module, batch, args.length)
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


def _sizes(text: str) -> tuple[int, ...]:
    """`32` or `1,32,256`."""
    return tuple(whole(1)(part) for part in text.split(","))


def _workers(text: str) -> int | str:
    """A number of processes, or "auto"."""
    return text if text == "auto" else whole(1, 256)(text)
