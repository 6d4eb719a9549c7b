"""From equations to matrix notation: every statement of a program, recognised in its index structure or left alone.

Nothing here knows a layer: a dense layer is a contraction of two subscripts, a
convolution a subscript `S*i + D*u - P`, whatever declared them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import sympy

from codegen.analysis.softmaxes import exponentials, softmaxes
from codegen.analysis.structure import structure
from codegen.ir.affine import Affine
from codegen.ir.edit import compact
from codegen.ir.equation import Equation, Program, Read
from symnet.differentiate.reverse import cotangent_name
from symnet.explain.matrix.nodes import Array, Call, LogSumExp, Node, Plus, Scaled, Softmax, Total
from symnet.explain.matrix.operands import (
    Axes,
    NotMatrixError,
    Parts,
    remember,
    take_apart,
    without_lone_maps,
)
from symnet.explain.matrix.primes import Primes, primes
from symnet.explain.matrix.product import hadamard, norm, product
from symnet.explain.matrix.walk import labels_of, renamed
from symnet.explain.matrix.window import pooled, windowed


@dataclass(frozen=True)
class Formula:
    """One statement in matrix notation.

    target: the left side; its labels run over `labels`.  node: the right side.
    equations: what it was recognised in.
    """

    target: Array
    labels: tuple[tuple[str, Affine], ...]
    node: Node
    equations: tuple[Equation, ...]


@dataclass(frozen=True)
class Unrecognised:
    """A statement that stays in index notation, and why."""

    target: str
    reason: str
    equations: tuple[Equation, ...]


Statement = Formula | Unrecognised


def recognised(program: Program, axes: Axes | None = None) -> tuple[Statement, ...]:
    """Every tensor that `program` defines, as a formula where it has one, in the order in which tensors are complete.

    axes: filled with what becomes known of the rows and columns of tensors.
    """
    axes = {} if axes is None else axes
    found = primes(program)
    groups: dict[str, list[Equation]] = {}
    for equation in program.equations:
        group = groups.pop(equation.target, [])
        groups[equation.target] = [*group, equation]
    return tuple(_statement(target, tuple(group), program, axes, found) for target, group in groups.items())


def recognise(
    target: str, equations: tuple[Equation, ...], program: Program, axes: Axes, found: Mapping[str, Primes]
) -> Formula:
    """The formula of one tensor, every equation of which is given.  Raises NotMatrixError.

    axes: what is known of the rows and columns of tensors; extended.  found: the activations of `program`.
    """
    # What has windows or sums settles the roles of the indices; plain terms follow.
    ordered = sorted((part for e in equations for part in _split(e)), key=lambda part: _rank(part, program))
    terms: list[tuple[Array, Node]] = []
    places: list[tuple[bool, int]] = []
    for equation in ordered:
        settled = tuple(k for k, s in enumerate(terms[0][0].at) if s is None) if terms else None
        parts = take_apart(equation, program, axes, settled)
        node = _term(equation, parts, program, found)
        left = Array(target, tuple(None if parts.core.intersection(s.names) else s for s in parts.at))
        remember(parts, axes)
        terms.append((left, node))
        places.append((_rank(equation, program) > 1, _position(equation, equations)))
    first = terms[0][0]
    nodes = [node if left == first else _aligned(left, first, node) for left, node in terms]
    # Written in the order of the equations, what is no sum or window last.
    nodes = [node for _, node in sorted(zip(places, nodes, strict=True), key=lambda pair: pair[0])]
    labels = _labels(first, equations, program)
    whole = nodes[0] if len(nodes) == 1 else _sum(nodes)
    return Formula(first, labels, whole, equations)


def _labels(target: Array, equations: tuple[Equation, ...], program: Program) -> tuple[tuple[str, Affine], ...]:
    """The labels of the left side with their extents; what is written outside the target's box is dropped."""
    boxes = {n: e for equation in equations for n, e in equation.box}
    found: dict[str, Affine] = {}
    for subscript, size in zip(target.at, program.table[target.tensor].shape, strict=True):
        for name in subscript.names if subscript is not None else ():
            extent = boxes.get(name)
            if extent is None:
                continue
            if subscript is not None and subscript.plain == name and extent != size:
                if not (extent - size).is_nonnegative():
                    raise NotMatrixError("only a part of the left side")
                extent = size
            found[name] = extent
    return tuple(found.items())


