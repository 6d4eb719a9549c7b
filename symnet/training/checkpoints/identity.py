"""Which model a checkpoint belongs to: its equations, its parameters and its dtype, and a hash of these.

Two declarations that spell the same equations are the same model, whatever file, name or options they were written
with.  To predict, the parameters and the equations of use must agree; to train on, those of training, too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from codegen.ir.equation import Equation, Tensor
from codegen.notation.show import show, show_subscripts
from symnet.model.graph import Model

SHORT = 12
"""How many digits of a fingerprint a message shows."""

Identity = Mapping[str, Any]
"""What a checkpoint says of its model; see `identity`."""


def identity(model: Model, dtype: str) -> dict[str, Any]:
    """What a checkpoint says of its model, ready for JSON.

    name: for messages only.  dtype: "float32" or "float64".  parameters (buffers among them), inputs: {name:
    "float[8,3]"}.  use: the equations from the inputs to the outputs, as text.  training: those that training adds
    or changes.  frozen: the parameters that it leaves alone.  fingerprint: SHA-256 of all this but the name, as 64
    hexadecimal digits; the same in every process.
    """
    use = [_line(e) for e in model.evaluation.equations if e.stage == "forward"]
    parts = {
        "dtype": dtype,
        "parameters": {t.name: _described(t) for t in model.program.tensors if t.kind == "parameter"},
        "inputs": {t.name: _described(t) for t in model.inputs},
        "use": use,
        "training": [line for line in map(_line, model.program.equations) if line not in use],
        "frozen": [p.name for p in model.parameters if not p.trainable],
    }
    fingerprint = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return {"name": model.name, "fingerprint": fingerprint, **parts}


def difference(expected: Identity, got: Identity, *, use_only: bool = False) -> str:
    """In words, the first thing in which a checkpoint's model is not the one that is expected; "" for none.

    use_only: parameters and predictions are all that has to agree, in whatever precision, as for prediction.
    """
    if expected["fingerprint"] == got["fingerprint"]:
        return ""
    if expected["dtype"] != got["dtype"] and not use_only:
        return (
            f"expected dtype {expected['dtype']}, got {got['dtype']}; "
            f"compile the model for {got['dtype']} (dtype='{got['dtype']}', or --dtype {got['dtype']})"
        )
    for kind, what in (("parameters", "parameter"), ("inputs", "input")):
        for name in {**expected[kind], **got[kind]}:
            wanted, found = expected[kind].get(name), got[kind].get(name)
            if wanted != found:
                return f"expected {what} '{name}' {wanted or 'not to be there'}, got {found or 'none'}"
    for kind in ("use",) if use_only else ("use", "training", "frozen"):
        what = "a frozen parameter" if kind == "frozen" else "the equation"
        for wanted, found in _unlike(expected[kind], got[kind]):
            return f"expected {what} {wanted or 'not to be there'}, got {found or 'none'}"
    return ""


def named(model: Identity) -> str:
    """`'digits' (fingerprint 0f3a...)`, for messages."""
    return f"'{model['name']}' (fingerprint {model['fingerprint'][:SHORT]})"


def _unlike(expected: list[str], got: list[str]) -> list[tuple[str, str]]:
    """The lines in which two lists differ, side by side, "" where one is shorter."""
    length = max(len(expected), len(got))
    sides = ([*lines, *[""] * (length - len(lines))] for lines in (expected, got))
    return [(a, b) for a, b in zip(*sides, strict=True) if a != b]


def _described(tensor: Tensor) -> str:
    """`float[8,3]`."""
    return f"{tensor.dtype}[{show_subscripts(tensor.shape)}]"


def _line(equation: Equation) -> str:
    """The equation, and how far its indices run, which its text leaves out: the size of a window is there alone."""
    ranges = ",".join(f"{name}<{show_subscripts((extent,))}" for name, extent in equation.box)
    return f"{show(equation)}  ({ranges})" if ranges else show(equation)
