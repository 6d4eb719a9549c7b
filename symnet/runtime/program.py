"""The module as a program: train, predict, check."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np

from symnet.runtime.containers import DataError, _visible
from symnet.runtime.evaluate import predict
from symnet.runtime.files import (
    _check_output,
    _read,
    _write,
    load_params,
    save_params,
)
from symnet.runtime.gradient_check import check
from symnet.runtime.head import INPUTS, MODEL, OPTIMIZERS, OUTPUTS, TARGETS
from symnet.runtime.loop import train
from symnet.runtime.parameters import init_params
from symnet.runtime.schedules import SCHEDULES
from symnet.runtime.terminal import _print_out, _reason, _tell, _unheard


def _samples(path: str, *, labelled: bool) -> tuple[Any, Any]:
    """(x, y) of an .npz file: the array `x`, or one array for each input, and if it is `labelled` the array `y`.

    With several losses there is an array `y_<output>` for each.
    """
    arrays = _read(path)
    needed = ["x"] if len(INPUTS) == 1 and "x" in arrays else list(INPUTS)
    keys = {name: f"y_{name}" for name in TARGETS} or {"": "y"}
    for name in (*needed, *keys.values()) if labelled else needed:
        if name not in arrays:
            wanted = "x" if len(INPUTS) == 1 and name in INPUTS else name
            raise DataError(
                f"{path}: array {wanted!r} is missing; the file has {', '.join(arrays) or 'none'}"
            )
    x = arrays["x"] if needed == ["x"] else {name: arrays[name] for name in needed}
    if not labelled:
        return x, None
    return x, {name: arrays[key] for name, key in keys.items()} if TARGETS else arrays[
        "y"
    ]


def _workers(text: str) -> int | str:
    if text != "auto" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a number or auto, got {text!r}")
    return text if text == "auto" else int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=f"The network {MODEL}.")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="train | predict | check"
    )
    sub = commands.add_parser(
        "train", help="train on an .npz file with the arrays x and y"
    )
    sub.add_argument("--data", required=True, metavar="FILE.npz")
    sub.add_argument(
        "--params",
        required=True,
        metavar="OUT.npz",
        help="where the trained parameters go",
    )
    sub.add_argument(
        "--start",
        metavar="FILE.npz",
        help="parameters to start from, instead of fresh ones",
    )
    sub.add_argument(
        "--validation", metavar="FILE.npz", help="samples to evaluate after each epoch"
    )
    sub.add_argument("--epochs", type=int, default=10)
    sub.add_argument("--batch-size", type=int, default=32)
    sub.add_argument("--optimizer", default="adam", help=", ".join(OPTIMIZERS))
    sub.add_argument("--learning-rate", type=float)
    sub.add_argument(
        "--schedule",
        default="constant",
        help=f"of the learning rate: {', '.join(SCHEDULES)}, with options as in step,drops=3",
    )
    sub.add_argument(
        "--warmup", type=int, default=0, help="steps in which the rate rises at first"
    )
    sub.add_argument(
        "--patience", type=int, help="stop after this many epochs without improvement"
    )
    sub.add_argument("--clip", type=float, help="the greatest length of the gradient")
    sub.add_argument(
        "--workers", type=_workers, default=1, help="processes to use, or auto"
    )
    sub.add_argument("--seed", type=int, default=0)
    sub = commands.add_parser(
        "predict", help="labels (or values) for the array x of an .npz file"
    )
    sub.add_argument("--data", required=True, metavar="FILE.npz")
    sub.add_argument("--params", required=True, metavar="FILE.npz")
    sub.add_argument(
        "--out",
        metavar="OUT.npy",
        help="where to write them; by default they are printed",
    )
    sub = commands.add_parser(
        "check", help="compare the gradients with finite differences"
    )
    sub.add_argument("--seed", type=int, default=0)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit status is 0, 1 for a failed check, or 2 for a mistake in what was given."""
    options = _parser().parse_args(arguments)
    run = {
        "train": _train_command,
        "predict": _predict_command,
        "check": _check_command,
    }[options.command]
    try:
        status = run(options)
        _print_out()
    except DataError as error:
        _tell(f"{MODEL}: error: {error}\n")
        return 2
    except KeyboardInterrupt:
        _tell(f"{MODEL}: interrupted\n")
        return 130
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            _tell(f"{MODEL}: error: {_visible(_reason(error))}\n")
        return _unheard(error)
    return status


def _train_command(options: argparse.Namespace) -> int:
    read = [options.data, options.validation]
    _check_output(options.params, *(path for path in read if path))
    params = load_params(options.start) if options.start else init_params(options.seed)
    x, y = _samples(options.data, labelled=True)
    validation = (
        _samples(options.validation, labelled=True) if options.validation else None
    )
    names = (
        "epochs",
        "batch_size",
        "optimizer",
        "learning_rate",
        "schedule",
        "warmup",
        "patience",
        "clip",
        "workers",
        "seed",
    )
    chosen = {name: getattr(options, name) for name in names}
    params, _ = train(params, x, y, validation=validation, verbose=True, **chosen)
    save_params(options.params, params)
    return 0


def _predict_command(options: argparse.Namespace) -> int:
    if options.out:
        _check_output(options.out, options.data, options.params)
    x, _ = _samples(options.data, labelled=False)
    labels = predict(load_params(options.params), x)
    if OUTPUTS and options.out:
        _write(options.out, lambda file: np.savez(file, **labels))
    elif options.out:
        _write(options.out, lambda file: np.save(file, labels))
    elif OUTPUTS:
        raise DataError(
            f"predict: {MODEL} has the outputs {', '.join(OUTPUTS)}; give --out FILE.npz"
        )
    elif sys.stdout is not None:
        np.savetxt(
            sys.stdout,
            labels.reshape(len(labels), -1),
            fmt="%d" if labels.dtype.kind in "iu" else "%.6g",
        )
    return 0


def _check_command(options: argparse.Namespace) -> int:
    errors = check(seed=options.seed)
    for name, error in errors.items():
        print(f"{name:30} {error:.1e}  {'ok' if error < 1e-6 else 'WRONG'}")
    return int(any(not error < 1e-6 for error in errors.values()))


if __name__ == "__main__":
    sys.exit(main())
