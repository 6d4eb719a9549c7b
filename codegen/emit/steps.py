"""Steps as NumPy or numexpr statements."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import sympy

from codegen.analysis.elements import Arrays
from codegen.emit import native, numexpr
from codegen.emit.blocked import Block, rows_of
from codegen.emit.contiguous import Layouts, listed, part, slices_of
from codegen.emit.layout import WIDTH, call, headed, split_arguments
from codegen.emit.optree import OUT, Scalar, compared, leaves, tree_of, ufuncs
from codegen.emit.scope import Scope, number_text, op_text, size_text
from codegen.emit.ufuncs import Operand, UfuncWriter
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
    scalar: str = "w.scalar"
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

    def write(self, step: Step, indent: int) -> list[str]:
        """The statements of one step."""
        text = self.scope.text
        match step:
            case Compute():
                return self._compute(step, indent)
            case MatMul():
                function = "np.vecdot" if step.rows else "np.dot" if self.layouts.is_plain(step) else "np.matmul"
                return call(function, [text(step.left), text(step.right), f"out={text(step.out)}"], indent)
            case Reduce():
                axes = step.axes[0] if len(step.axes) == 1 else step.axes
                arguments = [text(step.source), f"axis={axes}", f"out={text(step.out)}"]
                return call(f"np.{step.ufunc}.reduce", arguments, indent)
            case ArgMax():
                return call("np.argmax", [text(step.source), f"axis={step.axis}", f"out={text(step.out)}"], indent)
            case Copy():
                return call("np.copyto", [text(step.out), text(step.source)], indent)
            case Fill():
                part = text(step.out)
                whole = not part.endswith("]") or part.endswith('"]')
                return [f"{' ' * indent}{part}{'[...]' if whole else ''} = {number_text(step.value)}"]
            case Gather():
                source, axis = (text(step.source), ["axis=0"]) if step.rows else (self.flat(step.source), [])
                arguments = [text(step.positions), *axis, f"out={text(step.out)}", 'mode="clip"']
                return call(f"{source}.take", arguments, indent)
            case ScatterAdd():
                return self._scatter(step, indent)
            case Note():
                return headed(step.equation, self.note(step.equation), indent)
            case Kernel() | Region() | Direct():
                return self._looped(step, indent)
            case Loop():
                return self._loop(step, indent)

    def _loop(self, loop: Loop, indent: int) -> list[str]:
        """A loop over the steps' slices, which the workspace has in lists; else over their numbers."""
        if all(isinstance(inner, Note) for inner in loop.steps):  # at every step it reads outside: nothing to add
            return [line for inner in loop.steps for line in self.write(inner, indent)]
        slices = slices_of(loop)
        bases = [self.scope.base(name) for name, _ in slices or ()]
        # Numbers are needed where one is part of a formula, or a slice is not one of the workspace.
        if slices and not self.loops and all(text.startswith("w.") for text in bases):
            names = [part(entry, self.scope).removeprefix("w.") for entry in slices]
            target = next(self.scope.base(s.equation.target) for s in loop.steps if isinstance(s, Note))
            steps = listed(f"{target.removeprefix('w.')}_steps", names, self.scope)
            locals_ = self._locals(names)
            self.scope.step, self.scope.steps = Affine.of(loop.index), dict(zip(slices, locals_, strict=True))
            source = f"reversed({steps})" if loop.backward else steps
            head = [f"{' ' * indent}for {', '.join(locals_)} in {source}:"]
            if len(head[0]) > WIDTH:  # as formatters write it: one name a line
                pad = " " * indent
                head = [f"{pad}for (", *(f"{pad}    {name}," for name in locals_), f"{pad}) in {source}:"]
        else:
            slices = None
            steps = f"range({size_text(loop.extent)})"
            head = [f"{' ' * indent}for {loop.index} in {f'reversed({steps})' if loop.backward else steps}:"]
        self.loops.append(loop.index)
        body = [line for inner in loop.steps for line in self.write(inner, indent + 4)]
        self.loops.pop()
        if slices:
            self.scope.steps = {}
        return [*head, *body] if body else []

    def _locals(self, attributes: Iterable[str]) -> list[str]:
        """The variables of a stage function that hold entries of these arrays."""
        taken = self._taken()
        found: list[str] = []
        for attribute in attributes:
            found.append(allocate(attribute, taken, stage_words()))
            taken.add(found[-1])
        return found

    def _taken(self) -> set[str]:
        """The sizes and indices that are variables here."""
        return {*self.scope.program.sizes, *self.loops}

    def flat(self, view: View) -> str:
        """A one-dimensional view of contiguous storage; of the workspace's, made with it."""
        tensor = self.scope.program.table.get(view.base)
        text = self.scope.text(view)
        if tensor is None or view.ops or not text.startswith("w.") or len(tensor.shape) < 2:
            return f"{text}.reshape(-1)"
        return self.scope.text(view.then(Reshape((tensor.shape,)), axes=("",)))

    def _scatter(self, step: ScatterAdd, indent: int) -> list[str]:
        flat, places = self.flat(step.out), self.scope.text(step.positions)
        if isinstance(step.values, View):
            values = self.scope.text(step.values)
            sign = "+="
        else:
            negative = step.values.could_extract_minus_sign()
            tree = tree_of(-step.values if negative else step.values, lambda _: True)
            assert isinstance(tree, Scalar)
            points = self.points(self.scope.shapes[step.positions.base])
            few = self.short and step.unique and points <= self.machine.limits.converted
            values = self._number(tree.text, self.dtypes[step.out.base]) if few else tree.text
            sign = "-=" if negative else "+="
        if step.unique:
            return [f"{' ' * indent}{flat}[{places}] {sign} {values}"]
        if sign == "-=":
            values = f"-({values})"
        return call("np.add.at", [flat, places, values], indent)

    def _compute(self, step: Compute, indent: int) -> list[str]:
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
            known[OUT.name] = Operand(self.scope.text(step.out), frozenset(axes), step.dtype, run)
            aliases.add(OUT.name)
        for k, view in enumerate(operands):
            named = frozenset(a for a in view.axes if a)
            known[f"_{k}"] = Operand(self.scope.text(view), named, self.dtypes[view.base], self.layouts.is_run(view))
            if self.root(view.base) == self.root(step.out.base):
                aliases.add(f"_{k}")
        integers = compared(tree)
        for name in sorted(leaves(tree) - set(known)):
            dtype: Dtype = "int" if step.dtype == "int" or name in integers else "float"
            values = View("#", (), (name,))
            shaped = aligned(values, axes)
            base = self.scope.index_values(extents[name], dtype)
            known[name] = Operand(
                base + "".join(op_text(op) for op in shaped.ops), frozenset((name,)), dtype, run=not shaped.ops
            )
        if "erf" in ufuncs(tree):
            self.helpers.add("erf")
        if numexpr.chosen(tree, known, step, self.target, self.machine):
            self.helpers.add("numexpr")
            return numexpr.statement(tree, known, self.scope.text(step.out), self.scalar, indent)
        out, scratch = self.scope.text(step.out), self._scratch(extents)
        shared = [v for v in operands if self.root(v.base) == self.root(step.out.base)]
        rows = None if self.loops else rows_of(step, tree, known, shared, self.machine)
        points = self.points(e for _, e in step.axes)
        number = self._number if self.short and points <= self.machine.limits.converted else None
        near = rows is not None or points <= self.machine.caches.kept
        head: list[str] = []
        if rows is not None:
            self.helpers.add("blocks")
            block = Block(axes[0], rows, self._taken(), stage_words())
            known = {name: block.operand(operand) for name, operand in known.items()}
            out, scratch = block.view(out), block.scratched(scratch)
        writer = UfuncWriter(axes, out, known, scratch, frozenset(aliases), step.dtype, number, run, near)
        lines = writer.write(tree)
        self.buffered |= writer.buffered
        if rows is not None:
            head, indent = block.loop(size_text(step.axes[0][1]), out, indent), indent + 4
        return [*head, *(part for line in lines for part in _formatted(line, indent))]

    def _number(self, text: str, dtype: Dtype) -> str:
        """A number as NumPy wants it; one that changes from step to step of a loop as it is."""
        loops = any(re.search(rf"\b{index}\b", text) for index in self.loops)
        return text if loops else self.scope.number(text, dtype)

    def root(self, name: str) -> str:
        """The array whose storage a tensor lies in."""
        while name in self.roots:
            name = self.roots[name]
        return name

    def _looped(self, step: Kernel | Region | Direct, indent: int) -> list[str]:
        """The call of compiled loops, where that is worth it."""
        if isinstance(step, Direct):
            return self.kernels.direct(step, self.scope.text, indent)
        if isinstance(step, Kernel) and len(step.steps) == 1 and not native.worthwhile(step):
            return self._compute(step.steps[0], indent)
        scope = self.scope
        return self.kernels.call_of(step, scope.text, self.dtypes, {*scope.program.sizes, *self.loops}, indent)

    def _scratch(self, extents: dict[str, Affine]) -> Callable[..., str]:
        def scratch(axes: tuple[str, ...], dtype: Dtype, number: int, first: Affine | None = None) -> str:
            order = tuple(extents)
            tail = order[order.index(axes[0]) :] if axes else ()
            shape = [extents[a] if a in axes else Affine.of(1) for a in tail]
            return self.scope.scratch([first, *shape[1:]] if first else shape, dtype, number)

        return scratch


def _formatted(line: str, indent: int) -> list[str]:
    head, _, rest = line.partition("(")
    if not rest or not line.endswith(")") or "[...] = " in line:
        return [" " * indent + line]
    return call(head, split_arguments(rest[:-1]), indent)
