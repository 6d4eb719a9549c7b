"""Parts of a tensor: left sides with a number for one subscript, `z[n,0,k]`, `z[n,1,k]`.

Where the equations of a tensor write every part of it once, each is assigned and nothing is added.
"""

from __future__ import annotations

from codegen.affine import Affine
from codegen.analysis.access import plain_indices
from codegen.analysis.loops import Recurrence
from codegen.equation import Equation, Program, Subscript, all_reads, reads_of
from codegen.schedule import Item


def part_of(equation: Equation, program: Program) -> tuple[int, int] | None:
    """(axis, position) when the left side is one whole position of one axis of its target; None otherwise."""
    shape = program.table[equation.target].shape
    fixed = [k for k, s in enumerate(equation.at) if isinstance(s, Affine) and s.is_constant]
    if len(fixed) != 1:
        return None
    axis = fixed[0]
    names = plain_indices(equation.at[:axis] + equation.at[axis + 1 :])
    sizes = shape[:axis] + shape[axis + 1 :]
    if names is None or any(equation.extents[n] != size for n, size in zip(names, sizes, strict=True)):
        return None
    subscript = equation.at[axis]
    assert isinstance(subscript, Affine)
    return axis, subscript.const


def part_axis(name: str, program: Program) -> int | None:
    """The one axis at which every read of a tensor has a number, or every left side; None where there is none."""
    read = {_fixed(r.at) for e in program.equations for r in all_reads(e) if r.tensor == name}
    written = {_fixed(e.at) for e in program.defining(name)}
    found = [axes.pop() for axes in (read, written) if len(axes) == 1]
    return next((axes[0] for axes in found if len(axes) == 1), None)


def _fixed(at: tuple[Subscript, ...]) -> tuple[int, ...]:
    """The axes with a number."""
    return tuple(k for k, s in enumerate(at) if isinstance(s, Affine) and s.is_constant)


def in_parts(program: Program, items: tuple[Item, ...]) -> frozenset[str]:
    """The tensors whose equations write each position of one axis once, in one loop or all outside of loops.

    items: the schedule of the program, in which nobody reads a tensor before its last equation.
    """
    by_target: dict[str, list[Equation]] = {}
    places: dict[str, set[int]] = {}
    for k, item in enumerate(items):
        looped = isinstance(item, Recurrence)
        for equation in item.equations if isinstance(item, Recurrence) else (item,):
            by_target.setdefault(equation.target, []).append(equation)
            places.setdefault(equation.target, set()).add(k if looped else -1)
    return frozenset(
        name
        for name, equations in by_target.items()
        if len(equations) > 1 and len(places[name]) == 1 and _cover(equations, program)
    )


def _cover(equations: list[Equation], program: Program) -> bool:
    """Whether the equations write every position of one axis, each once."""
    parts = [part_of(e, program) for e in equations if _is_plain(e)]
    if len(parts) < len(equations) or None in parts:
        return False
    axes = {part[0] for part in parts if part is not None}
    positions = sorted(part[1] for part in parts if part is not None)
    size = program.table[equations[0].target].shape[min(axes)]
    return len(axes) == 1 and size == Affine.of(len(positions)) and positions == list(range(len(positions)))


def _is_plain(equation: Equation) -> bool:
    """A sum that looks nothing up: its values are computed first, and written through the left side."""
    looked_up = any(reads_of(read.at) for read in all_reads(equation))
    return equation.reduce == "sum" and not looked_up and not any(g.reads for g in equation.guards)
