"""Conditions on constants that are known when a module is written are decided in its text.

    if NOISE:                    gone where a network has no noise
        _draw_noise(w, rng)      where it has some, a call without a condition

The lines that stay are as they were.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], object]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Gt: operator.gt,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


def folded(source: str, known: Mapping[str, object]) -> str:
    """A text whose conditions on `known` constants are decided: in `if`, and in `a if b else c` on one line."""
    if not any(name in source for name in known):
        return source
    while (changed := _expressions(source, known)) != source:
        source = changed
    out: list[str] = []
    lines = source.splitlines()
    _Folder(lines, known).block(ast.parse(source).body, 1, len(lines), 0, out)
    return "\n".join(out) + "\n"


def _expressions(source: str, known: Mapping[str, object]) -> str:
    """A text with one conditional expression less in each line that has a decided one."""
    lines = source.splitlines()
    folder, seen = _Folder(lines.copy(), known), set[int]()
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.IfExp)
            and node.lineno == node.end_lineno
            and node.lineno not in seen
        ):
            decided = folder.condition(node.test)
            if decided == folder.text(node.test):
                continue
            whole: ast.expr = node.test
            text = str(decided)
            if isinstance(decided, bool):
                whole, text = node, folder.text(node.body if decided else node.orelse)
            line, seen = lines[node.lineno - 1], seen | {node.lineno}
            lines[node.lineno - 1] = (
                line[: whole.col_offset] + text + line[whole.end_col_offset :]
            )
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class _Folder:
    """Copies the lines of statements, without the conditions that `known` constants decide."""

    lines: list[str]
    known: Mapping[str, object]

    def block(
        self, body: Sequence[ast.stmt], first: int, last: int, left: int, out: list[str]
    ) -> bool:
        """Lines `first` to `last`, which hold these statements, moved so many places to the left.

        True where it ends with what a decided condition leads to, and nothing after it is ever run.
        """
        at = first
        for node in body:
            out += self._moved(at, _top(node) - 1, left)
            before = len(out)
            ended = self._statement(node, left, out)
            if len(out) == before:
                _forget(out)
            if ended:
                return True
            at = end_of(node) + 1
        out += self._moved(at, last, left)
        return False

    def condition(self, test: ast.expr) -> bool | str:
        """What a condition is, or what is left of it."""
        if isinstance(test, ast.BoolOp):
            decisive = isinstance(test.op, ast.Or)
            parts = [self.condition(each) for each in test.values]
            if any(part is decisive for part in parts):
                return decisive
            rest = [part for part in parts if isinstance(part, str)]
            if len(rest) == len(parts):
                return self.text(test)
            return (" or " if decisive else " and ").join(rest) or not decisive
        try:
            return bool(_value(test, self.known))
        except LookupError:
            return self.text(test)

    def text(self, node: ast.expr) -> str:
        """The text of an expression."""
        first, last = node.lineno - 1, end_of(node) - 1
        if first == last:
            return self.lines[first][node.col_offset : node.end_col_offset]
        middle = self.lines[first + 1 : last]
        return "\n".join(
            [
                self.lines[first][node.col_offset :],
                *middle,
                self.lines[last][: node.end_col_offset],
            ]
        )

    def _moved(self, first: int, last: int, left: int) -> list[str]:
        return [line[left:] for line in self.lines[first - 1 : last]]

    def _statement(self, node: ast.stmt, left: int, out: list[str]) -> bool:
        if isinstance(node, ast.If):
            return self._branch(node, left, out, chained=False)
        at = _top(node)
        for suite in _suites(node):
            out += self._moved(at, _top(suite[0]) - 1, left)
            self.block(suite, _top(suite[0]), end_of(suite[-1]), left, out)
            at = end_of(suite[-1]) + 1
        out += self._moved(at, end_of(node), left)
        return False

    def _branch(self, node: ast.If, left: int, out: list[str], chained: bool) -> bool:
        """chained: behind a branch that stays."""
        decided, header = self.condition(node.test), self.lines[node.lineno - 1]
        indent = header[left : len(header) - len(header.lstrip())]
        if decided is True:
            if chained:
                out.append(f"{indent}else:")
            body: list[str] = []
            self.block(
                node.body,
                node.lineno + 1,
                end_of(node.body[-1]),
                left if chained else left + 4,
                body,
            )
            if not body[0].strip():
                del body[0]
            out += body
            return not chained and isinstance(node.body[-1], ast.Return | ast.Raise)
        if decided is False:
            return self._otherwise(node, indent, left, out, chained)
        head: list[str] = []
        if decided == self.text(node.test):
            head += self._moved(node.lineno, _top(node.body[0]) - 1, left)
            head[0] = (
                f"{indent}{'elif' if chained else 'if'}{head[0].lstrip().removeprefix('el').removeprefix('if')}"
            )
        else:
            head.append(f"{indent}{'elif' if chained else 'if'} {decided}:")
            head += self._moved(node.lineno + 1, _top(node.body[0]) - 1, left)
        out += head
        self.block(node.body, _top(node.body[0]), end_of(node.body[-1]), left, out)
        self._otherwise(node, indent, left, out, chained=True)
        return False

    def _otherwise(
        self, node: ast.If, indent: str, left: int, out: list[str], chained: bool
    ) -> bool:
        if not node.orelse:
            return False
        first = node.orelse[0]
        if isinstance(first, ast.If) and self.lines[
            first.lineno - 1
        ].lstrip().startswith("elif"):
            return self._branch(first, left, out, chained)
        rest: list[str] = []
        start = (
            next(
                k
                for k in range(_top(first) - 1, 0, -1)
                if self.lines[k - 1].strip() == "else:"
            )
            + 1
        )
        self.block(
            node.orelse,
            start,
            end_of(node.orelse[-1]),
            left if chained else left + 4,
            rest,
        )
        if rest and chained:
            out.append(f"{indent}else:")
        out += rest
        return not chained and isinstance(node.orelse[-1], ast.Return | ast.Raise)


def _value(node: ast.expr, known: Mapping[str, object]) -> Any:
    """What a condition on constants comes to.  Raises LookupError where it depends on anything else."""
    match node:
        case ast.Constant(value):
            return value
        case ast.Name(name):
            return known[name]
        case ast.UnaryOp(ast.Not(), operand):
            return not _value(operand, known)
        case ast.Call(ast.Name("len"), [argument], []):
            return len(_value(argument, known))
        case ast.Compare(first, [compared], [second]) if type(compared) in _COMPARED:
            return _COMPARED[type(compared)](
                _value(first, known), _value(second, known)
            )
    raise LookupError


def _forget(out: list[str]) -> None:
    """Drop what was said of a statement that is gone, and the blank line before it."""
    while out and out[-1].lstrip().startswith("#"):
        out.pop()
    while out and not out[-1]:
        out.pop()


def _suites(node: ast.stmt) -> list[list[ast.stmt]]:
    """The blocks of statements in a statement, in order."""
    owners: list[ast.AST] = [
        node,
        *getattr(node, "handlers", []),
        *getattr(node, "cases", []),
    ]
    fields = (
        getattr(owner, name, [])
        for owner in owners
        for name in ("body", "orelse", "finalbody")
    )
    found = [suite for suite in fields if isinstance(suite, list) and suite]
    return sorted(found, key=lambda suite: suite[0].lineno)


def _top(node: ast.stmt) -> int:
    """The first line, decorators included."""
    lines: list[int] = [node.lineno]
    lines += [each.lineno for each in getattr(node, "decorator_list", [])]
    return min(lines)


def end_of(node: ast.stmt | ast.expr) -> int:
    end: int = node.end_lineno or node.lineno
    return end
