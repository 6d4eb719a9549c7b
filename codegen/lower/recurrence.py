"""Recurrences as loops.

Inside one step of the loop the recurrent tensors have no step axis: `h[t,n,k]` is the slice `h.now[n,k]`,
`h[t-1,n,k]` the slice `h.before.now[n,k]`.  The equations of a step, written over such slices, are lowered by the
same rules as any others; afterwards the slices are put back in place of their names.

    h[t,n,k] = tanh(s[t,n,k] + h[t-1,n,k])          for t in range(T):  h[t] = tanh(s[t] + h_before[t])

Every recurrent tensor that is read beyond its ends is stored between zeros, so that the state before the first step is
there to be read: `h` is `h.states[1:]`, `h.before` is `h.states[:-1]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sympy

from codegen.analysis.loops import Recurrence
from codegen.ir.affine import Affine
from codegen.ir.edit import renamed
from codegen.ir.equation import (
    Equation,
    Guard,
    Program,
    Read,
    Tensor,
    all_reads,
    index_symbol,
    indices_of,
    size_symbol,
)
from codegen.ir.errors import CodegenError
from codegen.ir.plan import Block, Compute, Loop, Note, Region, Step, accesses, mapped, views_of
from codegen.ir.view import FULL, Slice, Take, View, names_of, taken
from codegen.lower.storage import Storage
from codegen.notation.quote import quote


def recurrence(loop: Recurrence, legal: Sequence[Equation], storage: Storage) -> Block:
    """The block of one recurrence: what does not change before the loop, then the loop.

    legal: its equations with nothing implicit.
    """
    index = loop.index(loop.equations[0])
    slices = _Step(storage, index)
    equations = [_with_index(e, loop.index(e), index) for e in legal]
    stepped = [slices.at_step(loop, e) for e in equations]
    parts = frozenset(s.target for e, s in zip(equations, stepped, strict=True) if e.target in storage.parts)
    inner = replace(storage, program=slices.program(), prelude=[], looped=True, parts=parts)
    before: list[Step] = []
    steps: list[Step] = []
    for original, equation in zip(loop.equations, stepped, strict=True):
        inner.prelude.clear()
        own = [slices.counted(s) for s in inner.lower(equation)]
        prepared = [slices.counted(s) for s in inner.prelude]
        changing = [s for s in prepared if slices.changes(s)]
        before += [s for s in prepared if s not in changing]
        steps += [Note(original), *changing, *own]
    body = tuple(mapped(step, slices.placed) for step in steps)
    first = tuple(mapped(step, slices.placed) for step in (*storage.prelude, *before))
    return Block(loop.equations[0], (*first, Loop(index, loop.extent, body, loop.backward)), noted=True)


def _with_index(equation: Equation, own: str, index: str) -> Equation:
    """The equation with its step index called as everywhere in the loop."""
    if own == index:
        return equation
    if index in equation.extents:
        return renamed(equation, {own: index, index: own})
    return renamed(equation, {own: index})


class _Step:
    """The slices that the equations of one step read and write."""

    def __init__(self, storage: Storage, index: str) -> None:
        self.storage = storage
        self.index = index
        self.count = f"{index}+1"  # no index is called so
        self.views: dict[str, View] = {}
        self.tensors: dict[str, Tensor] = {}
        self.written: set[str] = set()

    def program(self) -> Program:
        """The program with the slices among its tensors."""
        known = self.storage.program
        return replace(known, tensors=(*known.tensors, *self.tensors.values()))

    def at_step(self, loop: Recurrence, equation: Equation) -> Equation:
        """The equation of one step: without the step index, over slices."""
        made = loop.at_step(equation, lambda tensor, axis, away: self.slice(tensor, axis, away, equation))
        for read in (Read(made.target, made.at), *all_reads(made)):
            if self.index in indices_of(read.at):
                raise CodegenError(
                    f"a step of {quote(equation)} meets {read.tensor} in more than a slice; expected one subscript "
                    f"with {self.index}, the index of the steps, and no other index in it"
                )
        return made.with_(guards=tuple(map(self.guard, made.guards)))

    def guard(self, guard: Guard) -> Guard:
        """The guard of one step: names that are no indices count from 1 on there, as sizes do, and so does the step."""
        return replace(guard, affine=guard.affine.substitute({self.index: Affine.of(self.count) - 1}))

    def counted(self, step: Step) -> Step:
        """A step with the loop's index for the number of the step in its bodies."""
        if isinstance(step, Loop | Region):
            return replace(step, steps=tuple(map(self.counted, step.steps)))
        if not isinstance(step, Compute) or size_symbol(self.count) not in step.body.free_symbols:
            return step
        return replace(step, body=step.body.xreplace({size_symbol(self.count): index_symbol(self.index) + 1}))

    def slice(self, tensor: str, axis: int, away: Affine, equation: Equation) -> str:
        """The name of the slice that a tensor is at a step, so far away from that of the loop."""
        base, subscript = self.storage.at_step(tensor, axis, Affine.of(self.index) + away, equation)
        shape = self.storage.shapes[base]
        items: tuple[Affine | Slice, ...] = tuple(subscript if k == axis else FULL for k in range(len(shape)))
        view = View(base).then(Take(items), axes=())
        for name, known in self.views.items():
            if known == view:
                return name
        name = self.storage.unused(f"{base}.now")
        left = shape[:axis] + shape[axis + 1 :]
        self.views[name] = view
        self.tensors[name] = replace(self.storage.program.table[tensor], name=name, shape=left, kind="value")
        self.storage.shapes[name] = left
        return name

    def changes(self, step: Step) -> bool:
        """True when a step depends on the step of the loop."""
        views = views_of(step)
        if self.written & {v.base for v in views}:
            return True
        body = step.body.free_symbols if isinstance(step, Compute) and isinstance(step.body, sympy.Basic) else set()
        taken = (name for view in views for op in view.ops if isinstance(op, Take) for name in names_of(op))
        slices = any(v.base in self.views for v in views)
        if slices or self.index in taken or self.index in {s.name for s in body}:
            self.written |= {view.base for view, wrote in accesses(step) if wrote}
            return True
        return False

    def placed(self, view: View) -> View:
        """A view of a slice as a view of the array it is a slice of."""
        whole = self.views.get(view.base)
        if whole is None:
            return view
        own, ops = whole.ops[-1], view.ops
        if ops and isinstance(own, Take) and isinstance(ops[0], Take):
            return View(whole.base, (*whole.ops[:-1], taken(own, ops[0]), *ops[1:]), view.axes)
        return View(whole.base, (*whole.ops, *ops), view.axes)
