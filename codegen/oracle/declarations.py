"""Are the tensors and sizes that a program declares well-formed?"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import get_args

from codegen.ir.equation import Dtype, Kind, Program
from codegen.ir.errors import FormulaError, ShapeError

TENSOR_NAME = re.compile(r"(?!_)[^\W\d]\w*(\.[^\W\d]\w*)*")
INDEX_NAME = re.compile(r"(?!_)[^\W\d]\w*")
GIVEN: tuple[Kind, ...] = ("input", "parameter")
"""The kinds of tensor whose values the caller brings."""


def check_declarations(program: Program) -> None:
    """Return if the tensors and sizes of `program` are well-formed.

    Raises FormulaError for a name that is no identifier or is declared twice, an unknown size, dtype or
    kind; ShapeError for an extent that is a negative number.
    """
    seen: set[str] = set()
    for name in program.sizes:
        if not INDEX_NAME.fullmatch(name):
            raise FormulaError(f"size {name!r}: expected an identifier that does not begin with '_'; rename it")
    for tensor in program.tensors:
        if tensor.name in seen:
            raise FormulaError(f"the tensor {tensor.name!r} is declared twice; rename one of them")
        seen.add(tensor.name)
        if not TENSOR_NAME.fullmatch(tensor.name):
            raise FormulaError(
                f"tensor {tensor.name!r}: expected identifiers joined by dots, not beginning with '_'; rename it"
            )
        if tensor.dtype not in get_args(Dtype) or tensor.kind not in get_args(Kind):
            raise FormulaError(f"tensor {tensor.name!r}: unknown dtype {tensor.dtype!r} or kind {tensor.kind!r}")
        for axis, extent in enumerate(tensor.shape):
            for name in extent.names:
                if name not in program.sizes:
                    text = unknown("size", name, program.sizes)
                    raise FormulaError(f"axis {axis} of tensor {tensor.name!r} has the extent {extent}: {text}")
            if extent.is_constant and extent.const < 0:
                raise ShapeError(f"axis {axis} of tensor {tensor.name!r}: expected an extent >= 0, got {extent}")


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """The end of a message: `unknown tensor weigth; did you mean weight?`."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names) or 'none'}"
    return f"unknown {what} {name}; {hint}"
