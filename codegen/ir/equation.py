"""The intermediate representation: tensors, equations, programs.

    program   ::= tensor*  equation*                     equations run in order
    equation  ::= target[at]  (= | +=)  reduce[over | guards] body(reads)
    at        ::= subscript, ...
    subscript ::= affine | affine // k | tensor[affine, ...]      (integer tensor)
    guard     ::= affine + sum(c * read) (>= 0 | == 0 | != 0) | affine % k == 0
    body      ::= SymPy expression in slots _0, _1, ... (one per read), indices and sizes as numbers
    reduce    ::= sum | max | argmax | logsumexp | prod

Meaning.  Every index of the equation's box runs over `0 <= index < extent`.
A tensor starts at zero.  For `sum`, each point of the box whose guards hold adds
`body` to `target[at]`; a write outside the target's box is dropped.  For the
other reductions the subscripts `at` are distinct plain indices and the points
over which `over` runs are reduced, those that fail a guard being left out.

A read outside its tensor's box is 0; under max, argmax and logsumexp such a
point is left out.  A cotangent outside its box annihilates its term, even
against an infinite cofactor (`Read.strong`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache, cached_property, lru_cache
from typing import Literal

import sympy

from codegen.ir.affine import Affine

Dtype = Literal["float", "int", "bool"]
Kind = Literal["input", "parameter", "value", "result"]
Reduction = Literal["sum", "max", "argmax", "logsumexp", "prod"]
Comparison = Literal[">=", "==", "!=", "divides"]

SKIPPING: tuple[Reduction, ...] = ("max", "argmax", "logsumexp")
"""Reductions that leave out a point with a read outside its box, where `sum` and `prod` take a 0."""


@dataclass(frozen=True)
class Tensor:
    """A named array: `shape` holds extents (affine in size symbols).

    kind: "input" comes from the caller at each call, "parameter" is given and
    kept, "value" is computed and internal, "result" is computed and handed out.
    """

    name: str
    shape: tuple[Affine, ...]
    dtype: Dtype = "float"
    kind: Kind = "value"


@dataclass(frozen=True)
class Quotient:
    """The subscript `numerator // divisor`, rounding down."""

    numerator: Affine
    divisor: int


@dataclass(frozen=True)
class Read:
    """`tensor[at]`.  `strong`: outside the box this read annihilates its whole term (a cotangent)."""

    tensor: str
    at: tuple[Subscript, ...]
    strong: bool = False


Subscript = Affine | Quotient | Read
"""A Read as a subscript is data-dependent: the value of an integer tensor."""


@dataclass(frozen=True)
class Guard:
    """`affine + sum(c * read) <op> 0`; for "divides", `affine % modulus == 0`."""

    op: Comparison
    affine: Affine
    reads: tuple[tuple[int, Read], ...] = ()
    modulus: int = 1


@dataclass(frozen=True)
class Equation:
    """One equation in normal form; see the grammar at the top of this file.

    box: every index with its extent, free indices first (in order of appearance
         in `at`), then those of `over` (row-major order for ties of a maximum).
    body: slot k stands for reads[k].
    accumulate: True for `+=`; False where this equation is the first to define the target.
    stage: the function of the generated module this equation belongs to ("forward", ...).
    origin: the name of what declared it (a layer), for comments and error messages.
    """

    target: str
    at: tuple[Subscript, ...]
    body: sympy.Expr
    reads: tuple[Read, ...] = ()
    box: tuple[tuple[str, Affine], ...] = ()
    over: tuple[str, ...] = ()
    reduce: Reduction = "sum"
    guards: tuple[Guard, ...] = ()
    accumulate: bool = False
    stage: str = ""
    origin: str = ""

    @cached_property
    def extents(self) -> Mapping[str, Affine]:
        """Extent by index name, in box order."""
        return dict(self.box)

    @cached_property
    def free(self) -> tuple[str, ...]:
        """The indices that are not reduced."""
        return tuple(name for name, _ in self.box if name not in self.over)

    @cached_property
    def every_read(self) -> tuple[Read, ...]:
        """The reads of body, guards and subscripts."""
        reads = [*self.reads, *(read for guard in self.guards for _, read in guard.reads)]
        nested = [inner for read in reads for inner in reads_of(read.at)]
        return (*reads, *nested, *reads_of(self.at))

    def with_(self, **changes: object) -> Equation:
        """A copy with some fields replaced."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def __getstate__(self) -> dict[str, object]:
        """The fields: what was found out about an equation stays behind when it is copied or pickled."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True)
class Program:
    """Tensors and the equations that define them, in an order in which they can run."""

    tensors: tuple[Tensor, ...]
    equations: tuple[Equation, ...]
    sizes: tuple[str, ...] = ("N",)
    """The symbolic sizes, in order of first use."""

    @cached_property
    def table(self) -> Mapping[str, Tensor]:
        """Tensor by name."""
        return {tensor.name: tensor for tensor in self.tensors}

    def __getstate__(self) -> dict[str, object]:
        """The fields: what was found out about a program stays behind when it is copied or pickled."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @cached_property
    def definitions(self) -> Mapping[str, tuple[Equation, ...]]:
        """The equations of each target, in order: read once, since passes ask for those of every tensor."""
        found: dict[str, list[Equation]] = {}
        for equation in self.equations:
            found.setdefault(equation.target, []).append(equation)
        return {name: tuple(equations) for name, equations in found.items()}

    def defining(self, name: str) -> tuple[Equation, ...]:
        """The equations whose target is `name`, in order."""
        return self.definitions.get(name, ())

    def with_equations(self, equations: Iterable[Equation]) -> Program:
        """The same tensors with other equations."""
        return replace(self, equations=tuple(equations))


