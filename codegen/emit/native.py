"""Kernels as compiled loops: one function for each, in the text of the module, for numba.

    @kernel
    def dense_1_kernel(dense_1, dense_1_z, bias):
        real = dense_1.dtype.type
        for n in range(dense_1.shape[0]):
            for o in range(dense_1.shape[1]):
                dense_1[n, o] = max_(dense_1_z[n, o] + bias[o], real(0))

Numbers are made the arrays' own type, `real`: a literal 2.0 would turn float32 into float64 there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from codegen.emit.breaking import broken
from codegen.emit.layout import call
from codegen.emit.native_point import KNOWN, Order, Part, PointWriter, free, leaves, operations, stem
from codegen.emit.optree import tree_of
from codegen.emit.ufuncs import Operand
from codegen.equation import Dtype, slot
from codegen.plan import Compute, Kernel
from codegen.view import View


def expressible(step: Compute) -> bool:
    """True for a step that gives floats or truth values and whose every operation has a form here."""
    tree = tree_of(step.body, lambda name: not name.startswith("_"))
    return (
        step.dtype in ("float", "bool")
        and bool(step.axes)
        and KNOWN.issuperset(node.ufunc for node in operations(tree))
    )


def worthwhile(kernel: Kernel) -> bool:
    """True for two operations or more: NumPy does one as fast, and is compiled already."""
    trees = [tree_of(step.body, lambda name: not name.startswith("_")) for step in kernel.steps]
    return sum(len(operations(tree)) + step.accumulate for tree, step in zip(trees, kernel.steps, strict=True)) > 1


@dataclass
class Kernels:
    """The functions of one program, in the order of their first use; equal ones are one."""

    prefix: str = ""
    functions: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def call_of(
        self,
        kernel: Kernel,
        text: Callable[[View], str],
        dtypes: Mapping[str, Dtype],
        scalars: Collection[str],
        indent: int,
    ) -> list[str]:
        """The call of a kernel.  text: of an array.  dtypes: by array.  scalars: the names of Python numbers."""
        symbols: dict[View, str] = {}  # of the value that an array holds at this point by now
        known: dict[str, Operand] = {}
        order: dict[str, tuple[str, ...]] = {}

        def leaf(view: View, spelled: str, dtype: Dtype) -> str:
            symbol = f"_{len(known)}"
            known[symbol] = Operand(spelled, frozenset(a for a in view.axes if a), dtype)
            order[symbol] = view.axes
            return symbol

        parts = []
        for inner, stored in zip(kernel.steps, kernel.stored, strict=True):
            for view in (*inner.operands, *([inner.out] if inner.accumulate else [])):
                if view not in symbols:
                    symbols[view] = leaf(view, text(view), dtypes[view.base])
            body = inner.body.xreplace({slot(k): slot(int(symbols[v][1:])) for k, v in enumerate(inner.operands)})
            if inner.accumulate:
                body = slot(int(symbols[inner.out][1:])) + body
            # A result that goes to no array has only a name.
            spelled = text(inner.out) if stored else "w." + re.sub(r"\W", "_", inner.out.base)
            symbols[inner.out] = leaf(inner.out, spelled, inner.dtype)
            parts.append(Part(tree_of(body, scalars.__contains__), symbols[inner.out], stored))
        return self._statement(parts, known, order, tuple(n for n, _ in kernel.steps[0].axes), indent)

    def _statement(
        self, parts: Sequence[Part], known: Mapping[str, Operand], order: Order, axes: tuple[str, ...], indent: int
    ) -> list[str]:
        """The call of the kernel that computes all parts at each point.

        known: text and dtype of each leaf.  order: the index of each axis of a leaf, "" for length 1.
        """
        writer = PointWriter(known, order, axes)
        for k, part in enumerate(parts):
            later = any(part.result in leaves(p.tree) for p in parts[k + 1 :])
            writer.write(part, later)
        first = next(part.result for part in parts if part.stored)
        array = writer.argument(known[first].text)
        head = [f"{'    ' * (k + 1)}for {axis} in range({array}.shape[{k}]):" for k, axis in enumerate(axes)]
        body = [part for line in writer.lines for part in broken(line, 4 * len(axes) + 4)]
        floats = next((n for n, t in writer.arguments.items() if _is_float(t, known)), None)
        uses = floats is not None and any("real(" in line for line in writer.lines)
        prologue = [f"    real = {floats}.dtype.type"] if uses else []
        text = "\n".join([", ".join(writer.arguments), *prologue, *head, *body])
        if text not in self.names:
            name = f"{self.prefix}{stem(known[parts[-1].result].text)}_kernel"
            unique = self.names[text] = free(name, set(self.names.values()))
            head_lines = ["@kernel", *call(f"def {unique}", list(writer.arguments), 0, ":")]
            self.functions[unique] = "\n".join([*head_lines, *text.splitlines()[1:]]) + "\n"
        return call(self.names[text], list(writer.arguments.values()), indent)


def _is_float(text: str, known: Mapping[str, Operand]) -> bool:
    return any(operand.text == text and operand.dtype == "float" for operand in known.values())
