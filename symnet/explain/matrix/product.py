"""Matrix products: factors over row and column indices, put into an order in which neighbours share an index.

    sum[i]( W[o,i] x[i] )              W x
    sum[o]( W[o,i] d[o] )              W' d
    d[o] x[i]                          d x'
    sum[k]( W[k,j] g[k] d[k] )         W' diag(g) d
    d[o] g[o]                          d * g        (elementwise)

Indices are the knots, matrices the edges between them, columns hang on a knot.  What
is no path, or has an index in more than two matrices, has no such form.
"""

from __future__ import annotations

from collections.abc import Mapping

from codegen.ir.affine import Affine
from symnet.explain.matrix.nodes import (
    Array,
    Diagonal,
    Entries,
    Hadamard,
    Node,
    Norm,
    OneHot,
    Ones,
    Product,
    Transpose,
)
from symnet.explain.matrix.operands import NotMatrixError, Operand, Parts, position


def product(parts: Parts) -> Node:
    """The node of a term without windows, its number and the sum over labels left out."""
    return Chain(parts).result()


class Chain:
    """The factors of one term while they are put in order."""

    def __init__(self, parts: Parts) -> None:
        self.out = tuple(position(s) for s in parts.out)
        self.extents: Mapping[str, Affine] = parts.extents
        if len(set(self.out)) < len(self.out):
            raise NotMatrixError("an index twice on the left side")
        self.scalars: list[Node] = []
        self.columns: dict[str, list[Operand]] = {}
        self.edges: list[tuple[Node, str, str]] = []
        for operand in parts.operands:
            names = tuple(position(s) for s in operand.at)
            if len(names) > 2:
                raise NotMatrixError(f"a factor with {len(names)} axes")
            if len(names) == 2:
                self._add_matrix(operand.node, names[0], names[1])
            elif names:
                self.columns.setdefault(names[0], []).append(operand)
            else:
                self.scalars.append(operand.node)

    def _add_matrix(self, node: Node, row: str, column: str) -> None:
        if row == column:
            raise NotMatrixError("a diagonal is read")
        for k, (other, first, second) in enumerate(self.edges):
            if {first, second} == {row, column}:
                turned = node if first == row else Transpose(node)
                self.edges[k] = (hadamard([other, turned]), first, second)
                return
        self.edges.append((node, row, column))

    def result(self) -> Node:
        """The ordered product."""
        if self.out and not self.edges and not self.columns:
            if not self.scalars:
                raise NotMatrixError("a constant")
            return hadamard(self.scalars)  # spread over rows and columns
        found = [self._scalar, self._column, self._matrix][len(self.out)]() if len(self.out) < 3 else None
        if found is None:
            raise NotMatrixError(f"a result with {len(self.out)} axes")
        if self.edges or any(self.columns.values()):
            raise NotMatrixError("factors that are no chain of products")
        return hadamard([*self.scalars, found]) if self.scalars else found

    def _scalar(self) -> Node:
        """All indices are summed over."""
        if len(self.edges) == 1 and not self.columns:
            node, *names = self.edges.pop()
            return Entries(node, tuple(names))
        if not self.edges and not self.columns:
            return self.scalars.pop(0) if self.scalars else Ones(Affine.of(1))
        if not self.edges and len(self.columns) == 1:
            ((name, operands),) = self.columns.items()
            self.columns = {}
            nodes = [o.node for o in operands]
            if len(nodes) == 2 and all(isinstance(n, Array | OneHot) for n in nodes):
                nodes.sort(key=lambda n: not isinstance(n, OneHot))
                return Product((Transpose(nodes[0]), nodes[1]))
            return Entries(hadamard(nodes), (name,))
        start = next((n for n in self.columns if sum(n in edge[1:] for edge in self.edges) == 1), None)
        if start is None:
            raise NotMatrixError("factors that are no chain of products")
        left = hadamard([o.node for o in self.columns.pop(start)])
        return Product((Transpose(left), *self._walk(start)))

    def _column(self) -> Node:
        (row,) = self.out
        outside = [o.node for o in self.columns.pop(row, [])]
        factors = self._walk(row)
        if not factors:
            return hadamard(outside)
        inner = factors[0] if len(factors) == 1 else Product(tuple(factors))
        return hadamard([inner, *outside]) if outside else inner

    def _matrix(self) -> Node:
        row, column = self.out
        outside = []
        for k, (node, first, second) in enumerate(self.edges):
            if {first, second} == {row, column}:
                outside.append(node if first == row else Transpose(node))
                del self.edges[k]
                break
        if outside and not self.edges:
            scaled = [Diagonal(o.node) for o in self.columns.pop(row, [])]
            last = [Diagonal(o.node) for o in self.columns.pop(column, [])]
            return Product((*scaled, outside[0], *last)) if scaled or last else outside[0]
        if self._connected(row, column):
            ends = [[Diagonal(o.node) for o in self.columns.pop(end, [])] for end in (row, column)]
            inner: Node = Product((*ends[0], *self._walk(row, column), *ends[1]))
        else:
            inner = Product((*self._side(row), *_turned(self._side(column))))
        return hadamard([*outside, inner])

    def _side(self, name: str) -> list[Node]:
        """The factors of the column over `name` in an outer product: other columns there become diagonals."""
        operands = sorted(self.columns.pop(name, []), key=lambda o: o.cotangent)
        factors = self._walk(name)
        if factors:
            return [*(Diagonal(o.node) for o in operands), *factors]
        if not operands:
            return [Ones(self.extents[name])]
        return [*(Diagonal(o.node) for o in operands[:-1]), operands[-1].node]

    def _walk(self, start: str, goal: str = "") -> list[Node]:
        """Factors along the path from `start`, up to `goal` or to a column at its end."""
        factors: list[Node] = []
        here = start
        while here != goal:
            leaving = [edge for edge in self.edges if here in edge[1:]]
            if len(leaving) > 1:
                raise NotMatrixError("an index in more than two matrices")
            columns = sorted(self.columns.pop(here, []), key=lambda o: o.cotangent) if here != start else []
            if not leaving:
                if factors:
                    factors += [Diagonal(o.node) for o in columns[:-1]]
                    factors.append(columns[-1].node if columns else Ones(self.extents[here]))
                return factors
            factors += [Diagonal(o.node) for o in columns]
            edge = leaving[0]
            self.edges.remove(edge)
            node, first, second = edge
            factors.append(node if first == here else Transpose(node))
            here = second if first == here else first
        return factors

    def _connected(self, row: str, column: str) -> bool:
        reached, growing = {row}, True
        while growing:
            more = {n for _, a, b in self.edges if a in reached or b in reached for n in (a, b)}
            growing = not more <= reached
            reached |= more
        return column in reached


def hadamard(nodes: list[Node]) -> Node:
    """The elementwise product; a single factor is itself."""
    flat = [f for n in nodes for f in (n.factors if isinstance(n, Hadamard) else (n,))]
    return flat[0] if len(flat) == 1 else Hadamard(tuple(flat))


def norm(parts: Parts) -> Node | None:
    """The squared Frobenius norm, where the term is the sum of the squares of all elements of one tensor."""
    equation = parts.equation
    if len(equation.reads) != 1 or equation.at or len(parts.operands) != 1:
        return None
    node = parts.operands[0].node
    read = equation.reads[0]
    names = [s.plain for s in read.at if isinstance(s, Affine)]
    squared = getattr(node, "body", None)
    if squared is None or None in names or len(set(names)) != len(equation.box) or len(names) != len(read.at):
        return None
    return Norm(Array(read.tensor, (None,) * len(names))) if str(squared) == "_0**2" else None


def _turned(factors: list[Node]) -> list[Node]:
    """The factors of the transposed product."""
    return [
        n.body if isinstance(n, Transpose) else n if isinstance(n, Diagonal) else Transpose(n) for n in factors[::-1]
    ]
