"""Windows: cross-correlation, its adjoints, pooling and upsampling, and reshaping, from the form of the subscripts.

y[i]         = sum[u]( W[u] x[S*i + D*u - P] )        W (x) x
W_bar[u]     = sum[i]( e[i] x[S*i + D*u - P] )        e (x) x, strides and dilations exchanged
x_bar[S*i + D*u - P] += W[u] e[i]                     rot180(W) (x~) e
x_bar[S*i + D*u - P] += e[i] / K                      upsample(e)
y[(c,i,j)] = x[c,i,j]                                 vec(x)
"""

from __future__ import annotations

from codegen.analysis.structure import structure
from codegen.ir.affine import Affine
from codegen.ir.equation import Program
from symnet.explain.matrix.nodes import (
    WHOLE,
    Array,
    Correlation,
    Node,
    Pool,
    Rotated,
    Unvec,
    Upsample,
    Vec,
    Wide,
    Window,
)
from symnet.explain.matrix.operands import NotMatrixError, Operand, Parts, position
from symnet.explain.matrix.product import hadamard


def windowed(parts: Parts, program: Program) -> tuple[Node, bool]:
    """The node of a term with windows, and whether the term's number went into it.

    Raises NotMatrixError for windows of another form.
    """
    operands = _merged(parts.operands)
    reshaped = _vec(parts, operands, program)
    if reshaped is not None:
        return reshaped, False
    shape = tuple(program.table[parts.equation.target].shape[k] for k in parts.out_axes)
    if any(s.plain is None for s in parts.out):
        return _scattered(parts, operands, shape, program)
    return _slid(parts, operands, shape)


def pooled(parts: Parts, program: Program) -> Node:
    """The maximum over windows."""
    operands = _merged(parts.operands)
    shape = tuple(program.table[parts.equation.target].shape[k] for k in parts.out_axes)
    if parts.factor != 1 or len(operands) != 1 or parts.sums:
        raise NotMatrixError("a maximum of no plain window")
    windows, spans = _pool_windows(operands[0].at, parts.out, parts)
    return Pool("max", operands[0].node, windows, spans, _pair(shape))


def _merged(operands: tuple[Operand, ...]) -> list[Operand]:
    """Factors over the same positions multiplied into one."""
    found: dict[tuple[Affine, ...], list[Operand]] = {}
    for operand in operands:
        if not operand.at:
            raise NotMatrixError("a window scaled by a number for each sample or map")
        found.setdefault(operand.at, []).append(operand)
    return [
        Operand(hadamard([o.node for o in group]), at, any(o.cotangent for o in group)) for at, group in found.items()
    ]


def _slid(parts: Parts, operands: list[Operand], shape: tuple[Affine, ...]) -> tuple[Node, bool]:
    """A window over an operand: a correlation with a second operand, or a mean or sum."""
    pictures = [o for o in operands if any(s.plain is None for s in o.at)]
    kernels = [o for o in operands if o not in pictures]
    if len(pictures) != 1 or len(kernels) > 1:
        raise NotMatrixError("windows over several operands")
    picture = pictures[0]
    if not kernels:
        windows, spans = _pool_windows(picture.at, parts.out, parts)
        mean = parts.factor * _count(spans) == 1
        return Pool("mean" if mean else "sum", picture.node, windows, spans, _pair(shape)), mean
    kernel = kernels[0]
    windows = tuple(_window(s, a, b) for s, a, b in _aligned(picture.at, parts.out, kernel.at))
    node, windows = _unrotated(kernel.node, windows, [parts.extents[position(s)] for s in kernel.at])
    if any(s < 0 for s, _, _ in windows):
        if not all(s < 0 for s, _, _ in windows):
            raise NotMatrixError("a window reversed along one axis")
        lengths = [e.evaluate({}) for e in shape]
        turned = tuple((-s, d, p - s * (n - 1)) for (s, d, p), n in zip(windows, lengths, strict=True))
        return Rotated(Correlation(node, picture.node, _windows(turned), _pair(shape))), False
    return Correlation(node, picture.node, _windows(windows), _pair(shape)), False


def _scattered(parts: Parts, operands: list[Operand], shape: tuple[Affine, ...], program: Program) -> tuple[Node, bool]:
    """A window on the left side: a full correlation with the rotated kernel, or upsampling."""
    if len(operands) == 1:
        error = operands[0]
        windows, spans = _pool_windows(parts.out, error.at, parts)
        if parts.equation.guards:
            record = _arg_max(parts, error, program)
            return Upsample("max", error.node, record, windows, spans, _pair(shape)), False
        mean = parts.factor * _count(spans) == 1
        return Upsample("mean" if mean else "sum", error.node, None, windows, spans, _pair(shape)), mean
    if len(operands) != 2:
        raise NotMatrixError("a window on the left side of several factors")
    kernel, error = sorted(operands, key=lambda o: (o.cotangent, not _is_parameter(o.node, program)))
    windows = tuple(_window(s, a, b) for s, a, b in _aligned(parts.out, error.at, kernel.at))
    node, windows = _unrotated(kernel.node, windows, [parts.extents[position(s)] for s in kernel.at])
    turned = node.body if isinstance(node, Rotated) else Rotated(node)
    if any(s < 0 for s, _, _ in windows):
        raise NotMatrixError("a window reversed on the left side")
    return Wide(turned, error.node, _windows(windows), _pair(shape)), False


