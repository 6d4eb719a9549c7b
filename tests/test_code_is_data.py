"""Code is a tree until it is printed: it is asked what it names, and no text of it is read again."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from codegen.emit.code import (
    ADDED,
    ATOM,
    Assign,
    Code,
    Comment,
    Cut,
    Field,
    For,
    If,
    Item,
    Name,
    Operation,
    Prefix,
    Quoted,
    Row,
    called,
    calls,
    fields,
    names,
    number,
    row,
    size,
    wrapped,
)
from codegen.emit.comments import WIDTH
from codegen.emit.layout import printed, text
from codegen.emit.scope import WORKSPACE, stem
from codegen.ir.affine import Affine
from codegen.machine.target import TARGETS

ROOT = Path(__file__).resolve().parent.parent
WRITERS = sorted([*ROOT.glob("codegen/emit/*.py"), *ROOT.glob("symnet/assembly/*.py"), ROOT / "symnet/optim/update.py"])

READS = frozenset(
    "partition rpartition split rsplit splitlines startswith endswith removeprefix removesuffix replace find rfind "
    "isidentifier re".split()
)
"""Methods that take a text apart, and the module of regular expressions."""
ALLOWED = {
    "codegen/emit/legend.py": "re endswith removeprefix removesuffix replace startswith",  # words in names
    "codegen/emit/words.py": "re",  # the names that a model gives to sizes and indices
    "codegen/emit/native.py": "startswith",  # the names of SymPy's symbols
    "codegen/emit/optree.py": "startswith removeprefix",  # the same, and NumPy's names of functions
    "codegen/emit/comments.py": "split",  # the lines of a comment
    "symnet/assembly/assemble.py": "replace splitlines",  # more optimizers for a module that is there
    "symnet/assembly/higher.py": "replace",  # the name of an attribute
    "symnet/assembly/loading.py": "splitlines",  # what tracebacks show
    "symnet/optim/update.py": "splitlines",  # a formula as a docstring
}
"""What reads other texts than code."""


def read_again(source: str) -> Iterator[str]:
    """What a file has of all that takes texts apart."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=[ast.alias(name="re")]) | ast.ImportFrom(module="re"):
                yield "re"
            case ast.Call(func=ast.Attribute(value=value, attr=attr)) if attr in READS:
                own = isinstance(value, ast.Constant) or (isinstance(value, ast.Name) and value.id == "re")
                if not own:
                    yield attr
            case ast.Compare(left=ast.Constant(value=str(part)), ops=[ast.In() | ast.NotIn()]):
                if set(part) & set("([.="):
                    yield f"{part!r} in"


def label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", WRITERS, ids=label)
def test_no_text_of_code_is_read_again(path: Path) -> None:
    found = set(read_again(path.read_text(encoding="utf-8")))
    assert found == set(ALLOWED.get(label(path), "").split()), "ask the tree of code, see codegen/emit/code.py"


@pytest.mark.parametrize(
    "source",
    [
        "import re",
        "from re import sub",
        "line.split('[')",
        "text.removeprefix('w.')",
        "name = text.replace('w.', 'self.', 1)",
        "any('real(' in line for line in lines)",
    ],
)
def test_reading_again_is_noticed(source: str) -> None:
    assert list(read_again(source))


def told_apart(source: str) -> Iterator[int]:
    """The lines that compare something with a target's name."""
    for node in ast.walk(ast.parse(source)):
        sides: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            equal = all(isinstance(op, ast.Eq | ast.NotEq) for op in node.ops)
            several = [side for side in node.comparators if isinstance(side, ast.Tuple | ast.List | ast.Set)]
            sides = [node.left, *node.comparators] if equal else [each for side in several for each in side.elts]
        elif isinstance(node, ast.MatchValue):
            sides = [node.value]
        known = {side.value for side in sides if isinstance(side, ast.Constant)} & TARGETS.keys()
        if known - {"auto", "numpy"} or (known and "target" in ast.unparse(node)):  # words for much else
            yield sides[0].lineno


