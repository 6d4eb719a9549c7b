"""Kernels as numexpr expressions.

A literal 2.0 would turn float32 into float64 there, so numbers that are not
integers travel as scalars of the workspace's dtype.  Kernels that need a function
numexpr lacks (erf), or that compute integers, stay with NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from codegen.emit.code import (
    Code,
    Name,
    Number,
    Operation,
    Prefix,
    Quoted,
    Row,
    Statement,
    called,
    joined,
    number,
    wrapped,
)
from codegen.emit.layout import text
from codegen.emit.operand import Operand
from codegen.emit.optree import BOOLEAN, Leaf, Node, Scalar, Tree
from codegen.emit.scope import stem
from codegen.ir.equation import Dtype
from codegen.ir.names import KEYWORDS, allocate
from codegen.ir.plan import Compute
from codegen.machine.model import Machine
from codegen.machine.target import Target

LITERAL = 10**9
"""Smaller integers are written as they are."""
_OPERATORS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
_RELATIONS = {"greater": ">", "greater_equal": ">=", "less": "<", "less_equal": "<=", "equal": "==", "not_equal": "!="}
_FUNCTIONS = {
    name: name
    for name in ("exp", "log", "sqrt", "tanh", "sin", "cos", "tan", "sinh", "cosh", "log1p", "expm1", "arctan")
} | {"abs": "abs"}
_WHOLE = frozenset(("add", "subtract", "negative", "maximum", "minimum", "where"))
"""Operations whose value is a whole number where their operands are."""
_KNOWN = {
    *_OPERATORS,
    *_RELATIONS,
    *_FUNCTIONS,
    "negative",
    "square",
    "maximum",
    "minimum",
    "where",
    "power",
    "logical_and",
}

WORDS = KEYWORDS.union(
    (
        "abs arccos arccosh arcsin arcsinh arctan arctan2 arctanh ceil complex conj contains copy copysign cos cosh "
        "exp expm1 floor fmod hypot imag isfinite isinf isnan log log10 log1p log2 max maximum min minimum nextafter "
        "ones_like prod real round sign signbit sin sinh sqrt sum tan tanh trunc where"
    ).split()
)
"""What an expression cannot call an array: the functions of numexpr come before arrays of their names."""

MOST_OPERANDS = 31
"""Arrays and scalars of an expression: with its result as many as every version of NumPy's iterator takes."""
MOST_OPERATIONS = 180
"""Operations as they are spelled: their brackets nest no deeper than Python reads, their registers are numbered in a
byte; and `maximum` writes its arguments twice."""


def chosen(tree: Tree, known: Mapping[str, Operand], step: Compute, target: Target, machine: Machine) -> bool:
    """True when this kernel is to be a numexpr expression."""
    if target.numexpr == "never" or step.dtype != "float" or not isinstance(tree, Node) or not _expressible(tree):
        return False
    if any(known[leaf].dtype == "int" for leaf in _leaf_order(tree)):
        return False  # numexpr takes an integer beside a float32 for a reason to compute in float64
    if _operands(tree) > MOST_OPERANDS or _operations(tree) > MOST_OPERATIONS:
        return False
    return target.numexpr == "always" or _pays(tree, step, machine)


def _operands(tree: Tree) -> int:
    """The arrays of an expression, and the numbers that travel as scalars."""
    return len(_leaf_order(tree)) + len(_numbers(tree))


def _is_literal(code: Code) -> bool:
    return isinstance(code, Number) and isinstance(code.value, int) and abs(code.value) < LITERAL


def _numbers(tree: Tree) -> set[Code]:
    if isinstance(tree, Scalar):
        return set() if _is_literal(tree.code) else {tree.code}
    return set().union(*map(_numbers, tree.args)) if isinstance(tree, Node) else set()


def _operations(tree: Tree) -> int:
    """The operations that the text of an expression has."""
    if not isinstance(tree, Node):
        return 0
    return 1 + (1 + (tree.ufunc in ("maximum", "minimum", "square"))) * sum(map(_operations, tree.args))


def _expressible(tree: Tree) -> bool:
    if isinstance(tree, Node):
        return tree.ufunc in _KNOWN and all(_expressible(a) for a in tree.args)
    return not isinstance(tree, Scalar) or tree.dtype != "bool"


def _pays(tree: Node, step: Compute, machine: Machine) -> bool:
    """The cost model: both targets' time for a typical batch."""
    calls, elements = machine.calls, machine.elements
    numbers = math.prod(extent.assumed(machine.sizes.typical) for _, extent in step.axes)
    plain, functions = _count(tree)
    memory = elements.memory if numbers > machine.caches.far else 0.0
    numpy = (plain + functions) * calls.ufunc
    numpy += numbers * ((elements.plain + memory) * plain + (elements.function + memory) * functions)
    numexpr = calls.numexpr + numbers * (elements.numexpr_plain * plain + elements.numexpr_function * functions)
    return numexpr < numpy


def _count(tree: Tree) -> tuple[int, int]:
    """(operations of plain arithmetic, function calls)."""
    if not isinstance(tree, Node):
        return 0, 0
    counts = [_count(a) for a in tree.args]
    own = (0, 1) if tree.ufunc in {*_FUNCTIONS, "where", "maximum", "minimum", "power"} else (1, 0)
    return own[0] + sum(p for p, _ in counts), own[1] + sum(f for _, f in counts)


