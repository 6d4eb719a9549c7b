"""What the recipes share: the workspace under construction.

A `Storage` hands out arrays with names from the program, keeps the copies that recipes make so that each is made once,
and turns reads into views.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import sympy

from codegen.analysis.access import Access, Axis, access, axis
from codegen.analysis.bounds import NOTHING, Checked
from codegen.analysis.loops import distance
from codegen.analysis.structure import Structure, structure
from codegen.analysis.unbounded import minus_infinite
from codegen.ir.affine import Affine
from codegen.ir.equation import Dtype, Equation, Program, Read, Tensor, all_reads
from codegen.ir.errors import CodegenError
from codegen.ir.names import allocate
from codegen.ir.plan import Alias, Buffer, Copy, Step
from codegen.ir.view import FULL, Slice, Take, View, natural
from codegen.lower.copies import Copied, Halo
from codegen.machine.model import MACHINE, Machine


@dataclass
class Storage:
    """Mutable state of one lowering.

    checked: what is known of the values of integer tensors.
    machine: what the code is to be fast on.
    looped: whether the equation at hand is one step of a loop, before which the prelude's fixed part runs once.
    prelude: steps that prepare operands of the equation at hand (padding, im2col, gathers).
    shapes, dtypes: of everything that has storage: tensors and invented buffers.
    prepared: by what it holds, the name of an array that is made once.
    factors: by what is read, the copies of it that serve as factors of matrix products.
    rules: how an equation is lowered, for recipes that make others of it.
    recipes, prefer: recipes to take before all others, by name, and by the choice between them.
    compiled: whether the target compiles loops.
    remark: which recipe the equation at hand is computed by.
    parts: tensors whose equations write disjoint parts that cover them: each is assigned.
    masks: arg maxima stored as masks: the number of points.
    without_halo: tensors that may still be given a halo.
    states: recurrent tensors stored between zeros: the array, the axis of the steps, the zeros before the first one.
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
    factors: dict[object, list[View]] = field(default_factory=dict)
    rules: Callable[[Equation, Storage], list[Step]] | None = None
    recipes: tuple[str, ...] = ()
    prefer: Mapping[str, str] = field(default_factory=dict)
    compiled: bool = False
    remark: str = ""
    parts: frozenset[str] = NOTHING
    masks: dict[str, int] = field(default_factory=dict)
    without_halo: frozenset[str] = NOTHING
    states: dict[str, tuple[str, int, int]] = field(default_factory=dict)

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
        """The structure of an equation over what is stored, points kept as indices; made: what has no storage yet."""
        names = dict.fromkeys((equation.target, *(read.tensor for read in all_reads(equation))))
        known = made or {}
        return structure(equation, {name: known.get(name) or self._tensor(name) for name in names}).literal

    def access(self, read: Read, equation: Equation) -> Access:
        """How a read of an equation meets what is stored."""
        return access(read, {read.tensor: self._tensor(read.tensor)}, equation)

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

    def array(self, stem: str, axes: Sequence[str], extents: Mapping[str, Affine], dtype: Dtype = "float") -> View:
        """A new array with one axis for each of these indices."""
        return View(self.buffer(stem, extents_of(axes, extents), dtype), (), tuple(axes))

    def once(self, key: object, make: Callable[[], str]) -> str:
        """The name of what `make` makes, the first time that it is asked for."""
        if key not in self.prepared:
            self.prepared[key] = make()
        return self.prepared[key]

    def unused(self, stem: str) -> str:
        """A name that no tensor and no array has."""
        return allocate(stem, self.shapes)  # of the tensors, too

    def ones(self, shape: tuple[Affine, ...]) -> str:
        """An array of ones; made once."""
        key = ("vector", shape, sympy.Integer(1))
        return self.once(key, lambda: self.buffer(shaped("ones", shape), shape, fill=1.0))

    def tensor(self, name: str) -> None:
        """Storage for a tensor of the program."""
        tensor = self.program.table[name]
        if tensor.kind in ("value", "input"):
            self.setup.append(Buffer(name, tensor.shape, tensor.dtype))

    def store_states(self, name: str, axis: int, before: int, after: int) -> None:
        """Storage for a recurrent tensor, with zeros before its first and after its last step along `axis`."""
        tensor = self.program.table[name]
        self.shapes[name] = shape = tensor.shape
        padded = (*shape[:axis], shape[axis] + before + after, *shape[axis + 1 :])
        states = self.buffer(f"{name}.states", padded, tensor.dtype, 0.0)
        self.setup.append(Alias(name, _steps(states, axis, before, shape[axis])))
        self.states[name] = (states, axis, before)

    def store_in_halo(self, halo: Halo) -> str:
        """Storage for a tensor in a halo; the name of both together."""
        tensor = self.program.table[halo.tensor]
        self.prepared[halo] = name = self.buffer(f"{tensor.name}.padded", halo.around(tensor.shape), tensor.dtype, 0.0)
        self.setup.append(Alias(tensor.name, self.inside(halo)))
        return name

    def at_step(self, name: str, along: int, subscript: Affine, equation: Equation) -> tuple[str, Affine]:
        """(array, subscript) of what one step of a loop reads along an axis; its subscripts may leave that axis."""
        beside = self._beside(name, along, subscript)
        if beside is not None:
            return beside, subscript - subscript.const
        met = axis(subscript, self.shapes[name][along], equation.extents)
        if met.inside:
            return name, subscript
        ((low,), (high,)) = _overhang([met], equation)
        before, after = ((0,) * along, (0,) * (len(self.shapes[name]) - along - 1))
        return self.padded(Halo(name, (*before, low, *after), (*before, high, *after))), subscript + low

    def _beside(self, name: str, along: int, subscript: Affine) -> str | None:
        """A recurrent tensor as seen some steps away, `index + distance`: an array of the same shape, among its states.

        None for any other subscript, and where there are not so many zeros.
        """
        away = distance(subscript, subscript.names[0]) if subscript.names else None
        if name not in self.states or not away:
            return None
        states, steps, before = self.states[name]
        after = self.shapes[states][steps] - self.shapes[name][steps] - before
        if steps != along or not -before <= away <= after.const:
            return None
        key = ("beside", name, away)
        if key not in self.prepared:
            word = "before" if away < 0 else "after"
            made = self.prepared[key] = self.unused(f"{name}.{word}" + (f"_{abs(away)}" if abs(away) > 1 else ""))
            self.setup.append(Alias(made, _steps(states, steps, before + away, self.shapes[name][steps])))
            self.shapes[made], self.dtypes[made] = self.shapes[name], self.dtypes[name]
        return self.prepared[key]

    def source(self, read: Read, equation: Equation, fill: float = 0.0) -> tuple[str, tuple[Affine, ...]] | None:
        """(array, subscripts) of a read that needs no padding with `fill`; None when it leaves its box."""
        at = affine(read)
        if not fill and read.tensor in self.states:
            steps = self.states[read.tensor][1]
            own = set(at[steps].names) <= equation.extents.keys()
            beside = self._beside(read.tensor, steps, at[steps]) if own else None
            if beside is not None:
                read = Read(beside, at := (*at[:steps], at[steps] - at[steps].const, *at[steps + 1 :]))
        return (read.tensor, at) if self.access(read, equation).inside else None

    def found(self, read: Read, equation: Equation) -> Read:
        """The same read, of the array that stores its values, if it never leaves that; else the read as it is."""
        inside = self.source(read, equation)
        return read if inside is None else replace(read, tensor=inside[0], at=inside[1])

    def stored(self, read: Read, equation: Equation, loops: frozenset[str] = NOTHING, fill: float = 0.0) -> View | None:
        """The natural view of a read that needs no padding with `fill`; None when it leaves its box."""
        inside = self.source(read, equation, fill)
        return natural(inside[0], self.shapes[inside[0]], inside[1], equation.extents, loops) if inside else None

    def view(self, read: Read, equation: Equation, loops: frozenset[str] = NOTHING, fill: float = 0.0) -> View:
        """The natural view of a regular read, padded with `fill` where it leaves its box."""
        stored = self.stored(read, equation, loops, fill)
        if stored is not None:
            return stored
        low, high = _overhang(self.access(read, equation).axes, equation)
        name = self.padded(Halo(read.tensor, low, high, fill))
        shifted = tuple(a + lo for a, lo in zip(affine(read), low, strict=True))
        return natural(name, self.shapes[name], shifted, equation.extents, loops)

    def seen(self, read: Read, equation: Equation, loops: frozenset[str] = NOTHING) -> View:
        """The natural view of an affine read that stays inside its tensor."""
        return natural(read.tensor, self.shapes[read.tensor], affine(read), equation.extents, loops)

    def target(self, equation: Equation, loops: frozenset[str] = NOTHING) -> View:
        """The left side as a view, with its indices as axes."""
        return self.seen(Read(equation.target, equation.at), equation, loops)

    def has(self, copied: Copied) -> bool:
        """Whether a copy is made already, or costs nothing: what computes a tensor may write it into a halo."""
        return copied in self.prepared or (isinstance(copied, Halo) and copied.tensor in self.without_halo)

    def padded(self, halo: Halo) -> str:
        """A copy of a tensor in a halo, made once; the tensor itself where the halo has no width."""
        if not halo.wide:
            return halo.tensor
        if halo not in self.prepared:
            shape = halo.around(self.shapes[halo.tensor])
            self.prepared[halo] = self.buffer(f"{halo.tensor}.padded", shape, self.dtypes[halo.tensor], halo.fill)
            self.prelude.append(Copy(self.inside(halo), View(halo.tensor)))
        return self.prepared[halo]

    def inside(self, halo: Halo) -> View:
        """The tensor within the array of its halo."""
        return interior(self.prepared[halo], halo.low, self.shapes[halo.tensor], self.shapes[self.prepared[halo]])


def _overhang(axes: Sequence[Axis], equation: Equation) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How far subscripts reach below 0 and beyond the end, axis by axis."""
    for met in axes:
        if met.low is None:
            raise CodegenError(
                f"{equation.target}: subscript {met.subscript} leaves an axis of size {met.size} by a distance "
                "that depends on a symbolic size; give the index an explicit extent"
            )
    return tuple(met.low or 0 for met in axes), tuple(met.high or 0 for met in axes)


def _steps(states: str, axis: int, start: int, steps: Affine) -> View:
    """`steps` of the states along an axis."""
    return View(states).then(Take((*(FULL for _ in range(axis)), Slice(Affine.of(start), 1, steps))), axes=())


def interior(name: str, low: Sequence[int], shape: Sequence[Affine], padded: Sequence[Affine]) -> View:
    """The part of a padded array that holds the array itself."""
    slices = (
        FULL if size == whole else Slice(Affine.of(lo), 1, size)
        for lo, size, whole in zip(low, shape, padded, strict=True)
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
