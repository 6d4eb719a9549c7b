"""Definitions to equations in normal form, once all extents are known.

Sums are linear: each additive term of a right side that is a sum becomes an
equation of its own on the same target, and the elementwise terms together are
the last one.  Every other reduction inside gets a tensor of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sympy

from codegen.ir.affine import Affine
from codegen.ir.equation import SKIPPING, Dtype, Equation, Guard, Read, Reduction, Subscript, Tensor, indices_of, slot
from codegen.ir.names import Together, allocate
from codegen.notation.body import Draft
from codegen.notation.conditions import guards_of, range_guards
from codegen.notation.extents import Unknown
from codegen.notation.linear import is_constant, linear, resolved, used
from codegen.notation.parts import in_parts
from codegen.notation.refusals import check_left, check_reads, is_inside
from codegen.notation.scope import Context, Scope
from codegen.notation.syntax import (
    Access,
    Add,
    Condition,
    Definition,
    Group,
    Mul,
    Negate,
    Node,
    Number,
    Part,
    Reduce,
    children,
)

SUMS = ("sum", "mean")
Term = tuple[sympy.Expr, Node]


@dataclass(frozen=True)
class Target:
    """What an equation defines: the tensor, its subscripts, their indices, and the user's target it serves."""

    name: str
    at: tuple[Subscript, ...]
    free: tuple[str, ...]
    root: str

    @property
    def plain(self) -> bool:
        """Whether the subscripts are distinct plain indices, as reductions other than `sum` need."""
        names = [s.plain if isinstance(s, Affine) else None for s in self.at]
        return None not in names and len(set(names)) == len(names) == len(self.free)


