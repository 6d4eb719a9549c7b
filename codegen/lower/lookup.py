"""Data-dependent subscripts: gathers, scatters and one-hot brackets.

`z[n,label[n]]` is one `take` at the flat positions `n*C + label[n]`; the same
positions serve the scatter of its adjoint.
"""

from __future__ import annotations

import sympy

from codegen.affine import Affine
from codegen.equation import Equation, Read, Subscript, index_symbol, indices_of, reads_of, slot, slots_of
from codegen.errors import CodegenError
from codegen.lower.elementwise import kernel, number
from codegen.lower.scatter import Lower
from codegen.lower.storage import Storage, extents_of
from codegen.plan import Compute, Fill, Gather, ScatterAdd, Step
from codegen.rewrite.shape import plain_indices
from codegen.view import View, aligned


def gathered(equation: Equation, storage: Storage) -> Equation:
    """The equation with every data-dependent read replaced by a read of its gathered values."""
    reads = tuple(_gathered(read, equation, storage) if reads_of(read.at) else read for read in equation.reads)
    if reads == equation.reads:
        return equation
    guards = tuple(g if not any(reads_of(r.at) for _, r in g.reads) else _refuse(equation) for g in equation.guards)
    return equation.with_(reads=reads, guards=guards)


def _refuse(equation: Equation) -> Equation:
    raise CodegenError(f"{equation.target}: a data-dependent subscript inside a guard is not supported")


def _gathered(read: Read, equation: Equation, storage: Storage) -> Read:
    names = tuple(n for n in indices_of(read.at) if n in equation.extents)
    key = ("gathered", read, extents_of(names, equation.extents))
    if key not in storage.prepared:
        stem = "_".join((read.tensor, "at", *(r.tensor for r in reads_of(read.at))))
        out = storage.buffer(stem, extents_of(names, equation.extents), storage.program.table[read.tensor].dtype)
        places = positions(read.tensor, read.at, names, equation, storage)
        storage.prelude.append(Gather(View(out), View(read.tensor), View(places)))
        storage.prepared[key] = out
    return Read(storage.prepared[key], tuple(map(Affine.of, names)))


def positions(
    tensor: str, at: tuple[Subscript, ...], names: tuple[str, ...], equation: Equation, storage: Storage
) -> str:
    """A buffer over `names` with the flat position of `tensor[at]`; computed once."""
    shape = storage.shapes[tensor]
    key = ("positions", shape, at, extents_of(names, equation.extents))
    if key not in storage.prepared:
        total: sympy.Expr = sympy.Integer(0)
        operands: list[View] = []
        stride: sympy.Expr = sympy.Integer(1)
        for subscript, size in reversed(list(zip(at, shape, strict=True))):
            if isinstance(subscript, Read):
                view = storage.view(subscript, equation.with_(reduce="sum"))
                total = total + stride * slot(len(operands))
                operands.append(aligned(view, names))
            elif isinstance(subscript, Affine):
                low, high = subscript.bounds(equation.extents)
                if not (low.is_nonnegative() and (size - 1 - high).is_nonnegative()):
                    raise CodegenError(
                        f"{equation.target}: a read of {tensor} with a data-dependent subscript leaves its box"
                    )
                total = total + stride * number(subscript, equation)
            stride = stride * number(size, equation)
        out = storage.buffer(f"{tensor}.positions", extents_of(names, equation.extents), "int")
        axes = tuple((n, equation.extents[n]) for n in names)
        storage.prelude.append(Compute(View(out, (), names), total, tuple(operands), axes, dtype="int"))
        storage.prepared[key] = out
    return storage.prepared[key]


def scatter_lookup(equation: Equation, storage: Storage, lower: Lower) -> list[Step]:
    """`target[at] += body` where a subscript of `at` is the value of an integer tensor."""
    steps: list[Step] = []
    if equation.over:
        order = equation.free
        part = storage.buffer(f"{equation.target}.part", extents_of(order, equation.extents))
        plain = tuple(map(Affine.of, order))
        steps += lower(equation.with_(target=part, at=plain, accumulate=False), storage)
        equation = equation.with_(
            body=slot(0), reads=(Read(part, plain),), guards=(), over=(), box=equation.box[: len(order)]
        )
    if not equation.accumulate:
        steps.append(Fill(View(equation.target), 0.0))
    names = equation.free
    places = View(positions(equation.target, equation.at, names, equation, storage), (), names)
    plain_names = {s.plain for s in equation.at if isinstance(s, Affine)}
    unique = set(names) <= plain_names
    values, more = _values(equation, storage, names)
    return [*steps, *more, ScatterAdd(View(equation.target), places, values, unique)]


def _values(equation: Equation, storage: Storage, names: tuple[str, ...]) -> tuple[View | sympy.Expr, list[Step]]:
    if not equation.guards and not equation.reads and not {s.name for s in equation.body.free_symbols} & set(names):
        return equation.body, []
    out = storage.buffer(f"{equation.target}.terms", extents_of(names, equation.extents))
    view = View(out, (), names)
    inner = equation.with_(target=out, accumulate=False)
    return view, [kernel(inner, storage, view, names)]


def one_hot(equation: Equation, storage: Storage, lower: Lower) -> list[Step] | None:
    """An elementwise body with a bracket `[c == label[n]]`: the rest everywhere, the difference at the labels."""
    names = plain_indices(equation.at)
    if names is None or equation.over or equation.guards:
        return None
    for condition in sorted(equation.body.atoms(sympy.Eq), key=str):
        name, k = _bracket(condition, names)
        if name is None or k is None or name in indices_of(equation.reads[k].at):
            continue
        rest = equation.body.subs(condition, False)
        gain = sympy.simplify(equation.body.subs(condition, True) - rest)
        if index_symbol(name) in gain.free_symbols or any(
            name in indices_of(equation.reads[j].at) for j in slots_of(gain)
        ):
            continue
        steps = lower(equation.with_(body=rest), storage)
        at = tuple(equation.reads[k] if s == Affine.of(name) else s for s in equation.at)
        kept = tuple(n for n in names if n != name)
        box = tuple((n, e) for n, e in equation.box if n != name)
        used = slots_of(gain)
        scattered = equation.with_(
            at=at,
            body=gain.xreplace({slot(j): slot(p) for p, j in enumerate(used)}),
            reads=tuple(equation.reads[j] for j in used),
            box=tuple((n, dict(box)[n]) for n in kept),
            accumulate=True,
        )
        return [*steps, *scatter_lookup(scattered, storage, lower)]
    return None


def _bracket(condition: sympy.Expr, names: tuple[str, ...]) -> tuple[str | None, int | None]:
    index, place = None, None
    for side in condition.args:
        if side.is_Symbol and side.name in names:
            index = side.name
        elif side.is_Symbol and side.name.startswith("_"):
            place = int(side.name[1:])
    return index, place
