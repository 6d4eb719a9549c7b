"""What a compiled kernel computes at one point: trees of operations as lines of scalar Python.

Numbers are made the arrays' own type, `real`: a literal 2.0 would turn float32 into float64 there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from codegen.emit.code import (
    ATOM,
    MULTIPLIED,
    NEGATED,
    RAISED,
    Assign,
    Call,
    Code,
    Item,
    Name,
    Number,
    Operation,
    Prefix,
    Row,
    Statement,
    called,
    joined,
    names,
    number,
    parts,
    wrapped,
)
from codegen.emit.comments import WIDTH
from codegen.emit.layout import text
from codegen.emit.native_operations import FUNCTIONS, INFIX, RELATIONS, STEMS, WHOLE
from codegen.emit.operand import Operand
from codegen.emit.optree import BOOLEAN, Leaf, Node, Scalar, Tree
from codegen.emit.scope import stem
from codegen.ir.equation import Dtype

REAL = Name("real")


def real(code: Code) -> Call:
    """A number as one of the arrays' own type."""
    return Call(REAL, (code,))


@dataclass(frozen=True)
class Part:
    """One step of a kernel: its tree, the leaf that is its result, and whether that goes to its array."""

    tree: Tree
    result: str
    stored: bool


@dataclass
class PointWriter:
    """The values at one point of the box.

    array: the element that a leaf is.  given: a number that a leaf is not.  unused: a name that nothing has.
    lines: one assignment each.
    names: of the values that have a variable: functions of others, what occurs more than once, and results that
    later parts read.
    """

    known: Mapping[str, Operand]
    axes: tuple[str, ...]
    array: Callable[[str], Code]
    given: Callable[[Code], Code]
    unused: Callable[[str, Collection[str]], Name]
    lines: list[Statement] = field(default_factory=list)
    names: dict[Tree, Code] = field(default_factory=dict)

    def write(self, part: Part, later: bool) -> None:
        """One part; `later`: others read its result."""
        leaf, array = Leaf(part.result), self.known[part.result]
        element = self.element(leaf) if part.stored else None
        name = self._variable(f"{stem(array.code)}_at") if later or element is None else element
        if array.dtype == "int":
            self.lines.append(Assign(name, self.integer(part.tree)))
        else:
            self.assign(name, part.tree, array.dtype == "bool")
        if later:
            self.names[leaf] = name
            self.lines += [Assign(element, name)] if element else []

    def assign(self, goal: Code, tree: Tree, truth: bool = False) -> None:
        """The lines that end with `goal = tree`, a `truth` value or a float."""
        counts = _occurrences(tree)
        for part in operations(tree):
            if part != tree and self._deserves_name(part, counts[part]):
                self._define(part)
        self._line(lambda: goal, tree, truth)

    def _deserves_name(self, part: Node, count: int) -> bool:
        if self._is_boolean(part):
            return False
        called = part.ufunc in FUNCTIONS and part.ufunc not in ("maximum", "minimum", "abs")
        return called or count > 1

    def _define(self, part: Node) -> None:
        self.names[part] = self._line(lambda: self._variable(STEMS.get(part.ufunc, part.ufunc)), part)

    def _variable(self, wanted: str) -> Name:
        """A name that nothing has yet."""
        return self.unused(wanted, names(*self.names.values()))

    def _line(self, goal: Callable[[], Code], tree: Tree, truth: bool = False) -> Code:
        """`goal = tree`; while that is too long a line, its longest part gets a variable before it.  The goal's name.

        A goal that is new is named last: a part before it may take the name that it would have had.
        """
        while True:
            value, name = self.condition(tree) if truth else self._value(tree), goal()
            room = WIDTH - 4 * (len(self.axes) + 1) - len(text(name)) - len(" = ")
            within = self._written(tree) if len(text(value)) > room else []
            inner = [p for p in within if p != tree and not self._is_boolean(p)]
            if not inner:
                break
            self._define(max(inner, key=lambda p: (len(t := text(self._value(p))) <= room, len(t))))
        self.lines.append(Assign(name, value))
        return name

    def _written(self, tree: Tree) -> list[Node]:
        """The operations that the text of `tree` spells out: not those within a value that has a name."""
        if not isinstance(tree, Node):
            return []
        inner = [node for arg in tree.args if arg not in self.names for node in self._written(arg)]
        return [*dict.fromkeys([*inner, tree])]

    def code(self, tree: Tree) -> Code:
        """A float expression, by its name if it has one."""
        return self.names[tree] if tree in self.names else self._value(tree)

    def _value(self, tree: Tree) -> Code:
        if self._is_boolean(tree):
            return real(self.condition(tree))
        if isinstance(tree, Scalar):
            return real(self.given(tree.code))
        if isinstance(tree, Leaf):
            element = self.element(tree)
            return element if self._dtype(tree) == "float" else real(element)
        written = self._operator(tree.ufunc, tree.args)
        return written or called(FUNCTIONS[tree.ufunc], *map(self.code, tree.args))

    def _operator(self, ufunc: str, args: tuple[Tree, ...]) -> Code | None:
        """An operation with a sign of its own; None for a function."""
        match ufunc:
            case "negative":
                return Prefix("-", self._factor(args[0]))
            case "square":
                return joined(" * ", [self._factor(args[0])] * 2)
            case "where":
                return called("choose", self.condition(args[0]), *map(self.code, args[1:]))
            case "multiply" if self._is_boolean(args[0]) or self._is_boolean(args[1]):
                mask, value = args if self._is_boolean(args[0]) else args[::-1]
                return called("choose", self.condition(mask), self.code(value), real(number(0)))
            case "add":
                return joined(" + ", map(self.code, args))
            case "subtract":
                return Operation(self.code(args[0]), " - ", self._factor(args[1]))
            case "multiply" | "divide":
                right = self._wrapped(args[1], NEGATED if ufunc == "divide" else MULTIPLIED)
                return Operation(self._factor(args[0]), f" {INFIX[ufunc]} ", right)
            case "power" if self._is_boolean(args[1]):  # LLVM calls a function that is not there
                return called("choose", self.condition(args[1]), self.code(args[0]), real(number(1)))
            case "power":
                return joined(" ** ", (self._wrapped(a, ATOM) for a in args))
            case "remainder" | "floor_divide":
                tree = Node(ufunc, args)
                if self._is_whole(tree):
                    return real(self.integer(tree))
                return Operation(self._factor(args[0]), f" {WHOLE[ufunc]} ", self._wrapped(args[1], NEGATED))
        return None

    def condition(self, tree: Tree) -> Code:
        """A truth value."""
        if isinstance(tree, Leaf):
            return self.element(tree)
        if isinstance(tree, Scalar):
            code = self.given(tree.code)
            return code if tree.dtype == "bool" else Operation(code, " != ", number(0))
        if tree.ufunc in RELATIONS:
            return joined(f" {RELATIONS[tree.ufunc]} ", map(self._side, tree.args))
        if tree.ufunc == "logical_not":
            return Prefix("not ", Row((self.condition(tree.args[0]),)))
        sides = (Row((self.condition(a),)) for a in tree.args)
        if tree.ufunc == "where":  # of truth values: either is the value of a read, or stands in for it
            test, yes, no = sides
            held = Row((Operation(test, " and ", yes),))
            return Operation(held, " or ", Row((Operation(Prefix("not ", test), " and ", no),)))
        if tree.ufunc not in BOOLEAN:
            return Operation(self.code(tree), " != ", number(0))
        return joined(" and " if tree.ufunc == "logical_and" else " or ", sides)

    def _side(self, tree: Tree) -> Code:
        """One side of a comparison: integers stay integers."""
        if isinstance(tree, Leaf):
            return self.element(tree)
        if isinstance(tree, Scalar) and (tree.dtype == "int" or isinstance(tree.code, Number)):
            return self.given(tree.code)
        return self.integer(tree) if self._is_whole(tree) else self.code(tree)

    def _is_whole(self, tree: Tree) -> bool:
        """Whether a value is made of integers by operations that give integers."""
        if isinstance(tree, Leaf):
            return tree not in self.names and self._dtype(tree) in ("int", "bool")
        if isinstance(tree, Scalar):
            return tree.dtype == "int"
        return tree.ufunc in {*WHOLE, "negative", "square"} and all(map(self._is_whole, tree.args))

    def _dtype(self, leaf: Leaf) -> Dtype:
        return self.known[leaf.symbol].dtype if leaf.symbol in self.known else "int"

    def _is_boolean(self, tree: Tree) -> bool:
        if isinstance(tree, Leaf):
            return self._dtype(tree) == "bool"
        return isinstance(tree, Node) and tree.ufunc in BOOLEAN

    def _factor(self, tree: Tree) -> Code:
        return self._wrapped(tree, MULTIPLIED)

    def _wrapped(self, tree: Tree, least: int) -> Code:
        """An operand: in parentheses where it holds together less tightly than the operation asks.

        A sign in front is taken for a sum, and so is a remainder: no sign or factor joins what is in front of it.
        """
        code = self.code(tree)
        loose = isinstance(code, Prefix) or (isinstance(code, Operation) and code.sign in (" % ", " // "))
        return wrapped(code, max(least, RAISED) if loose else least)

    def integer(self, tree: Tree) -> Code:
        """A whole number: sums, products, remainders and quotients of integers and truth values."""
        if isinstance(tree, Leaf):
            element = self.element(tree)
            return called("int", element) if self._dtype(tree) == "bool" else element
        if isinstance(tree, Scalar):
            return self.given(tree.code)
        codes = [self.integer(a) for a in tree.args]
        loose = [Row((code,)) if _is_long(code) else code for code in codes]
        match tree.ufunc:
            case "add":
                return joined(" + ", codes)
            case "negative":
                return Prefix("-", loose[0])
            case "square":
                return joined(" * ", [loose[0]] * 2)
        return joined(f" {WHOLE[tree.ufunc]} ", loose)

    def element(self, leaf: Leaf) -> Code:
        """The element of an array at this point, an index, or a value that is at hand."""
        if leaf in self.names:
            return self.names[leaf]
        return Name(leaf.symbol) if leaf.symbol in self.axes else self.array(leaf.symbol)


def leaves(tree: Tree) -> set[str]:
    if isinstance(tree, Leaf):
        return {tree.symbol}
    return {leaf for arg in tree.args for leaf in leaves(arg)} if isinstance(tree, Node) else set()


def operations(tree: Tree) -> list[Node]:
    """Every operation of a tree once, arguments before what is made of them."""
    found: dict[Node, None] = {}
    _visit(tree, found)
    return list(found)


def _visit(tree: Tree, found: dict[Node, None]) -> None:
    if isinstance(tree, Node) and tree not in found:
        for arg in tree.args:
            _visit(arg, found)
        found[tree] = None


def _occurrences(tree: Tree) -> Counter[Tree]:
    """How often each operation is an argument of another; of a square, twice."""
    return Counter(arg for node in operations(tree) for arg in node.args * (1 + (node.ufunc == "square")))


def _is_long(code: Code) -> bool:
    """Whether there is an operation in it, or a subscript of several indices: it stands in parentheses."""
    return any(isinstance(p, Operation) or (isinstance(p, Item) and len(p.items) > 1) for p in parts(code))
