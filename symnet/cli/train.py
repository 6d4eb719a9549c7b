"""symnet train: train a network on data and keep its parameters."""

from __future__ import annotations

import argparse
import math
from types import ModuleType

import numpy as np

from symnet.cli.arguments import UsageError, ending, needs
from symnet.cli.measure import Measures, measure
from symnet.cli.network import compiled, load_model, read_params, signature
from symnet.cli.sources import Streamed, given, hold_out, open_data
from symnet.cli.train_options import declare
from symnet.data import augment
from symnet.data.samples import HELD_OUT, Data
from symnet.network.compiler import Network
from symnet.optim.chosen import optimizers_of
from symnet.readers.bundled import class_names
from symnet.support.errors import errors_of
from symnet.support.files import check_output, write_arrays
from symnet.training.callbacks.answers import objectives
from symnet.training.callbacks.progress import best_of, number

__all__ = ["declare", "run"]


def run(args: argparse.Namespace) -> int:
    """Train, report, write the parameters."""
    if args.validation is not None and args.holdout:
        raise UsageError("symnet train: --validation and --holdout exclude each other; leave one out")
    if args.resume is True and args.checkpoint is None:
        raise UsageError("symnet train: --resume needs a folder, --checkpoint DIR, or a path: --resume PATH")
    inputs = [path for path in (args.model, args.data, args.validation) if path is not None]
    needs("symnet train", args, "checkpoint", "checkpoint_every", "keep")
    if args.params is not None:
        check_output(args.params, inputs)
        ending("symnet train", args.params, (".npz",))
    weighted = args.class_weight is not None or args.sample_weight is not None
    model = load_model(args.model, needs_loss=True)
    optimizers = optimizers_of(model, args.optimizer)
    net = compiled(model, dtype=args.dtype, target=args.target, weighted=weighted, optimizers=optimizers)
    module = net.module
    data, held = _data(args, module)
    params = module.init_params(args.seed) if args.start is None else read_params(args.start, net)
    count = sum(math.prod(shape) for shape in module.PARAMETERS.values())
    part = f", {held.count:,} to validate" if held else ""
    print(f"{module.MODEL}: {count:,} parameters; {data.count:,} samples to train{part}", flush=True)
    params, history = _train(args, net, params, data, held)
    for name, result in _results(module, params, data, held).items():
        metrics = _metrics(args, history) if name == "validation" else ""
        print(f"{name:<11} {result.text()}{metrics}")
    if args.params is None:
        where = "were not kept" if args.checkpoint is None else f"are in the last checkpoint of {args.checkpoint}"
        print(f"the parameters {where}; --params FILE.npz writes them")
    else:
        write_arrays(args.params, params)
        print(f"wrote {args.params}")
    return 0


def _data(args: argparse.Namespace, module: ModuleType) -> tuple[Data | Streamed, Data | Streamed | None]:
    """What to train on, and what to validate on if anything."""
    wanted = signature(module)
    data = open_data(args, args.data, wanted, weight=args.sample_weight)
    if args.validation is not None:
        return data, open_data(args, args.validation, wanted)
    share = HELD_OUT if args.holdout is None else args.holdout
    return hold_out(data, share, args.seed) if share else (data, None)


def _train(
    args: argparse.Namespace,
    net: Network,
    params: dict[str, np.ndarray],
    data: Data | Streamed,
    held: Data | Streamed | None,
) -> tuple[dict[str, np.ndarray], dict[str, list[float]]]:
    """The generated module's own loop, with progress and checkpoints on its hooks: parameters and history."""
    # A loss that grows without bound ends as a DataError: NumPy's warnings on the way there say nothing more.
    with np.errstate(over="ignore", invalid="ignore"):
        trained: tuple[dict[str, np.ndarray], dict[str, list[float]]] = net.fit(
            data.x,
            data.y,
            params,
            checkpoint=args.checkpoint,
            checkpoint_every=args.checkpoint_every,
            keep=args.keep,
            resume=args.resume,
            epochs=args.epochs,
            batch_size=min(args.batch_size, data.count),
            optimizer=args.optimizer,
            learning_rate=args.learning_rate,
            seed=args.seed,
            sample_weight=data.weight,
            class_weight=args.class_weight,
            validation=held and given(held),
            patience=args.patience,
            clip=args.clip,
            schedule=args.schedule,
            warmup=args.warmup,
            rates=dict(args.rate),
            augment=_augment(args.augment, net),
            workers=args.workers,
            metrics=args.metrics,
            tensorboard=args.tensorboard,
            histograms=args.histograms,
            plot=args.plot,
            class_names=None if args.plot is None else _class_names(args.data, net.module),
            progress=not args.quiet,
        )
    return trained


def _class_names(data: str, module: ModuleType) -> list[str] | None:
    """What the data call the classes, where the network has as many."""
    names = class_names(data)
    return names if names is not None and len(names) in objectives(module).values() else None


def _augment(text: str | None, net: Network) -> augment.Augment | None:
    """What --augment names, for the network's pictures."""
    if text is None:
        return None
    (name, layout), *others = net.model.layouts.items()
    found = augment.named(text, layout or "CHW")
    shape, dtype = net.module.INPUTS[name]
    if others or dtype != "float" or len(shape) not in (2, 3):
        several = f"has {len(others) + 1} inputs" if others else f"takes '{name}', {dtype} of {len(shape)} axes"
        raise UsageError(f"symnet train: --augment changes pictures; the network {several}")
    return found


def _metrics(args: argparse.Namespace, history: dict[str, list[float]]) -> str:
    """The metrics of the epoch that the parameters are of."""
    epoch = -1 if args.patience is None else best_of(history)[1]
    said = {name: values[epoch] for name, values in history.items() if name.startswith("val_")}
    extra = [name for name in said if name not in ("val_loss", "val_accuracy", "val_r2")]
    return "".join(f"   {name.removeprefix('val_')} {number(name, said[name])}" for name in extra)


def _results(
    module: ModuleType, params: dict[str, np.ndarray], data: Data | Streamed, held: Data | Streamed | None
) -> dict[str, Measures]:
    with errors_of(module):
        results = {"train": measure(module, params, data)}
        if held is not None:
            results["validation"] = measure(module, params, held)
    return results
