"""The module as a program."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from symnet.runtime.head import (
    HAS_CHECK,
    HAS_TRAIN,
    INPUTS,
    MODEL,
    OPTIMIZERS,
    OUTPUTS,
    TARGETS,
)
from symnet.runtime.plain.compare import check
from symnet.runtime.plain.files import _read, _write, load_params, save_params
from symnet.runtime.plain.given import DataError, init_params
from symnet.runtime.plain.loop import train
from symnet.runtime.plain.use import predict


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit status is 0, 1 for a failed check, 2 for a mistake."""
    parser = argparse.ArgumentParser(description=f"The network {MODEL}.")
    commands = parser.add_subparsers(dest="command", required=True)
    if HAS_TRAIN:
        sub = commands.add_parser("train", help="train on x and y of an .npz file")
        sub.add_argument("--data", required=True, metavar="FILE.npz")
        sub.add_argument("--params", required=True, metavar="OUT.npz")
        sub.add_argument("--start", metavar="FILE.npz", help="parameters to start from")
        sub.add_argument("--validation", metavar="FILE.npz", help="for each epoch")
        sub.add_argument("--optimizer", default="adam", help=", ".join(OPTIMIZERS))
        sub.add_argument("--learning-rate", type=float)
        sub.add_argument("--clip", type=float, help="the gradient's greatest length")
        sub.add_argument("--epochs", type=int, default=10)
        sub.add_argument("--batch-size", type=int, default=32)
        sub.add_argument("--patience", type=int, help="epochs without improvement")
        sub.add_argument("--seed", type=int, default=0)
    sub = commands.add_parser("predict", help="answers for x of an .npz file")
    sub.add_argument("--data", required=True, metavar="FILE.npz")
    sub.add_argument("--params", required=True, metavar="FILE.npz")
    sub.add_argument("--out", metavar="OUT.npy", help="instead of printing them")
    if HAS_CHECK:
        sub = commands.add_parser("check", help="gradients by finite differences")
        sub.add_argument("--seed", type=int, default=0)
    run: dict[str, Callable[..., int]] = {"predict": _predict}
    if HAS_TRAIN:
        run["train"] = _train
    if HAS_CHECK:
        run["check"] = _check
    given = vars(parser.parse_args(arguments))
    try:
        return run[given.pop("command")](**given)
    except (DataError, OSError) as error:
        print(f"{MODEL}: error: {error}", file=sys.stderr)
        return 2


def _samples(path: str, labelled: bool) -> tuple[Any, Any]:
    """x and y of a file; of several inputs or targets, `NAME` and `y_NAME` for each."""
    arrays = _read(path)
    names = ["x"] if len(INPUTS) == 1 and "x" in arrays else list(INPUTS)
    keys = [f"y_{name}" for name in TARGETS] if TARGETS else ["y"]
    for name in names + keys if labelled else names:
        if name not in arrays:
            got = ", ".join(arrays) or "none"
            raise DataError(f"{path}: array {name!r} is missing; the file has {got}")
    x = {name: arrays[name] for name in names}
    if TARGETS:
        y: Any = {name: arrays.get(f"y_{name}") for name in TARGETS}
    else:
        y = arrays.get("y")
    return x["x"] if names == ["x"] else x, y


def _train(data: str, params: str, start: str, validation: str, **options: Any) -> int:
    first = load_params(start) if start else init_params(options["seed"])
    if validation:
        options["validation"] = _samples(validation, True)
    trained, _ = train(first, *_samples(data, True), verbose=True, **options)
    save_params(params, trained)
    return 0


def _predict(data: str, params: str, out: str) -> int:
    labels = predict(load_params(params), _samples(data, False)[0])
    if OUTPUTS:
        if not out:
            raise DataError("predict: there are several outputs; give --out FILE.npz")
        _write(out, lambda file: np.savez(file, **labels))
    elif out:
        _write(out, lambda file: np.save(file, labels))
    else:
        form = "%d" if labels.dtype.kind in "iu" else "%.6g"
        np.savetxt(sys.stdout, labels.reshape(len(labels), -1), fmt=form)
    return 0


def _check(seed: int) -> int:
    errors = check(seed=seed)
    for name, error in errors.items():
        print(f"{name:30} {error:.1e}  {'ok' if error < 1e-6 else 'WRONG'}")
    return int(not all(error < 1e-6 for error in errors.values()))


if __name__ == "__main__":
    sys.exit(main())
