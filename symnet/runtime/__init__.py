"""The part of a generated module that does not depend on the network.

The files of this folder are ordinary, type-checked Python.  The emitter writes what `head.py`
describes (the names that come from the model), then `fragments()`, with `import_block()` on top.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path

from symnet.runtime.folding import folded
from symnet.runtime.reach import reached, units

FRAGMENTS = (
    "containers",
    "checks",
    "absent",
    "parameters",
    "workspaces",
    "noise",
    "quiet",
    "evaluate",
    "figures",
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


WHOLE: dict[str, object] = {
    "HAS_WORKERS": True,
    "HAS_STREAMS": True,
    "HAS_RESUME": True,
    "HAS_SCHEDULES": True,
    "HAS_NOT_ALL": False,
}
"""The parts of a module that its other parts ask for, as constants: all of them."""

PLAIN = (
    "plain/given",
    "plain/use",
    "plain/learn",
    "plain/loop",
    "plain/compare",
    "plain/files",
    "plain/program",
)
"""The files that are spliced into modules with none of the parts that take many lines, in this order."""


@cache
def fragments(hvp: bool = False, weighted: bool = False) -> str:
    """The text of every fragment, without its imports; its docstring becomes a heading.

    hvp: with the derivatives along a direction.  weighted: with weights of samples.
    """
    return rest(names(hvp, weighted), WHOLE)[0]


def names(hvp: bool = False, weighted: bool = False) -> tuple[str, ...]:
    """The files of a whole module, in order."""
    at = FRAGMENTS.index("evaluate")
    more = (CURVATURE,) if hvp else ()
    return (*FRAGMENTS[:at], WEIGHTS[weighted], "evaluate", *more, *FRAGMENTS[at + 1 :])


def rest(
    files: Sequence[str],
    known: Mapping[str, object],
    roots: Iterable[str] | None = None,
) -> tuple[str, tuple[str, ...], frozenset[str]]:
    """The text of these files, the imports that it needs, and all names that it reads.

    known: constants by which conditions are decided.  roots: names that are wanted, with what they lead to; by default
    all public ones, and what other processes call.
    """
    wanted = None if roots is None else frozenset(roots)
    return _rest(tuple(files), _Constants(known), wanted)


class _Constants(dict[str, object]):
    """Constants by name, as something that results are kept for."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(repr(self))


@lru_cache(maxsize=32)
def _rest(
    files: tuple[str, ...], known: _Constants, roots: frozenset[str] | None
) -> tuple[str, tuple[str, ...], frozenset[str]]:
    texts = {name: folded(_text(name), known) for name in files}
    found = {name: units(text) for name, text in texts.items()}
    every = {name for each in found.values() for unit in each for name in unit.names}
    public = {name for name in every if name[0] != "_"} | {"_serve"}
    kept = reached(found, public if roots is None else roots)
    reads = frozenset(
        name for each in kept.values() for unit in each for name in unit.reads
    )
    parts = [
        _heading_of(texts[name]) + "\n".join(line for u in each for line in u.lines)
        for name, each in kept.items()
    ]
    return (
        "\n\n".join(part.rstrip() + "\n" for part in parts),
        _imports((texts[name] for name in kept), reads),
        reads,
    )


def import_block(
    more: Iterable[str] = (), standard: Sequence[str] | None = None
) -> str:
    """The imports that the fragments need, in standard order, and the third-party ones in `more`.

    `more` holds lines such as "import numexpr as ne"; NumPy is there already.  standard: those of the standard library;
    by default of all fragments.
    """
    third_party = sorted(
        {*more, "import numpy as np"}, key=lambda line: (line.startswith("from"), line)
    )
    lines = [
        "from __future__ import annotations",
        "",
        *(_every_import() if standard is None else standard),
        "",
        *third_party,
    ]
    return "\n".join(lines) + "\n"


def in_order(imports: Iterable[str]) -> tuple[str, ...]:
    """Lines of imports in standard order: plain ones first."""
    return tuple(sorted(imports, key=lambda line: (line.startswith("from"), line)))


def heading(text: str) -> str:
    """The line that begins a part of a module."""
    return f"# --- {text} ".ljust(88, "-")


def _heading_of(text: str) -> str:
    return heading((ast.get_docstring(ast.parse(text)) or "").rstrip(".")) + "\n"


def _imports(texts: Iterable[str], reads: Collection[str]) -> tuple[str, ...]:
    """Lines for the imports from the standard library whose names are read, merged and sorted: plain ones first."""
    plain: set[str] = set()
    named: dict[str, set[str]] = {}
    for text in texts:
        for node in ast.parse(text).body:
            if isinstance(node, ast.Import):
                plain |= {
                    alias.name
                    for alias in node.names
                    if alias.name != "numpy" and alias.name in reads
                }
            elif isinstance(node, ast.ImportFrom) and not _own(node.module or ""):
                wanted = {alias.name for alias in node.names if alias.name in reads}
                named[node.module or ""] = named.get(node.module or "", set()) | wanted
    lines = (
        f"from {module} import {', '.join(sorted(named[module]))}"
        for module in sorted(named)
        if named[module]
    )
    return (*(f"import {name}" for name in sorted(plain)), *lines)


def _own(module: str) -> bool:
    return module == "__future__" or module.startswith("symnet.")


def _text(name: str) -> str:
    return (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")


HEAD = _text("head")
"""The names that a module defines from its model."""


@cache
def _every_import() -> tuple[str, ...]:
    """One line each: what the fragments import from the standard library."""
    return rest(names(), WHOLE)[1]
