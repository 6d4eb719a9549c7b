"""Which equations run together in a loop, step by step.

Equations that read each other in a cycle are a recurrence: one loop over one
index, forward when they read earlier steps (`h[n,t-1,k]`), backward when they read
later ones (the cotangents).  An equation of a recurrent tensor that reads nothing
of the cycle stays outside: the input projection of all steps is one product before
the loop, the gradients of the weights are products after it.

    z[t,q,n,k] += sum[j](W[q,j,k]*h[t-1,n,j])        index t, the distance of h is -1
    h[t,n,k] = tanh(z[t,0,n,k])                      the distance of z is 0
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from codegen.analysis.dependence import components, sources
from codegen.analysis.facts import fact
from codegen.ir.affine import Affine
from codegen.ir.edit import map_all_reads, map_read
from codegen.ir.equation import Equation, Program, Read, Subscript, all_reads
from codegen.ir.errors import FormulaError
from codegen.notation import show

Step = Callable[[str, int, Affine], str | None]
"""What one step of a tensor is called: (tensor, axis of the steps, how much later); None: it is read as it is."""


@dataclass(frozen=True)
class Recurrence:
    """Equations that run together, step by step.

    equations: in the order of one step.  axes: the axis of each recurrent tensor along which the
    steps follow each other.  extent: the number of steps.  backward: the last step runs first.
    """

    equations: tuple[Equation, ...]
    axes: Mapping[str, int]
    extent: Affine
    backward: bool

    def index(self, equation: Equation) -> str:
        """The name of the loop's index in one of the equations."""
        subscript = equation.at[self.axes[equation.target]]
        assert isinstance(subscript, Affine) and subscript.plain is not None
        return subscript.plain

    def distance(self, read: Read, equation: Equation) -> int:
        """How many steps later an equation reads a recurrent tensor: -1 for the step before, 0 for its own."""
        found = distance(read.at[self.axes[read.tensor]], self.index(equation))
        assert found is not None, "a loop reads its tensors at its steps"
        return found

    def at_step(self, equation: Equation, called: Step) -> Equation:
        """One of the equations at one step: what is met there, or a distance away, has no axis of the steps."""
        index = self.index(equation)

        def slice_of(read: Read) -> Read:
            holding = [(k, s) for k, s in enumerate(read.at) if isinstance(s, Affine) and index in s.names]
            if len(holding) != 1 or any(n in equation.extents for n in holding[0][1].without(index).names):
                return read
            ((axis, subscript),) = holding
            name = called(read.tensor, axis, subscript - Affine.of(index))
            return read if name is None else replace(read, tensor=name, at=(*read.at[:axis], *read.at[axis + 1 :]))

        left = map_read(Read(equation.target, equation.at), slice_of)
        stepped = map_all_reads(equation, slice_of)
        box = tuple((n, e) for n, e in equation.box if n != index)
        return stepped.with_(target=left.tensor, at=left.at, box=box)


@fact
def loops(program: Program) -> tuple[Recurrence, ...]:
    """The recurrences of a program.  Raises FormulaError for a cycle that no loop can run."""
    graph = sources(program)
    cycles = [c for c in components(program) if len(c) > 1 or c[0] in graph[c[0]]]
    return tuple(_loop(frozenset(cycle), program) for cycle in cycles)


def reaches(program: Program, axes: Mapping[str, int]) -> Mapping[str, tuple[int, int]]:
    """How far beyond either end of its step axis each recurrent tensor is read, by whatever equation."""
    found: dict[str, tuple[int, int]] = {}
    for equation in program.equations:
        for read in all_reads(equation):
            if read.tensor in axes:
                low, high = found.get(read.tensor, (0, 0))
                along = (distance(read.at[axes[read.tensor]], name) for name in equation.extents)
                d = next((d for d in along if d is not None), 0)
                found[read.tensor] = (max(low, -d), max(high, d))
    return {name: reach for name, reach in found.items() if any(reach)}


def distance(subscript: Subscript, index: str) -> int | None:
    """d, when the subscript is index + d."""
    return subscript.const if isinstance(subscript, Affine) and subscript.terms == ((index, 1),) else None


def _loop(cycle: frozenset[str], program: Program) -> Recurrence:
    equations = [e for e in program.equations if e.target in cycle and any(r.tensor in cycle for r in all_reads(e))]
    for first in range(len(program.table[equations[0].target].shape)):
        axes = _axes(equations, cycle, first)
        if axes is None:
            continue
        loop = Recurrence(tuple(equations), axes, Affine(), backward=False)
        distances = {loop.distance(r, e) for e in equations for r in all_reads(e) if r.tensor in cycle}
        if distances == {0} or (min(distances) < 0 < max(distances)):
            continue
        order = _step_order(loop)
        if order is not None:
            extent = equations[0].extents[loop.index(equations[0])]
            return Recurrence(tuple(order), axes, extent, backward=max(distances) > 0)
    text = "\n".join(f"    {show(e)}" for e in equations)
    raise FormulaError(
        f"these equations read each other in a cycle that no loop can run:\n{text}\n"
        "expected every read of the cycle to be at the same step or earlier (t-1), or at the same step or later "
        "(t+1), along one index; two directions need two recurrences, each with tensors of its own"
    )


def _axes(equations: Sequence[Equation], cycle: frozenset[str], first: int) -> dict[str, int] | None:
    """The step axis of every tensor of the cycle, when that of the first target is `first`; None when there is none."""
    axes = {equations[0].target: first}
    for _ in cycle:  # a cycle reaches all its tensors in as many rounds
        for equation in (e for e in equations if e.target in axes):
            left = equation.at[axes[equation.target]]
            index = left.plain if isinstance(left, Affine) else None
            for read in all_reads(equation):
                if read.tensor not in cycle:
                    continue
                along = [k for k, s in enumerate(read.at) if index and distance(s, index) is not None]
                if len(along) != 1 or axes.setdefault(read.tensor, along[0]) != along[0]:
                    return None
    return axes if set(axes) == cycle else None


def _step_order(loop: Recurrence) -> list[Equation] | None:
    """The equations of one step, each after those of the same step that it reads; None for a cycle within a step."""
    needs = {
        id(e): {r.tensor for r in all_reads(e) if r.tensor in loop.axes and loop.distance(r, e) == 0}
        for e in loop.equations
    }
    waiting, done = list(loop.equations), list[Equation]()
    while waiting:
        ready = next((e for e in waiting if not any(w.target in needs[id(e)] for w in waiting)), None)
        if ready is None:
            return None
        waiting.remove(ready)
        done.append(ready)
    return done
