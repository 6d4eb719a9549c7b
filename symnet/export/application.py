"""Predict with a trained network: `python FILE.pyz predict --data x.npz`, or `import bundle` with FILE.pyz on the path.

This file goes into a bundle beside the network's module and its parameters.  It needs NumPy and nothing else, and
neither threads, processes nor files of its own, so that it also runs where Python runs in a browser.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import io
import json
import pkgutil
import sys
from pathlib import Path
from typing import Any

try:
    import numpy as np
except ImportError:
    sys.exit("this program needs NumPy: pip install numpy")

TOLERANCE = 1e-4
"""How far outputs may be from those of the machine that wrote the bundle, over the largest of them."""


def _part(name: str) -> bytes:
    data = pkgutil.get_data(__name__, name)
    if data is None:
        raise SystemExit(f"the bundle is not whole: {name} is missing")
    return data


def _arrays(name: str) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(_part(name)), allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


ABOUT: dict[str, Any] = json.loads(_part("about.json"))
network = importlib.import_module(ABOUT["module"])
"""The generated module."""
numbered = importlib.import_module("numbered")


def params() -> dict[str, np.ndarray]:
    """The trained parameters."""
    return _arrays("params.npz")


def predict(x: Any) -> Any:
    """Labels for samples `x`, values where the network does not classify; see `network.predict`."""
    return network.predict(params(), x)


def outputs(x: Any) -> Any:
    """The network's outputs (logits) for samples `x`."""
    return network.forward(params(), x)


def check() -> float:
    """How far this machine's outputs for the samples in the bundle are from those it was written with."""
    stored = _arrays("check.npz")
    x = {name: stored[f"x/{name}"] for name in network.INPUTS}
    got = outputs(x if len(x) > 1 else next(iter(x.values())))
    pairs = [(got[n], stored[f"y/{n}"]) for n in got] if isinstance(got, dict) else [(got, stored["y/"])]
    return max(float(np.abs(g - e).max() / max(np.abs(e).max(), 1e-30)) for g, e in pairs)


def main(words: list[str] | None = None) -> int:
    """Run a command; the exit status is 0, 1 for a failed check, 2 for a mistake in what was given."""
    parser = argparse.ArgumentParser(prog=f"{ABOUT['module']}.pyz", description=f"The network {ABOUT['module']}.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="predict | check | about")
    sub = commands.add_parser("predict", help="labels (or values) for samples")
    sub.add_argument(
        "--data", required=True, metavar="FILE", help="x in an .npz or .npy file, or .csv rows; - is stdin"
    )
    sub.add_argument(
        "--header",
        choices=["yes", "no"],
        help="whether the first row of a table has names (default: if none is a number)",
    )
    sub.add_argument("--raw", action="store_true", help="the outputs (logits) instead of labels")
    sub.add_argument("-o", "--output", metavar="OUT.npy", help="where to write them; by default they are printed")
    commands.add_parser("check", help="compare this machine's outputs with those the bundle was written with")
    commands.add_parser("about", help="what the network takes and gives")
    options = parser.parse_args(words)
    try:
        return {"predict": _predict, "check": _check, "about": _about}[options.command](options)
    except (OSError, ValueError, csv.Error) as error:  # a DataError of the network is a ValueError
        print(f"{ABOUT['module']}: error: {network._visible(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{ABOUT['module']}: interrupted", file=sys.stderr)
        return 130


def _predict(options: argparse.Namespace) -> int:
    if options.output:
        network._check_output(options.output, options.data)
    x = _samples(options.data, options.header)
    answers = outputs(x) if options.raw else predict(x)
    if options.output:
        several = isinstance(answers, dict)
        network._write(options.output, lambda f: np.savez(f, **answers) if several else np.save(f, answers))
        return 0
    for name, values in answers.items() if isinstance(answers, dict) else {"": answers}.items():
        print(f"# {name}") if name else None
        whole = values.dtype.kind in "iub"
        np.savetxt(sys.stdout, values.reshape(len(values), -1), fmt="%d" if whole else "%.9g", delimiter=",")
    return 0


def _check(options: argparse.Namespace) -> int:
    error = check()
    agrees = error < TOLERANCE
    print(f"largest difference {error:.1e} of the largest output: {'ok' if agrees else 'WRONG'}")
    return 0 if agrees else 1


def _about(options: argparse.Namespace) -> int:
    for key, value in ABOUT.items():
        print(f"{key}: {value}")
    return 0


def _samples(path: str, header: str | None) -> Any:
    """The samples of a file: an array, or one by the name of each input."""
    if path.endswith(".npy"):
        try:
            return np.load(path, "r", allow_pickle=False)
        except network._UNREADABLE as error:
            raise ValueError(f"{path}: expected an .npy file of numbers: {error}") from None
    if path.endswith(".npz"):
        arrays = network._read(path)
        if len(network.INPUTS) == 1:
            (name,) = network.INPUTS
            if not {"x", name} & set(arrays):
                raise ValueError(f"{path}: expected an array named x; the file has {', '.join(arrays) or 'none'}")
            return arrays["x"] if "x" in arrays else arrays[name]
        return {name: arrays[name] for name in network.INPUTS if name in arrays}
    return _rows(sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8-sig"), path, header)


def _rows(text: str, path: str, header: str | None) -> np.ndarray:
    """Rows of numbers separated by commas, each a sample in row-major order; a first row of names is left out."""
    rows = [row for row in csv.reader(io.StringIO(text)) if any(field.strip() for field in row)]
    first = [float(field) if _is_number(field) else None for field in rows[0]] if rows else []
    if rows and header is None and numbered.may_be_names(rows):
        raise ValueError(
            f"{path}: the first row, {', '.join(rows[0])[:40]}, may be names of columns that are numbers, or the "
            "first sample; say which with --header yes (names) or --header no (a sample)"
        )
    if rows and (header == "yes" or (header is None and set(first) == {None})):
        rows = rows[1:]
    if not rows:
        raise ValueError(f"{path}: expected rows of numbers separated by commas, got none")
    ((shape, kind),) = network.INPUTS.values()
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]) or not all(map(_is_number, row)):
            raise ValueError(f"{path}: row {number}: expected {len(rows[0])} numbers, got {', '.join(row)[:80]}")
    values = np.array(rows, np.float64)
    fixed = [e if isinstance(e, int) else -1 for e in shape]
    try:
        samples = values.reshape(len(rows), *fixed)
    except ValueError:
        raise ValueError(f"{path}: {len(rows[0])} numbers a row do not make samples of shape {shape}") from None
    return samples.astype(np.int64) if kind == "int" else samples


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
