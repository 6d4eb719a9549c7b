"""What may be changed in a source: one place each, the rest of the text as it stands."""

from __future__ import annotations

import ast
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

COMPARISONS = {
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "==": ("!=",),
    "!=": ("==",),
    "in": ("not in",),
    "not in": ("in",),
    "is": ("is not",),
    "is not": ("is",),
}
ARITHMETIC = {"+": ("-",), "-": ("+",), "*": ("+",), "/": ("*",), "//": ("*",), "%": ("//",), "**": ("*",)}
SETS = {"|": ("&",), "&": ("|",), "<<": (">>",), ">>": ("<<",), "^": ("|",)}
CALLED = {"min": "max", "max": "min", "any": "all", "all": "any"}
SPELLING = {
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.BitOr: "|",
    ast.BitAnd: "&",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.BitXor: "^",
}


@dataclass(frozen=True, order=True)
class Mutation:
    """The bytes from `start` to `end` of a file replaced; line: of the first of them."""

    file: str
    line: int
    start: int
    end: int
    text: str
    kind: str

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.text.encode() + source[self.end :]


class _Finder(ast.NodeVisitor):
    """Collects the mutations of one file.  What only words errors, types or documents is left out."""

    def __init__(self, file: str, source: bytes) -> None:
        self.file, self.source = file, source
        self.starts = [0]
        for line in source.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))
        self.found: list[Mutation] = []

    def span(self, node: ast.AST) -> tuple[int, int]:
        first = self.starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        return first, self.starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]

    def text(self, node: ast.AST) -> str:
        start, end = self.span(node)
        return self.source[start:end].decode()

    def add(self, start: int, end: int, text: str, kind: str) -> None:
        line = self.source.count(b"\n", 0, start) + 1
        self.found.append(Mutation(self.file, line, start, end, text, kind))

    def replace(self, node: ast.AST, text: str, kind: str) -> None:
        self.add(*self.span(node), text, kind)

    def between(self, left: ast.AST, right: ast.AST, old: str, new: str, kind: str) -> None:
        """The operator between two operands exchanged."""
        start, end = self.span(left)[1], self.span(right)[0]
        pattern = r"\s+".join(map(re.escape, old.split())) if old[0].isalpha() else re.escape(old)
        found = re.search(pattern, self.source[start:end].decode())
        if found:
            self.add(start + found.start(), start + found.end(), new, kind)

    # What is left alone.

    def visit_Raise(self, node: ast.Raise) -> None:
        self.replace(node, "pass", "statement deleted")

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)
        for statement in node.body:
            self.visit(statement)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for statement in node.body:
            self.visit(statement)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return
        self.replace(node, "pass", "statement deleted")
        self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> None:
        """What is asserted is known; it narrows types."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        """The positions of what stands in braces are not exact in Python 3.11."""

    def visit_Assign(self, node: ast.Assign) -> None:
        if all(isinstance(t, ast.Name) and (t.id.startswith("__") or t.id[:1].isupper()) for t in node.targets):
            if all(isinstance(t, ast.Name) and not t.id.startswith("__") for t in node.targets):
                self.visit(node.value)
            return
        self.replace(node, "pass", "statement deleted")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.replace(node, "pass", "statement deleted")
        self.visit(node.value)

    def visit_Continue(self, node: ast.Continue) -> None:
        self.replace(node, "pass", "statement deleted")

    def visit_Break(self, node: ast.Break) -> None:
        self.replace(node, "pass", "statement deleted")

    # What is changed.

    def visit_Compare(self, node: ast.Compare) -> None:
        operands = [node.left, *node.comparators]
        for left, right, op in zip(operands, operands[1:], node.ops, strict=False):
            old = SPELLING[type(op)]
            for new in COMPARISONS[old]:
                self.between(left, right, old, new, "comparison")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            self.between(left, right, old, new, "and, or")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        old = SPELLING.get(type(node.op), "")
        for new in {**ARITHMETIC, **SETS}.get(old, ()):
            self.between(node.left, node.right, old, new, "arithmetic")
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not | ast.USub):
            self.replace(node, f"({self.text(node.operand)})", "sign or `not` left out")
        if not isinstance(node.operand, ast.Constant):
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        match node.value:
            case bool():
                self.replace(node, str(not node.value), "constant")
            case int() | float():
                self.replace(node, repr(node.value + 1), "constant")
                self.replace(node, f"({node.value - 1!r})", "constant")

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in CALLED:
            self.replace(node.func, CALLED[node.func.id], "min, max, any, all")
        arguments: list[ast.AST] = [*node.args, *node.keywords]
        for k, argument in enumerate(arguments):
            if isinstance(argument, ast.keyword) and argument.arg == "strict":
                continue  # which only checks
            start, end = self.span(argument)
            if k + 1 < len(arguments):
                end = self.span(arguments[k + 1])[0]
            elif k:
                start = self.span(arguments[k - 1])[1]
            self.add(start, end, "", "argument dropped")
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if isinstance(node.slice, ast.Slice):
            for part in (node.slice.lower, node.slice.upper):
                if part is not None:
                    self.replace(part, "", "slice")
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value is not None and self.text(node.value) != "None":
            self.replace(node.value, "None", "return value")
        self.generic_visit(node)

    def condition(self, test: ast.expr) -> None:
        text = self.text(test)
        self.replace(test, f"(not ({text}))", "condition negated")
        self.replace(test, "True", "condition constant")
        self.replace(test, "False", "condition constant")

    def visit_If(self, node: ast.If) -> None:
        if self.text(node.test) != "TYPE_CHECKING":
            self.condition(node.test)
            self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self.condition(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self.condition(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for test in node.ifs:
            self.condition(test)
        self.generic_visit(node)


def mutations(file: str, source: bytes) -> Iterator[Mutation]:
    """Every mutation of a file that Python can still read, one for each place, kind and text."""
    finder = _Finder(file, source)
    finder.visit(ast.parse(source))
    return iter(dict.fromkeys(finder.found))


def readable(mutation: Mutation, source: bytes) -> bool:
    """Whether Python can read the changed source, and reads something else than before."""
    try:
        return ast.dump(ast.parse(mutation.applied(source))) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


def drawn(root: Path, folder: str, seed: str) -> Iterator[Mutation]:
    """Mutations of the sources in a folder in the order of a seed: a line and a kind first, then one of its changes."""
    places: dict[tuple[str, int, str], list[Mutation]] = {}
    for path in sorted((root / folder).rglob("*.py")):
        file = path.relative_to(root).as_posix()
        for m in mutations(file, path.read_bytes()):
            places.setdefault((m.file, m.line, m.kind), []).append(m)
    rng = random.Random(seed)
    keys = sorted(places)
    rng.shuffle(keys)
    for key in keys:
        chosen = rng.choice(places[key])
        if readable(chosen, (root / chosen.file).read_bytes()):
            yield chosen


def shown(mutation: Mutation, source: bytes) -> str:
    """The change as a reader of a diff sees it."""
    old, new = source.decode().splitlines(), mutation.applied(source).decode().splitlines()
    first = next(k for k, (a, b) in enumerate(zip(old, new, strict=False)) if a != b)
    count = len(old) - len(new) + 1
    before, after = old[first : first + max(count, 1)], new[first : first + 1]
    head = f"{mutation.file}: {mutation.kind}"
    return "\n".join([head, *_marked("-", before), *_marked("+", after)])


def _marked(sign: str, lines: Sequence[str]) -> list[str]:
    return [f"    {sign} {line.strip()}" for line in lines]
