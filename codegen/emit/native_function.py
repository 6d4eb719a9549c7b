"""A compiled function while it is written: what it is given, its sizes, its lines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from codegen.analysis.elements import Arrays
from codegen.emit.code import Assign, Call, Code, Field, For, Item, Name, Statement, called, names, number, row, size
from codegen.emit.native_point import REAL, real
from codegen.emit.scalar import scalar_code
from codegen.emit.scope import stem
from codegen.emit.views import dim
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
    """One function.

    code: of an array where the function is called.  dtypes: by array.  scalars: the caller's numbers by name, such as
    sizes and the indices of its loops.  reserved: names of indices.
    arguments: the parameters and what each is given.  locals: variables.  numbers: those of the caller's that it uses.
    """

    arrays: Arrays
    code: Callable[[View], Code]
    dtypes: Mapping[str, Dtype]
    scalars: Collection[str]
    reserved: frozenset[str]
    arguments: dict[str, Code] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
    locals: set[str] = field(default_factory=set)
    body: list[Statement] = field(default_factory=list)
    numbers: dict[str, None] = field(default_factory=dict)

    def array(self, view: View) -> Name:
        """The parameter for an array."""
        for name, given in self.views.items():
            if given == view:
                return Name(name)
        code = self.code(view)
        name = allocate(stem(code), {*self.arguments, *self.locals, *self.reserved, *self.scalars}, kernel_words())
        self.arguments[name], self.views[name] = code, view
        return Name(name)

    def element(self, view: View, at: Sequence[Affine]) -> Code:
        """One element of a view, such as `dense_1_z[n, o]`; of a vector of one number, that number."""
        source, places = self.arrays.element(view, at)
        if source.base in self.arrays.constants:
            return self.real(scalar_code(self.arrays.constants[source.base]))
        return Item(self.array(source), tuple(map(self.place, places)) or (row(()),))

    def whole(self, view: View) -> Code:
        """A view as an expression, transposed within the function where it is."""
        if view.ops and isinstance(view.ops[-1], Transpose) and view.ops[-1].order == (1, 0):
            return transposed(self.whole(View(view.base, view.ops[:-1])))
        at = tuple(Affine.of(f" {k}") for k in range(len(self.arrays.shape(view))))
        source, places = self.arrays.element(view, at)
        same = places == at and self.arrays.shape(source) == self.arrays.shape(view)
        return self.array(source if same else View(view.base, view.ops))

    def place(self, subscript: Affine) -> Code:
        """A subscript."""
        return self.given(size(subscript))

    def given(self, code: Code) -> Code:
        """Code with numbers of the caller's, which are given to the function."""
        self.numbers |= dict.fromkeys(name for name in names(code) if name in self.scalars)
        return code

    def extent(self, extents: Dim) -> Code:
        """The length of an axis."""
        return self.given(dim(extents))

    def real(self, code: Code) -> Call:
        """A number as one of the arrays' own type."""
        return real(self.given(code))

    def local(self, wanted: str, others: Iterable[str] = ()) -> Name:
        """A variable; `others` have their names for good, those of earlier loops do not matter."""
        name = allocate(wanted, {*self.arguments, *others, *self.reserved, *self.scalars}, kernel_words())
        self.locals.add(name)
        return Name(name)

    def is_along(self, view: View, at: Sequence[Affine], index: str) -> bool:
        """Whether neighbours along an index are neighbours in storage."""
        source, places = self.arrays.element(view, at)
        if source.base in self.arrays.constants:
            return True
        last = places[0 if source.base in self.arrays.column_major else -1 :]
        gaps = any(isinstance(op, Windows) for op in source.ops)
        return bool(places) and not gaps and last[0].coefficient(index) == 1

    def loops(
        self, axes: Iterable[tuple[str, Dim | Affine]], like: Iterable[Element], body: list[Statement] | None = None
    ) -> list[Statement]:
        """Open a loop for each axis, in the function or in a body; what stands in the innermost.

        like: elements within the loops.  As long as an axis of an array of theirs, a loop is not unrolled, which would
        take the compiler long and gain nothing.
        """
        sources = [self.arrays.element(*element) for element in like]
        body = self.body if body is None else body
        for name, extent in axes:
            inner: list[Statement] = []
            body.append(For((Name(name),), called("range", self._length(name, extent, sources)), inner))
            body = inner
        return body

    def _length(self, name: str, extent: Dim | Affine, sources: Iterable[Element]) -> Code:
        whole = (extent,) if isinstance(extent, Affine) else extent
        for view, places in sources:
            for k, (place, length) in enumerate(zip(places, self.arrays.shape(view), strict=True)):
                if place.plain == name and length == whole and view.base not in self.arrays.constants:
                    return Item(Field(self.array(view), "shape"), (number(k),))
        return self.extent(whole)

    def indices(self, view: View, taken: Iterable[str] = ()) -> list[str]:
        """An index for each axis of a view: its own, or a letter."""
        rank, own = len(self.arrays.shape(view)), view.axes
        if len(own) == rank and all(own) and len({*own}) == rank and not {*own} & {*taken, *self.scalars}:
            return list(own)
        return list(islice(self.letters(taken), rank))

    def letters(self, taken: Iterable[str] = ()) -> Iterator[str]:
        """Indices that mean nothing else in the function."""
        return indices(LETTERS, {*taken, *self.scalars, *self.arguments, *self.locals})

    def prologue(self) -> list[Statement]:
        """What the function begins with: the type of its numbers, and sizes that its arrays tell."""
        found: list[Statement] = []
        if "real" in names(*self.body):
            array = next(n for n, v in self.views.items() if self.dtypes[v.base] == "float")
            found.append(Assign(REAL, Field(Field(Name(array), "dtype"), "type")))
        for name in self.numbers:
            source = self._told(name)
            if source is None:
                self.arguments[name] = Name(name)
            else:
                found.append(Assign(Name(name), source))
        return found

    def _told(self, size_: str) -> Code | None:
        for name, view in self.views.items():
            for k, length in enumerate(self.arrays.shape(view)):
                if length == (Affine.of(size_),):
                    return Item(Field(Name(name), "shape"), (number(k),))
        return None


def transposed(array: Code) -> Code:
    """A matrix with its axes exchanged."""
    return array.of if isinstance(array, Field) else Field(array, "T")
