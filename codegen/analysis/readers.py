"""Who reads a tensor."""

from __future__ import annotations

from collections.abc import Mapping

from codegen.analysis.facts import fact
from codegen.ir.equation import Equation, Program, all_reads


@fact
def readers(program: Program) -> Mapping[str, tuple[Equation, ...]]:
    """By tensor, the equations that read it, in a body, a guard or a subscript; none where nobody does."""
    found: dict[str, list[Equation]] = {tensor.name: [] for tensor in program.tensors}
    for equation in program.equations:
        for name in dict.fromkeys(read.tensor for read in all_reads(equation)):
            found[name].append(equation)
    return {name: tuple(equations) for name, equations in found.items()}
