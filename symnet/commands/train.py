"""symnet train: train a network on data and keep its parameters."""

from __future__ import annotations

import argparse
import math
from types import ModuleType

import numpy as np

from symnet.commands.arguments import Parser, UsageError, add_dtype, add_model, add_target, one_of, real, whole
from symnet.commands.measure import Measures, measure
from symnet.commands.network import compiled, load_model, read_params, signature
from symnet.commands.progress import training
from symnet.data import Data, load_data, split
from symnet.errors import errors_of
from symnet.files import check_output, write_arrays

OPTIMIZERS = ("sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw")
HELD_OUT = 0.25
"""The share of the data held out for validation, unless `--validation` or `--holdout` says otherwise."""


def declare(parser: Parser) -> None:
    """The command's options."""
    add_model(parser)
    parser.option(
        "--data",
        required=True,
        metavar="DATA",
        help="FILE.npz with arrays x and y, FILE.csv with the target last, MNIST's IDX files, or sklearn:NAME",
    )
    parser.option("--validation", metavar="DATA", help="data to validate on; without it a part of --data is held out")
    parser.option(
        "--holdout",
        type=real(0, 1, closed=True),
        metavar="SHARE",
        help=f"the share of --data to hold out, stratified by class (default: {HELD_OUT}; 0 for none)",
    )
    parser.option("--params", metavar="OUT.npz", help="where to write the trained parameters")
    parser.option("--start", metavar="FILE.npz", help="parameters to start from, instead of fresh ones")
    parser.option("--epochs", type=whole(1), default=10, metavar="N", help="default: 10")
    parser.option("--batch-size", type=whole(1), default=32, metavar="N", help="default: 32")
    parser.option("--optimizer", type=one_of(OPTIMIZERS), default="adam", metavar="NAME", help=", ".join(OPTIMIZERS))
    parser.option("--learning-rate", type=real(0), metavar="RATE", help="default: the optimizer's own")
    parser.option(
        "--patience", type=whole(1), metavar="N", help="stop after N epochs without improvement, keep the best"
    )
    parser.option("--clip", type=real(0), metavar="LENGTH", help="the greatest length of the gradient")
    parser.option(
        "--seed", type=whole(0), default=0, metavar="N", help="first values, order and held-out part (default: 0)"
    )
    parser.option("--quiet", action="store_true", help="no progress, only the results")
    add_target(parser)
    add_dtype(parser)


def run(args: argparse.Namespace) -> int:
    """Train, report, write the parameters."""
    if args.validation is not None and args.holdout:
        raise UsageError("symnet train: --validation and --holdout exclude each other; leave one out")
    inputs = [path for path in (args.model, args.data, args.validation) if path is not None]
    if args.params is not None:
        check_output(args.params, inputs)
    net = compiled(load_model(args.model, needs_loss=True), dtype=args.dtype, target=args.target)
    module = net.module
    data, held = _data(args, module)
    params = module.init_params(args.seed) if args.start is None else read_params(args.start, module)
    count = sum(math.prod(shape) for shape in module.PARAMETERS.values())
    part = f", {held.count:,} to validate" if held else ""
    print(f"{module.MODEL}: {count:,} parameters; {data.count:,} samples to train{part}", flush=True)
    params = _train(args, module, params, data, held)
    results = _results(module, params, data, held)
    for name, result in results.items():
        print(f"{name:<11} {result.text()}")
    if args.params is None:
        print("the parameters were not kept; --params FILE.npz writes them")
    else:
        write_arrays(args.params, params)
        print(f"wrote {args.params}")
    return 0


def _data(args: argparse.Namespace, module: ModuleType) -> tuple[Data, Data | None]:
    """What to train on, and what to validate on if anything."""
    wanted = signature(module)
    data = load_data(args.data, wanted)
    if args.validation is not None:
        return data, load_data(args.validation, wanted)
    share = HELD_OUT if args.holdout is None else args.holdout
    return split(data, share, args.seed) if share else (data, None)


def _train(
    args: argparse.Namespace, module: ModuleType, params: dict[str, np.ndarray], data: Data, held: Data | None
) -> dict[str, np.ndarray]:
    """The generated module's own loop, with progress on its hooks."""
    # A loss that grows without bound ends as a DataError: NumPy's warnings on the way there say nothing more.
    with training(args.quiet) as progress, errors_of(module), np.errstate(over="ignore", invalid="ignore"):
        trained: dict[str, np.ndarray]
        trained, _ = module.train(
            params,
            data.x,
            data.y,
            epochs=args.epochs,
            batch_size=min(args.batch_size, data.count),
            optimizer=args.optimizer,
            learning_rate=args.learning_rate,
            seed=args.seed,
            validation=None if held is None else (held.x, held.y),
            patience=args.patience,
            clip=args.clip,
            on_step=progress.step,
            on_epoch=progress.epoch,
            verbose=False,
        )
    return trained


def _results(module: ModuleType, params: dict[str, np.ndarray], data: Data, held: Data | None) -> dict[str, Measures]:
    with errors_of(module):
        results = {"train": measure(module, params, data)}
        if held is not None:
            results["validation"] = measure(module, params, held)
    return results
