"""Reads that no slice of a step can be, of what does not recur: named by equations of their own, before the loop.

    h[t,n] = tanh(p[t,t] + x[n,t+u] ...)       within the loop over t
    p.steps[t] = p[t,t]                        before it
    x.steps[t,n,u] = x[n,t+u]
    h[t,n] = tanh(p.steps[t] + x.steps[t,n,u] ...)

Where such a read is outside of its box, what it is named by is 0, like any read; where the point is to be left out,
a guard of the equation says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from codegen.analysis.bounds import inside, shapes_of
from codegen.analysis.loops import loops
from codegen.ir.affine import Affine
from codegen.ir.edit import map_all_reads
from codegen.ir.equation import Equation, Guard, Program, Read, Subscript, Tensor, indices_of, reads_of, slot
from codegen.ir.names import allocate


def across(program: Program) -> Program:
    """`program` with every read of a recurrence's equations either recurrent or a slice at the step."""
    made = _Made(program)
    changed: dict[int, Equation] = {}
    for loop in loops(program):
        for equation in loop.equations:
            changed[id(equation)] = made.equation(equation, loop.index(equation), frozenset(loop.axes))
    if not made.before:
        return program
    equations: list[Equation] = []
    for equation in program.equations:
        equations += made.before.get(id(equation), [])
        equations.append(changed.get(id(equation), equation))
    return replace(program, tensors=(*program.tensors, *made.tensors), equations=tuple(equations))


@dataclass
class _Made:
    """The tensors that name such reads; before: by the identity of the first equation that reads it, what makes one."""

    program: Program
    tensors: list[Tensor] = field(default_factory=list)
    before: dict[int, list[Equation]] = field(default_factory=dict)
    known: dict[object, str] = field(default_factory=dict)

    def equation(self, equation: Equation, index: str, cycle: frozenset[str]) -> Equation:
        """The equation with such reads replaced."""
        moved: list[Read] = []

        def read(old: Read) -> Read:
            recurs = cycle & {old.tensor, *(r.tensor for r in reads_of(old.at))}
            if recurs or not _reads_across(old.at, index, equation):
                return old
            moved.append(old)
            return self._named(old, index, equation)

        changed = map_all_reads(equation, read)
        outside = self._left_out(moved, equation)
        return changed.with_(guards=tuple(dict.fromkeys((*changed.guards, *outside))))

    def _left_out(self, moved: list[Read], equation: Equation) -> tuple[Guard, ...]:
        """Guards for the points that a read outside of its box leaves out, or annihilates."""
        reads = [r for r in moved if equation.reduce not in ("sum", "prod") or r.strong]
        return inside(reads, equation.extents, shapes_of(self.program))

    def _named(self, read: Read, index: str, equation: Equation) -> Read:
        """The read of a tensor that holds the values of `read`, one step after the other."""
        names = (index, *(n for n in equation.extents if n != index and n in indices_of(read.at)))
        shape = tuple(equation.extents[n] for n in names)
        at = tuple(map(Affine.of, names))
        key = (replace(read, strong=False), names, shape)
        if key not in self.known:
            name = allocate(f"{read.tensor}.steps", {*self.program.table, *(t.name for t in self.tensors)})
            self.known[key] = name
            self.tensors.append(Tensor(name, shape, self.program.table[read.tensor].dtype))
            box = tuple(zip(names, shape, strict=True))
            made = Equation(name, at, slot(0), (read,), box, stage=equation.stage, origin=equation.origin)
            self.before.setdefault(id(equation), []).append(made)
        return Read(self.known[key], at, read.strong)


def _reads_across(at: tuple[Subscript, ...], index: str, equation: Equation) -> bool:
    """Whether the step stands in several subscripts, or in one beside other indices, or in a quotient."""
    holding = [s for s in at if index in indices_of((s,))]
    plain = [
        s for s in holding if isinstance(s, Affine) and not any(n in equation.extents for n in s.names if n != index)
    ]
    nested = [s for s in holding if isinstance(s, Read)]
    return len(holding) > 1 or len(holding) > len(plain) + len(nested)
