"""The part of a generated module that does not depend on the network.

The files of this folder are ordinary, type-checked Python.  The emitter writes what `head.py`
describes (the names that come from the model), then `fragments()`, with `import_block()` on top.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

FRAGMENTS = (
    "containers",
    "checks",
    "parameters",
    "workspaces",
    "noise",
    "quiet",
    "evaluate",
    "schedules",
    "fast",
    "vectors",
    "parts",
    "shared",
    "slices",
    "processes",
    "workers",
    "worker",
    "cores",
    "diverged",
    "step",
    "terminal",
    "progress",
    "batches",
    "resume",
    "loop",
    "gradient_check",
    "files",
    "program",
)
"""The files that are spliced, in this order."""

CURVATURE = "curvature"
"""The file that is spliced after `evaluate` where hvp and jvp are asked for."""

WEIGHTS = ("unweighted", "weights")
"""The file that is spliced before `evaluate`, without and with weights of samples."""


@cache
def fragments(hvp: bool = False, weighted: bool = False) -> str:
    """The text of every fragment, without its imports; its docstring becomes a heading.

    hvp: with the derivatives along a direction.  weighted: with weights of samples.
    """
    at = FRAGMENTS.index("evaluate")
    more = (CURVATURE,) if hvp else ()
    names = (
        *FRAGMENTS[:at],
        WEIGHTS[weighted],
        "evaluate",
        *more,
        *FRAGMENTS[at + 1 :],
    )
    return "\n\n".join(_splice(name) for name in names)


def import_block(more: Iterable[str] = ()) -> str:
    """The imports that the fragments need, in standard order, and the third-party ones in `more`.

    `more` holds lines such as "import numexpr as ne"; NumPy is there already.
    """
    third_party = sorted(
        {*more, "import numpy as np"}, key=lambda line: (line.startswith("from"), line)
    )
    return (
        "\n".join(
            ["from __future__ import annotations", "", *IMPORTS, "", *third_party]
        )
        + "\n"
    )


def heading(text: str) -> str:
    """The line that begins a part of a module."""
    return f"# --- {text} ".ljust(88, "-")


def _splice(name: str) -> str:
    text = _text(name)
    tree = ast.parse(text)
    body = [
        node
        for node in tree.body[1:]
        if not isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    lines = text.splitlines()
    start = tree.body[tree.body.index(body[0]) - 1].end_lineno or 0
    title = heading((ast.get_docstring(tree) or name).rstrip("."))
    return f"{title}\n" + "\n".join(lines[start:]).rstrip() + "\n"


def _standard_imports() -> tuple[str, ...]:
    """The standard-library imports of all fragments, merged: plain ones first, then `from`, each sorted by name."""
    plain: set[str] = set()
    named: dict[str, set[str]] = {}
    for name in FRAGMENTS:
        for node in ast.parse(_text(name)).body:
            if isinstance(node, ast.Import):
                plain |= {
                    f"import {alias.name}"
                    for alias in node.names
                    if alias.name != "numpy"
                }
            elif isinstance(node, ast.ImportFrom) and not _own(node.module or ""):
                named.setdefault(node.module or "", set()).update(
                    alias.name for alias in node.names
                )
    return (
        *sorted(plain),
        *(
            f"from {module} import {', '.join(sorted(named[module]))}"
            for module in sorted(named)
        ),
    )


def _own(module: str) -> bool:
    return module == "__future__" or module.startswith("symnet.")


def _text(name: str) -> str:
    return Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")


HEAD = _text("head")
"""The names that a module defines from its model."""

IMPORTS = _standard_imports()
"""One line each: what the fragments import from the standard library."""
