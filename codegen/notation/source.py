"""Where an error is, and how it is said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from codegen.ir.errors import CodegenError, FormulaError

SHOWN = 100
"""The longest piece of a line that a message quotes."""


@dataclass(frozen=True)
class Source:
    """A formula's text and the name of what declared it."""

    text: str
    origin: str = ""

    def line(self, at: int) -> int:
        """The number of the line at an offset, counted from 1."""
        return self.text.count("\n", 0, at) + 1

    def fault(
        self,
        at: int,
        what: str,
        *,
        expected: str = "",
        got: str = "",
        mend: str = "",
        kind: type[CodegenError] = FormulaError,
    ) -> CodegenError:
        """The error to raise: what, where (the line with a caret), expected, got, how to mend it."""
        number = self.line(at)
        start = self.text.rfind("\n", 0, at) + 1
        end = self.text.find("\n", at)
        line = self.text[start : end if end >= 0 else len(self.text)]
        column = min(at - start, len(line))
        if len(line) > SHOWN:
            skip = max(0, min(column - SHOWN // 2, len(line) - SHOWN))
            line, column = line[skip : skip + SHOWN], column - skip
        owner = f"{self.origin}, " if self.origin else ""
        parts = [what, f"  in {owner}line {number}:", f"    {line.replace(chr(9), ' ')}", f"    {' ' * column}^"]
        parts += [
            f"  {label}: {said}" for label, said in (("expected", expected), ("got", got), ("to mend", mend)) if said
        ]
        return kind("\n".join(parts))


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean 'weight'?`, or an empty text when nothing is near."""
    close = get_close_matches(name, sorted(set(known)), n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else ""


def listed(names: Iterable[str]) -> str:
    """Names for a message, at most twelve of them."""
    found = list(dict.fromkeys(names))
    return ", ".join(found[:12]) + (", ..." if len(found) > 12 else "") if found else "none"
