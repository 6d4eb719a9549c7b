"""Dead code: equations whose target nobody reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from codegen.ir.equation import Program, all_reads


def remove_dead(program: Program, keep: Iterable[str]) -> Program:
    """Only the equations that a tensor in `keep` or a result needs, and the tensors they name.

    Inputs and parameters stay declared even where nothing reads them.
    """
    needed = {*keep, *(t.name for t in program.tensors if t.kind == "result")}
    before = 0
    while len(needed) != before:  # a recurrence reads what is defined after it
        before = len(needed)
        for equation in reversed(program.equations):
            if equation.target in needed:
                needed |= {read.tensor for read in all_reads(equation)}
    kept = tuple(e for e in program.equations if e.target in needed)
    tensors = tuple(t for t in program.tensors if t.name in needed or t.kind != "value")
    return replace(program, tensors=tensors, equations=kept)
