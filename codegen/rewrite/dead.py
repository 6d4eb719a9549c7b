"""Dead code: equations whose target nobody reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from codegen.equation import Program, all_reads


def remove_dead(program: Program, keep: Iterable[str]) -> Program:
    """Only the equations that a tensor in `keep` or a result needs, and the tensors they name.

    Inputs and parameters stay declared even where nothing reads them.
    """
    needed = {*keep, *(t.name for t in program.tensors if t.kind == "result")}
    kept = []
    for equation in reversed(program.equations):
        if equation.target in needed:
            kept.append(equation)
            needed |= {read.tensor for read in all_reads(equation)}
    tensors = tuple(t for t in program.tensors if t.name in needed or t.kind != "value")
    return replace(program, tensors=tensors, equations=tuple(reversed(kept)))
