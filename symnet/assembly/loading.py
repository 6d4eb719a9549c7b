"""A generated module as a module: its text is run, shown by tracebacks, and what copies and pickles hold."""

from __future__ import annotations

import builtins
import linecache
from types import ModuleType
from typing import Any

from symnet.support.errors import pickled_as_ours


class Generated(ModuleType):
    """A generated module.  No import finds it: where it is copied or pickled, its text is."""

    def __init__(self, name: str, source: str, filename: str) -> None:
        super().__init__(name)
        self._text_, self.__file__ = source, filename

    def __reduce__(self) -> tuple[Any, ...]:
        return loaded, (self.__name__, self._text_)


def loaded(name: str, source: str) -> ModuleType:
    """A generated module from its text, which is run: it must come from `compile`."""
    lines = source.splitlines(keepends=True)
    filename, number = f"<symnet generated {name}>", 1
    while filename in linecache.cache and linecache.getlines(filename) != lines:  # of another model of that name
        number += 1
        filename = f"<symnet generated {name}, {number}>"
    linecache.cache[filename] = (len(source), None, lines, filename)
    module = Generated(name, source, filename)
    exec(builtins.compile(source, filename, "exec"), module.__dict__)
    pickled_as_ours(module)
    return module
