"""What is the same in the modules of all networks, as far as one module needs it.

A module with one of `MORE`, with weights of samples or with derivatives along a direction is put together of the files
of `symnet/runtime/`, others of those of `symnet/runtime/plain/`.  Of these a module has what its parts' names lead to.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Sequence

from symnet.assembly.wanted import EVERY, MORE, PARTS
from symnet.runtime import PLAIN, names, rest
from symnet.runtime.reach import units

PROMISED = ("MODEL", "DTYPE", "PARAMETERS", "BUFFERS")
"""Constants of every module."""


def is_brief(parts: Sequence[str], *, hvp: bool, weighted: bool) -> bool:
    """Whether a module is put together of the files of `plain/`."""
    return "gradients" not in parts or not (hvp or weighted or {*MORE} & {*parts})


def common(
    parts: Sequence[str], constants: str, *, modes: bool, hvp: bool, weighted: bool
) -> tuple[str, tuple[str, ...], str]:
    """What is the same for every network: its text, the imports it needs, and those of the `constants` that it reads.

    modes: whether training is another program than use.
    """
    trained, whole = "gradients" in parts, not is_brief(parts, hvp=hvp, weighted=weighted)
    flags: dict[str, object] = {f"HAS_{part.upper()}": part in parts for part in ("gradients", "train", "check", *MORE)}
    flags["HAS_NOT_ALL"] = not {*MORE} <= {*parts}
    roots = {name for part in parts for name in PARTS[part].names} | ({"jvp", "hvp"} if hvp and trained else set())
    known = flags if whole else flags | facts(constants, modes)
    if {*parts} == {*EVERY}:
        return *rest(names(hvp, weighted), known)[:2], constants
    text, imports, reads = rest(names(hvp, weighted) if whole else PLAIN, known, roots)
    kept = [line for unit in units(constants) if unit.names & {*PROMISED, *reads} for line in unit.lines]
    return text, imports, "\n".join(kept).strip("\n")


def facts(constants: str, modes: bool) -> dict[str, object]:
    """What conditions in the files of `plain/` may ask: the constants of a module, and what follows from them."""
    known: dict[str, object] = {}
    for node in ast.parse(constants).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            with contextlib.suppress(ValueError):  # such as DTYPE
                known[node.targets[0].id] = ast.literal_eval(node.value)
    inputs, outputs, targets, only = (known[name] for name in ("INPUTS", "OUTPUTS", "TARGETS", "TARGET"))
    assert isinstance(inputs, dict)
    assert isinstance(outputs, dict)
    assert isinstance(targets, dict)
    every = [target for _, target in targets.values()] + ([only] if only else [])
    known["MODES"] = modes
    known["KINDS"] = tuple(kind for _, kind in inputs.values())
    known["TARGET_KINDS"] = tuple(kind for _, kind, _ in every)
    known["LABELS"] = any(kind == "int" and classes for _, kind, classes in every)
    known["ONE_HOT"] = any(kind == "float" and classes for _, kind, classes in every)
    known["DECISIONS"] = tuple(how for _, how, _ in outputs.values()) if outputs else (known["DECISION"],)
    return known
