"""What a compiled kernel computes at one point: trees of operations as lines of scalar Python.

Numbers are made the arrays' own type, `real`: a literal 2.0 would turn float32 into float64 there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from codegen.emit.layout import WIDTH
from codegen.emit.native_operations import FUNCTIONS, INFIX, RELATIONS, STEMS, WHOLE
from codegen.emit.optree import BOOLEAN, Leaf, Node, Scalar, Tree
from codegen.emit.scalar import ADDED, ATOM, MULTIPLIED, NEGATED, RAISED
from codegen.emit.ufuncs import Operand
from codegen.ir.equation import Dtype


@dataclass(frozen=True)
class Part:
    """One step of a kernel: its tree, the leaf that is its result, and whether that goes to its array."""

    tree: Tree
    result: str
    stored: bool


@dataclass
class PointWriter:
    """The values at one point of the box.

    element: of the array that a leaf is.  real: a number in the arrays' type.  free: a name that nothing has.
    lines: one assignment each.
    names: of the values that have a variable: functions of others, what occurs more than once, and results that
    later parts read.
    """

    known: Mapping[str, Operand]
    axes: tuple[str, ...]
    array: Callable[[str], str]
    real: Callable[[str], str]
    unused: Callable[[str, Collection[str]], str]
    lines: list[str] = field(default_factory=list)
    names: dict[Tree, str] = field(default_factory=dict)

    def write(self, part: Part, later: bool) -> None:
        """One part; `later`: others read its result."""
        leaf = Leaf(part.result)
        element = self.element(leaf) if part.stored else ""
        truth = self.known[part.result].dtype == "bool"
        name = self._variable(f"{stem(self.known[part.result].text)}_at") if later else element
        if self.known[part.result].dtype == "int":
            self.lines.append(f"{name} = {self.integer(part.tree)}")
        else:
            self.assign(name, part.tree, truth)
        if later:
            self.names[leaf] = name
            self.lines += [f"{element} = {name}"] if part.stored else []

    def assign(self, goal: str, tree: Tree, truth: bool = False) -> None:
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

    def _variable(self, stem: str) -> str:
        """A name that nothing has yet."""
        return self.unused(stem, self.names.values())

    def _line(self, goal: Callable[[], str], tree: Tree, truth: bool = False) -> str:
        """`goal = tree`; while that is too long a line, its longest part gets a variable before it.  The goal's name.

        A goal that is new is named last: a part before it may take the name that it would have had.
        """
        while True:
            text, name = self.condition(tree) if truth else self._value(tree), goal()
            room = WIDTH - 4 * (len(self.axes) + 1) - len(name) - len(" = ")
            within = self._written(tree) if len(text) > room else []
            parts = [p for p in within if p != tree and not self._is_boolean(p)]
            if not parts:
                break
            self._define(max(parts, key=lambda p: (len(t := self._value(p)) <= room, len(t))))
        self.lines.append(f"{name} = {text}")
        return name

    def _written(self, tree: Tree) -> list[Node]:
        """The operations that the text of `tree` spells out: not those within a value that has a name."""
        if not isinstance(tree, Node):
            return []
        inner = [node for arg in tree.args if arg not in self.names for node in self._written(arg)]
        return [*dict.fromkeys([*inner, tree])]

    def text(self, tree: Tree) -> str:
        """A float expression, by its name if it has one."""
        return self.names[tree] if tree in self.names else self._value(tree)

    def _value(self, tree: Tree) -> str:
        if self._is_boolean(tree):
            return f"real({self.condition(tree)})"
        if isinstance(tree, Scalar):
            return self._number(tree)
        if isinstance(tree, Leaf):
            element = self.element(tree)
            return element if self._dtype(tree) == "float" else f"real({element})"
        written = self._operator(tree.ufunc, tree.args)
        return written or f"{FUNCTIONS[tree.ufunc]}({', '.join(self.text(a) for a in tree.args)})"

    def _operator(self, ufunc: str, args: tuple[Tree, ...]) -> str | None:
        """An operation with a sign of its own; None for a function."""
        match ufunc:
            case "negative":
                return f"-{self._factor(args[0])}"
            case "square":
                inner = self._factor(args[0])
                return f"{inner} * {inner}"
            case "where":
                return f"choose({self.condition(args[0])}, {self.text(args[1])}, {self.text(args[2])})"
            case "multiply" if self._is_boolean(args[0]) or self._is_boolean(args[1]):
                mask, value = args if self._is_boolean(args[0]) else args[::-1]
                return f"choose({self.condition(mask)}, {self.text(value)}, real(0))"
            case "add":
                return f"{self.text(args[0])} + {self.text(args[1])}"
            case "subtract":
                return f"{self.text(args[0])} - {self._term(args[1])}"
            case "multiply" | "divide":
                right = self._wrapped(args[1], NEGATED if ufunc == "divide" else MULTIPLIED)
                return f"{self._factor(args[0])} {INFIX[ufunc]} {right}"
            case "power" if self._is_boolean(args[1]):  # LLVM calls a function that is not there
                return f"choose({self.condition(args[1])}, {self.text(args[0])}, real(1))"
            case "power":
                return f"{self._wrapped(args[0], ATOM)} ** {self._wrapped(args[1], ATOM)}"
            case "remainder" | "floor_divide":
                tree = Node(ufunc, args)
                if self._is_whole(tree):
                    return f"real({self.integer(tree)})"
                return f"{self._factor(args[0])} {WHOLE[ufunc]} {self._wrapped(args[1], NEGATED)}"
        return None

    def condition(self, tree: Tree) -> str:
        """A truth value."""
        if isinstance(tree, Leaf):
            return self.element(tree)
        if isinstance(tree, Scalar):
            return self._exact(tree.text) if tree.dtype == "bool" else f"{self._exact(tree.text)} != 0"
        if tree.ufunc in RELATIONS:
            return f"{self._side(tree.args[0])} {RELATIONS[tree.ufunc]} {self._side(tree.args[1])}"
        if tree.ufunc == "logical_not":
            return f"not ({self.condition(tree.args[0])})"
        if tree.ufunc == "where":  # of truth values: either is the value of a read, or stands in for it
            test, yes, no = (f"({self.condition(a)})" for a in tree.args)
            return f"({test} and {yes}) or (not {test} and {no})"
        if tree.ufunc not in BOOLEAN:
            return f"{self.text(tree)} != 0"
        word = "and" if tree.ufunc == "logical_and" else "or"
        return f" {word} ".join(f"({self.condition(a)})" for a in tree.args)

    def _side(self, tree: Tree) -> str:
        """One side of a comparison: integers stay integers."""
        if isinstance(tree, Leaf):
            return self.element(tree)
        if isinstance(tree, Scalar) and (tree.dtype == "int" or _is_number(tree.text)):
            return self._exact(tree.text)
        return self.integer(tree) if self._is_whole(tree) else self.text(tree)

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

    def _term(self, tree: Tree) -> str:
        text = self.text(tree)
        return f"({text})" if _looks_like(tree, "add", "subtract", "negative") and " " in text else text

    def _factor(self, tree: Tree) -> str:
        return self._wrapped(tree, MULTIPLIED)

    def _wrapped(self, tree: Tree, least: int) -> str:
        """The text of an operand: in parentheses where it holds together less tightly than the operation asks."""
        return self.text(tree) if self._bond(tree) >= least else f"({self.text(tree)})"

    def _bond(self, tree: Tree) -> int:
        """How tightly the text of an expression holds together; a sign in front of it is taken for a sum."""
        if not isinstance(tree, Node) or tree in self.names or self._is_boolean(tree):
            return ATOM
        match tree.ufunc:
            case "add" | "subtract" | "negative":
                return ADDED
            case "divide" | "square":
                return MULTIPLIED
            case "multiply":
                return ATOM if any(map(self._is_boolean, tree.args)) else MULTIPLIED
            case "remainder" | "floor_divide":
                return ATOM if self._is_whole(tree) else ADDED  # so that no sign or factor joins what is in front
            case "power":
                return ATOM if self._is_boolean(tree.args[1]) else RAISED
        return ATOM

    def _number(self, scalar: Scalar) -> str:
        return self.real(scalar.text)

    def _exact(self, text: str) -> str:
        """A number that is not made one of the arrays' type."""
        return self.real(text)[len("real(") : -1]

    def integer(self, tree: Tree) -> str:
        """A whole number: sums, products, remainders and quotients of integers and truth values."""
        if isinstance(tree, Leaf):
            element = self.element(tree)
            return f"int({element})" if self._dtype(tree) == "bool" else element
        if isinstance(tree, Scalar):
            return self._exact(tree.text)
        loose = [f"({t})" if " " in (t := self.integer(a)) else t for a in tree.args]
        match tree.ufunc:
            case "add":
                return " + ".join(map(self.integer, tree.args))
            case "negative":
                return f"-{loose[0]}"
            case "square":
                return f"{loose[0]} * {loose[0]}"
        return f" {WHOLE[tree.ufunc]} ".join(loose)

    def element(self, leaf: Leaf) -> str:
        """The element of an array at this point, an index, or a value that is at hand."""
        if leaf in self.names:
            return self.names[leaf]
        return leaf.symbol if leaf.symbol in self.axes else self.array(leaf.symbol)


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


def _looks_like(tree: Tree, *ufuncs: str) -> bool:
    return isinstance(tree, Node) and tree.ufunc in ufuncs


def stem(text: str) -> str:
    """A parameter's name for an array that the caller writes as `w.dense_1_z[...]` or `p["dense_1.bias"]`.

    That of a gradient, `g["dense_1.bias"]`, begins with `d_`.
    """
    inner = text.split('"')[1] if '"' in text else text.split(".", 1)[-1]
    inner = f"d_{inner}" if text.startswith("g[") else inner
    name = "".join(c if c.isalnum() or c == "_" else " " for c in inner).split(" ")
    return name[0] if '"' not in text else "_".join(part for part in name if part)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in ("np.inf", "-np.inf", "np.nan")
    return True
