"""The words of the language that cannot name a tensor."""

from __future__ import annotations

from collections.abc import Mapping

from codegen.ir.functions import FUNCTIONS
from codegen.notation.syntax import Operator

REDUCTIONS = ("sum", "max", "argmax", "logsumexp", "prod", "mean")
COMPARISONS: Mapping[str, Operator] = {"=": "=", "==": "=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


def reserved(name: str) -> bool:
    """True for functions, reductions, `where` and `and`."""
    return name in REDUCTIONS or name in FUNCTIONS or name in ("where", "and")
