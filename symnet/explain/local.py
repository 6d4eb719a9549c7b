"""A small copy of the equations around one tensor, on which a step of its derivation is tried out.

The copy has the equations that read the tensor, with smaller extents: the batch, maps
and features of 2, positions of 3, windows as they are.  Its scalar is the sum of their
results against random numbers, which play the part of the errors from above.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from codegen.analysis.lookups import lookups
from codegen.analysis.structure import structure
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Kind, Program, Read, Tensor, all_reads, slot
from codegen.oracle.interpret import interpret

Arrays = dict[str, npt.NDArray[np.generic]]

SCALAR = "local"
ABOVE = "above."
SIZE = 2
"""The batch, features and maps of a small copy."""
POSITIONS = 3
POINTS = 20_000
"""Points of the boxes of a copy beyond which nothing is tried: the interpreter would take too long."""
STEP = 1e-5


@dataclass(frozen=True)
class Local:
    """The equations that read a tensor, the scalar made of their results, and random arrays.

    program: its scalar is `local`; the cotangent of target `y` is the input `above.y`.
    """

    program: Program
    arrays: Arrays
    sizes: Mapping[str, int]

    def slope(self, name: str, along: npt.NDArray[np.float64]) -> float:
        """The central difference of the scalar when `name` moves along a direction."""
        sides = []
        for sign in (1, -1):
            moved = {**self.arrays, name: np.asarray(self.arrays[name], float) + sign * STEP * along}
            sides.append(float(interpret(self.program, moved, self.sizes)[SCALAR]))
        return (sides[0] - sides[1]) / (2 * STEP)


def local(program: Program, name: str, seed: int = 0) -> Local | None:
    """The small copy around tensor `name` of `program`; None where it would still be large, or nothing flows back."""
    smooth = [e for e in program.equations if e.reduce != "argmax" and e.stage != "backward"]
    targets = dict.fromkeys(e.target for e in smooth if any(r.tensor == name for r in e.reads))
    chosen = [e for e in smooth if e.target in targets]
    small = _shrunk(chosen, program)
    if small is None or name in targets or not targets:
        return None
    equations, shapes = small
    if sum(_points(e, program.sizes) for e in equations) > POINTS:
        return None
    tensors = [_given(program.table[n], shapes, n in targets) for n in shapes]
    totals: list[Equation] = []
    for target in targets:
        axes = tuple(f"l{k}" for k in range(len(shapes[target])))
        at = tuple(Affine.of(a) for a in axes)
        box = tuple(zip(axes, shapes[target], strict=True))
        tensors.append(Tensor(ABOVE + target, shapes[target], "float", "input"))
        reads = (Read(ABOVE + target, at), Read(target, at))
        body = slot(0) * slot(1)
        totals.append(Equation(SCALAR, (), body, reads, box, axes, accumulate=bool(totals), stage="loss"))
    tensors.append(Tensor(SCALAR, (), "float", "result"))
    made = Program(tuple(tensors), (*equations, *totals), program.sizes)
    sizes = dict.fromkeys(program.sizes, SIZE)
    arrays = _drawn(made, sizes, np.random.default_rng(seed))
    if not np.isfinite(interpret(made, arrays, sizes)[SCALAR]):
        # A root or a logarithm: stay where it is defined.
        arrays = {n: abs(a) + 0.5 if a.dtype.kind == "f" else a for n, a in arrays.items()}
    return Local(made, arrays, sizes)


def _given(tensor: Tensor, shapes: Mapping[str, tuple[Affine, ...]], computed: bool) -> Tensor:
    kind: Kind = "value" if computed else "parameter" if tensor.kind == "parameter" else "input"
    return replace(tensor, shape=shapes[tensor.name], kind=kind)


def _points(equation: Equation, sizes: tuple[str, ...]) -> int:
    count = 1
    for _, extent in equation.box:
        count *= extent.evaluate(dict.fromkeys(sizes, SIZE))
    return count


def _shrunk(
    equations: list[Equation], program: Program
) -> tuple[tuple[Equation, ...], dict[str, tuple[Affine, ...]]] | None:
    """The equations over smaller boxes, and the shapes that go with them; as they are where no smaller ones fit."""
    shapes: dict[str, list[Affine | None]] = {}
    made = []
    for equation in equations:
        extents = {n: _extent(n, equation, program) for n, _ in equation.box}
        places = [(equation.target, equation.at), *((r.tensor, r.at) for r in all_reads(equation))]
        for tensor, at in places:
            known = shapes.setdefault(tensor, [None] * len(at))
            for k, subscript in enumerate(at):
                extent = known[k]
                if isinstance(subscript, Affine) and subscript.plain in extents and extent is not None:
                    extents[subscript.plain] = extent
        for tensor, at in places:
            for k, (subscript, size) in enumerate(zip(at, program.table[tensor].shape, strict=True)):
                wanted = size
                if isinstance(subscript, Affine):
                    _, old = subscript.bounds(equation.extents)
                    _, new = subscript.bounds(extents)
                    wanted = size - old + new
                if shapes[tensor][k] not in (None, wanted):
                    return _unshrunk(equations, program)
                shapes[tensor][k] = wanted
        made.append(equation.with_(box=tuple(extents.items())))
    whole = {name: tuple(e for e in shape if e is not None) for name, shape in shapes.items()}
    consistent = all(_fits(e, whole) for e in made) and all(e.is_nonnegative() for s in whole.values() for e in s)
    return (tuple(made), whole) if consistent else _unshrunk(equations, program)


def _fits(equation: Equation, shapes: Mapping[str, tuple[Affine, ...]]) -> bool:
    """Whether a plain index still runs over its whole axis."""
    places = [(equation.target, equation.at), *((r.tensor, r.at) for r in all_reads(equation))]
    return all(
        not isinstance(s, Affine) or equation.extents.get(s.plain or "", size) == size
        for tensor, at in places
        for s, size in zip(at, shapes[tensor], strict=True)
    )


def _unshrunk(
    equations: list[Equation], program: Program
) -> tuple[tuple[Equation, ...], dict[str, tuple[Affine, ...]]]:
    names = dict.fromkeys(n for e in equations for n in (e.target, *(r.tensor for r in all_reads(e))))
    return tuple(equations), {n: program.table[n].shape for n in names}


def _extent(name: str, equation: Equation, program: Program) -> Affine:
    """The extent of an index in the copy: windows, groups and numbers keep theirs."""
    s = structure(equation, program.table).literal
    index = s.indices[name]
    axes = [axis for access in s.accesses for axis in access.axes if axis.affine and axis.coefficient(name)]
    shifted = any(len(axis.terms) == 1 and axis.offset.const for axis in axes)  # such as a join's
    beside = [axis for axis in axes if len(axis.terms) > 1]
    guarded = any(g.affine.coefficient(name) for g in equation.guards)
    if not index.extent.is_constant or index.number or guarded or shifted:
        return index.extent
    if not beside:
        return Affine.of(min(index.extent.const, SIZE))
    leading = all(abs(axis.coefficient(name)) == abs(axis.terms[0][1]) for axis in beside) and not index.reduced
    return Affine.of(min(index.extent.const, POSITIONS)) if leading else index.extent


def _drawn(program: Program, sizes: Mapping[str, int], rng: np.random.Generator) -> Arrays:
    """Random arrays; integers fit the axes that they select from."""
    limits = {name: min(size.evaluate(sizes) for size in found) for name, found in lookups(program).items()}
    arrays: Arrays = {}
    for tensor in program.tensors:
        if tensor.kind in ("input", "parameter"):
            shape = tuple(extent.evaluate(sizes) for extent in tensor.shape)
            if tensor.dtype == "float":
                arrays[tensor.name] = rng.normal(size=shape)
            elif tensor.dtype == "int":
                arrays[tensor.name] = rng.integers(0, limits.get(tensor.name, 2), shape)
            else:
                arrays[tensor.name] = rng.random(shape) < 0.5
    return arrays
