"""One kernel for parts of a tensor that the same function is computed of, such as the gates of a recurrence.

    i[t,n,k] = sigmoid(z[t,0,n,k])          z.sigmoid[t,q,n,k] = 1/(1 + exp(z[t,q,n,k]))         for q < 3
    f[t,n,k] = sigmoid(z[t,1,n,k])          g[t,n,k] = tanh(z[t,3,n,k])
    g[t,n,k] = tanh(z[t,2,n,k])
    o[t,n,k] = sigmoid(z[t,3,n,k])

Parts of the same function are stored side by side: what z is computed from is put in their order once, outside of
the loop (`arranged.py`), and so is a number that the function multiplies its argument by:

    sigmoid(x) = 1/(1 + exp(-x))

Where that cannot be, parts that lie side by side as declared still share a kernel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import sympy

from codegen.analysis.access import plain_indices
from codegen.analysis.bounds import NOTHING
from codegen.analysis.loops import loops
from codegen.analysis.parts import parts
from codegen.analysis.readers import readers
from codegen.analysis.structure import structure
from codegen.ir.affine import Affine
from codegen.ir.edit import map_all_reads
from codegen.ir.equation import Equation, Program, Read, Subscript, Tensor, slot
from codegen.ir.functions import Sigmoid
from codegen.ir.names import LETTERS, allocate, indices
from codegen.passes.recurrence.arranged import arranged

ONE = sympy.Integer(1)
INNER: Mapping[sympy.Expr, tuple[sympy.Rational, sympy.Expr]] = {
    Sigmoid(slot(0)): (-ONE, 1 / (1 + sympy.exp(slot(0)))),
}
"""For functions of a multiple of their argument: (the factor, what is computed of the product)."""


@dataclass(frozen=True)
class _Parts:
    """A tensor that is read by parts alone, and the one equation that reads each of them."""

    name: str
    axis: int
    readers: tuple[Equation, ...]

    def alike(self) -> list[list[int]]:
        """The parts of each function, those of the most frequent one first."""
        bodies = dict.fromkeys(e.body for e in self.readers)
        groups = [[k for k, e in enumerate(self.readers) if e.body == body] for body in bodies]
        return sorted(groups, key=lambda group: -len(group))


def gates(program: Program, keep: frozenset[str] = NOTHING) -> Program:
    """`program` with one equation for the parts of a recurrent tensor that the same function is computed of.

    Tensors in `keep` stay defined.
    """
    for loop in loops(program):
        for name in loop.axes:
            found = _gated(name, frozenset(loop.axes) - keep, program)
            if found is not None:
                program = _merged(found, program)
    return program


def _gated(name: str, free: frozenset[str], program: Program) -> _Parts | None:
    """The parts of a tensor, where each is the argument of one elementwise equation that reads nothing else."""
    axis = parts(program).get(name)
    if axis is None or program.table[name].kind != "value" or not program.table[name].shape[axis].is_constant:
        return None
    found: dict[int, Equation] = {}
    for equation in readers(program)[name]:
        s = structure(equation, program.table).literal
        own = len(program.defining(equation.target)) == 1 and equation.target in free and not equation.accumulate
        value = own and program.table[equation.target].kind == "value" and s.elementwise and len(equation.reads) == 1
        if not value or equation.reads[0].strong or any(index.number for index in s.indices.values()):
            return None
        part, at = equation.reads[0].at[axis], equation.reads[0].at
        if (*at[:axis], *at[axis + 1 :]) != equation.at or not isinstance(part, Affine) or part.const in found:
            return None
        found[part.const] = equation
    size = program.table[name].shape[axis].const
    same = len({e.stage for e in found.values()}) == 1
    return _Parts(name, axis, tuple(found[k] for k in range(size))) if same and set(found) == set(range(size)) else None


def _merged(gated: _Parts, program: Program) -> Program:
    """`program` with one tensor for all parts of the same function."""
    order = [k for group in gated.alike() for k in group]
    if len(gated.alike()) == len(order):
        return program
    bodies = [gated.readers[k].body for k in order]
    factors = [INNER[body][0] if body in INNER else ONE for body in bodies]
    changed = arranged(program, gated.name, gated.axis, order, factors)
    if changed is not None:
        program = changed
        bodies = [INNER[body][1] if body in INNER else body for body in bodies]
    else:
        order = list(range(len(order)))
        bodies = [e.body for e in gated.readers]
    runs = [[k for k, _ in run] for _, run in groupby(enumerate(bodies), key=lambda item: item[1])]
    for run in runs:
        sharing = [gated.readers[order[k]] for k in run]
        program = _joined(gated, run[0], bodies[run[0]], sharing, program)
    return program


def _joined(gated: _Parts, first: int, body: sympy.Expr, sharing: Sequence[Equation], program: Program) -> Program:
    """`sharing`, which compute `body` of the parts from `first` on, as one equation."""
    axis, head = gated.axis, sharing[0]
    if len(sharing) == 1:
        read = Read(gated.name, _with(head.at, axis, Affine.of(first)))
        alone = head.with_(body=body, reads=(read,))
        return program.with_equations(alone if e.target == head.target else e for e in program.equations)
    index = next(indices(("q", *LETTERS), {*head.extents, *program.sizes}))
    function = next((type(f) for f in sharing[0].body.atoms(sympy.Function)), None)
    name = allocate(f"{gated.name}.{function.__name__.lower() if function else 'parts'}", program.table)
    count = Affine.of(len(sharing))
    at = _with(head.at, axis, Affine.of(index))
    extents = {**head.extents, index: count}
    box = tuple((n, extents[n]) for n in plain_indices(at) or ())
    read = Read(gated.name, _with(head.at, axis, Affine.of(index) + first))
    whole = head.with_(target=name, at=at, body=body, reads=(read,), box=box)
    places = {e.target: k for k, e in enumerate(sharing)}

    def moved(read: Read) -> Read:
        if read.tensor not in places:
            return read
        return replace(read, tensor=name, at=_with(read.at, axis, Affine.of(places[read.tensor])))

    equations: list[Equation] = []
    for equation in program.equations:
        if equation.target in places:
            equations += [whole] if equation.target == head.target else []
            continue
        equations.append(map_all_reads(equation, moved))
    shape = program.table[head.target].shape
    tensors = [t for t in program.tensors if t.name not in places]
    tensors.append(Tensor(name, (*shape[:axis], count, *shape[axis:])))
    return replace(program, tensors=tuple(tensors), equations=tuple(equations))


def _with(at: tuple[Subscript, ...], axis: int, subscript: Affine) -> tuple[Subscript, ...]:
    return (*at[:axis], subscript, *at[axis:])
