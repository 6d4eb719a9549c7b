"""Recurrences as loops.

Inside one step of the loop the recurrent tensors have no step axis: `h[t,n,k]`
is the slice `h.now[n,k]`, `h[t-1,n,k]` the slice `h.before[n,k]`.  The equations
of a step, written over such slices, are lowered by the same rules as any others;
afterwards the slices are put back in place of their names.

Every recurrent tensor that is read beyond its ends is stored inside a frame of
zeros, so that the state before the first step is there to be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import sympy

from codegen.affine import Affine
from codegen.analysis.loops import Recurrence
from codegen.equation import Equation, Guard, Program, Read, Tensor, index_symbol, size_symbol
from codegen.errors import CodegenError
from codegen.ir.edit import map_all_reads, map_read, renamed
from codegen.lower.storage import Storage
from codegen.plan import Block, Compute, Loop, Note, Region, Step, accesses, mapped, views_of
from codegen.view import FULL, Slice, Take, View, names_of, taken


def recurrence(loop: Recurrence, legal: Sequence[Equation], storage: Storage) -> Block:
    """The block of one recurrence: what does not change before the loop, then the loop.

    legal: its equations with nothing implicit.
    """
    index = loop.index(loop.equations[0])
    slices = _Slices(storage, index)
    equations = [_with_index(e, loop.index(e), index) for e in legal]
    stepped = [slices.equation(e, loop.axes[e.target]) for e in equations]
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


class _Slices:
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

    def equation(self, equation: Equation, axis: int) -> Equation:
        """The equation of one step: without the step index, over slices."""
        target = map_read(Read(equation.target, equation.at), lambda read: self.read(read, equation))
        if target.tensor == equation.target:
            raise CodegenError(f"{equation.target}: axis {axis} of the left side is not the index of the loop")
        box = tuple((n, e) for n, e in equation.box if n != self.index)
        stepped = map_all_reads(equation, lambda read: self.read(read, equation))
        return stepped.with_(
            target=target.tensor,
            at=target.at,
            guards=tuple(map(self.guard, stepped.guards)),
            box=box,
            over=tuple(n for n in equation.over if n != self.index),
        )

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

    def read(self, read: Read, equation: Equation) -> Read:
        """The read through a slice, when one of its subscripts is the step index plus a distance."""
        at = read.at
        axes = [k for k, s in enumerate(at) if isinstance(s, Affine) and s.coefficient(self.index)]
        if not axes:
            return read
        axis = axes[0]
        moved = at[axis]
        assert isinstance(moved, Affine)
        if len(axes) > 1 or any(n in equation.extents for n in moved.without(self.index).names):
            raise CodegenError(
                f"{equation.target}: {read.tensor} is read at {moved}, and recurs; expected one subscript with the "
                "index of the steps, and no other index in it"
            )
        base, subscript = self.storage.along(read.tensor, axis, moved, equation)
        shape = self.storage.shapes[base]
        name = self._slice(read.tensor, base, axis, subscript, shape)
        return replace(read, tensor=name, at=at[:axis] + at[axis + 1 :])

    def _slice(self, tensor: str, base: str, axis: int, subscript: Affine, shape: tuple[Affine, ...]) -> str:
        items: tuple[Affine | Slice, ...] = tuple(subscript if k == axis else FULL for k in range(len(shape)))
        view = View(base).then(Take(items), axes=())
        for name, known in self.views.items():
            if known == view:
                return name
        name = self.storage.unused(f"{base}.now")
        source = self.storage.program.table[tensor]
        left = shape[:axis] + shape[axis + 1 :]
        self.views[name] = view
        self.tensors[name] = replace(source, name=name, shape=left, kind="value")
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
