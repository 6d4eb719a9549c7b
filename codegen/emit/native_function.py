"""A compiled function while it is written: what it is given, its sizes, its lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from codegen.analysis.elements import Arrays
from codegen.emit.breaking import broken
from codegen.emit.native_point import stem
from codegen.emit.scalar import scalar_text
from codegen.emit.scope import dim_text, size_text
from codegen.emit.words import kernel_words
from codegen.ir.affine import Affine
from codegen.ir.equation import Dtype
from codegen.ir.names import allocate, indices
from codegen.ir.view import Dim, Transpose, View, Windows

Element = tuple[View, Sequence[Affine]]
"""A view and the subscripts of a point in it."""
LETTERS = tuple("ijklabcd")
"""Indices of loops over axes that no equation names."""


@dataclass
class Function:
    """The text of one function.

    text: of an array where the function is called.  dtypes: by array.  scalars: the caller's numbers by name, such as
    sizes and the indices of its loops.  reserved: names of indices.
    arguments: the parameters and what each is given.  locals: variables.
    """

    arrays: Arrays
    text: Callable[[View], str]
    dtypes: Mapping[str, Dtype]
    scalars: Collection[str]
    reserved: frozenset[str]
    arguments: dict[str, str] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    locals: set[str] = field(default_factory=set)
    lines: list[str] = field(default_factory=list)
    numbers: dict[str, None] = field(default_factory=dict)

    def array(self, view: View) -> str:
        """The parameter for an array."""
        for name, given in self.views.items():
            if given == view:
                return name
        text = self.text(view)
        name = allocate(stem(text), {*self.arguments, *self.locals, *self.reserved, *self.scalars}, kernel_words())
        self.arguments[name], self.views[name] = text, view
        return name

    def element(self, view: View, at: Sequence[Affine]) -> str:
        """One element of a view, such as `dense_1_z[n, o]`; of a vector of one number, that number."""
        source, places = self.arrays.element(view, at)
        if source.base in self.arrays.constants:
            return self.real(scalar_text(self.arrays.constants[source.base]))
        return f"{self.array(source)}[{', '.join(map(self.place, places)) or '()'}]"

    def whole(self, view: View) -> str:
        """A view as an expression, transposed within the function where it is."""
        if view.ops and isinstance(view.ops[-1], Transpose) and view.ops[-1].order == (1, 0):
            return f"{self.whole(View(view.base, view.ops[:-1]))}.T"
        at = tuple(Affine.of(f" {k}") for k in range(len(self.arrays.shape(view))))
        source, places = self.arrays.element(view, at)
        same = places == at and self.arrays.shape(source) == self.arrays.shape(view)
        return self.array(source if same else View(view.base, view.ops))

    def place(self, subscript: Affine) -> str:
        """A subscript."""
        for name in subscript.names:
            if name in self.scalars:
                self.numbers[name] = None
        return size_text(subscript)

    def extent(self, dim: Dim) -> str:
        """The length of an axis."""
        for factor in dim:
            self.place(factor)
        return dim_text(dim)

    def real(self, text: str) -> str:
        """A number as one of the arrays' own type."""
        for name in re.findall(r"[^\W\d]\w*", text):
            if name in self.scalars:
                self.numbers[name] = None
        return f"real({text})"

    def local(self, stem: str, others: Iterable[str] = ()) -> str:
        """A variable; `others` have their names for good, those of earlier loops do not matter."""
        name = allocate(stem, {*self.arguments, *others, *self.reserved, *self.scalars}, kernel_words())
        self.locals.add(name)
        return name

    def is_along(self, view: View, at: Sequence[Affine], index: str) -> bool:
        """Whether neighbours along an index are neighbours in storage."""
        source, places = self.arrays.element(view, at)
        if source.base in self.arrays.constants:
            return True
        last = places[0 if source.base in self.arrays.column_major else -1 :]
        gaps = any(isinstance(op, Windows) for op in source.ops)
        return bool(places) and not gaps and last[0].coefficient(index) == 1

    def loops(self, axes: Iterable[tuple[str, Dim | Affine]], like: Iterable[Element], indent: int = 1) -> int:
        """Open a loop for each axis; the indent of what stands in them.

        like: elements within the loops.  As long as an axis of an array of theirs, a loop is not unrolled, which would
        take the compiler long and gain nothing.
        """
        sources = [self.arrays.element(*element) for element in like]
        for name, extent in axes:
            self.add(indent, f"for {name} in range({self._length(name, extent, sources)}):")
            indent += 1
        return indent

    def _length(self, name: str, extent: Dim | Affine, sources: Iterable[Element]) -> str:
        dim = (extent,) if isinstance(extent, Affine) else extent
        for view, places in sources:
            for k, (place, whole) in enumerate(zip(places, self.arrays.shape(view), strict=True)):
                if place.plain == name and whole == dim and view.base not in self.arrays.constants:
                    return f"{self.array(view)}.shape[{k}]"
        return self.extent(dim)

    def add(self, indent: int, *lines: str) -> None:
        """Lines at an indent, in fours; assignments that are too long are broken."""
        for line in lines:
            sign = re.match(r"[^=]* ([-+*]?)= ", line)
            if sign is None or line.startswith(("for ", "if ")):
                self.lines.append(" " * 4 * indent + line)
                continue
            first, *rest = broken(line.replace(f" {sign[1]}= ", " = ", 1), 4 * indent, len(sign[1]))
            self.lines += [first.replace(" = ", f" {sign[1]}= ", 1), *rest]

    def indices(self, view: View, taken: Iterable[str] = ()) -> list[str]:
        """An index for each axis of a view: its own, or a letter."""
        rank, own = len(self.arrays.shape(view)), view.axes
        if len(own) == rank and all(own) and len({*own}) == rank and not {*own} & {*taken, *self.scalars}:
            return list(own)
        return list(islice(self.letters(taken), rank))

    def letters(self, taken: Iterable[str] = ()) -> Iterator[str]:
        """Indices that mean nothing else in the function."""
        return indices(LETTERS, {*taken, *self.scalars, *self.arguments, *self.locals})

    def prologue(self) -> list[str]:
        """What the function begins with: the type of its numbers, and sizes that its arrays tell."""
        found = []
        if any("real(" in line for line in self.lines):
            array = next(n for n, v in self.views.items() if self.dtypes[v.base] == "float")
            found.append(f"    real = {array}.dtype.type")
        for number in self.numbers:
            source = self._told(number)
            if source is None:
                self.arguments[number] = number
            else:
                found.append(f"    {number} = {source}")
        return found

    def _told(self, number: str) -> str | None:
        for name, view in self.views.items():
            for k, dim in enumerate(self.arrays.shape(view)):
                if dim == (Affine.of(number),):
                    return f"{name}.shape[{k}]"
        return None
