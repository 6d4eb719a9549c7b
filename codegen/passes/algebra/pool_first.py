"""Maxima over windows before what is monotone, and one axis at a time.

    a[n,p,i,j] = relu(z[n,p,i,j])                     y.z[n,p,i,j] = max[u,v](z[n,p,2*i+u,2*j+v])
    y[n,p,i,j] = max[u,v](a[n,p,2*i+u,2*j+v])         y[n,p,i,j] = relu(y.z[n,p,i,j])

For a nondecreasing f, max f(z) = f(max z): f(z) <= f(max z) at every point of the window,
with equality at the greatest.  `+ b[p]` is such an f where b does not move with the window.
The function is then computed for each window and not for each point of it.

The gradient stays the same too.  It goes to the first point at which f(z) is greatest, times
f' there.  Where f increases strictly, those are the points at which z is greatest.  Where it
does not, f may be greatest at several different z, so f is constant between them and f' is 0 at
all of them if it is 0 at both ends of every level piece; then no gradient flows either way.
`is_monotone` admits no other f: relu has its level piece up to 0, where its derivative is 0.

A maximum over (u, v) is one over v and then one over u:

    y.in_rows[n,p,h,j] = max[v](z[n,p,h,2*j+v])
    y[n,p,i,j] = max[u](y.in_rows[n,p,2*i+u,j])

The first point in row-major order at which z is greatest has the least u whose row holds the
maximum, and in that row the least v: the first of the rows, and the first within it.  A point
outside of z is left out along its own axis, so no window loses or gains a point.

Both are for programs that are still to be differentiated: gradients come out in the new form.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

import sympy

from codegen.analysis.access import plain_indices
from codegen.analysis.cost import expanded
from codegen.analysis.readers import readers
from codegen.analysis.structure import structure
from codegen.analysis.window import Window
from codegen.ir.affine import Affine
from codegen.ir.edit import redirected, renamed
from codegen.ir.equation import Equation, Program, Read, Tensor, indices_of, slot, slots_of
from codegen.ir.names import allocate

INCREASING = (sympy.exp, sympy.tanh, sympy.atan, sympy.sinh)


def pool_first(program: Program, keep: Iterable[str] = ()) -> Program:
    """`program` with its window maxima in front of monotone functions, and separated axis by axis.

    keep: tensors that must stay defined.
    """
    kept = frozenset(keep)
    for name in [e.target for e in program.equations if _pool(e, program)]:
        target = name
        while (moved := _moved(name, target, program, kept)) is not None:
            program, target = moved
        program = _separated(name, target, program)
    return program


def is_monotone(body: sympy.Expr, x: sympy.Symbol) -> bool:
    """Whether `body` is a nondecreasing function of `x`, level only where its derivative is 0 to the very ends."""
    if body == x:
        return True
    if isinstance(body, sympy.Add):
        moving = [t for t in body.args if x in t.free_symbols]
        return len(moving) == 1 and is_monotone(moving[0], x)
    if isinstance(body, sympy.Mul):
        factor, rest = body.as_coeff_Mul()
        return bool(factor > 0) and factor != 1 and is_monotone(rest, x)
    if isinstance(body, INCREASING):
        return is_monotone(body.args[0], x)
    if isinstance(body, sympy.log):  # softplus
        inner = body.args[0]
        return bool(sympy.expand(inner - sympy.exp(x)) == 1)
    if isinstance(body, sympy.Pow):  # the sigmoid
        return bool(body.exp == -1 and sympy.expand(body.base - sympy.exp(-x)) == 1)
    if isinstance(body, sympy.Piecewise):
        return _is_rectifier(body, x)
    return False


def _is_rectifier(body: sympy.Piecewise, x: sympy.Symbol) -> bool:
    """x above 0, and below it 0 or what increases strictly to at most 0: relu, leaky relu, elu."""
    if len(body.args) != 2 or body.args[0].args != (x, x > 0) or body.args[1].cond != sympy.true:
        return False
    below = body.args[1].expr
    if below == 0:
        return True
    strictly = x in below.free_symbols and not below.has(sympy.Piecewise) and is_monotone(expanded(below), x)
    at_zero = below.subs(x, 0)
    return bool(strictly and at_zero.is_number and at_zero <= 0)


def _pool(equation: Equation, program: Program) -> Window | None:
    """The window of a maximum over its taps alone, with one position on each axis of what is read."""
    s = structure(equation, program.table).literal
    w = s.window
    plain = equation.reduce == "max" and s.number == 1 and not equation.guards and not equation.accumulate
    if w is None or w.way != "map" or w.kernel is not None or not plain or not s.covers:
        return None
    forward = all(span.dilation > 0 for span in w.spans) and sorted(w.taps) == sorted(equation.over)
    each = len(w.order) == len(equation.free) and set(w.order) <= {"b", "s"}
    each &= all(axis.offset.is_constant for axis in s.accesses[w.image].axes)
    return w if forward and each and len(program.defining(equation.target)) == 1 else None


def _moved(base: str, target: str, program: Program, kept: frozenset[str]) -> tuple[Program, str] | None:
    """`program` with the maximum `target` (of `base`) taken before the last operation on what it reads."""
    pooled = program.defining(target)[0]
    inner = pooled.reads[0].tensor
    if inner in kept or program.table[inner].kind != "value" or len(readers(program)[inner]) > 1:
        return None
    w = structure(pooled, program.table).literal.window
    if w is None or all(span.stride == 1 for span in w.spans):  # as many windows as points
        return None
    definitions = program.defining(inner)
    last = definitions[-1]
    if not structure(last, program.table).elementwise or last.stage != pooled.stage:
        return None
    names = plain_indices(last.at)
    assert names is not None
    still = frozenset(n for n, s in zip(names, pooled.reads[0].at, strict=True) if _is_plain(s, pooled))
    if len(definitions) > 1:  # `z += b[p]` after the sum that z starts with
        if not all(set(_names(r)) <= still for r in last.reads) or last.body.free_symbols - set(_slots(last)):
            return None
        source, main = inner, None
    else:
        mains = [k for k in slots_of(last.body) if not set(_names(last.reads[k])) <= still]
        if len(mains) != 1 or last.reads[mains[0]].at != last.at or last.body.free_symbols - set(_slots(last)):
            return None
        main = mains[0]
        source = last.reads[main].tensor
        if program.table[source].dtype != "float" or not is_monotone(last.body, slot(main)):
            return None
    return _exchanged(program, base, pooled, last, source, main)


def _exchanged(
    program: Program, base: str, pooled: Equation, last: Equation, source: str, main: int | None
) -> tuple[Program, str]:
    """The maximum of `source` (the name returned), then `last`; main: its slot of what is pooled, None for a `+=`."""
    first = pooled.target == base
    before = allocate(f"{base}.max", program.table) if first else pooled.target
    name = base if first else allocate(f"{base}.z", program.table)
    maximum = pooled.with_(target=before, reads=(replace(pooled.reads[0], tensor=source),))
    old, new = plain_indices(last.at), plain_indices(pooled.at)
    assert old is not None and new is not None
    places = _positions(pooled)
    moved = renamed(last, {o: places[k] for k, o in enumerate(old)})
    box = tuple((n, pooled.extents[n]) for n in new)
    after = moved.with_(at=pooled.at, box=box, target=name, origin=pooled.origin, accumulate=False)
    value = Read(before, tuple(Affine.of(n) for n in new))
    if main is None:
        after = after.with_(body=after.body + slot(len(after.reads)), reads=(*after.reads, value))
    else:
        after = after.with_(reads=(*after.reads[:main], value, *after.reads[main + 1 :]))
    equations = []
    for equation in program.equations:
        if equation is pooled:
            equations += [maximum, after]
        elif equation is not last:
            equations.append(equation if first else redirected(equation, {before: name}))
    tensors = tuple(t for t in program.tensors if main is None or t.name != last.target)
    added = Tensor(before if first else name, program.table[base].shape)
    return replace(program, tensors=(*tensors, added), equations=tuple(equations)), before


def _separated(base: str, target: str, program: Program) -> Program:
    """The maximum `target` over one axis after the other, the last one first."""
    pooled = program.defining(target)[0]
    w = structure(pooled, program.table).literal.window
    spans = {span.tap: span for span in w.spans} if w else {}
    parts: list[Equation] = []
    tensors: list[Tensor] = []
    while len(pooled.over) > 1:
        tap, read = pooled.over[-1], pooled.reads[0]
        axis, position = spans[tap].axis, spans[tap].place
        source = program.table[read.tensor] if read.tensor in program.table else tensors[-1]
        used = {*pooled.extents, *program.sizes}
        rows: list[str] = []
        for k, subscript in enumerate(read.at):
            own = (subscript.plain or "") if isinstance(subscript, Affine) else ""
            kept = own if own in pooled.free else _fresh("h", k, used)
            rows.append(position if k == axis else kept)
            used.add(rows[-1])
        shape = tuple(pooled.extents[position] if k == axis else e for k, e in enumerate(source.shape))
        name = allocate(f"{base}.in_rows", {*program.table, *(t.name for t in tensors)})
        at = tuple(map(Affine.of, rows))
        box = (*zip(rows, shape, strict=True), (tap, pooled.extents[tap]))
        inner = tuple(read.at[axis] if k == axis else s for k, s in enumerate(at))
        parts.append(pooled.with_(target=name, at=at, reads=(replace(read, at=inner),), box=box, over=(tap,)))
        tensors.append(Tensor(name, shape))
        outer = tuple(Affine.of(position) if k == axis else s for k, s in enumerate(read.at))
        rest = tuple((n, e) for n, e in pooled.box if n != tap)
        over = pooled.over[:-1]
        pooled = pooled.with_(reads=(Read(name, outer),), box=rest, over=over)
    if not parts:
        return program
    equations = [f for e in program.equations for f in ((*parts, pooled) if e.target == target else (e,))]
    return replace(program, tensors=(*program.tensors, *tensors), equations=tuple(equations))


def _positions(pooled: Equation) -> list[str]:
    """The position along each axis of what is read."""
    return [n for s in pooled.reads[0].at for n in indices_of((s,)) if n in pooled.free]


def _is_plain(subscript: object, equation: Equation) -> bool:
    return isinstance(subscript, Affine) and subscript.plain in equation.free


def _names(read: Read) -> tuple[str, ...]:
    """The names in a read's subscripts; one that no index has, where a subscript is not affine."""
    if not all(isinstance(s, Affine) for s in read.at):
        return ("?",)
    return tuple(n for s in read.at if isinstance(s, Affine) for n in s.names)


def _slots(equation: Equation) -> tuple[sympy.Symbol, ...]:
    return tuple(map(slot, range(len(equation.reads))))


def _fresh(name: str, axis: int, taken: Collection[str]) -> str:
    """An index for an axis that the window still has to move along."""
    name = name if axis < 3 else f"{name}{axis}"
    return allocate(name if name not in taken else f"{name}_", taken)