class Normaliser:
    """Collects the equations of a text, and the tensors invented on the way."""

    def __init__(self, context: Context, extents: Mapping[Unknown, Affine], stage: str, origin: str) -> None:
        self.context = context
        self.extents = extents
        self.stage = stage
        self.origin = origin
        self.equations: list[Equation] = []
        self.invented: list[Tensor] = []
        self.shapes: dict[str, tuple[Affine, ...]] = {}
        self.defined: set[str] = set()
        self.known = frozenset(t.program_name for t in context.locals.values())
        self.fresh = frozenset(t.program_name for t in context.locals.values() if t.fresh)
        self.summed: set[str] = set()
        """Targets that are the sum of several definitions: a maximum among these has a tensor of its own."""

    def definition(self, definition: Definition, scope: Scope) -> None:
        """Add the equations of one definition."""
        local = self.context.locals[definition.target]
        at = tuple(self.subscript(s, scope) for s in definition.subscripts)
        symbols = self.context.symbols
        free = tuple(name for name in indices_of(at) if name not in symbols)
        target = Target(local.program_name, at, free, local.program_name)
        if local.fresh and local.shape is None:
            written = tuple(self.subscript(s, scope, split=False) for s in definition.subscripts)
            extents = {name: self.extents[variable] for name, variable in scope.indices.items()}
            check_left(self.context.source, definition, written, self.shapes[target.name], extents)
        if definition.accumulate:
            self.defined.add(target.name)
        self.right(target, definition.expression, scope)

    def right(self, target: Target, node: Node, scope: Scope) -> None:
        """The equations `target = node`: sums first, the elementwise rest last."""
        first = target.name not in self.defined and target.name not in self.summed
        direct = isinstance(node, Reduce) and node.op not in SUMS and target.plain and first
        if isinstance(node, Reduce) and direct and used(node, scope) >= set(target.free):
            self.reduction(target, sympy.S.One, node, scope)
            return
        terms = self.terms(node, scope, sympy.S.One)
        sums = [term for term in terms if self._merges(term[1], target, scope)]
        rest = [term for term in terms if not self._merges(term[1], target, scope)] if sums else [(sympy.S.One, node)]
        for factor, term in sums:
            assert isinstance(term, Reduce)
            self.reduction(target, factor, term, scope)
        if rest:
            draft = self._draft(scope, target)
            read = draft.expression if sums else draft.terms
            body = sympy.Add(*(factor * read(self._in_parts(term, scope)) for factor, term in rest))
            self.add(target, (), "sum", (), body, draft, scope, node.at)

    def _in_parts(self, node: Node, scope: Scope, whole: bool = True, skipping: bool = False) -> Node:
        """`node`, parts marked where it is too large.  whole: all points are used.  skipping: some are left out."""

        def apart(part: Node) -> bool:
            return not is_constant(part, scope) and not (skipping and self._may_leave(part, scope))

        return in_parts(node, self.context.source, whole, apart)

    def terms(self, node: Node, scope: Scope, factor: sympy.Expr) -> list[Term]:
        """The additive terms of `node` with constant factors, distributed over sums."""
        if isinstance(node, Add):
            return [found for sign, term in node.terms for found in self.terms(term, scope, factor * sign)]
        if isinstance(node, Negate):
            return self.terms(node.operand, scope, -factor)
        if isinstance(node, Mul):
            inner = [(divides, f) for divides, f in node.factors if not is_constant(f, scope)]
            if len(inner) == 1 and not inner[0][0] and _holds_sum(inner[0][1]):
                outer = tuple(f for f in node.factors if f[1] is not inner[0][1])
                draft = self._draft(scope, None)
                constant = draft.expression(Mul(((False, Number(sympy.S.One, node.at)), *outer), node.at))
                return self.terms(inner[0][1], scope, factor * constant)
        return [(factor, node)]

    def _merges(self, node: Node, target: Target, scope: Scope) -> bool:
        """A sum that depends on every index of the target; another would be computed once for each."""
        return isinstance(node, Reduce) and node.op in SUMS and used(node, scope) >= set(target.free)

    def reduction(self, target: Target, factor: sympy.Expr, node: Reduce, scope: Scope) -> None:
        """The equation `target (+)= factor * reduction`; sums of sums become one."""
        over: list[str] = []
        guards: list[Guard] = []
        body: Node = node
        op = node.op
        while isinstance(body, Reduce) and (body is node or (op in SUMS and body.op in SUMS)):
            scope = scope.bind(body.indices, body.at)
            names = [n for index in body.indices for n in resolved(Affine.of(index.name), scope).names]
            over += names
            guards += self._guards(body, scope)
            if body.op == "mean":
                factor = factor / self._count(body, scope)
            body = body.body
        draft = self._draft(scope, target, op in SKIPPING)
        body = self._in_parts(body, scope, not guards, op in SKIPPING)
        value = draft.expression(body) if factor == 1 else factor * draft.expression(body)
        reduce: Reduction = "sum" if op in SUMS else op  # type: ignore[assignment]
        self.add(target, tuple(over), reduce, tuple(guards), value, draft, scope, node.at)

    def _guards(self, node: Reduce, scope: Scope) -> list[Guard]:
        if node.op == "mean" and node.guards:
            raise self.context.source.fault(
                node.at, "a mean cannot have a guard", mend="divide a sum[... | ...](...) by the number you mean"
            )
        return guards_of(node.guards, scope, self.locate)

    def _count(self, node: Reduce, scope: Scope) -> sympy.Expr:
        """The number of points of a mean."""
        extents = [self.extents[scope.indices[index.name]] for index in node.indices]
        draft = self._draft(scope, None)
        return sympy.Mul(*(draft.affine(extent) for extent in extents))

    def _draft(self, scope: Scope, target: Target | None, skipping: bool = False) -> Draft:
        def lift(node: Node, inner: Scope) -> Read | None:
            if is_constant(node, inner):
                return None
            # In a tensor of its own a read outside would be 0, where here it leaves the point out.
            if skipping and isinstance(node, Add) and self._may_leave(node, inner):
                return None
            assert target is not None, "constants hold no reduction"
            return self.lift(node, inner, target.root)

        return Draft(scope, self.locate, lift)

    def _may_leave(self, node: Node | Condition, scope: Scope) -> bool:
        """Whether a read in `node`, but for those in reductions, may be outside its tensor."""
        if isinstance(node, Reduce):
            return False
        if isinstance(node, Access):
            extents = {name: self.extents[variable] for name, variable in scope.indices.items()}
            read = self.locate(node, scope)
            for subscript, extent in zip(read.at, self.shapes[read.tensor], strict=True):
                if isinstance(subscript, Affine) and not is_inside(subscript, extent, extents):
                    return True
        return any(self._may_leave(child, scope) for child in children(node))

    def lift(self, node: Node, scope: Scope, root: str) -> Read | None:
        """A tensor for a nested reduction, a part, or a sum of terms of which one is a sum; None for other sums."""
        depends = used(node, scope)
        free = tuple(n for n in self._order(scope) if n in depends)
        at = tuple(Affine.of(name) for name in free)
        dtype: Dtype = "float"
        if isinstance(node, Reduce):
            name = self._fresh(f"{root}.{node.op}")
            dtype = "int" if node.op == "argmax" else "float"
        elif isinstance(node, Part):
            name, node = self._fresh(f"{root}.part"), node.whole
        else:
            probe = Target("", at, free, root)
            if not any(self._merges(term, probe, scope) for _, term in self.terms(node, scope, sympy.S.One)):
                return None
            name = self._fresh(f"{root}.z")
        shape = tuple(self.extents[scope.indices[n]] for n in free)
        self.shapes[name] = shape
        self.invented.append(Tensor(name, shape, dtype))
        self.right(Target(name, at, free, root), node, scope)
        return Read(name, at)

    def _fresh(self, base: str) -> str:
        return allocate(base, Together((self.shapes, self.known)))

    def _order(self, scope: Scope) -> list[str]:
        """The indices in force, split ones as quotient and remainder."""
        return [name for name in scope.indices if scope.split(name) is None]

    def _box(self, target: Target, over: tuple[str, ...], scope: Scope) -> tuple[tuple[str, Affine], ...]:
        return tuple((name, self.extents[scope.indices[name]]) for name in (*target.free, *over))

    def locate(self, access: Access, scope: Scope) -> Read:
        """A read of the text with its subscripts in the language of equations."""
        local = self.context.local(access)
        return Read(local.program_name, tuple(self.subscript(s, scope) for s in access.subscripts))

    def subscript(self, node: Node, scope: Scope, split: bool = True) -> Subscript:
        """One subscript; a group as one affine expression, row-major.  split: in quotients and remainders."""
        if isinstance(node, Access):
            return self.locate(node, scope)
        if isinstance(node, Group):
            total = Affine()
            for member in node.members:
                extent = self.extents[scope.indices[member.name]]
                total = total * (extent.const if member is not node.members[0] else 1) + Affine.of(member.name)
        else:
            total = linear(node, scope).affine
        return resolved(total, scope) if split else total

    def add(
        self,
        target: Target,
        over: tuple[str, ...],
        reduce: Reduction,
        guards: tuple[Guard, ...],
        body: sympy.Expr,
        draft: Draft,
        scope: Scope,
        at: int,
    ) -> None:
        """Record one equation; refuses reads that leave their tensors in an ambiguous way."""
        box = self._box(target, over, scope)
        ranges = range_guards(scope, {name for name, _ in box}, self.extents)
        reads, body = _compact(tuple(draft.reads), body, reduce)
        equation = Equation(
            target.name,
            target.at,
            body,
            reads,
            box,
            over,
            reduce,
            (*guards, *ranges),
            target.name in self.defined,
            self.stage,
            self.origin,
        )
        recurrent = ({read.tensor for read in reads} & self.fresh) - self.defined
        check_reads(self.context.source, equation, self.shapes, recurrent, at)
        self.defined.add(target.name)
        self.equations.append(equation)


def _holds_sum(node: Node | Condition) -> bool:
    """Whether an additive term of `node` is a sum."""
    if isinstance(node, Reduce):
        return node.op in SUMS
    if isinstance(node, Add):
        return any(_holds_sum(term) for _, term in node.terms)
    if isinstance(node, Negate):
        return _holds_sum(node.operand)
    return isinstance(node, Mul) and any(_holds_sum(factor) for divides, factor in node.factors if not divides)


def _compact(reads: tuple[Read, ...], body: sympy.Expr, reduce: Reduction) -> tuple[tuple[Read, ...], sympy.Expr]:
    """Without the reads that cancelled; under a reduction that skips points they still decide which."""
    if reduce not in ("sum", "prod"):
        return reads, body
    present = {str(s) for s in body.free_symbols}
    kept = [k for k in range(len(reads)) if str(slot(k)) in present]
    if len(kept) == len(reads):
        return reads, body
    return tuple(reads[k] for k in kept), body.xreplace({slot(k): slot(new) for new, k in enumerate(kept)})
