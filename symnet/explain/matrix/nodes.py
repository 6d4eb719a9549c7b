"""The terms of matrix notation.

A node stands for a matrix: a column has one column, a row one row, a scalar both.
Only under `Vec` and `Unvec` it may have more than two axes.  `Array.at` says which
axes of the tensor are fixed by an index (a label: the sample, the map), and which
are the rows and columns of the matrix (None).

Nodes are frozen, so equal terms are equal objects.  What they look like is the
business of `write`, what they are worth that of `value`; `walk` goes through them.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from codegen.ir.affine import Affine

Window = tuple[int, int, int]
"""Stride S, dilation D and padding P of one axis: position `S*i + D*u - P`."""

WHOLE: Window = (1, 1, 0)


@dataclass(frozen=True)
class Array:
    """A tensor; axes with an affine subscript are labels, those with None are rows and columns."""

    tensor: str
    at: tuple[Affine | None, ...]


@dataclass(frozen=True)
class OneHot:
    """The column with a 1 at the position that an integer tensor holds."""

    label: Array
    extent: Affine


@dataclass(frozen=True)
class Ones:
    """The column of ones."""

    extent: Affine


@dataclass(frozen=True)
class Elementwise:
    """A scalar function of one slot for each of `args`, applied to each element; scalars are spread."""

    body: sympy.Expr
    args: tuple[Node, ...]


@dataclass(frozen=True)
class Hadamard:
    """The elementwise product."""

    factors: tuple[Node, ...]


@dataclass(frozen=True)
class Scaled:
    """A number (in sizes) times a node."""

    factor: sympy.Expr
    body: Node


@dataclass(frozen=True)
class Plus:
    """A sum of terms; a scalar is added to each element."""

    terms: tuple[Node, ...]


@dataclass(frozen=True)
class Total:
    """The sum over labels."""

    indices: tuple[tuple[str, Affine], ...]
    body: Node


@dataclass(frozen=True)
class Entries:
    """The sum of all elements; `names` are the indices it is written with."""

    body: Node
    names: tuple[str, ...]


@dataclass(frozen=True)
class Norm:
    """The square of the Frobenius norm of a whole tensor."""

    body: Array


@dataclass(frozen=True)
class Product:
    """The matrix product."""

    factors: tuple[Node, ...]


@dataclass(frozen=True)
class Transpose:
    """The transpose."""

    body: Node


@dataclass(frozen=True)
class Diagonal:
    """The diagonal matrix of a column or row."""

    body: Node


@dataclass(frozen=True)
class Call:
    """A named scalar function applied to each element: `body` in slot 0; `order` 1 is its derivative."""

    name: str
    body: sympy.Expr
    argument: Node
    order: int = 0


@dataclass(frozen=True)
class Correlation:
    """Cross-correlation: element i is the sum over u of `kernel[u] * picture[S*i + D*u - P]`; 0 outside."""

    kernel: Node
    picture: Node
    windows: tuple[Window, ...]
    extents: tuple[Affine, ...]


@dataclass(frozen=True)
class Wide:
    """The full cross-correlation with the error dilated by S, the kernel by D, P elements left out at each side.

    With `kernel` rotated by 180 degrees: element `S*i + D*u - P` gathers `kernel[u] * error[i]`.
    """

    kernel: Node
    error: Node
    windows: tuple[Window, ...]
    extents: tuple[Affine, ...]


@dataclass(frozen=True)
class Rotated:
    """A kernel rotated by 180 degrees."""

    body: Node


@dataclass(frozen=True)
class Pool:
    """ "mean", "max" or "sum" over windows of the sizes `spans`; positions as in `Correlation`."""

    kind: str
    body: Node
    windows: tuple[Window, ...]
    spans: tuple[int, ...]
    extents: tuple[Affine, ...]


@dataclass(frozen=True)
class Upsample:
    """The adjoint of `Pool`: each error goes to its window: evenly ("mean", "sum") or to the recorded maximum."""

    kind: str
    body: Node
    record: Node | None
    windows: tuple[Window, ...]
    spans: tuple[int, ...]
    extents: tuple[Affine, ...]


@dataclass(frozen=True)
class Vec:
    """All elements in row-major order, as a column."""

    body: Array


@dataclass(frozen=True)
class Unvec:
    """A column laid out in row-major order over the axes of `extents`."""

    body: Node
    extents: tuple[Affine, ...]


@dataclass(frozen=True)
class Softmax:
    """The softmax of a column."""

    body: Node


@dataclass(frozen=True)
class LogSumExp:
    """The logarithm of the sum of exponentials of a column."""

    body: Node


Node = (
    Array
    | OneHot
    | Ones
    | Elementwise
    | Hadamard
    | Scaled
    | Plus
    | Total
    | Entries
    | Norm
    | Product
    | Transpose
    | Diagonal
    | Call
    | Correlation
    | Wide
    | Rotated
    | Pool
    | Upsample
    | Vec
    | Unvec
    | Softmax
    | LogSumExp
)