@cache
def slot(k: int) -> sympy.Symbol:
    """The SymPy symbol that stands for an equation's k-th read in its body."""
    return sympy.Symbol(f"_{k}", real=True)


@cache
def infinite_slot(k: int) -> sympy.Symbol:
    """Slot `k` where it may hold an infinity, so that a mask must choose and not multiply."""
    return sympy.Symbol(slot(k).name, extended_real=True)


def with_slots(body: sympy.Expr, value: Callable[[int], sympy.Expr]) -> sympy.Expr:
    """`body` with `value(k)` for its k-th slot, also for one that may hold an infinity."""
    changes = {}
    for symbol in body.free_symbols:
        if symbol.name.startswith("_"):
            new = value(int(symbol.name[1:]))
            infinite = symbol != slot(int(symbol.name[1:])) and new.is_Symbol
            changes[symbol] = infinite_slot(int(new.name[1:])) if infinite else new
    return body.xreplace(changes)


@cache
def index_symbol(name: str) -> sympy.Symbol:
    """The SymPy symbol of an index variable used as a number."""
    return sympy.Symbol(name, integer=True)


@cache
def size_symbol(name: str) -> sympy.Symbol:
    """The SymPy symbol of a size (always at least 1) used as a number."""
    return sympy.Symbol(name, integer=True, positive=True)


def number(value: Affine, indices: Collection[str]) -> sympy.Expr:
    """An affine expression as a SymPy number; names that are not in `indices` are sizes."""
    terms = [c * (index_symbol(n) if n in indices else size_symbol(n)) for n, c in value.terms]
    return sympy.Add(value.const, *terms)


@lru_cache(maxsize=20000)
def slots_of(body: sympy.Expr) -> tuple[int, ...]:
    """The numbers of the slots that occur in `body`, sorted."""
    return tuple(sorted(int(s.name[1:]) for s in body.free_symbols if s.name.startswith("_")))


def reads_of(subscripts: Iterable[Subscript]) -> tuple[Read, ...]:
    """The data-dependent subscripts among `subscripts`, those nested in them included."""
    found: list[Read] = []
    for subscript in subscripts:
        if isinstance(subscript, Read):
            found += [subscript, *reads_of(subscript.at)]
    return tuple(found)


def all_reads(equation: Equation) -> tuple[Read, ...]:
    """Every read of an equation: of its body, guards and subscripts."""
    return equation.every_read


def indices_of(subscripts: Iterable[Subscript]) -> tuple[str, ...]:
    """The names in subscripts (indices and sizes), in order of first use."""
    seen: dict[str, None] = {}
    for subscript in subscripts:
        if isinstance(subscript, Affine):
            seen |= dict.fromkeys(subscript.names)
        elif isinstance(subscript, Quotient):
            seen |= dict.fromkeys(subscript.numerator.names)
        else:
            seen |= dict.fromkeys(indices_of(subscript.at))
    return tuple(seen)