@pytest.mark.parametrize("package", ["codegen", "symnet"])
def test_no_target_is_told_apart_by_its_name(package: str) -> None:
    paths = ROOT.glob(f"{package}/**/*.py")
    found = {label(path): list(told_apart(path.read_text(encoding="utf-8"))) for path in paths}
    assert {path: lines for path, lines in found.items() if lines} == {}, "ask the Target what it can do"


@pytest.mark.parametrize(
    "source",
    [
        "if target == 'numba': pass",
        "'numpy' != target.name",
        "given.target in ('numexpr', 'numba')",
        "match target:\n    case 'numba': pass",
    ],
)
def test_telling_targets_apart_is_noticed(source: str) -> None:
    assert list(told_apart(source))


# The tree itself.

X, N = Field(WORKSPACE, "x"), Name("N")
CODES: list[tuple[Code, str]] = [
    (Item(X, (Cut((None, size(Affine.of("N") * 2 - 1))), Name("None"))), "w.x[: 2 * N - 1, None]"),
    (Item(X, (Cut((number(1), None, number(-1))),)), "w.x[1::-1]"),
    (called(Field(X, "reshape"), number(-1)), "w.x.reshape(-1)"),
    (called("np.add", X, number(0.5), out=X), "np.add(w.x, 0.5, out=w.x)"),
    (row([N]), "(N,)"),
    (row([]), "()"),
    (Item(Name("p"), (Quoted("a.b"),)), 'p["a.b"]'),
    (Operation(Prefix("-", N), " * ", wrapped(size(Affine.of("T") + 1))), "-N * (T + 1)"),
    (size(Affine.of("N") * -2), "-2 * N"),
    (size(Affine.of("N") * -1 + 3), "3 - N"),
    (number(float("inf")), "np.inf"),
]


@pytest.mark.parametrize(("code", "expected"), CODES, ids=[expected for _, expected in CODES])
def test_the_text_of_code(code: Code, expected: str) -> None:
    assert text(code) == expected


def test_code_says_what_it_names() -> None:
    add = called("np.add", X, Item(Name("h"), (Name("t"),)), out=Field(WORKSPACE, "y"))
    body = [Comment("N w.z"), For((Name("t"),), called("range", size(Affine.of("T") - 1)), [If(N, [add])])]
    assert names(*body) == ("t", "range", "T", "N", "np.add", "w", "h")
    assert fields(WORKSPACE, *body) == {"x", "y"}
    assert calls(add) and not calls(X)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (X, "x"),
        (Item(Field(X, "T"), (N,)), "x"),
        (called(Field(Item(Name("p"), (Quoted("a.bias"),)), "reshape"), N), "a_bias"),
        (Item(Name("g"), (Quoted("a.bias"),)), "d_a_bias"),
        (Name("h"), "h"),
    ],
)
def test_what_is_called_after_an_array(array: Code, expected: str) -> None:
    assert stem(array) == expected


def test_parentheses_stand_where_they_are_needed() -> None:
    total = Operation(N, " + ", number(1))
    assert text(wrapped(total)) == "(N + 1)" and text(wrapped(total, ADDED)) == "N + 1"
    assert text(wrapped(number(-1), ATOM)) == "(-1)"


LONG = Name("a_name_of_thirty_eight_letters_no_less")
PRODUCT = Operation(LONG, " * ", N)


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (called("f", LONG, N, LONG), ["goal = f(", "    LONG, N, LONG", ")"]),
        (called("f", LONG, LONG, LONG), ["goal = f(", "    LONG,", "    LONG,", "    LONG,", ")"]),
        (Operation(PRODUCT, " + ", PRODUCT), ["goal = (", "    LONG * N", "    + LONG * N", ")"]),
        (Row((Operation(LONG, " - ", called("f", LONG)),)), ["goal = (", "    LONG - f(LONG)", ")"]),
        (Item(called("f", LONG, N), (LONG,)), ["goal = f(LONG, N)[", "    LONG", "]"]),
    ],
)
def test_long_assignments_are_broken(value: Code, lines: list[str]) -> None:
    found = printed([Assign(Name("goal"), value)], 0)
    assert [line.replace(LONG.text, "LONG") for line in found] == lines
    assert all(len(line) <= WIDTH for line in found)
