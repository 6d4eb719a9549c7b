"""The positions of an axis in another order, and each multiplied by a number.

    z[t,q,n,k] = sum[j](W[k+128*q,j]*h[t-1,n,j])      W.parts[0,j,k] = W[k,j]/2
                                                      W.parts[1,j,k] = W[k+256,j]
                                                      W.parts[2,j,k] = W[k+128,j]/2
                                                      z[t,q,n,k] = sum[j](W.parts[q,j,k]*h[t-1,n,j])

Possible where only parameters, once in each term, make the positions differ.  They are put in order, which is done
once, and everything computed from them follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import sympy

from codegen.analysis.cost import expanded
from codegen.ir.affine import Affine
from codegen.ir.edit import substitute_read
from codegen.ir.equation import (
    Equation,
    Program,
    Read,
    Tensor,
    all_reads,
    index_symbol,
    indices_of,
    slot,
    slots_of,
)
from codegen.ir.names import allocate

Factors = Sequence[sympy.Expr]


def arranged(program: Program, name: str, axis: int, order: Sequence[int], factors: Factors) -> Program | None:
    """`program` in which position k of an axis of `name` has the values of position order[k], times factors[k].

    None where its equations do not allow that.  Whoever reads `name` is left as it is.
    """
    if list(order) == sorted(order) and all(f == 1 for f in factors):
        return program
    work = _Work(program, order, factors)
    if not work.arrange(name, axis):
        return None
    equations = [new for e in program.equations for new in (*work.before.get(id(e), ()), work.changed.get(id(e), e))]
    return replace(program, tensors=(*program.tensors, *work.tensors), equations=tuple(equations))


@dataclass
class _Work:
    """What the arrangement makes: equations in place of others, and parameters in order in front of them."""

    program: Program
    order: Sequence[int]
    factors: Factors
    changed: dict[int, Equation] = field(default_factory=dict)
    before: dict[int, list[Equation]] = field(default_factory=dict)
    tensors: list[Tensor] = field(default_factory=list)
    parts: dict[object, str] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)

    def arrange(self, name: str, axis: int) -> bool:
        """Whether every equation of a tensor could be changed."""
        if name in self.seen:
            return self.seen[name] == axis
        self.seen[name] = axis
        return all(self._equation(e, axis) for e in self.program.defining(name))

    def _equation(self, equation: Equation, axis: int) -> bool:
        at = equation.at[axis]
        index = at.plain if isinstance(at, Affine) else None
        size = Affine.of(len(self.order))
        if equation.reduce != "sum" or index is None or equation.extents.get(index) != size:
            return False
        elsewhere = (*equation.at[:axis], *equation.at[axis + 1 :])
        guarded = [r for g in equation.guards for _, r in g.reads]
        names = {n for s in elsewhere for n in indices_of((s,))} | {n for g in equation.guards for n in g.affine.names}
        names |= {n for r in guarded for n in indices_of(r.at)}
        if index in names or index_symbol(index) in equation.body.free_symbols:
            return False
        own = [k for k, r in enumerate(equation.reads) if index in indices_of(r.at)]
        if not own or not _is_linear(equation.body, own):
            return False
        if not equation.over and all(self.program.table[r.tensor].kind == "parameter" for r in equation.reads):
            read = self._parts(equation.body, equation.reads, index, equation, equation.target)
            self.changed[id(equation)] = equation.with_(body=slot(0), reads=(read,))
            return True
        reads = list(equation.reads)
        for k in own:
            changed = self._read(reads[k], index, equation)
            if changed is None:
                return False
            reads[k] = changed
        self.changed[id(equation)] = equation.with_(reads=tuple(reads))
        return True

    def _read(self, read: Read, index: str, equation: Equation) -> Read | None:
        """The read of what is in order: a parameter's parts, or a tensor whose own equations are changed."""
        holders = [k for k, s in enumerate(read.at) if index in indices_of((s,))]
        if len(holders) != 1 or not isinstance(read.at[holders[0]], Affine):
            return None
        kind = self.program.table[read.tensor].kind
        if kind == "parameter":
            return self._parts(slot(0), (read,), index, equation, read.tensor)
        subscript = read.at[holders[0]]
        alone = [e for e in self.program.equations if any(r.tensor == read.tensor for r in all_reads(e))] == [equation]
        plain = isinstance(subscript, Affine) and subscript.plain == index
        whole = self.program.table[read.tensor].shape[holders[0]] == Affine.of(len(self.order))
        free = kind == "value" and alone and plain and whole
        return read if free and self.arrange(read.tensor, holders[0]) else None

    def _parts(self, body: sympy.Expr, reads: tuple[Read, ...], index: str, equation: Equation, stem: str) -> Read:
        """A read of `body`, which only parameters make, in order: a tensor with the summed indices in front."""
        names = [n for n in indices_of(s for r in reads for s in r.at) if n in equation.extents and n != index]
        names.sort(key=lambda n: n not in equation.over)
        places = {n: Affine.of(f"#{k}") for k, n in enumerate((index, *names))}
        key = (body, tuple(substitute_read(r, places) for r in reads))
        if key not in self.parts:
            taken = {*self.program.table, *(t.name for t in self.tensors)}
            name = self.parts[key] = allocate(f"{stem}.parts", taken)
            sizes = tuple(equation.extents[n] for n in names)
            self.tensors.append(Tensor(name, (Affine.of(len(self.order)), *sizes)))
            made = [
                Equation(
                    name,
                    (Affine.of(k), *map(Affine.of, names)),
                    body * factor,
                    tuple(substitute_read(r, {index: Affine.of(source)}) for r in reads),
                    tuple(zip(names, sizes, strict=True)),
                    accumulate=k > 0,
                    stage=equation.stage,
                    origin=equation.origin,
                )
                for k, (source, factor) in enumerate(zip(self.order, self.factors, strict=True))
            ]
            self.before.setdefault(id(equation), []).extend(made)
        return Read(self.parts[key], tuple(map(Affine.of, (index, *names))))


def _is_linear(body: sympy.Expr, own: Sequence[int]) -> bool:
    """Whether each term has exactly one of the slots `own`, as a factor."""
    for term in sympy.Add.make_args(expanded(body)):
        mine = [f for f in sympy.Mul.make_args(term) if set(slots_of(f)) & set(own)]
        if len(mine) != 1 or mine[0] not in {slot(k) for k in own}:
            return False
    return True
