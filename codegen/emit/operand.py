"""What a kernel is given: arrays, and values that are ready to be used."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.emit.code import Code
from codegen.ir.equation import Dtype


@dataclass(frozen=True)
class Operand:
    """An array, the indices it really has, and its dtype; `run`: whether it has no gaps."""

    code: Code
    axes: frozenset[str]
    dtype: Dtype = "float"
    run: bool = False


@dataclass(frozen=True)
class Ref:
    """A value ready to be used: its code, indices, dtype, and the scratch array it occupies, if any.

    run: whether it is an array without gaps.
    """

    code: Code
    axes: frozenset[str]
    dtype: Dtype
    scratch: Code | None = None
    run: bool = False
