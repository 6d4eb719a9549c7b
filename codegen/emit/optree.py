"""A SymPy body as a tree of array operations, named as NumPy names its ufuncs.

    tree ::= Leaf | Scalar | Node(ufunc, tree, ...)

Scalars (numbers, sizes, loop variables) are folded into Python expressions, so
that every Node has at least one array below it.  `where(condition, a, b)` is the
one operation that is no ufunc.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

import sympy

from codegen.analysis.exact import cleared
from codegen.analysis.quotients import Turn, parted, turns
from codegen.emit.code import Code
from codegen.emit.scalar import COMPARISONS, dtype_of, otherwise, scalar_code
from codegen.ir.equation import Dtype
from codegen.ir.functions import SCALARS, Log1p, Maximum, Minimum, Softplus


@dataclass(frozen=True)
class Leaf:
    """An array: slot `_k`, or an index used as a number."""

    symbol: str


@dataclass(frozen=True)
class Scalar:
    """A Python expression and what it is: an integer, a float or a truth value."""

    code: Code
    dtype: Dtype = "int"


@dataclass(frozen=True)
class Node:
    """A ufunc (or "where") applied to trees."""

    ufunc: str
    args: tuple[Tree, ...]


Tree = Leaf | Scalar | Node

OUT = sympy.Symbol("_out", real=True)
"""The destination itself, as an operand of an accumulating kernel."""

LOGICAL = frozenset(("logical_and", "logical_or", "logical_not"))
BOOLEAN = LOGICAL.union(name for name, _ in COMPARISONS.values())
"""Operations whose result is boolean."""


NO_AXES: Mapping[str, frozenset[str]] = {}


def tree_of(
    expr: sympy.Basic,
    is_scalar: Callable[[str], bool],
    axes: Mapping[str, frozenset[str]] = NO_AXES,
    is_whole: Callable[[str], bool] = lambda name: False,
) -> Tree:
    """The tree of a body.

    is_scalar, is_whole: tell the symbols that are Python numbers, and whole ones.  axes: the indices of arrays.
    """
    return _Builder(is_scalar, axes, is_whole).build(expr)


@dataclass(frozen=True)
class _Builder:
    is_scalar: Callable[[str], bool]
    axes: Mapping[str, frozenset[str]]
    is_whole: Callable[[str], bool]

    def build(self, expr: sympy.Basic) -> Tree:
        """The tree of one expression."""
        if isinstance(expr, sympy.Symbol) and not self.is_scalar(expr.name):
            return Leaf(expr.name)
        if self.is_folded(expr):
            return Scalar(scalar_code(expr), dtype_of(expr))
        if type(expr) in COMPARISONS:
            whole = all(self.is_whole(s.name) for s in expr.free_symbols)
            return Node(COMPARISONS[type(expr)][0], tuple(map(self.build, cleared(expr) if whole else expr.args)))
        for kind, build in _BUILDERS.items():
            if isinstance(expr, kind):
                return build(self, expr)
        return self._function(expr)

    def is_folded(self, *exprs: sympy.Basic) -> bool:
        """Whether only Python numbers occur."""
        return all(self.is_scalar(s.name) for expr in exprs for s in expr.free_symbols)

    def logical(self, expr: sympy.Basic) -> Tree:
        name = "logical_and" if isinstance(expr, sympy.And) else "logical_or"
        return reduce(lambda a, b: Node(name, (a, b)), (self.build(a) for a in sorted(expr.args, key=str)))

    def choice(self, expr: sympy.ITE) -> Tree:
        test, yes, no = expr.args
        return self.build(sympy.Or(sympy.And(test, yes), sympy.And(sympy.Not(test), no)))

    def _function(self, expr: sympy.Basic) -> Tree:
        scalar = SCALARS[type(expr)]
        if scalar.expansion is not None:
            return self.build(scalar.expansion(*expr.args))
        name = scalar.numpy.removeprefix("np.") if scalar.numpy else scalar.name
        return Node(name, tuple(self.build(a) for a in expr.args))

    def _order(self, expr: sympy.Basic) -> tuple[int, str]:
        """Reads in the order of their slots, numbers last."""
        slots = [-1 if s.name == OUT.name else int(s.name[1:]) for s in expr.free_symbols if s.name.startswith("_")]
        return (min(slots, default=10**6), str(expr))

    def add(self, expr: sympy.Add) -> Tree:
        terms = sorted(_opened(expr), key=self._order)
        scalars = [t for t in terms if self.is_folded(t)]
        terms = [t for t in terms if t not in scalars]
        # A logarithm is at most 104 in float32: what is large beside it may cancel, and does so first.
        last = [t for t in terms if isinstance(t.as_coeff_Mul()[1], sympy.log | Log1p)]
        others = [t for t in terms if t not in last]
        if len({t.could_extract_minus_sign() for t in others}) == 2:
            return self.added(self.total(others, sympy.Add(*scalars)), last)
        return self.total(terms, sympy.Add(*scalars))

    def total(self, terms: list[sympy.Expr], constant: sympy.Expr) -> Tree:
        """The terms and a number, what is subtracted after what is added."""
        positive = [t for t in terms if not t.could_extract_minus_sign()]
        negative = [t for t in terms if t.could_extract_minus_sign()]
        if not positive:
            first = constant if constant != 0 else negative.pop(0)
            return self.added(self.build(first) if constant != 0 else Node("negative", (self.build(-first),)), negative)
        total = self.sum(self.sum(map(self.build, group)) for group in self.alike(positive))
        if constant.could_extract_minus_sign():
            total = Node("subtract", (total, self.build(-constant)))
        elif constant != 0:
            total = Node("add", (total, self.build(constant)))
        return self.added(total, negative)

    def added(self, total: Tree, terms: list[sympy.Expr]) -> Tree:
        """`total` with each term added or subtracted."""
        for term in terms:
            negative = term.could_extract_minus_sign()
            total = Node("subtract" if negative else "add", (total, self.build(-term if negative else term)))
        return total

    def mul(self, expr: sympy.Mul) -> Tree:
        scalars = [f for f in expr.args if self.is_folded(f)]
        factors = sorted((f for f in expr.args if f not in scalars), key=self._order)
        coefficient = sympy.Mul(*scalars)
        # Factors of few indices, and the number, are multiplied while they are small.
        indices = {f: self.indices(f) for f in factors}
        whole = frozenset().union(*indices.values())
        small = [f for f in factors if indices[f] < whole]
        first = indices[small[0]] if small else whole
        if small and (len(small) > 1 or coefficient != 1) and any(indices[f] == whole for f in factors):
            joined = [f for f in small if indices[f] <= first or first <= indices[f]]
            above, below = parted(joined)
            over, under = parted([f for f in factors if f not in joined])
            # What is small is divided once, and what is large the other times: `e/s*(t/s)` for `e*t/s**2`.
            large = self.quotient(over, under + below[:-1], sympy.S.One)
            return Node("multiply", (large, self.quotient(above, below[-1:], coefficient)))
        return self.product(factors, coefficient)

    def sum(self, terms: Iterable[Tree]) -> Tree:
        """The terms added from left to right."""
        return reduce(lambda left, right: Node("add", (left, right)), terms)

    def alike(self, terms: list[sympy.Expr]) -> list[list[sympy.Expr]]:
        """The terms, those with the same few of the sum's indices together: they are added while they are small."""
        indices = {term: self.indices(term) for term in terms}
        whole = frozenset().union(*indices.values())
        groups: dict[object, list[sympy.Expr]] = {}
        for term in terms:
            groups.setdefault(indices[term] if indices[term] < whole and indices[term] else term, []).append(term)
        return list(groups.values())

    def indices(self, expr: sympy.Basic) -> frozenset[str]:
        """The indices of an expression's value."""
        return frozenset().union(*(self.axes.get(s.name, frozenset()) for s in expr.free_symbols))

    def product(self, factors: list[sympy.Expr], coefficient: sympy.Expr) -> Tree:
        """The product of factors that are no numbers, and of one that is."""
        return self.quotient(*parted(factors), coefficient)

    def quotient(self, above: list[sympy.Expr], below: list[sympy.Expr], coefficient: sympy.Expr) -> Tree:
        """The product of `above` and `coefficient`, divided by each of `below`: see `codegen.analysis.quotients`."""
        # What is read first, in a gradient the cotangent, comes last: the others make a quotient of the size it has.
        steps = turns(above[1:] + above[:1] if len(below) > 1 else above, below)
        if not above:
            return self.computed(self.build(coefficient), steps)
        return self._scaled(self.computed(self.build(steps[0][1]), steps[1:]), coefficient)

    def computed(self, first: Tree, steps: list[Turn]) -> Tree:
        """`first`, multiplied and divided in turn."""
        return reduce(lambda total, turn: Node(turn[0], (total, self.build(turn[1]))), steps, first)

    def _scaled(self, total: Tree, coefficient: sympy.Expr) -> Tree:
        if coefficient == 1:
            return total
        if coefficient == -1:
            return Node("negative", (total,))
        inverse = 1 / coefficient
        whole = inverse.is_Integer and int(inverse) & (int(abs(inverse)) - 1) != 0
        if inverse.is_Symbol or whole or (inverse.is_Mul and not coefficient.is_number and inverse.is_integer):
            return Node("divide", (total, self.build(inverse)))
        return Node("multiply", (total, self.build(coefficient)))

    def pow(self, expr: sympy.Pow) -> Tree:
        base, exponent = expr.args
        if exponent.is_number and exponent < 0:
            return self.product([expr], sympy.S.One)
        return self.raised(self.build(base), exponent)

    def raised(self, base: Tree, exponent: sympy.Expr) -> Tree:
        """A power that stands above the line."""
        if exponent == 1:
            return base
        if exponent == sympy.Rational(1, 2):
            return Node("sqrt", (base,))
        if exponent == 2:
            return Node("square", (base,))
        if exponent in (3, 4):
            square = Node("square", (base,))
            return Node("multiply", (square, base)) if exponent == 3 else Node("square", (square,))
        return Node("power", (base, self.build(exponent)))

    def piecewise(self, expr: sympy.Piecewise) -> Tree:
        value, condition = expr.args[0].args
        rest = otherwise(expr.args[1:])
        if isinstance(condition, sympy.StrictGreaterThan | sympy.GreaterThan) and condition.args == (value, rest):
            return self.build(Maximum(value, rest))
        if isinstance(condition, sympy.StrictLessThan | sympy.LessThan) and condition.args == (value, rest):
            return self.build(Minimum(value, rest))
        mask = self.build(condition)
        if value == 1 and rest == 0:
            return mask
        if rest == 0 and value.is_Symbol and value.name.startswith("_") and value.is_finite:
            return Node("multiply", (self.build(value), mask))
        return Node("where", (mask, self.build(value), self.build(rest)))


