"""What the lowering rules share: the workspace under construction.

A `Storage` hands out buffers with names from the program, keeps padded copies
and columns so that each is made once, and turns reads into views.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from codegen.affine import Affine
from codegen.equation import SKIPPING, Dtype, Equation, Program, Read
from codegen.errors import CodegenError
from codegen.plan import Alias, Buffer, Copy, Step
from codegen.view import FULL, Slice, Take, View, natural

NOTHING: frozenset[str] = frozenset()


@dataclass
class Storage:
    """Mutable state of one lowering.

    prelude: steps that prepare operands of the equation at hand (padding, columns, gathers).
    shapes: shape of everything that has storage: tensors and invented buffers.
    """

    program: Program
    setup: list[Buffer | Alias] = field(default_factory=list)
    prelude: list[Step] = field(default_factory=list)
    shapes: dict[str, tuple[Affine, ...]] = field(default_factory=dict)
    prepared: dict[object, str] = field(default_factory=dict)
    columns: dict[object, list[tuple[str, tuple[str, ...]]]] = field(default_factory=dict)
    aliases: dict[str, View] = field(default_factory=dict)

    def buffer(self, stem: str, shape: Sequence[Affine], dtype: Dtype = "float", fill: float | None = None) -> str:
        """A new array of the workspace, named `stem` (numbered from 2 when taken)."""
        name, k = stem, 1
        while name in self.shapes or name in self.program.table:
            k += 1
            name = f"{stem}_{k}"
        self.setup.append(Buffer(name, tuple(shape), dtype, fill))
        self.shapes[name] = tuple(shape)
        return name

    def tensor(self, name: str) -> None:
        """Storage for a tensor of the program."""
        tensor = self.program.table[name]
        self.shapes[name] = tensor.shape
        if tensor.kind in ("value", "input"):
            self.setup.append(Buffer(name, tensor.shape, tensor.dtype))

    def view(self, read: Read, equation: Equation, loops: frozenset[str] = NOTHING) -> View:
        """The natural view of a read whose subscripts are affine, padded where it leaves its box."""
        at = affine(read)
        shape = self.shapes[read.tensor]
        low, high = self._overhang(at, shape, equation)
        if not any(low) and not any(high):
            return natural(read.tensor, shape, at, equation.extents, loops)
        fill = float("-inf") if equation.reduce in SKIPPING else 0.0
        name = self._padded(read.tensor, low, high, fill)
        shifted = tuple(a + lo for a, lo in zip(at, low, strict=True))
        return natural(name, self.shapes[name], shifted, equation.extents, loops)

    def _overhang(
        self, at: Sequence[Affine], shape: Sequence[Affine], equation: Equation
    ) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """How far the subscripts reach below 0 and beyond the end, axis by axis."""
        lows, highs = [], []
        for subscript, size in zip(at, shape, strict=True):
            low, high = subscript.bounds(equation.extents)
            over = high - (size - 1)
            if (
                not low.is_nonnegative()
                and not low.is_constant
                or not (-over).is_nonnegative()
                and not over.is_constant
            ):
                raise CodegenError(
                    f"{equation.target}: subscript {subscript} leaves an axis of size {size} by a distance "
                    "that depends on a symbolic size; give the index an explicit extent"
                )
            lows.append(max(0, -low.const) if low.is_constant else 0)
            highs.append(max(0, over.const) if over.is_constant else 0)
        return tuple(lows), tuple(highs)

    def _padded(self, base: str, low: tuple[int, ...], high: tuple[int, ...], fill: float) -> str:
        """A copy of `base` inside a frame of `fill`; made once."""
        key = ("padded", base, low, high, fill)
        if key not in self.prepared:
            shape = self.shapes[base]
            padded = tuple(size + lo + hi for size, lo, hi in zip(shape, low, high, strict=True))
            name = self.buffer(f"{base}.padded", padded, fill=fill)
            inner = interior(name, low, shape, padded)
            self.prelude.append(Copy(inner, View(base)))
            self.prepared[key] = name
        return self.prepared[key]


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


def product(sizes: Sequence[Affine]) -> tuple[Affine, ...]:
    """The factors of a merged axis."""
    return tuple(sizes) if sizes else (Affine.of(1),)


def extents_of(names: Sequence[str], extents: Mapping[str, Affine]) -> tuple[Affine, ...]:
    """The extents of `names`, in order."""
    return tuple(extents[n] for n in names)
