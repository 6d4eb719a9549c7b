"""What the recipes share: the workspace under construction.

A `Storage` hands out buffers with names from the program, keeps padded copies
and columns so that each is made once, and turns reads into views.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import sympy

from codegen.affine import Affine
from codegen.analysis.access import reach
from codegen.analysis.structure import Structure, structure
from codegen.equation import Dtype, Equation, Program, Read, Tensor, all_reads
from codegen.errors import CodegenError
from codegen.ir.names import allocate
from codegen.lower.copies import Copied, Halo
from codegen.machine.model import MACHINE, Machine
from codegen.plan import Alias, Buffer, Copy, Step
from codegen.rewrite.shape import NOTHING, Checked
from codegen.rewrite.unbounded import minus_infinite
from codegen.view import FULL, Slice, Take, View, natural


@dataclass
class Storage:
    """Mutable state of one lowering.

    checked: what is known of the values of integer tensors.
    machine: what the code is to be fast on.
    looped: whether the equation at hand is one step of a loop, before which the prelude's fixed part runs once.
    prelude: steps that prepare operands of the equation at hand (padding, columns, gathers).
    shapes, dtypes: of everything that has storage: tensors and invented buffers.
    """

    program: Program
    checked: Checked = field(default_factory=dict)
    machine: Machine = MACHINE
    setup: list[Buffer | Alias] = field(default_factory=list)
    prelude: list[Step] = field(default_factory=list)
    looped: bool = False
    shapes: dict[str, tuple[Affine, ...]] = field(default_factory=dict)
    dtypes: dict[str, Dtype] = field(default_factory=dict)
    prepared: dict[object, str] = field(default_factory=dict)
    columns: dict[object, list[tuple[str, tuple[str, ...]]]] = field(default_factory=dict)
    rules: Callable[[Equation, Storage], list[Step]] | None = None
    """How an equation is lowered, for recipes that make others of it."""
    recipes: tuple[str, ...] = ()
    """Recipes for window products to take before all others where they apply (for tests and measurements)."""
    compiled: bool = False
    """Whether the target compiles loops."""
    remark: str = ""
    """Which recipe the equation at hand is computed by."""
    parts: frozenset[str] = NOTHING
    """Tensors whose equations write disjoint parts that cover them: each is assigned."""
    masks: dict[str, int] = field(default_factory=dict)
    """Arg maxima stored as masks: the number of points."""
    haloless: frozenset[str] = NOTHING
    """Tensors that may still be given a halo."""
    frames: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    """Tensors stored inside a frame of zeros: its name, the axis of the steps, and the width before the first one."""

    @cached_property
    def unbounded(self) -> frozenset[str]:
        """The tensors that may hold -inf."""
        return minus_infinite(self.program, self.checked)

    def __post_init__(self) -> None:
        self.shapes |= {tensor.name: tensor.shape for tensor in self.program.tensors}
        self.dtypes |= {tensor.name: tensor.dtype for tensor in self.program.tensors}

    def lower(self, equation: Equation) -> list[Step]:
        """The steps of an equation that a recipe has made of another."""
        assert self.rules is not None, "nothing is lowered here"
        return self.rules(equation, self)

    def reading(self, equation: Equation, made: Mapping[str, Tensor] | None = None) -> Structure:
        """How an equation over what is stored is read, indices of one point kept; made: what has no storage yet."""
        names = dict.fromkeys((equation.target, *(read.tensor for read in all_reads(equation))))
        known = made or {}
        return structure(equation, {name: known.get(name) or self._tensor(name) for name in names}).literal

    def _tensor(self, name: str) -> Tensor:
        declared = self.program.table.get(name)
        kind = declared.kind if declared is not None else "value"
        return Tensor(name, self.shapes[name], self.dtypes[name], kind)

    def buffer(
        self, stem: str, shape: Sequence[Affine], dtype: Dtype = "float", fill: float | sympy.Expr | None = None
    ) -> str:
        """A new array of the workspace, named `stem` (numbered from 2 when taken)."""
        name = self.unused(stem)
        self.setup.append(Buffer(name, tuple(shape), dtype, fill))
        self.shapes[name] = tuple(shape)
        self.dtypes[name] = dtype
        return name

    def unused(self, stem: str) -> str:
        """A name that no tensor and no array has."""
        return allocate(stem, self.shapes)  # of the tensors, too

    def ones(self, shape: tuple[Affine, ...]) -> str:
        """An array of ones; made once."""
        key = ("vector", shape, sympy.Integer(1))
        if key not in self.prepared:
            self.prepared[key] = self.buffer(shaped("ones", shape), shape, fill=1.0)
        return self.prepared[key]

    def tensor(self, name: str) -> None:
        """Storage for a tensor of the program."""
        tensor = self.program.table[name]
        if tensor.kind in ("value", "input"):
            self.setup.append(Buffer(name, tensor.shape, tensor.dtype))

    def framed(self, name: str, axis: int, before: int, after: int) -> None:
        """Storage for a recurrent tensor, with zeros before its first and after its last step along `axis`."""
        tensor = self.program.table[name]
        self.shapes[name] = shape = tensor.shape
        framed = (*shape[:axis], shape[axis] + before + after, *shape[axis + 1 :])
        frame = self.buffer(f"{name}.states", framed, tensor.dtype, 0.0)
        self.setup.append(Alias(name, _steps(frame, axis, before, shape[axis])))
        self.frames[name] = (frame, axis, before)

    def bordered(self, name: str, low: tuple[int, ...], high: tuple[int, ...]) -> str:
        """Storage for a tensor inside a frame of zeros; the frame's name."""
        tensor = self.program.table[name]
        padded = tuple(size + lo + hi for size, lo, hi in zip(tensor.shape, low, high, strict=True))
        frame = self.buffer(f"{name}.padded", padded, tensor.dtype, 0.0)
        self.setup.append(Alias(name, interior(frame, low, tensor.shape, padded)))
        self.prepared[Halo(name, low, high)] = frame
        return frame

    def along(self, name: str, axis: int, subscript: Affine, equation: Equation) -> tuple[str, Affine]:
        """(array, subscript) for a read of a loop's step: shifted reads of recurrent tensors go to their frame."""
        if self._is_framed(name, axis, subscript):
            return self._shifted(name, subscript.const), subscript - subscript.const
        low, high = subscript.bounds(equation.extents)
        size = self.shapes[name][axis]
        if low.is_nonnegative() and (size - 1 - high).is_nonnegative():
            return name, subscript
        whole = tuple(Affine.of(f"#{k}") for k in range(len(self.shapes[name])))
        at = (*whole[:axis], subscript, *whole[axis + 1 :])
        box = {f"#{k}": e for k, e in enumerate(self.shapes[name]) if k != axis} | dict(equation.extents)
        low_, high_ = self._overhang(at, self.shapes[name], equation.with_(box=tuple(box.items())))
        return self._padded(name, low_, high_, 0.0), subscript + low_[axis]

    def _is_framed(self, name: str, axis: int, subscript: Affine) -> bool:
        """Whether a read is that of an index a distance away, in a recurrent tensor's frame that is wide enough."""
        distance = subscript.const
        if name not in self.frames or not distance or [c for _, c in subscript.terms] != [1]:
            return False
        frame, along, before = self.frames[name]
        after = self.shapes[frame][axis] - self.shapes[name][axis] - before
        return axis == along and -before <= distance <= after.const

    def _shifted(self, name: str, distance: int) -> str:
        """The recurrent tensor as seen `distance` steps away: an array of the same shape."""
        word = "before" if distance < 0 else "after"
        shifted = f"{name}.{word}" + (f"_{abs(distance)}" if abs(distance) > 1 else "")
        key = ("shifted", name, distance)
        if key not in self.prepared:
            shifted = self.prepared[key] = self.unused(shifted)
            frame, axis, before = self.frames[name]
            self.setup.append(Alias(shifted, _steps(frame, axis, before + distance, self.shapes[name][axis])))
            self.shapes[shifted] = self.shapes[name]
            self.dtypes[shifted] = self.dtypes[name]
        return self.prepared[key]

    def source(self, read: Read, equation: Equation, fill: float = 0.0) -> tuple[str, tuple[Affine, ...]] | None:
        """(array, subscripts) of a read that needs no padding with `fill`; None when it leaves its box."""
        at, name = affine(read), read.tensor
        axis = self.frames[name][1] if name in self.frames else 0
        if not fill and at and self._is_framed(name, axis, at[axis]) and at[axis].terms[0][0] in equation.extents:
            name, at = self._shifted(name, at[axis].const), (*at[:axis], Affine(at[axis].terms), *at[axis + 1 :])
        inside = all(
            low.is_nonnegative() and (size - 1 - high).is_nonnegative()
            for (low, high), size in zip((a.bounds(equation.extents) for a in at), self.shapes[name], strict=True)
        )
        return (name, at) if inside else None

    def found(self, read: Read, equation: Equation) -> Read:
        """The read of the array in which it finds its values, if it never leaves that; else the read as it is."""
        inside = self.source(read, equation)
        return read if inside is None else replace(read, tensor=inside[0], at=inside[1])

    def is_regular(self, read: Read, equation: Equation) -> bool:
        """Whether a read can be seen as a view: affine, and outside its box by a fixed distance at most."""
        shape = self.shapes[read.tensor]
        return all(
            isinstance(s, Affine) and reach(s, size, equation.extents) is not None
            for s, size in zip(read.at, shape, strict=True)
        )

    def view(self, read: Read, equation: Equation, loops: frozenset[str] = NOTHING, fill: float = 0.0) -> View:
        """The natural view of a regular read, padded with `fill` where it leaves its box."""
        inside = self.source(read, equation, fill)
        if inside is not None:
            name, at = inside
            return natural(name, self.shapes[name], at, equation.extents, loops)
        at = affine(read)
        low, high = self._overhang(at, self.shapes[read.tensor], equation)
        name = self._padded(read.tensor, low, high, fill)
        shifted = tuple(a + lo for a, lo in zip(at, low, strict=True))
        return natural(name, self.shapes[name], shifted, equation.extents, loops)

    def seen(self, read: Read, equation: Equation, loops: frozenset[str] = NOTHING) -> View:
        """The natural view of an affine read that stays inside its tensor."""
        return natural(read.tensor, self.shapes[read.tensor], affine(read), equation.extents, loops)

    def target(self, equation: Equation, loops: frozenset[str] = NOTHING) -> View:
        """The left side as a view, with its indices as axes."""
        return self.seen(Read(equation.target, equation.at), equation, loops)

    def overhang(self, read: Read, equation: Equation) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """How far a read reaches below 0 and beyond the end of each axis; None where that is symbolic."""
        return (
            self._overhang(affine(read), self.shapes[read.tensor], equation)
            if self.is_regular(read, equation)
            else None
        )

    def framed_copy(self, base: str, low: tuple[int, ...], high: tuple[int, ...]) -> str:
        """`base` in a frame of zeros of these widths; `base` itself where they are 0."""
        return self._padded(base, low, high, 0.0) if any((*low, *high)) else base

    def has(self, copied: Copied) -> bool:
        """Whether a copy is made already, or costs nothing: what computes a tensor may write it into a halo."""
        return copied in self.prepared or (isinstance(copied, Halo) and copied.tensor in self.haloless)

    def _overhang(
        self, at: Sequence[Affine], shape: Sequence[Affine], equation: Equation
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """How far the subscripts reach below 0 and beyond the end, axis by axis."""
        lows, highs = [], []
        for subscript, size in zip(at, shape, strict=True):
            outside = reach(subscript, size, equation.extents)
            if outside is None:
                raise CodegenError(
                    f"{equation.target}: subscript {subscript} leaves an axis of size {size} by a distance "
                    "that depends on a symbolic size; give the index an explicit extent"
                )
            lows.append(outside[0])
            highs.append(outside[1])
        return tuple(lows), tuple(highs)

    def _padded(self, base: str, low: tuple[int, ...], high: tuple[int, ...], fill: float) -> str:
        """A copy of `base` inside a frame of `fill`; made once."""
        key = Halo(base, low, high, fill)
        if key not in self.prepared:
            shape = self.shapes[base]
            padded = tuple(size + lo + hi for size, lo, hi in zip(shape, low, high, strict=True))
            name = self.buffer(f"{base}.padded", padded, self.dtypes[base], fill)
            inner = interior(name, low, shape, padded)
            self.prelude.append(Copy(inner, View(base)))
            self.prepared[key] = name
        return self.prepared[key]


def _steps(frame: str, axis: int, start: int, steps: Affine) -> View:
    """`steps` entries of a frame along an axis."""
    return View(frame).then(Take((*(FULL for _ in range(axis)), Slice(Affine.of(start), 1, steps))), axes=())


def interior(name: str, low: Sequence[int], shape: Sequence[Affine], framed: Sequence[Affine]) -> View:
    """The part of a framed array that holds the array itself."""
    slices = (
        FULL if size == whole else Slice(Affine.of(lo), 1, size)
        for lo, size, whole in zip(low, shape, framed, strict=True)
    )
    return View(name).then(Take(tuple(slices)), axes=())


def affine(read: Read) -> tuple[Affine, ...]:
    """The subscripts of a read none of which is data-dependent."""
    subscripts = tuple(s for s in read.at if isinstance(s, Affine))
    if len(subscripts) != len(read.at):
        raise CodegenError(f"{read.tensor}: subscript is not in normal form")
    return subscripts


def shaped(stem: str, shape: Sequence[Affine]) -> str:
    """A name for an array that has nothing but its shape: `ones_2_N`."""
    return "_".join([stem, *(re.sub(r"\W", "", str(size)) for size in shape)])


def product(sizes: Sequence[Affine]) -> tuple[Affine, ...]:
    """The factors of a merged axis."""
    return tuple(sizes) if sizes else (Affine.of(1),)


def extents_of(names: Sequence[str], extents: Mapping[str, Affine]) -> tuple[Affine, ...]:
    """The extents of `names`, in order."""
    return tuple(extents[n] for n in names)
