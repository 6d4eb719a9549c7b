"""Short ways to write tensors, reads and equations in tests, and a program with its arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import sympy
from hypothesis import strategies as st
from hypothesis.vendor.pretty import RepresentationPrinter

from codegen.analysis.schedule import in_order
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Guard, Program, Read, Reduction, Subscript, Tensor, slot
from codegen.ir.plan import Plan
from codegen.lower.legalize import legalize
from codegen.lower.lowering import Lowering
from codegen.notation.quote import quote
from codegen.oracle.interpret import interpret

A = Affine.of
n, i, j, u, v, c, d, k, o, p = (A(name) for name in "nijuvcdkop")
X = sympy.Symbol("x", real=True)
Draw = Callable[[st.SearchStrategy], object]
Ranges = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Case:
    """A program, arrays for its inputs and parameters, and the value of each size."""

    family: str
    program: Program
    arrays: Mapping[str, np.ndarray]
    sizes: Mapping[str, int]

    def __repr__(self) -> str:
        lines = [f"{self.family}, sizes {dict(self.sizes)}"]
        for t in self.program.tensors:
            values = self.arrays[t.name].tolist() if t.name in self.arrays and self.arrays[t.name].size < 20 else ""
            lines.append(f"  {t.name}({', '.join(map(str, t.shape))}) {t.dtype} {t.kind} {values}")
        boxes = [", ".join(f"{name}<{extent}" for name, extent in e.box) for e in self.program.equations]
        lines += [f"  {quote(e)}   box {box}" for e, box in zip(self.program.equations, boxes, strict=True)]
        return "\n".join(lines)

    def _repr_pretty_(self, printer: RepresentationPrinter, cycle: bool) -> None:
        printer.text(repr(self))

    @property
    def result(self) -> str:
        """The name of the tensor that the program is about."""
        return next(t.name for t in reversed(self.program.tensors) if t.kind == "result")


def tensor(name: str, *shape: int | str | Affine, dtype: str = "float", kind: str = "input") -> Tensor:
    """A tensor with these extents."""
    return Tensor(name, tuple(A(extent) for extent in shape), dtype, kind)  # type: ignore[arg-type]


def read(name: str, *at: int | str | Affine | Read, strong: bool = False) -> Read:
    """`name[at]`."""
    return Read(name, subscripts(*at), strong)


def subscripts(*at: int | str | Affine | Read) -> tuple[Subscript, ...]:
    """Integers and names become affine; reads stay."""
    return tuple(s if isinstance(s, Read) else A(s) for s in at)


def equation(
    target: str,
    at: Sequence[int | str | Affine | Read],
    reads: Sequence[Read],
    body: sympy.Expr | None = None,
    *,
    over: Sequence[str] = (),
    reduce: Reduction = "sum",
    guards: Sequence[Guard] = (),
    accumulate: bool = False,
    **box: int | str | Affine,
) -> Equation:
    """One equation of stage "forward"; without a body, the product of the reads."""
    order = [name for name in box if name not in over] + list(over)
    return Equation(
        target=target,
        at=subscripts(*at),
        body=sympy.Mul(*(slot(m) for m in range(len(reads)))) if body is None else body,
        reads=tuple(reads),
        box=tuple((name, A(box[name])) for name in order),
        over=tuple(over),
        reduce=reduce,
        guards=tuple(guards),
        accumulate=accumulate,
        stage="forward",
    )


def program(tensors: Sequence[Tensor], *equations: Equation) -> Program:
    """A program whose sizes are those that the shapes and boxes name; what it defines is no input."""
    targets = {e.target for e in equations}
    tensors = [replace(t, kind="value") if t.name in targets and t.kind == "input" else t for t in tensors]
    shapes = [extent for t in tensors for extent in t.shape]
    boxes = [extent for e in equations for _, extent in e.box]
    sizes = dict.fromkeys(name for extent in (*shapes, *boxes) for name in extent.names)
    return Program(tuple(tensors), tuple(equations), tuple(sizes))


def with_arrays(draw: Draw, family: str, made: Program, ranges: Ranges | None = None, ties: bool = False) -> Case:
    """The case of `made` with random arrays.

    ranges: the least and greatest value of an int tensor (0 and 2 by default).
    ties: allow float arrays that hold only -1, 0 and 1.
    """
    sizes = {name: draw(st.integers(1, 3)) for name in made.sizes}
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    coarse = ties and draw(st.booleans())
    arrays = {}
    for t in made.tensors:
        if t.kind not in ("input", "parameter"):
            continue
        shape = tuple(extent.evaluate(sizes) for extent in t.shape)
        low, high = (ranges or {}).get(t.name, (0, 2))
        if t.dtype == "float":
            arrays[t.name] = rng.integers(-1, 2, shape).astype(float) if coarse else rng.normal(size=shape)
        else:
            arrays[t.name] = rng.integers(low, high + 1, shape) if t.dtype == "int" else rng.random(shape) < 0.6
    return Case(family, made, arrays, sizes)


def plan_of(made: Program, checked: Mapping[str, int] | None = None, **options: Any) -> Plan:
    """The plan of `made` as it stands.  options: those of `Lowering`."""
    made = in_order(made)
    lowering = Lowering(made, legalize(made, checked), checked or {}, **options)
    return lowering.lowered(lowering.choices())[0]


def with_loss(case: Case) -> Case:
    """The case followed by the scalar `loss`, the sum of its result against fixed random weights."""
    table, name = case.program.table, case.result
    result = replace(table[name], kind="value")
    axes = [f"l{axis}" for axis in range(len(result.shape))]
    box = dict(zip(axes, result.shape, strict=True))
    total = equation("loss", (), [read("weights", *axes), read(name, *axes)], over=axes, **box).with_(stage="loss")
    tensors = [result if t.name == name else t for t in case.program.tensors]
    tensors += [Tensor("weights", result.shape, kind="input"), tensor("loss", kind="result")]
    made = replace(case.program, tensors=tuple(tensors), equations=(*case.program.equations, total))
    shape = [extent.evaluate(case.sizes) for extent in result.shape]
    weights = np.random.default_rng(1).normal(size=shape)
    return replace(case, program=made, arrays={**case.arrays, "weights": weights})


def differences(case: Case, name: str, step: float = 1e-6) -> np.ndarray:
    """Central differences of the scalar `loss` by each element of the input or parameter `name`."""
    array = np.asarray(case.arrays[name], float)
    result = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        sides = []
        for sign in (1, -1):
            moved = array.copy()
            moved[place] += sign * step
            sides.append(float(interpret(case.program, {**case.arrays, name: moved}, case.sizes)["loss"]))
        result[place] = (sides[0] - sides[1]) / (2 * step)
    return result