def statement(tree: Tree, known: dict[str, Operand], out: Code, scalar: Code) -> Statement:
    """`ne.evaluate("...", {...}, out=...)` with names of the model.  scalar: what makes a number one of theirs."""
    names = _names(tree, known)
    speller = _Speller(names, {leaf: known[leaf].dtype for leaf in names})
    expression = speller.code(tree)
    if isinstance(expression, Row):
        (expression,) = expression.items
    entries = [Operation(Quoted(names[leaf]), ": ", known[leaf].code) for leaf in names]
    entries += [Operation(Quoted(name), ": ", called(scalar, code)) for code, name in speller.scalars.items()]
    local = Row(tuple(entries), "{", "}")
    return called("ne.evaluate", Quoted(text(expression)), local, out=out, casting=Quoted("same_kind"))


def _names(tree: Tree, known: dict[str, Operand]) -> dict[str, str]:
    """An identifier for every leaf, made of that of its array."""
    names: dict[str, str] = {}
    for leaf in _leaf_order(tree):
        names[leaf] = allocate(stem(known[leaf].code), names.values(), WORDS)
    return names


def _leaf_order(tree: Tree) -> list[str]:
    if isinstance(tree, Leaf):
        return [tree.symbol]
    found: list[str] = []
    for a in tree.args if isinstance(tree, Node) else ():
        found += [n for n in _leaf_order(a) if n not in found]
    return found


@dataclass
class _Speller:
    """The text of an expression.

    numexpr adds truth values by "or" and cannot subtract them, and computes whole numbers in 32 bits.  So a truth value
    becomes a number where no float beside it makes it one; and what multiplies whole numbers begins with a float.
    names, kinds: of the leaves.  scalars: names by the numbers that are no literals.
    """

    names: Mapping[str, str]
    kinds: Mapping[str, Dtype]
    scalars: dict[Code, str] = field(default_factory=dict)

    def kind(self, tree: Tree) -> Dtype:
        """What numexpr takes a value for, as it is written here."""
        if isinstance(tree, Leaf):
            return self.kinds[tree.symbol]
        if isinstance(tree, Scalar):
            return "int" if _is_literal(tree.code) else "float"
        if tree.ufunc in BOOLEAN:
            return "bool"
        if tree.ufunc not in _WHOLE:
            return "float"
        values = tree.args[1:] if tree.ufunc == "where" else tree.args
        return "float" if any(self.kind(a) == "float" for a in values) else "int"

    def value(self, tree: Tree) -> Code:
        """As a number."""
        code = self.code(tree)
        return called("where", code, number(1), number(0)) if self.kind(tree) == "bool" else code

    def real(self, tree: Tree) -> Code:
        """As a float."""
        if isinstance(tree, Scalar):
            return self.scalar(tree.code)
        code, kind = self.code(tree), self.kind(tree)
        if kind == "bool":
            return called("where", code, self.scalar(number(1)), number(0))
        return code if kind == "float" else Row((Operation(code, " * ", self.scalar(number(1))),))

    def scalar(self, code: Code) -> Code:
        """The name of a number in the arrays' dtype."""
        if code not in self.scalars:
            taken = {*self.names.values(), *self.scalars.values()}
            self.scalars[code] = allocate(f"scalar_{len(self.scalars) + 1}", taken)
        return Name(self.scalars[code])

    def numbers(self, args: Sequence[Tree]) -> list[Code]:
        """Operands of which one is a float, or none a truth value; beside a float, an array of truth values is one."""
        floats = any(self.kind(a) == "float" for a in args)
        return [self.code(a) if floats and isinstance(a, Leaf) else self.value(a) for a in args]

    def code(self, tree: Tree) -> Code:
        """As it comes out of the operation, between brackets where that has a sign."""
        if isinstance(tree, Leaf):
            return Name(self.names[tree.symbol])
        if isinstance(tree, Scalar):
            return wrapped(tree.code) if _is_literal(tree.code) else self.scalar(tree.code)
        name, args = tree.ufunc, tree.args
        if name in BOOLEAN:
            return Row((joined(f" {_RELATIONS.get(name, '&')} ", map(self.code, args)),))
        if name == "where":
            write = self.value if all(self.kind(a) == "bool" for a in args[1:]) else self.code
            return called("where", self.code(args[0]), write(args[1]), write(args[2]))
        return self.arithmetic(name, args)

    def arithmetic(self, name: str, args: Sequence[Tree]) -> Code:
        """An operation on numbers."""
        codes = self.numbers(args)
        if name not in _WHOLE and not any(self.kind(a) == "float" for a in args):
            codes[0] = self.real(args[0])
        if name in _OPERATORS:
            return Row((joined(f" {_OPERATORS[name]} ", codes),))
        if name == "negative":
            return Row((Prefix("-", codes[0]),))
        if name == "square":
            return Row((joined(" * ", (codes[0], codes[0])),))
        if name in ("maximum", "minimum"):
            relation = " > " if name == "maximum" else " < "
            return called("where", joined(relation, codes), *codes)
        if name == "power":
            return Row((joined(" ** ", codes),))
        return called(_FUNCTIONS[name], *codes)
