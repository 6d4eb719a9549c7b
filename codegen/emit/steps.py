"""Steps as NumPy or numexpr statements."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce

import sympy

from codegen.analysis.elements import Arrays
from codegen.emit import native, numexpr
from codegen.emit.blocked import Block, rows_of
from codegen.emit.code import (
    Assign,
    Code,
    Comment,
    Field,
    For,
    Item,
    Name,
    Prefix,
    Quoted,
    Row,
    Statement,
    called,
    names,
    number,
    row,
    size,
)
from codegen.emit.contiguous import Layouts, listed, part, slices_of
from codegen.emit.operand import Operand
from codegen.emit.optree import OUT, Scalar, compared, leaves, tree_of, ufuncs
from codegen.emit.scope import SCALAR, WORKSPACE, Scope, stem
from codegen.emit.ufuncs import UfuncWriter
from codegen.emit.views import applied
from codegen.emit.words import stage_words
from codegen.ir.affine import Affine
from codegen.ir.equation import Dtype, Equation
from codegen.ir.names import allocate
from codegen.ir.plan import (
    Alias,
    ArgMax,
    Buffer,
    Compute,
    Copy,
    Direct,
    Fill,
    Gather,
    Kernel,
    Loop,
    MatMul,
    Note,
    Plan,
    Reduce,
    Region,
    ScatterAdd,
    Step,
)
from codegen.ir.view import Reshape, View, aligned
from codegen.machine.model import MACHINE, Machine
from codegen.machine.target import Target


@dataclass
class StepWriter:
    """Writes steps inside a stage function; `target` says which kernels numexpr evaluates.

    short: whether the longest kernel is so short that the time of converting a number shows.
    buffered: whether NumPy takes numbers through buffers of its own in some call written so far.
    scalar: the function that makes a number one of the arrays' dtype.
    """

    scope: Scope
    target: Target
    note: Callable[[Equation], str]
    dtypes: Mapping[str, Dtype]
    layouts: Layouts
    machine: Machine = MACHINE
    roots: dict[str, str] = field(default_factory=dict)
    helpers: set[str] = field(default_factory=set)
    loops: list[str] = field(default_factory=list)
    short: bool = True
    buffered: bool = False
    scalar: Code = SCALAR
    kernels: native.Kernels = field(default_factory=native.Kernels)

    @staticmethod
    def for_plan(
        plan: Plan,
        scope: Scope,
        target: Target,
        note: Callable[[Equation], str],
        turned: Iterable[str] = (),
        machine: Machine = MACHINE,
    ) -> StepWriter:
        """A writer that knows which names share storage, and the dtype of each.

        turned: tensors that may be stored with their columns first.  machine: what the code is to be fast on.
        """
        roots = {item.name: item.view.base for item in plan.setup if isinstance(item, Alias)}
        dtypes = {tensor.name: tensor.dtype for tensor in scope.program.tensors}
        for item in plan.setup:
            dtypes.setdefault(item.name, item.dtype if isinstance(item, Buffer) else dtypes[item.view.base])
        kernels = native.Kernels(arrays=Arrays.of(plan, scope.program, turned), note=note)
        steps = [step for block in plan.blocks for step in block.steps if isinstance(step, Compute)]
        layouts = Layouts.of(plan, scope, turned)
        writer = StepWriter(scope, target, note, dtypes, layouts, machine, roots, kernels=kernels)
        writer.short = all(writer.points(e for _, e in step.axes) <= machine.caches.kept for step in steps)
        return writer

    def points(self, extents: Iterable[Affine]) -> int:
        """How many numbers an array of these extents has, at typical sizes."""
        return math.prod(e.assumed(self.machine.sizes.typical) for e in extents)

    def write(self, step: Step) -> list[Statement]:
        """The statements of one step."""
        code = self.scope.code
        match step:
            case Compute():
                return self._compute(step)
            case MatMul():
                function = "np.vecdot" if step.rows else "np.dot" if self.layouts.is_plain(step) else "np.matmul"
                return [called(function, code(step.left), code(step.right), out=code(step.out))]
            case Reduce():
                axes = number(step.axes[0]) if len(step.axes) == 1 else row(map(number, step.axes))
                return [called(f"np.{step.ufunc}.reduce", code(step.source), axis=axes, out=code(step.out))]
            case ArgMax():
                return [called("np.argmax", code(step.source), axis=number(step.axis), out=code(step.out))]
            case Copy():
                return [called("np.copyto", code(step.out), code(step.source))]
            case Fill():
                out = code(step.out)
                part = isinstance(out, Item) and not isinstance(out.items[0], Quoted)
                return [Assign(out if part else Item(out, (Name("..."),)), number(step.value))]
            case Gather():
                source, axis = (code(step.source), {"axis": number(0)}) if step.rows else (self.flat(step.source), {})
                arguments = axis | {"out": code(step.out), "mode": Quoted("clip")}
                return [called(Field(source, "take"), code(step.positions), **arguments)]
            case ScatterAdd():
                return [self._scatter(step)]
            case Note():
                return [Comment(self.note(step.equation), step.equation)]
            case Kernel() | Region() | Direct():
                return self._looped(step)
            case Loop():
                return self._loop(step)

    def _loop(self, loop: Loop) -> list[Statement]:
        """A loop over the steps' slices, which the workspace has in lists; else over their numbers."""
        if all(isinstance(inner, Note) for inner in loop.steps):  # at every step it reads outside: nothing to add
            return [statement for inner in loop.steps for statement in self.write(inner)]
        slices = slices_of(loop)
        # Numbers are needed where one is part of a formula, or a slice is not one of the workspace.
        if slices and not self.loops and all(self.scope.is_own(name) for name, _ in slices):
            arrays = [part(entry, self.scope) for entry in slices]
            target = next(s.equation.target for s in loop.steps if isinstance(s, Note))
            steps: Code = Field(WORKSPACE, listed(f"{stem(self.scope.base(target))}_steps", arrays, self.scope))
            goals = self._locals(arrays)
            self.scope.step, self.scope.steps = Affine.of(loop.index), dict(zip(slices, goals, strict=True))
        else:
            slices, goals = None, [Name(loop.index)]
            steps = called("range", size(loop.extent))
        self.loops.append(loop.index)
        body = [statement for inner in loop.steps for statement in self.write(inner)]
        self.loops.pop()
        if slices:
            self.scope.steps = {}
        return [For(tuple(goals), called("reversed", steps) if loop.backward else steps, body)] if body else []

    def _locals(self, attributes: Iterable[str]) -> list[Name]:
        """The variables of a stage function that hold entries of these arrays."""
        taken = self._taken()
        found: list[Name] = []
        for attribute in attributes:
            found.append(Name(allocate(attribute, taken, stage_words())))
            taken.add(found[-1].text)
        return found

    def _taken(self) -> set[str]:
        """The sizes and indices that are variables here."""
        return {*self.scope.program.sizes, *self.loops}

    def flat(self, view: View) -> Code:
        """A one-dimensional view of contiguous storage; of the workspace's, made with it."""
        tensor = self.scope.program.table.get(view.base)
        if tensor is None or view.ops or not self.scope.is_own(view.base) or len(tensor.shape) < 2:
            return called(Field(self.scope.code(view), "reshape"), number(-1))
        return self.scope.code(view.then(Reshape((tensor.shape,)), axes=("",)))

    def _scatter(self, step: ScatterAdd) -> Statement:
        flat, places = self.flat(step.out), self.scope.code(step.positions)
        negative = False
        if isinstance(step.values, View):
            values = self.scope.code(step.values)
        else:
            negative = step.values.could_extract_minus_sign()
            tree = tree_of(-step.values if negative else step.values, lambda _: True)
            assert isinstance(tree, Scalar)
            points = self.points(self.scope.shapes[step.positions.base])
            few = self.short and step.unique and points <= self.machine.limits.converted
            values = self._number(tree.code, self.dtypes[step.out.base]) if few else tree.code
        if step.unique:
            return Assign(Item(flat, (places,)), values, "-" if negative else "+")
        return called("np.add.at", flat, places, Prefix("-", Row((values,))) if negative else values)

    def _compute(self, step: Compute) -> list[Statement]:
        scalars = {*self.scope.program.sizes, *self.loops}
        body: sympy.Expr = step.body
        operands = list(step.operands)
        if step.accumulate:
            # out += body  is  out = out + body, with the destination as an operand.
            body = OUT + body
        axes = tuple(name for name, _ in step.axes)
        indices = {f"_{k}": frozenset(a for a in v.axes if a) for k, v in enumerate(operands)}
        indices |= {OUT.name: frozenset(axes)} | {a: frozenset((a,)) for a in axes}
        real = {f"_{k}" for k, view in enumerate(operands) if self.dtypes[view.base] == "float"} | {OUT.name}
        tree = tree_of(body, lambda name: name in scalars, indices, lambda name: name not in real)
        extents = dict(step.axes)
        known: dict[str, Operand] = {}
        aliases = set()
        run = self.layouts.is_run(step.out)
        if step.accumulate:
            known[OUT.name] = Operand(self.scope.code(step.out), frozenset(axes), step.dtype, run)
            aliases.add(OUT.name)
        for k, view in enumerate(operands):
            named = frozenset(a for a in view.axes if a)
            known[f"_{k}"] = Operand(self.scope.code(view), named, self.dtypes[view.base], self.layouts.is_run(view))
            if self.root(view.base) == self.root(step.out.base):
                aliases.add(f"_{k}")
        integers = compared(tree)
        for name in sorted(leaves(tree) - set(known)):
            dtype: Dtype = "int" if step.dtype == "int" or name in integers else "float"
            values = View("#", (), (name,))
            shaped = aligned(values, axes)
            base = self.scope.index_values(extents[name], dtype)
            known[name] = Operand(reduce(applied, shaped.ops, base), frozenset((name,)), dtype, run=not shaped.ops)
        if "erf" in ufuncs(tree):
            self.helpers.add("erf")
        if numexpr.chosen(tree, known, step, self.target, self.machine):
            self.helpers.add("numexpr")
            return [numexpr.statement(tree, known, self.scope.code(step.out), self.scalar)]
        out, scratch = self.scope.code(step.out), self._scratch(extents)
        shared = [v for v in operands if self.root(v.base) == self.root(step.out.base)]
        rows = None if self.loops else rows_of(step, tree, known, shared, self.machine)
        points = self.points(e for _, e in step.axes)
        number = self._number if self.short and points <= self.machine.limits.converted else None
        near = rows is not None or points <= self.machine.caches.kept
        block = None
        if rows is not None:
            self.helpers.add("blocks")
            block = Block(axes[0], rows, self._taken(), stage_words())
            known = {name: block.operand(operand) for name, operand in known.items()}
            out, scratch = block.view(out), block.scratched(scratch)
        writer = UfuncWriter(axes, out, known, scratch, frozenset(aliases), step.dtype, number, run, near)
        statements = writer.write(tree)
        self.buffered |= writer.buffered
        return statements if block is None else [block.loop(size(step.axes[0][1]), out, statements)]

    def _number(self, value: Code, dtype: Dtype) -> Code:
        """A number as NumPy wants it; one that changes from step to step of a loop as it is."""
        return self.scope.number(value, dtype) if set(self.loops).isdisjoint(names(value)) else value

    def root(self, name: str) -> str:
        """The array whose storage a tensor lies in."""
        while name in self.roots:
            name = self.roots[name]
        return name

    def _looped(self, step: Kernel | Region | Direct) -> list[Statement]:
        """The call of compiled loops, where that is worth it."""
        if isinstance(step, Direct):
            return [self.kernels.direct(step, self.scope.code)]
        if isinstance(step, Kernel) and len(step.steps) == 1 and not native.worthwhile(step):
            return self._compute(step.steps[0])
        scope = self.scope
        return [self.kernels.call_of(step, scope.code, self.dtypes, {*scope.program.sizes, *self.loops})]

    def _scratch(self, extents: dict[str, Affine]) -> Callable[..., Code]:
        def scratch(axes: tuple[str, ...], dtype: Dtype, number: int, first: Affine | None = None) -> Code:
            order = tuple(extents)
            tail = order[order.index(axes[0]) :] if axes else ()
            shape = [extents[a] if a in axes else Affine.of(1) for a in tail]
            return self.scope.scratch([first, *shape[1:]] if first else shape, dtype, number)

        return scratch
