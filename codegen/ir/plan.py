"""The plan: a program as steps over arrays, one vocabulary for every target.

    plan  ::= setup*  block*
    setup ::= buffer | alias                       what a workspace holds
    block ::= equation  step*                      the steps that compute it
    step  ::= Compute | MatMul | Direct | Reduce | ArgMax | Copy | Fill | Take | ScatterAdd | Loop | Kernel | Region

Steps name arrays through views; how an array is reached (workspace, parameters,
results) and how a step is written down is the emitter's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Literal

import sympy

from codegen.ir.affine import Affine
from codegen.ir.equation import Dtype, Equation
from codegen.ir.view import View


@dataclass(frozen=True)
class Buffer:
    """An array of the workspace; `fill` is its value before the first step (None: anything), a number or `1/N`."""

    name: str
    shape: tuple[Affine, ...]
    dtype: Dtype = "float"
    fill: float | sympy.Expr | None = None


@dataclass(frozen=True)
class Alias:
    """A tensor that is a view of another one's storage and needs no step."""

    name: str
    view: View


@dataclass(frozen=True)
class Compute:
    """`out = body(operands)` elementwise (or `out += body`); axes are those of `out`."""

    out: View
    body: sympy.Expr
    operands: tuple[View, ...]
    axes: tuple[tuple[str, Affine], ...]
    accumulate: bool = False
    dtype: Dtype = "float"


@dataclass(frozen=True)
class MatMul:
    """`out = left @ right` over the last two axes, the others broadcast; `rows`: row times row, summed."""

    out: View
    left: View
    right: View
    rows: bool = False


@dataclass(frozen=True)
class Direct:
    """A window product in one compiled loop: of an image (row, channel, column, batch) and another factor.

    A convolution: out (row, channel, column, batch), factor (blocks, inputs, taps down, taps along, block).
    gradient: out (outputs, inputs, taps down, taps along), factor (row, channel, column, batch).
    tile: the sizes of what stays in registers.  stride: of the positions; apart: how far the taps lie apart.
    deep: whether each channel of the image belongs to one output channel.
    """

    out: View
    factor: View
    image: View
    tile: tuple[int, ...]
    stride: tuple[int, int]
    apart: tuple[int, int]
    deep: bool
    gradient: bool


@dataclass(frozen=True)
class Reduce:
    """`out = ufunc.reduce(source, axes)`."""

    ufunc: Literal["add", "maximum", "multiply"]
    out: View
    source: View
    axes: tuple[int, ...]


@dataclass(frozen=True)
class ArgMax:
    """`out = argmax(source, axis)`."""

    out: View
    source: View
    axis: int


@dataclass(frozen=True)
class Copy:
    """`out[...] = source`."""

    out: View
    source: View


@dataclass(frozen=True)
class Fill:
    """`out[...] = value`."""

    out: View
    value: float


@dataclass(frozen=True)
class Gather:
    """`out = flat source at positions` (positions valid by construction); `rows`: of its first axis."""

    out: View
    source: View
    positions: View
    rows: bool = False


@dataclass(frozen=True)
class ScatterAdd:
    """`flat out at positions += values`; `unique`: no position occurs twice."""

    out: View
    positions: View
    values: View | sympy.Expr
    unique: bool


@dataclass(frozen=True)
class Loop:
    """A Python loop `for index in range(extent)` over steps that name the index; `backward`: the last one first."""

    index: str
    extent: Affine
    steps: tuple[Step, ...]
    backward: bool = False


@dataclass(frozen=True)
class Kernel:
    """One loop over the box that all steps have: at each point they run one after another.

    stored: which results go to their arrays; the others are only values for the steps that follow.
    """

    steps: tuple[Compute, ...]
    stored: tuple[bool, ...]


@dataclass(frozen=True)
class Region:
    """Steps, one after the other, that the target writes as one compiled function."""

    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Note:
    """No work: the steps that follow compute this equation."""

    equation: Equation


Step = Compute | MatMul | Direct | Reduce | ArgMax | Copy | Fill | Gather | ScatterAdd | Loop | Kernel | Region | Note


@dataclass(frozen=True)
class Block:
    """The steps of one equation; `noted`: of several, each announced by a Note.  remark: how they go about it."""

    equation: Equation
    steps: tuple[Step, ...]
    noted: bool = False
    remark: str = ""


@dataclass
class Plan:
    """A lowered program."""

    setup: list[Buffer | Alias] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)

    @property
    def storage(self) -> dict[str, str]:
        """For each tensor that is a view, the array in which it lies in the end."""
        found: dict[str, str] = {}
        for item in self.setup:
            if isinstance(item, Alias):
                found[item.name] = found.get(item.view.base, item.view.base)
        return found


def leaves(steps: Iterable[Step]) -> Iterator[Step]:
    """The steps, with those within loops, kernels and regions in place of these."""
    for step in steps:
        if isinstance(step, Loop | Kernel | Region):
            yield from leaves(step.steps)
        else:
            yield step


def views_of(step: Step) -> tuple[View, ...]:
    """Every view that a step reads or writes."""
    if isinstance(step, Loop | Kernel | Region):
        return tuple(v for inner in step.steps for v in views_of(inner))
    values = (getattr(step, f.name) for f in fields(step))
    return tuple(
        v for value in values for v in (value if isinstance(value, tuple) else (value,)) if isinstance(v, View)
    )


def accesses(step: Step) -> tuple[tuple[View, bool], ...]:
    """(view, whether it is written) in the order in which a step uses them: it reads, then writes `out`.

    Of a loop, what one round does.
    """
    if isinstance(step, Loop | Region):
        return tuple(access for inner in step.steps for access in accesses(inner))
    if isinstance(step, Kernel):
        return _accesses_of(step)
    out = getattr(step, "out", None)
    if not isinstance(out, View):
        return ()
    views = list(views_of(step))
    views.remove(out)  # one of them: a kernel may read where it writes
    adds = isinstance(step, ScatterAdd) or getattr(step, "accumulate", False)
    return (*((view, False) for view in views), *([(out, False)] if adds else []), (out, True))


def _accesses_of(kernel: Kernel) -> tuple[tuple[View, bool], ...]:
    """What a kernel reads and writes: a value that an earlier step of it computed is at hand."""
    found: list[tuple[View, bool]] = []
    computed: set[View] = set()
    for step, stored in zip(kernel.steps, kernel.stored, strict=True):
        found += [access for access in accesses(step)[:-1] if access[0] not in computed]
        computed.add(step.out)
        if stored:
            found.append((step.out, True))
    return tuple(found)


def mapped(step: Step, change: Callable[[View], View]) -> Step:
    """The step with every view changed."""
    if isinstance(step, Loop | Region):
        return replace(step, steps=tuple(mapped(inner, change) for inner in step.steps))
    if isinstance(step, Kernel):
        inner = (mapped(each, change) for each in step.steps)
        return replace(step, steps=tuple(each for each in inner if isinstance(each, Compute)))
    changes: dict[str, object] = {}
    for f in fields(step):
        value = getattr(step, f.name)
        if isinstance(value, View):
            changes[f.name] = change(value)
        elif isinstance(value, tuple) and any(isinstance(v, View) for v in value):
            changes[f.name] = tuple(change(v) for v in value)
    return replace(step, **changes) if changes else step  # type: ignore[arg-type]
