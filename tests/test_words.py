"""The compiler speaks of things by the names that the field has for them, in code, file names, comments and docstrings.

Texts that the compiler writes are not looked at: buffers are called `x.frame` in modules that users have.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "codegen").rglob("*.py"))

NAMES = {
    r"frames?|framed|rims?|borders?|bordered": "halo, padded",
    r"turned": "transposed, column-major",
    r"pictures?": "image, feature map",
    r"banded product|bands": "Toeplitz matrix, block of rows",
    r"by columns": "im2col",
    r"by shifts|by stacks|shifts cost|stacks cost": "shifted GEMM",
    r"by pairs|pairs (cost|of rows)": "Winograd F(2,3)",
    r"row blocks|row cuts": "tiling, cuts",
    r"spots?|memory places?|places? of (the|a) memory": "arena, slot, offset",
    r"hoist(s|ed|ing)?": "loop-invariant code motion",
    r"torn": "not viewable",
    r"dear(er|est)?|prices?|priced": "cost, expensive",
    r"nominal": "assumed size",
    r"who is who|lies? across|what reaches": "(plain words)",
}
"""Words that were made up at home, and what to say."""

ALLOWED = {
    # The names that users give to recipes.
    "codegen/lower/windows/recipes.py": "bands, turned",
    # Not looked through yet.
    "codegen/emit/contiguous.py": "turned",
    "codegen/emit/stages.py": "turned",
    "codegen/emit/steps.py": "turned",
    "codegen/passes/computed.py": "hoist, hoisted, pictures",
    "codegen/passes/layout/batch_last.py": "picture, pictures",
    "codegen/passes/layout/turned.py": "turned",
    "codegen/passes/recurrence/hoist.py": "hoist, hoisted",
    "codegen/passes/recurrence/repeated.py": "dear, price",
    "codegen/passes/scalar/simplify.py": "dear",
    "codegen/pipeline.py": "turned",
}
"""By file, what of these it may say."""

WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


def plain(identifier: str) -> str:
    """`WindowProduct.rows_first` as words."""
    return " ".join(WORD.findall(identifier)).lower()


def said(path: str, source: str) -> Iterator[tuple[int, str]]:
    """(line, words) of a file's name, its identifiers, its comments, its docstrings."""
    yield 1, plain(path)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], plain(token.string)
        elif token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lower()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for number, line in enumerate(node.value.value.splitlines()):
                yield node.lineno + number, line.lower()


def home_made(path: str, source: str) -> Iterator[str]:
    """Every such word in a file, as `path:line: word; say ...`."""
    allowed = ALLOWED.get(path, "").split(", ")
    for line, words in said(path, source):
        for old, new in NAMES.items():
            for found in re.finditer(rf"\b({old})\b", words):
                if found[0] not in allowed:
                    yield f"{path}:{line}: '{found[0]}'; say {new}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_things_have_the_names_of_the_field(path: Path) -> None:
    found = home_made(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
    assert sorted(set(found)) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("codegen/plan/borders.py", ""),
        ("codegen/sample.py", "def framed_copy(): pass"),
        ("codegen/sample.py", "class RowBlocks: pass"),
        ("codegen/sample.py", "x = 1  # The picture, read twice."),
        ("codegen/sample.py", 'def f():\n    """What reaches the row."""'),
        ("codegen/sample.py", 'x = 1\n"""A price."""'),
    ],
)
def test_a_home_made_word_is_noticed(path: str, source: str) -> None:
    assert len(set(home_made(path, source))) == 1


def test_texts_that_are_written_are_not_looked_at() -> None:
    assert list(home_made("codegen/sample.py", 'name = f"{target}.frame"\ntranspose = borderline = None')) == []
