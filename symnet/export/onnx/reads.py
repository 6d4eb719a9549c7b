"""What an equation reads, as arrays of the graph whose axes are the equation's indices.

Three ways, by how the subscripts look: an axis that an index runs over as it is stays as it is; an affine
subscript with known extents becomes a reshape or a gather of a padded axis; anything else is looked up in the
flattened tensor at positions that the graph computes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from codegen.analysis.access import Axis, access
from codegen.ir.affine import Affine
from codegen.ir.equation import SKIPPING, Equation, Guard, Quotient, Read, Subscript, Tensor, indices_of
from symnet.export.onnx.graph import ONNX_TYPES, Array, Graph


@dataclass(frozen=True)
class Place:
    """An axis of a value: its number, how many follow, its length, and the value's dtype."""

    axis: int
    after: int
    size: int
    dtype: str


@dataclass(frozen=True)
class Reader:
    """Reads for the equations of one graph.

    tensors: by name.  values: the current value of each of them.
    scalars: the value of each size, and of a loop's index, as an integer scalar of the graph.
    """

    graph: Graph
    tensors: Mapping[str, Tensor]
    values: Mapping[str, str]
    scalars: Mapping[str, str]

    def read(self, read: Read, equation: Equation, name: str) -> tuple[Array, Array | None]:
        """The values at every point of the box, 0 outside the tensor, and where it is inside (None: everywhere)."""
        found = self._by_axes(read, equation, name)
        return (found, None) if found is not None else self._by_position(read, equation, name)

    def guard(self, guard: Guard, equation: Equation, name: str) -> Array:
        """Where a guard holds."""
        total, axes = self._affine(guard.affine, equation, name)
        inside: Array | None = None
        for coefficient, read in guard.reads:
            value, within = self.read(read, equation, name)
            number = value.name
            if self.tensors[read.tensor].dtype == "bool":
                number = self.graph.node("Cast", [number], f"{name}/guard", to=ONNX_TYPES["int"])
            if coefficient != 1:
                number = self.graph.node("Mul", [number, self.graph.constant(coefficient)], f"{name}/guard")
            total, axes = self._combined("Add", Array(total, axes), Array(number, value.axes), name)
            inside = self._both(inside, within, name)
        zero = self.graph.constant(0)
        if guard.op == "divides":
            modulus = self.graph.constant(guard.modulus)
            total = self.graph.node("Mod", [total, modulus], f"{name}/guard")
        operator = {">=": "GreaterOrEqual", "==": "Equal", "!=": "Equal", "divides": "Equal"}[guard.op]
        holds = self.graph.node(operator, [total, zero], f"{name}/guard")
        if guard.op == "!=":
            holds = self.graph.node("Not", [holds], f"{name}/guard")
        both = self._both(Array(holds, axes), inside, name)
        assert both is not None
        return both

    def number(self, index: str, equation: Equation, name: str) -> Array:
        """An index or size as a float array."""
        value, axes = self._affine(Affine.of(index), equation, name)
        return Array(self.graph.node("Cast", [value], f"{name}/{index}", to=ONNX_TYPES["float"]), axes)

    def extents(self, names: Sequence[str], equation: Equation) -> list[str | int]:
        """The extents of indices, as numbers or as integer scalars of the graph."""
        return [self.size(equation.extents[n]) for n in names]

    def size(self, extent: Affine) -> str | int:
        """One extent."""
        return extent.const if extent.is_constant else self._affine_sizes(extent)

    # -- by axes

    def _by_axes(self, read: Read, equation: Equation, name: str) -> Array | None:
        axes = access(read, self.tensors, equation).axes
        used = [n for axis in axes for n in indices_of([axis.subscript]) if n in equation.extents]
        if len(used) != len(set(used)) or not all(self._is_readable(axis, equation) for axis in axes):
            return None
        value = self.values[read.tensor]
        names: list[str] = []
        for k, axis in enumerate(axes):
            found = axis.indices
            if isinstance(axis.subscript, Read):
                where = self._by_axes(axis.subscript, equation, name)
                if where is None:
                    return None
                value = self.graph.node("Gather", [value, where.name], f"{name}/gather", axis=len(names))
                found = where.axes
            elif isinstance(axis.subscript, Affine) and axis.form != "whole":
                place = Place(len(names), len(axes) - 1 - k, axis.size.const, self.tensors[read.tensor].dtype)
                value = self._gathered(value, axis.subscript, found, place, equation, name)
            names += found
        return Array(value, tuple(names))

    def _is_readable(self, axis: Axis, equation: Equation) -> bool:
        """Whether an axis is read as it is, at fixed positions, or where another tensor read as it is says.

        Where a point outside is left out, a zero there will not do.
        """
        if isinstance(axis.subscript, Read):
            return all(inner.form == "whole" for inner in access(axis.subscript, self.tensors, equation).axes)
        extents = (axis.size, axis.offset, *(equation.extents[n] for n in axis.indices))
        fixed = axis.form != "quotient" and all(extent.is_constant for extent in extents)
        return axis.form == "whole" or (fixed and (equation.reduce not in SKIPPING or axis.low == axis.high == 0))

    def _gathered(
        self, value: str, subscript: Affine, names: tuple[str, ...], place: Place, equation: Equation, name: str
    ) -> str:
        """One axis read at an affine subscript of known indices, which become axes in its place."""
        extents = [equation.extents[n].const for n in names]
        where = _values(subscript, names, extents)
        if len(names) > 1 and place.after < 2 and np.array_equal(where.ravel(), np.arange(place.size)):
            shape = [*([0] * place.axis), *extents, *([-1] * place.after)]
            return self.graph.node("Reshape", [value, self.graph.constant(shape)], f"{name}/reshape")
        below, above = max(0, -int(where.min())), max(0, int(where.max()) - place.size + 1)
        if below or above:
            sides = self.graph.constant([below, above])
            axis = self.graph.constant([place.axis])
            value = self.graph.node("Pad", [value, sides, self.graph.constant(0, place.dtype), axis], f"{name}/pad")
        where_name = self.graph.constant(where + below)
        return self.graph.node("Gather", [value, where_name], f"{name}/gather", axis=place.axis)

    # -- by position

    def _by_position(self, read: Read, equation: Equation, name: str) -> tuple[Array, Array]:
        """The flattened tensor at computed positions."""
        graph, shape = self.graph, self.tensors[read.tensor].shape
        position: Array | None = None
        inside: Array | None = None
        for subscript, extent in zip(read.at, shape, strict=True):
            at = self.subscript(subscript, equation, name)
            size = self._scalar(extent)
            high = Array(graph.node("Less", [at.name, size], f"{name}/inside"), at.axes)
            low = Array(graph.node("GreaterOrEqual", [at.name, graph.constant(0)], f"{name}/inside"), at.axes)
            inside = self._both(self._both(inside, low, name), high, name)
            if position is None:
                position = at
            else:
                scaled = Array(graph.node("Mul", [position.name, size], f"{name}/position"), position.axes)
                position = Array(*self._combined("Add", scaled, at, name))
        assert position is not None and inside is not None
        axes = tuple(n for n in equation.extents if n in inside.axes)
        where = graph.aligned(position, axes, name)
        holds = graph.aligned(inside, axes, name)
        place = graph.node("Where", [holds, where, graph.constant(0)], f"{name}/position")
        flat = graph.node("Reshape", [self.values[read.tensor], graph.constant([-1])], f"{name}/flat")
        value = graph.node("Gather", [flat, place], f"{name}/gather", axis=0)
        zero = graph.constant(0, self.tensors[read.tensor].dtype)
        return Array(graph.node("Where", [holds, value, zero], f"{name}/value"), axes), Array(holds, axes)

    def subscript(self, subscript: Subscript, equation: Equation, name: str) -> Array:
        """The value of a subscript at every point, as integers."""
        if isinstance(subscript, Affine):
            return Array(*self._affine(subscript, equation, name))
        if isinstance(subscript, Quotient):
            above, axes = self._affine(subscript.numerator, equation, name)
            by = self.graph.constant(subscript.divisor)
            rest = self.graph.node("Mod", [above, by], f"{name}/rest")
            whole = self.graph.node("Sub", [above, rest], f"{name}/whole")
            return Array(self.graph.node("Div", [whole, by], f"{name}/quotient"), axes)
        return self.read(subscript, equation, name)[0]

    def _affine(self, affine: Affine, equation: Equation, name: str) -> tuple[str, tuple[str, ...]]:
        """An affine expression at every point: an integer array over the indices that occur."""
        axes = tuple(n for n in equation.extents if n in affine.names)
        if all(n in equation.extents and equation.extents[n].is_constant for n in affine.names):
            return self.graph.constant(_values(affine, axes, [equation.extents[n].const for n in axes])), axes
        terms = [Array(self._scalar(affine.without(*axes)), ())]
        for n in axes:
            limit = self._scalar(equation.extents[n])
            steps_name = self.graph.node(
                "Range", [self.graph.constant(0), limit, self.graph.constant(1)], f"{name}/{n}"
            )
            if affine.coefficient(n) != 1:
                by = self.graph.constant(affine.coefficient(n))
                steps_name = self.graph.node("Mul", [steps_name, by], f"{name}/{n}")
            terms.append(Array(steps_name, (n,)))
        if len(terms) == 2 and affine.without(*axes) == Affine():
            return terms[1].name, axes
        total_array = reduce(lambda a, b: Array(*self._combined("Add", a, b, name)), terms)
        return total_array.name, total_array.axes

    def _scalar(self, affine: Affine) -> str:
        """An affine expression in sizes and loop indices as an integer scalar."""
        return self.graph.constant(affine.const) if affine.is_constant else self._affine_sizes(affine)

    def _affine_sizes(self, affine: Affine) -> str:
        total: str | None = None
        for name, coefficient in affine:
            part = self.scalars[name]
            if coefficient != 1:
                part = self.graph.node("Mul", [part, self.graph.constant(coefficient)], f"{name}/size")
            total = part if total is None else self.graph.node("Add", [total, part], f"{name}/size")
        assert total is not None
        if affine.const:
            total = self.graph.node("Add", [total, self.graph.constant(affine.const)], "size")
        return total

    def _combined(self, operator: str, a: Array, b: Array, name: str) -> tuple[str, tuple[str, ...]]:
        axes = (*a.axes, *(n for n in b.axes if n not in a.axes))
        parts = [self.graph.aligned(x, axes, name) for x in (a, b)]
        return self.graph.node(operator, parts, f"{name}/{operator.lower()}"), axes

    def _both(self, a: Array | None, b: Array | None, name: str) -> Array | None:
        if a is None or b is None:
            return a or b
        return Array(*self._combined("And", a, b, name))


def _values(affine: Affine, names: Sequence[str], extents: Sequence[int]) -> np.ndarray:
    """An affine expression at every point of a box."""
    grid = np.indices(tuple(extents)).reshape(len(names), *extents)
    return np.asarray(affine.const + sum(affine.coefficient(n) * grid[k] for k, n in enumerate(names)))