def _opened(expr: sympy.Add) -> list[sympy.Expr]:
    """The terms of a sum; those of a softplus, a maximum and a logarithm, among them."""
    terms: list[sympy.Expr] = []
    for term in expr.args:
        coefficient, function = term.as_coeff_Mul()
        expansion = SCALARS[Softplus].expansion
        if expansion is not None and isinstance(function, Softplus):
            terms += [coefficient * part for part in expansion(*function.args).args]
        else:
            terms.append(term)
    return terms


_BUILDERS: Mapping[type[sympy.Basic], Callable[[_Builder, sympy.Basic], Tree]] = {
    sympy.Add: _Builder.add,
    sympy.Mul: _Builder.mul,
    sympy.Pow: _Builder.pow,
    sympy.Piecewise: _Builder.piecewise,
    sympy.And: _Builder.logical,
    sympy.Or: _Builder.logical,
    sympy.ITE: _Builder.choice,
    sympy.Not: lambda self, expr: Node("logical_not", (self.build(expr.args[0]),)),
    sympy.Mod: lambda self, expr: Node("remainder", tuple(map(self.build, expr.args))),
    sympy.floor: lambda self, expr: Node("floor_divide", tuple(map(self.build, expr.args[0].as_numer_denom()))),
}


def leaves(tree: Tree) -> set[str]:
    """The symbols of its operands."""
    if isinstance(tree, Leaf):
        return {tree.symbol}
    return set().union(*(leaves(a) for a in tree.args)) if isinstance(tree, Node) else set()


def ufuncs(tree: Tree) -> set[str]:
    """The operations in it."""
    return {tree.ufunc}.union(*(ufuncs(a) for a in tree.args)) if isinstance(tree, Node) else set()


def compared(tree: Tree) -> set[str]:
    """Index leaves that stand in comparisons, where they are integers."""
    if not isinstance(tree, Node):
        return set()
    if tree.ufunc in ("equal", "not_equal", "greater", "greater_equal", "less", "less_equal"):
        return {n for n in leaves(tree) if not n.startswith("_")}
    return set().union(*(compared(a) for a in tree.args))
