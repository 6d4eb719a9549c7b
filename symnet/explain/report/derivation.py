"""The way from the definition to each gradient, step by step, for folding into a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from symnet.explain.symbols import Glyph
from symnet.graph import Model


@dataclass(frozen=True)
class Step:
    """One line: LaTeX, the reason, and what the numeric check of it said ("" for none)."""

    latex: str
    reason: str
    check: str = ""


def derivations(model: Model, signs: Mapping[str, Glyph]) -> Mapping[str, tuple[Step, ...]]:
    """The steps to each cotangent that has some, by its name."""
    return {}