def _position(part: Equation, equations: tuple[Equation, ...]) -> int:
    return equations.index(part) if part in equations else 0


def _sum(nodes: list[Node]) -> Node:
    """The sum, with a number that all terms share in front of it."""
    sizes = {abs(n.factor) if isinstance(n, Scaled) else sympy.Integer(1) for n in nodes}
    shared = sizes.pop()
    if sizes or shared == 1:
        return Plus(tuple(nodes))
    inner = [(n.factor / shared, n.body) for n in nodes if isinstance(n, Scaled)]
    return Scaled(shared, Plus(tuple(body if factor == 1 else Scaled(factor, body) for factor, body in inner)))


def _statement(
    target: str, equations: tuple[Equation, ...], program: Program, axes: Axes, found: Mapping[str, Primes]
) -> Statement:
    try:
        plain = tuple(without_lone_maps(e, program) for e in equations)
        return recognise(target, plain, program, axes, found)
    except NotMatrixError as reason:
        return Unrecognised(target, str(reason), equations)


def _split(equation: Equation) -> tuple[Equation, ...]:
    """The terms of a body in which a lookup stands beside other reads, as equations of their own."""
    looked_up = any(isinstance(s, Read) for read in equation.reads for s in read.at)
    if not looked_up or not isinstance(equation.body, sympy.Add) or equation.reduce != "sum":
        return (equation,)
    return tuple(compact(equation.with_(body=term)) for term in equation.body.as_ordered_terms())


def _rank(equation: Equation, program: Program) -> int:
    """0 for windows, shifts and lookups, 1 for sums, 2 for elementwise terms, 3 where indices are only numbered."""
    s = structure(equation, program.table).literal
    axes = [axis for access in s.accesses for axis in access.axes]
    shifted = any(axis.affine and axis.offset.const and (axis.terms or axis.offset.terms) for axis in axes)
    if shifted or any(axis.affine and len(axis.terms) > 1 for axis in axes) or any(a.looked for a in s.accesses[1:]):
        return 0
    numbered = equation.at and all(axis.affine and (axis.plain or "x")[-1].isdigit() for axis in s.left.axes)
    return 3 if numbered else 1 if equation.over else 2


def _term(equation: Equation, parts: Parts, program: Program, found: Mapping[str, Primes]) -> Node:
    """The node of one equation, the number in front and the sums over labels included."""
    if equation.target in found and not equation.over:
        return found[equation.target].node(equation, parts)
    windows = any(s.plain is None for places in (parts.out, *(o.at for o in parts.operands)) for s in places)
    if equation.reduce == "logsumexp":
        return _log_sum_exp(parts)
    if equation.reduce == "max" and windows:
        return pooled(parts, program)
    if equation.reduce != "sum":
        raise NotMatrixError(f"a reduction by {equation.reduce}")
    if softmax := _as_softmax(equation, parts, program):
        return softmax
    if windows:
        node, spent = windowed(parts, program)
        factor = sympy.Integer(1) if spent else parts.factor
    else:
        if equation.guards:
            raise NotMatrixError("a guard")
        node, factor = norm(parts) or product(parts), parts.factor
    sums = () if equation.over and not equation.at and _is_norm(node) else parts.sums
    if sums:
        node = Total(sums, node)
    return node if factor == 1 else Scaled(factor, node)


def _is_norm(node: Node) -> bool:
    return type(node).__name__ == "Norm"


def _log_sum_exp(parts: Parts) -> Node:
    (operand,) = parts.operands if len(parts.operands) == 1 else (None,)
    if operand is None or parts.factor != 1 or len(operand.at) != 1 or parts.out or parts.sums:
        raise NotMatrixError("a log-sum-exp of no column")
    if parts.equation.guards:
        raise NotMatrixError("a log-sum-exp with a condition")
    return LogSumExp(operand.node)


