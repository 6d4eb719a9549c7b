"""Steps as NumPy or numexpr statements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import sympy

from codegen.affine import Affine
from codegen.emit import numexpr
from codegen.emit.layout import call, headed
from codegen.emit.optree import OUT, Leaf, Node, Scalar, Tree, tree_of
from codegen.emit.scope import Scope, number_text, op_text, size_text, split_arguments
from codegen.emit.ufuncs import Operand, UfuncWriter
from codegen.equation import Dtype, Equation
from codegen.plan import (
    Alias,
    ArgMax,
    Buffer,
    Compute,
    Copy,
    Fill,
    Gather,
    Loop,
    MatMul,
    Note,
    Plan,
    Reduce,
    ScatterAdd,
    Step,
)
from codegen.view import View, aligned


@dataclass
class StepWriter:
    """Writes steps inside a stage function; `target` is "numpy", "numexpr" or "auto"."""

    scope: Scope
    target: str
    note: Callable[[Equation], str]
    dtypes: Mapping[str, Dtype]
    roots: dict[str, str] = field(default_factory=dict)
    helpers: set[str] = field(default_factory=set)
    loops: list[str] = field(default_factory=list)

    @staticmethod
    def for_plan(plan: Plan, scope: Scope, target: str, note: Callable[[Equation], str]) -> StepWriter:
        """A writer that knows which names share storage, and the dtype of each."""
        roots = {item.name: item.view.base for item in plan.setup if isinstance(item, Alias) and not item.view.ops}
        dtypes = {tensor.name: tensor.dtype for tensor in scope.program.tensors}
        for item in plan.setup:
            dtypes.setdefault(item.name, item.dtype if isinstance(item, Buffer) else dtypes[item.view.base])
        return StepWriter(scope, target, note, dtypes, roots)

    def write(self, step: Step, indent: int) -> list[str]:
        """The statements of one step."""
        text = self.scope.text
        match step:
            case Compute():
                return self._compute(step, indent)
            case MatMul():
                return call("np.matmul", [text(step.left), text(step.right), f"out={text(step.out)}"], indent)
            case Reduce():
                axes = step.axes[0] if len(step.axes) == 1 else step.axes
                arguments = [text(step.source), f"axis={axes}", f"out={text(step.out)}"]
                return call(f"np.{step.ufunc}.reduce", arguments, indent)
            case ArgMax():
                return call("np.argmax", [text(step.source), f"axis={step.axis}", f"out={text(step.out)}"], indent)
            case Copy():
                return call("np.copyto", [text(step.out), text(step.source)], indent)
            case Fill():
                return [f"{' ' * indent}{text(step.out)}[...] = {number_text(step.value)}"]
            case Gather():
                flat = self.flat(step.source)
                arguments = [f"{text(step.positions)}", f"out={text(step.out)}", 'mode="clip"']
                return call(f"{flat}.take", arguments, indent)
            case ScatterAdd():
                return self._scatter(step, indent)
            case Note():
                return headed(step.equation, self.note(step.equation), indent)
            case Loop():
                steps = f"range({size_text(step.extent)})"
                head = f"{' ' * indent}for {step.index} in {f'reversed({steps})' if step.backward else steps}:"
                self.loops.append(step.index)
                body = [line for inner in step.steps for line in self.write(inner, indent + 4)]
                self.loops.pop()
                return [head, *body] if body else []

    def flat(self, view: View) -> str:
        """A one-dimensional view of contiguous storage."""
        return f"{self.scope.text(view)}.reshape(-1)"

    def _scatter(self, step: ScatterAdd, indent: int) -> list[str]:
        flat, places = self.flat(step.out), self.scope.text(step.positions)
        if isinstance(step.values, View):
            values = self.scope.text(step.values)
            sign = "+="
        else:
            negative = step.values.could_extract_minus_sign()
            tree = tree_of(-step.values if negative else step.values, lambda _: True)
            assert isinstance(tree, Scalar)
            values, sign = tree.text, "-=" if negative else "+="
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
        tree = tree_of(body, lambda name: name in scalars)
        axes = tuple(name for name, _ in step.axes)
        extents = dict(step.axes)
        known: dict[str, Operand] = {}
        aliases = set()
        if step.accumulate:
            known[OUT.name] = Operand(self.scope.text(step.out), frozenset(axes), step.dtype)
            aliases.add(OUT.name)
        for k, view in enumerate(operands):
            known[f"_{k}"] = Operand(
                self.scope.text(view), frozenset(a for a in view.axes if a), self.dtypes[view.base]
            )
            if self._root(view.base) == self._root(step.out.base):
                aliases.add(f"_{k}")
        compared = _compared(tree)
        for name in sorted(_leaves(tree) - set(known)):
            dtype: Dtype = "int" if step.dtype == "int" or name in compared else "float"
            values = View("#", (), (name,))
            shaped = aligned(values, axes)
            base = self.scope.index_values(extents[name], dtype)
            known[name] = Operand(base + "".join(op_text(op) for op in shaped.ops), frozenset((name,)), dtype)
        if "erf" in _ufuncs(tree):
            self.helpers.add("erf")
        if numexpr.chosen(tree, known, step, self.target):
            return numexpr.statement(tree, known, self.scope.text(step.out), step.dtype, indent, self.helpers)
        writer = UfuncWriter(
            axes,
            self.scope.text(step.out),
            known,
            self._scratch(extents),
            frozenset(aliases),
            step.dtype,
        )
        lines = writer.write(tree)
        return [part for line in lines for part in _formatted(line, indent)]

    def _root(self, name: str) -> str:
        while name in self.roots:
            name = self.roots[name]
        return name

    def _scratch(self, extents: dict[str, Affine]) -> Callable[[tuple[str, ...], Dtype, int], str]:
        def scratch(axes: tuple[str, ...], dtype: Dtype, number: int) -> str:
            order = tuple(extents)
            tail = order[order.index(axes[0]) :] if axes else ()
            shape = [extents[a] if a in axes else Affine.of(1) for a in tail]
            return self.scope.scratch(shape, dtype, number)

        return scratch


def _formatted(line: str, indent: int) -> list[str]:
    head, _, rest = line.partition("(")
    if not rest or not line.endswith(")") or "[...] = " in line:
        return [" " * indent + line]
    return call(head, split_arguments(rest[:-1]), indent)


def _leaves(tree: Tree) -> set[str]:
    if isinstance(tree, Leaf):
        return {tree.symbol}
    return set().union(*(_leaves(a) for a in tree.args)) if isinstance(tree, Node) else set()


def _ufuncs(tree: Tree) -> set[str]:
    return {tree.ufunc}.union(*(_ufuncs(a) for a in tree.args)) if isinstance(tree, Node) else set()


def _compared(tree: Tree) -> set[str]:
    """Index leaves that stand in comparisons, where they are integers."""
    if not isinstance(tree, Node):
        return set()
    if tree.ufunc in ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal"):
        return {n for n in _leaves(tree) if not n.startswith("_")}
    return set().union(*(_compared(a) for a in tree.args))
