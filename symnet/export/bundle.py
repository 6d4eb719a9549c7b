"""A trained network as one file that runs where only NumPy is: a zip application."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from codegen.passes.state import Given
from symnet.assembly.built import Built, precision
from symnet.model.graph import Model, model_of
from symnet.readers import numbered
from symnet.support.errors import border, errors_of
from symnet.support.files import check_output, write_atomic
from symnet.support.options import strict, table_of

MAIN = '''"""Runs the bundle."""

import sys

if sys.version_info < (3, 11):
    sys.exit("this bundle needs Python 3.11 or newer; this is Python %d.%d" % sys.version_info[:2])

from bundle import main

sys.exit(main())
'''
SAMPLES = 4
"""How many samples go into the bundle with their outputs, so that another machine can check itself."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of every part: the same network gives the same bytes."""


@strict
@border
def write_bundle(path: str | Path, model: Model, params: Mapping[str, np.ndarray], dtype: str = "float32") -> int:
    """Write `model` with these parameters as a zip application, whole or not at all; returns its size in bytes.

    The file holds the generated module (target numpy), the parameters, and a small program:
    `python FILE.pyz predict --data x.npz`.  It needs Python 3.11 and NumPy.  Raises SymnetError where the file
    cannot be written, DataError for parameters that do not fit.
    """
    model_of("write_bundle", model)
    table_of("write_bundle(params=)", params)
    check_output(path)
    net = Built.of(model, Given(target="numpy"), precision("write_bundle(dtype=)", dtype))
    module, name = net.module, _module_name(model.name)
    x = _samples(module)
    with np.errstate(all="ignore"), errors_of(module):
        y = module.forward(params, x if len(x) > 1 else next(iter(x.values())))
    stored = {f"x/{n}": a for n, a in x.items()} | {
        f"y/{n}": a for n, a in (y if isinstance(y, dict) else {"": y}).items()
    }
    about = {
        "module": name,
        "inputs": {n: [list(shape), kind] for n, (shape, kind) in module.INPUTS.items()},
        "parameters": int(sum(np.size(a) for a in params.values())),
        "dtype": net.dtype,
        "needs": ["Python 3.11", "NumPy"],
    }
    program = Path(__file__).with_name("application.py").read_bytes()
    parts = {
        "__main__.py": MAIN.encode(),
        "bundle.py": program,
        "numbered.py": Path(numbered.__file__).read_bytes(),
        f"{name}.py": net.source.encode(),
        "params.npz": _npz(params),
        "check.npz": _npz(stored),
        "about.json": json.dumps(about, indent=1).encode(),
    }
    data = _zip(parts)
    write_atomic(path, data)
    return len(data)


def _samples(module: Any) -> dict[str, np.ndarray]:
    """Samples for every input: the same on each call."""
    rng = np.random.default_rng(0)
    samples: dict[str, np.ndarray] = {}
    for name, (extents, kind) in module.INPUTS.items():
        shape = (SAMPLES, *(min(4, module.LIMITS.get(e, 4)) if isinstance(e, str) else e for e in extents))
        drawn = rng.standard_normal(shape) if kind == "float" else rng.integers(0, module.RANGES.get(name, 2), shape)
        samples[name] = drawn.astype({"float": module.DTYPE, "int": np.int64, "bool": np.bool_}[kind])
    return samples


def _module_name(name: str) -> str:
    """A name that can be imported and is none of the bundle's own."""
    made = "".join(c if c.isalnum() or c == "_" else "_" for c in name)
    return f"{made}_network" if made in ("bundle", "numbered", "numpy") or not made.isidentifier() else made


def _npz(arrays: Mapping[str, np.ndarray]) -> bytes:
    """An .npz file without dates, its arrays not compressed."""
    parts = {}
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(array), allow_pickle=False)
        parts[f"{name}.npy"] = buffer.getvalue()
    return _zip(parts, zipfile.ZIP_STORED)


def _zip(parts: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in parts.items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = method
            file.writestr(entry, data)
    return buffer.getvalue()