def _as_softmax(equation: Equation, parts: Parts, program: Program) -> Node | None:
    """`exp(z - lse)` where `lse` is the log-sum-exp along the one axis that is rows."""
    for softmax in softmaxes(program).values():
        for node, places in exponentials(equation, softmax):
            over = {places[n] for n in softmax.total.over}
            if equation.body == node and not equation.guards and {str(s) for s in parts.out} == over and len(over) == 1:
                read = softmax.at(places).scores
                at = tuple(s for s in read.at if isinstance(s, Affine))
                return Softmax(Array(read.tensor, tuple(None if s.plain in over else s for s in at)))
    return None


def _aligned(left: Array, first: Array, node: Node) -> Node:
    """A term under the labels of the statement's first one."""
    names: dict[str, Affine] = {}
    for mine, theirs in zip(left.at, first.at, strict=True):
        if (mine is None) != (theirs is None):
            raise NotMatrixError("terms that take other axes as rows and columns")
        if mine is not None and theirs is not None and mine != theirs:
            if mine.plain is None:
                raise NotMatrixError("terms whose left sides differ")
            names[mine.plain] = theirs
    return renamed(node, names)


def inlined(statements: Iterable[Statement], program: Program, kept: Iterable[str] = ()) -> tuple[Statement, ...]:
    """The statements with the cotangent of an activation's value put in where its derivative multiplies it.

        a_bar = W' d,   d_z = a_bar * f'(z)        d_z = (W' d) * f'(z)

    Only where nothing else reads that cotangent, and not those of the tensors in `kept`.
    """
    protected = {cotangent_name(name) for name in kept}
    items = list(statements)
    known = {s.target.tensor: s for s in items if isinstance(s, Formula)}
    uses: dict[str, int] = {}
    for equation in program.equations:
        for read in equation.reads:
            uses[read.tensor] = uses.get(read.tensor, 0) + 1
    for item in items:
        if not isinstance(item, Formula) or not hasattr(item.node, "factors"):
            continue
        error, *rest = item.node.factors
        if not rest or not isinstance(rest[0], Call) or not isinstance(error, Array) or rest[0].order != 1:
            continue
        source = known.get(error.tensor)
        is_result = program.table[error.tensor].kind == "result" or error.tensor in protected
        if source is not None and uses.get(error.tensor) == 1 and not is_result:
            merged = _put_in(item, error, source)
            if merged is not None:
                del known[error.tensor]
                known[item.target.tensor] = merged
    left = [known.get(s.target.tensor) if isinstance(s, Formula) else s for s in items]
    return tuple(s for s in left if s is not None)


def _put_in(item: Formula, error: Array, source: Formula) -> Formula | None:
    """`item` under the labels of `source`, whose right side replaces the error."""
    names: dict[str, Affine] = {}
    for mine, theirs in zip(error.at, source.target.at, strict=True):
        if (mine is None) != (theirs is None) or (mine is not None and mine.plain is None):
            return None
        if mine is not None and theirs is not None and mine.plain is not None:
            names[mine.plain] = theirs
    extents = dict(source.labels)
    target = replace(item.target, at=tuple(s.substitute(names) if s is not None else None for s in item.target.at))
    if not labels_of(target) <= set(extents):
        return None
    _, *rest = item.node.factors  # type: ignore[union-attr]
    moved = [renamed(node, names) for node in rest]
    summed = isinstance(source.node, Total) or type(source.node).__name__ not in ("Product", "Array")
    number, inner = (source.node.factor, source.node.body) if isinstance(source.node, Scaled) else (None, source.node)
    node = hadamard([*moved, inner] if summed else [inner, *moved])
    node = node if number is None else Scaled(number, node)
    labels = tuple((n, extents[n]) for s in target.at if s is not None for n in s.names)
    return Formula(target, labels, node, (*source.equations, *item.equations))
