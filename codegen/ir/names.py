"""The one allocator of names: what is asked for, or what differs least from it and is free.

    allocate("z", ())                                 z
    allocate("z", {"z"})                              z_2        taken: numbered from its second use on
    allocate("range", (), WORDS)                      range_     a word that means something else there
    allocate("range", {"range_"}, WORDS)              range_2
    next(indices(("t", *LETTERS), {"t", "h"}))        w          an index: the first letter that is free

Whoever needs a name says what is taken in its scope: tensors in a program, indices in an equation, attributes in a
workspace, variables in a function, functions in a module.  The same question has the same answer everywhere.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice

KEYWORDS = frozenset(
    "False None True and as assert async await break class continue def del elif else except finally for from global "
    "if import in is lambda nonlocal not or pass raise return try while with yield".split()
)
"""What cannot be a name in Python at all."""
SOFT_KEYWORDS = frozenset("_ case lazy match type".split())
BUILTINS = frozenset(
    "abs aiter all anext any ascii bin bool breakpoint bytearray bytes callable chr classmethod compile complex "
    "copyright credits delattr dict dir divmod enumerate eval exec exit filter float format frozenset getattr globals "
    "hasattr hash help hex id input int isinstance issubclass iter len license list locals map max memoryview min next "
    "object oct open ord pow print property quit range repr reversed round set setattr slice sorted staticmethod str "
    "sum super tuple type vars zip "
    "ArithmeticError AssertionError AttributeError BaseException BaseExceptionGroup BlockingIOError BrokenPipeError "
    "BufferError BytesWarning ChildProcessError ConnectionAbortedError ConnectionError ConnectionRefusedError "
    "ConnectionResetError DeprecationWarning EOFError Ellipsis EncodingWarning EnvironmentError Exception "
    "ExceptionGroup FileExistsError FileNotFoundError FloatingPointError FutureWarning GeneratorExit IOError "
    "ImportError ImportWarning IndentationError IndexError InterruptedError IsADirectoryError KeyError "
    "KeyboardInterrupt LookupError MemoryError ModuleNotFoundError NameError NotADirectoryError NotImplemented "
    "NotImplementedError OSError OverflowError PendingDeprecationWarning PermissionError ProcessLookupError "
    "PythonFinalizationError RecursionError ReferenceError ResourceWarning RuntimeError RuntimeWarning "
    "StopAsyncIteration StopIteration SyntaxError SyntaxWarning SystemError SystemExit TabError TimeoutError TypeError "
    "UnboundLocalError "
    "UnicodeDecodeError UnicodeEncodeError UnicodeError UnicodeTranslateError UnicodeWarning UserWarning ValueError "
    "Warning WindowsError ZeroDivisionError "
    "__build_class__ __debug__ __doc__ __file__ __import__ __loader__ __name__ __package__ __spec__".split()
)
"""Those of every version of Python, so that a module's text does not depend on the version that writes it."""
WORDS = KEYWORDS | SOFT_KEYWORDS | BUILTINS
"""What a variable of a function must not be called."""


LETTERS = ("h", "w", "q", "r", "a", "b", "e", "f", "g", "k", "l", "m", "x", "y", "z")
"""Indices that a program gets besides its own."""


def allocate(wanted: str, taken: Collection[str], words: Collection[str] = ()) -> str:
    """`wanted`, where it is no word and not taken; else with `_` behind it, or numbered from 2 on.

    taken: the names in its scope, which may not be used again.  words: what has a meaning of its own there.
    """
    name, number = f"{wanted}_" if wanted in words else wanted, 1
    while name in taken or name in words:
        number += 1
        name = f"{wanted}_{number}"
    return name


@dataclass(frozen=True)
class Together(Collection[str]):
    """Names taken in several places, none of which is copied: to ask for one name of thousands."""

    places: tuple[Collection[str], ...]

    def __contains__(self, name: object) -> bool:
        return any(name in place for place in self.places)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for place in self.places for name in place))

    def __len__(self) -> int:
        return len(list(iter(self)))


def indices(wanted: Iterable[str], taken: Collection[str]) -> Iterator[str]:
    """Names of indices without end, no two the same and none taken: those wanted, then the first of them numbered."""
    given, first = set(taken), ""
    for name in wanted:
        first = first or name
        if name not in given:
            given.add(name)
            yield name
    yield from (name for name in (f"{first}_{k}" for k in count(2)) if name not in given)


def by_number(rank: int, taken: Collection[str]) -> tuple[str, ...]:
    """An index for each of so many axes, `i0`, `i1`, of which nothing is known."""
    return tuple(islice(indices((f"i{k}" for k in count()), taken), rank))


def identifier(text: str) -> str:
    """`text` as Python can spell it: `dense.z` as `dense_z`."""
    return re.sub(r"\W", "_", text)


def defined(source: str) -> frozenset[str]:
    """Every name that a piece of a module defines or imports at its top level."""
    found: set[str] = set()
    nodes: list[ast.AST] = [ast.parse(source)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
            continue  # what is within is not the module's
        if isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        nodes += ast.iter_child_nodes(node)
    return frozenset(found)
