"""Where arrays are without gaps, so that calls that take no others can be made, and slices taken beforehand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from codegen.emit.code import Field, called
from codegen.emit.scope import OWN, Scope
from codegen.ir.affine import Affine
from codegen.ir.plan import Alias, Compute, Kernel, Loop, MatMul, Plan, Region, views_of
from codegen.ir.view import FULL, Op, Reshape, Slice, Take, Transpose, View, Windows, fixed, names_of


@dataclass(frozen=True)
class Layouts:
    """How the arrays of a plan lie.  aliases: the views that tensors are.  scattered: those of them with gaps."""

    scope: Scope
    aliases: Mapping[str, View]
    scattered: frozenset[str]

    @staticmethod
    def of(plan: Plan, scope: Scope, turned: Iterable[str]) -> Layouts:
        """The layouts of a plan, whose buffers the scope will declare; no row of what is `turned` is contiguous."""
        aliases = {item.name: item.view for item in plan.setup if isinstance(item, Alias)}
        gaps = {n for n, view in aliases.items() if not all(isinstance(o, Reshape) or is_run(o) for o in view.ops)}
        scattered = {name for name in aliases if gaps & {name, *_bases(name, aliases)}}
        return Layouts(scope, aliases, frozenset({*scattered, *turned}))

    def is_plain(self, product: MatMul) -> bool:
        """Whether it is a product of matrices or vectors without gaps, for which `dot` is the quicker call.

        It copies operands that have gaps.
        """
        left, right, out = product.left, product.right, product.out
        whole = all(
            view.base not in self.scattered
            and all(
                isinstance(op, Reshape) or is_run(op) or (isinstance(op, Transpose) and view != out) for op in view.ops
            )
            for view in (left, right, out)
        )
        return whole and all(self.rank(view) <= 2 for view in (left, right))

    def is_run(self, view: View) -> bool:
        """Whether a view is of an array without gaps, or of a run of it."""
        return view.base not in self.scattered and all(isinstance(op, Reshape) or is_run(op) for op in view.ops)

    def rank(self, view: View) -> int:
        """The number of axes of a view."""
        if not view.ops:
            table, shapes = self.scope.program.table, self.scope.shapes
            if view.base in self.aliases and view.base not in table:
                return self.rank(self.aliases[view.base])
            return len(table[view.base].shape if view.base in table else shapes[view.base])
        match view.ops[-1]:
            case Reshape(shape):
                return len(shape)
            case Windows(shape, _):
                return len(shape)
            case Transpose(order):
                return len(order)
            case Take(items):
                before = self.rank(View(view.base, view.ops[:-1]))
                return before - sum(isinstance(item, Affine) for item in items) + items.count(None)


def _bases(name: str, aliases: Mapping[str, View]) -> list[str]:
    """What a tensor is a view of, and that one, and so on."""
    found = []
    while name in aliases:
        name = aliases[name].base
        found.append(name)
    return found


def is_run(op: Op) -> bool:
    """Whether an indexing of contiguous storage leaves it contiguous: places first, one run, then whole axes."""
    if not isinstance(op, Take):
        return False
    rest = list(op.items)
    while rest and isinstance(rest[0], Affine):
        rest.pop(0)
    run = isinstance(rest[0], Slice) and rest[0].step == 1 if rest else True
    return run and all(item == FULL for item in rest[1:])


Entry = tuple[str, tuple[Affine | Slice, ...]]
"""A tensor, and which part of its slice at a step: the rest of the subscripts, where they are numbers."""


def slices_of(loop: Loop) -> list[Entry] | None:
    """The slices at the loop's step that its steps use; None where they use its number."""
    step = Affine.of(loop.index)
    found: dict[Entry, None] = {}
    for inner in loop.steps:
        compiled = isinstance(inner, Kernel | Region)
        if compiled or isinstance(inner, Loop) or (isinstance(inner, Compute) and _names_index(inner, loop.index)):
            return None
        for view in views_of(inner):
            uses = [names_of(op) for op in view.ops if isinstance(op, Take) and loop.index in names_of(op)]
            if not uses:
                continue
            first = view.ops[0]
            # What is left of a vector is a number, which could not be written to.
            items = first.items if isinstance(first, Take) and len(first.items) > 1 else ()
            again = isinstance(first, Take) and loop.index in names_of(Take(first.items[1:]))
            if not items or items[0] != step or again or len(uses) > 1:
                return None
            found[view.base, fixed(items[1:])] = None
    return list(found) or None


def part(entry: Entry, scope: Scope) -> str:
    """The attribute of an array whose entries along its first axis are the slices."""
    base, rest = entry
    whole = scope.attribute(base)
    if not rest:
        return whole
    words = ["row" if isinstance(rest[-1], Affine) else "rows"]
    for item in rest:
        words += [str(item)] if isinstance(item, Affine) else [str(item.start), str(item.start + item.length - 1)]
    source = View(base).then(Take((FULL, *rest)), axes=())
    return scope.once(scope.spelled(source, OWN), f"{whole}_{'_'.join(words)}")


def listed(name: str, arrays: Sequence[str], scope: Scope) -> str:
    """The attribute of a list with the arrays' entries along their first axis, side by side."""
    return scope.once(called("list", called("zip", *(Field(OWN, array) for array in arrays))), name)


def _names_index(step: Compute, index: str) -> bool:
    return index in {s.name for s in step.body.free_symbols}