def _aligned(
    places: tuple[Affine, ...], first: tuple[Affine, ...], second: tuple[Affine, ...]
) -> list[tuple[Affine, str, str]]:
    """For each axis its subscript with the index of the one and of the other operand in it."""
    _few(places)
    if not len(places) == len(first) == len(second):
        raise NotMatrixError("a window over other axes than its kernel's")
    rows = [(s, position(a), position(b)) for s, a, b in zip(places, first, second, strict=True)]
    if any(set(s.names) != {a, b} for s, a, b in rows):
        raise NotMatrixError("a window whose axes stand in another order")
    return rows


def _pool_windows(
    places: tuple[Affine, ...], outer: tuple[Affine, ...], parts: Parts
) -> tuple[tuple[Window, ...], tuple[int, ...]]:
    """Windows and their sizes, where the offsets occur in the window alone."""
    _few(places)
    if len(places) != len(outer):
        raise NotMatrixError("a window over other axes than the result's")
    windows, spans = [], []
    for subscript, name in zip(places, map(position, outer), strict=True):
        others = [n for n in subscript.names if n != name]
        if name not in subscript.names or len(others) > 1:
            raise NotMatrixError("a window whose axes stand in another order")
        step = others[0] if others else ""
        dilation = subscript.coefficient(step) if step else 1
        if dilation < 0 or subscript.coefficient(name) < 0:
            raise NotMatrixError("a window read backwards")
        windows.append((subscript.coefficient(name), dilation, -subscript.const))
        spans.append(parts.extents[step].evaluate({}) if step else 1)
    return _windows(tuple(windows)), (*spans, *(1,) * (2 - len(spans)))


def _few(places: tuple[Affine, ...]) -> None:
    """Pictures and signals are matrices and vectors; what has more axes stays in index notation."""
    if len(places) > 2:
        raise NotMatrixError(f"a window over {len(places)} axes, which are no matrix")


def _window(subscript: Affine, position: str, offset: str) -> Window:
    return subscript.coefficient(position), subscript.coefficient(offset), -subscript.const


def _unrotated(node: Node, windows: tuple[Window, ...], extents: list[Affine]) -> tuple[Node, tuple[Window, ...]]:
    """A kernel that runs against its window, rotated."""
    if all(d > 0 for _, d, _ in windows):
        return node, windows
    if not all(d < 0 for _, d, _ in windows):
        raise NotMatrixError("a kernel reversed along one axis")
    lengths = [e.evaluate({}) for e in extents]
    return Rotated(node), tuple((s, -d, p - d * (n - 1)) for (s, d, p), n in zip(windows, lengths, strict=True))


def _arg_max(parts: Parts, error: Operand, program: Program) -> Node:
    """The positions of the maxima that the only guard compares with."""
    w = structure(parts.equation, program.table).literal.window
    if w is None or w.choice is None:
        raise NotMatrixError("a guard that is no recorded maximum")
    at = tuple(s for s in w.choice.at if isinstance(s, Affine))
    place = tuple(s for s in at if parts.core.intersection(s.names))
    if len(at) != len(w.choice.at) or place != error.at:
        raise NotMatrixError("a recorded maximum of other positions")
    return Array(w.choice.tensor, tuple(None if parts.core.intersection(s.names) else s for s in at))


def _vec(parts: Parts, operands: list[Operand], program: Program) -> Node | None:
    """`vec` or its inverse, where one side counts through the elements of the other row by row; None otherwise."""
    if len(operands) != 1 or parts.sums or parts.equation.guards or parts.equation.over:
        return None
    (operand,) = operands
    accesses = structure(parts.equation, program.table).literal.accesses
    tiles = {axis.subscript: axis for access in accesses for axis in access.axes if axis.form == "tile"}
    for long, short, flat in ((operand.at, parts.out, True), (parts.out, operand.at, False)):
        tile = tiles.get(short[0]) if len(short) == 1 and len(long) > 1 else None
        if tile is None or not isinstance(operand.node, Array):
            continue
        steps = [tile.coefficient(s.plain or "") for s in long]
        extents = tuple(parts.extents[n] for n in map(position, long))
        ordered = steps == sorted(steps, reverse=True) and len(steps) == len(tile.terms)
        if ordered and all(extent.is_constant for extent in extents):
            return Vec(operand.node) if flat else Unvec(operand.node, extents)
    return None


def _is_parameter(node: Node, program: Program) -> bool:
    return isinstance(node, Array) and program.table[node.tensor].kind == "parameter"


def _count(spans: tuple[int, ...]) -> int:
    return spans[0] * spans[1]


def _windows(windows: tuple[Window, ...]) -> tuple[Window, ...]:
    return (*windows, *(WHOLE,) * (2 - len(windows)))


def _pair(shape: tuple[Affine, ...]) -> tuple[Affine, ...]:
    return (*shape, *(Affine.of(1),) * (2 - len(shape)))
