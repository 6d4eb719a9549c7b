"""Hypothesis strategies that draw small programs with arrays to run them on.

    cases()                       any program of the language
    cases(differentiable=True)    float programs away from ties, for gradient checks

Every family below is one kind of equation that the compiler must treat well; `general`
draws equations with no plan at all.  Each case ends in a tensor of kind "result", and
the batch size N is symbolic where `n` runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import sympy
from hypothesis import strategies as st

from building import A, Case, Draw, X, c, d, equation, i, j, k, n, o, p, program, read, tensor, u, v, with_arrays
from codegen.ir.affine import Affine
from codegen.ir.equation import Guard, Read, Reduction, index_symbol, slot

N = A("N")


def small(low: int = 1, high: int = 3) -> st.SearchStrategy[int]:
    """A small extent."""
    return st.integers(low, high)


ACTIVATIONS: Mapping[str, sympy.Expr] = {
    "tanh": sympy.tanh(X),
    "sigmoid": 1 / (1 + sympy.exp(-X)),
    "relu": sympy.Piecewise((X, X > 0), (0, True)),
    "leaky_relu": sympy.Piecewise((X, X > 0), (X / 100, True)),
    "softplus": sympy.log(1 + sympy.exp(X)),
    "silu": X / (1 + sympy.exp(-X)),
    "gelu": X * (1 + sympy.erf(X / sympy.sqrt(2))) / 2,
    "square": X**2,
    "sine": sympy.sin(2 * X + 1),
}


@st.composite
def activated(draw: Draw, family: st.SearchStrategy[Case]) -> Case:
    """A case whose result passes through an activation, and is then summed with a weight or not."""
    case = draw(family)
    name = case.result
    inner = replace(case.program.table[name], kind="value")
    tensors = [inner if t.name == name else t for t in case.program.tensors]
    axes = [f"a{axis}" for axis in range(len(inner.shape))]
    box = dict(zip(axes, inner.shape, strict=True))
    body = ACTIVATIONS[draw(st.sampled_from(sorted(ACTIVATIONS)))].subs(X, slot(0))
    more = [equation("act", axes, [read(name, *axes)], body, **box)]
    tensors.append(tensor("act", *inner.shape, kind="result"))
    if draw(st.booleans()):
        mean = slot(0) / sympy.Mul(*(sympy.Integer(e.const) for e in inner.shape if e.is_constant))
        more.append(equation("total", (), [read("act", *axes)], mean, over=axes, **box))
        tensors.append(tensor("total", kind="result"))
    made = program(tensors, *case.program.equations, *more)
    return replace(case, family=f"{case.family}, activated", program=replace(made, sizes=case.program.sizes))


@st.composite
def dense(draw: Draw) -> Case:
    """z[n,o] = sum[i](W[o,i]*x[n,i]); z[n,o] += b[o], also on a flattened picture: W[o,(c,i,j)]."""
    units, size = draw(small()), draw(small(1, 4))
    z, bias = tensor("z", N, units, kind="result"), tensor("b", units, kind="parameter")
    add = equation("z", (n, o), [read("b", o)], accumulate=True, n=N, o=units)
    if draw(st.booleans()):
        w, x = tensor("W", units, size, kind="parameter"), tensor("x", N, size)
        reads = [read("W", o, i), read("x", n, i)]
        main = equation("z", (n, o), reads, over="i", n=N, o=units, i=size)
    else:
        h, wd = draw(small()), draw(small())
        w, x = tensor("W", units, size * h * wd, kind="parameter"), tensor("x", N, size, h, wd)
        reads = [read("W", o, c * (h * wd) + i * wd + j), read("x", n, c, i, j)]
        main = equation("z", (n, o), reads, over="cij", n=N, o=units, c=size, i=h, j=wd)
    return with_arrays(draw, "dense", program([x, w, bias, z], main, add))


def _positions(draw: Draw, kernel: int, stride: int, dilation: int, padding: int) -> tuple[int, int]:
    """A length of input and the number of positions of a window on it."""
    reach = dilation * (kernel - 1) + 1
    length = draw(st.integers(max(1, reach - 2 * padding), reach + 4))
    return length, (length + 2 * padding - reach) // stride + 1


@st.composite
def convolutions(draw: Draw) -> Case:
    """1-D and 2-D, with stride, padding, dilation and groups W[(g,q),d,u,v]."""
    kernel, stride, dilation, padding = draw(small()), draw(small()), draw(small(1, 2)), draw(small(0, 2))
    groups, maps, depth = draw(small(1, 2)), draw(small(1, 2)), draw(small(1, 2))
    length, positions = _positions(draw, kernel, stride, dilation, padding)
    g, q = A("g"), A("q")
    out = g * maps + q if groups > 1 else q
    into = g * depth + d if groups > 1 else d
    box: dict[str, Affine | int] = {"n": N, **({"g": groups} if groups > 1 else {}), "q": maps, "i": positions}
    row = i * stride + u * dilation - padding
    if draw(st.booleans()):
        x, w = tensor("x", N, groups * depth, length), tensor("W", groups * maps, depth, kernel, kind="parameter")
        y = tensor("y", N, groups * maps, positions, kind="result")
        reads = [read("W", out, d, u), read("x", n, into, row)]
        main = equation("y", (n, out, i), reads, over="du", **box, d=depth, u=kernel)
    else:
        kernel2, stride2, pad2 = draw(small(1, 2)), draw(small(1, 2)), draw(small(0, 1))
        length2, positions2 = _positions(draw, kernel2, stride2, 1, pad2)
        x = tensor("x", N, groups * depth, length, length2)
        w = tensor("W", groups * maps, depth, kernel, kernel2, kind="parameter")
        y = tensor("y", N, groups * maps, positions, positions2, kind="result")
        reads = [read("W", out, d, u, v), read("x", n, into, row, j * stride2 + v - pad2)]
        box |= {"j": positions2, "d": depth, "u": kernel, "v": kernel2}
        main = equation("y", (n, out, i, j), reads, over="duv", **box)
    return with_arrays(draw, "convolution", program([x, w, y], main))


@st.composite
def pools(draw: Draw, differentiable: bool = False) -> Case:
    """Windows under every reduction, overlapping and padded or not."""
    kinds = ["max", "sum", "logsumexp", "prod"] + ([] if differentiable else ["argmax"])
    reduce: Reduction = draw(st.sampled_from(kinds))
    kernel, stride = draw(small()), draw(small())
    padding = draw(small(0, kernel // 2))
    length, positions = _positions(draw, kernel, stride, 1, padding)
    kernel2, stride2 = draw(small(1, 2)), draw(small(1, 2))
    length2, positions2 = _positions(draw, kernel2, stride2, 1, 0)
    x = tensor("x", N, 2, length, length2)
    dtype = "int" if reduce == "argmax" else "float"
    y = tensor("y", N, 2, positions, positions2, dtype=dtype, kind="result")
    window = read("x", n, c, i * stride + u - padding, j * stride2 + v)
    body = slot(0) / (kernel * kernel2) if reduce == "sum" else slot(0)
    box = {"n": N, "c": 2, "i": positions, "j": positions2, "u": kernel, "v": kernel2}
    main = equation("y", (n, c, i, j), [window], body, over="uv", reduce=reduce, **box)
    return with_arrays(draw, f"{reduce} pool", program([x, y], main), ties=not differentiable)


@st.composite
def lookups(draw: Draw) -> Case:
    """Gathers E[tok[n,t],k], some of them out of the table, and z[n,label[n]] after a log-sum-exp."""
    words, width = draw(small(1, 4)), draw(small())
    if draw(st.booleans()):
        tensors = [tensor("tok", N, 3, dtype="int"), tensor("E", words, width, kind="parameter")]
        tensors.append(tensor("y", N, 3, width, kind="result"))
        main = equation("y", ("n", "t", "k"), [read("E", read("tok", "n", "t"), k)], n=N, t=3, k=width)
        return with_arrays(draw, "lookup", program(tensors, main), {"tok": (-1, words)})
    tensors = [tensor("z", N, words), tensor("label", N, dtype="int"), tensor("lse", N, kind="value")]
    tensors.append(tensor("sample", N, kind="result"))
    lse = equation("lse", "n", [read("z", n, c)], over="c", reduce="logsumexp", n=N, c=words)
    picked = [read("lse", n), read("z", n, read("label", n))]
    sample = equation("sample", "n", picked, slot(0) - slot(1), n=N)
    return with_arrays(draw, "cross-entropy", program(tensors, lse, sample), {"label": (0, words - 1)})


@st.composite
def masked(draw: Draw, differentiable: bool = False) -> Case:
    """Reductions over points picked by a causal, a boolean or a label guard; some pick none."""
    kinds = ["sum", "logsumexp", "max", "prod"] + ([] if differentiable else ["argmax"])
    reduce: Reduction = draw(st.sampled_from(kinds))
    length = draw(small(1, 4))
    t, s = A("t"), A("s")
    causal = Guard(">=", t - s)
    # Without the causal guard a row may be empty; its -inf is left to the tests that do not differentiate.
    mask = Guard("!=", A(0), ((1, read("m", "n", "s")),))
    label = Guard(draw(st.sampled_from(["==", "!=", ">="])), s * -1 + 1, ((1, read("label", "n")),))
    guards = (
        [causal]
        if differentiable and reduce in ("max", "logsumexp")
        else draw(st.lists(st.sampled_from([causal, mask, label]), min_size=1, max_size=2, unique=True))
    )
    tensors = [tensor("e", N, length, length), tensor("m", N, length, dtype="bool"), tensor("label", N, dtype="int")]
    tensors.append(tensor("y", N, length, dtype="int" if reduce == "argmax" else "float", kind="result"))
    box = {"n": N, "t": length, "s": length}
    main = equation("y", ("n", "t"), [read("e", n, t, s)], over="s", reduce=reduce, guards=guards, **box)
    return with_arrays(draw, f"masked {reduce}", program(tensors, main), ties=not differentiable)


@st.composite
def scatters(draw: Draw) -> Case:
    """Affine left sides: a transposed convolution, an upsampling, a histogram y[tok[n],k]."""
    stride, kernel, padding, length = draw(small()), draw(small()), draw(small(0, 1)), draw(small(1, 4))
    match draw(st.integers(0, 2)):
        case 0:
            out = max(1, (length - 1) * stride + kernel - 2 * padding)
            tensors = [tensor("x", N, 2, length), tensor("W", 2, 2, kernel, kind="parameter")]
            tensors.append(tensor("y", N, 2, out, kind="result"))
            box = {"n": N, "p": 2, "i": length, "u": kernel, "d": 2}
            reads = [read("W", d, p, u), read("x", n, d, i)]
            main = equation("y", (n, p, i * stride + u - padding), reads, over="d", **box)
            return with_arrays(draw, "transposed convolution", program(tensors, main))
        case 1:
            tensors = [tensor("x", N, length), tensor("y", N, length * stride, kind="result")]
            main = equation("y", (n, A("q") * stride + A("r")), [read("x", n, "q")], n=N, q=length, r=stride)
            return with_arrays(draw, "upsampling", program(tensors, main))
        case _:
            tensors = [tensor("x", N, 2), tensor("tok", N, dtype="int"), tensor("y", length, 2, kind="result")]
            main = equation("y", (read("tok", n), k), [read("x", n, k)], n=N, k=2)
            return with_arrays(draw, "histogram", program(tensors, main), {"tok": (-1, length)})


@st.composite
def joins(draw: Draw) -> Case:
    """Concatenation a[n,c] + b[n,c-C]; a shift; a slice; a reversal; broadcasting over an axis."""
    left, right = draw(small()), draw(small())
    match draw(st.integers(0, 2)):
        case 0:
            tensors = [tensor("a", N, left), tensor("b", N, right), tensor("y", N, left + right, kind="result")]
            reads = [read("a", n, c), read("b", n, c - left)]
            main = equation("y", (n, c), reads, slot(0) + slot(1), n=N, c=left + right)
            return with_arrays(draw, "concatenation", program(tensors, main))
        case 1:
            tensors = [tensor("a", N, left + 1), tensor("y", N, left + 1, kind="result")]
            reads = [read("a", n, i - 1), read("a", n, A(left) - i), read("a", N - n - 1, i)]
            main = equation("y", (n, i), reads, slot(0) + 2 * slot(1) * slot(2), n=N, i=left + 1)
            return with_arrays(draw, "shift", program(tensors, main))
        case _:
            tensors = [tensor("a", N, left, 1), tensor("b", right), tensor("y", N, left, right, kind="result")]
            reads = [read("a", n, i, 0), read("b", j)]
            main = equation("y", (n, i, j), reads, slot(0) * slot(1) + slot(0), n=N, i=left, j=right)
            return with_arrays(draw, "broadcast", program(tensors, main))


def _affine(draw: Draw, names: Sequence[str], safe: bool = False) -> Affine:
    """An affine subscript, mostly simple; never negative if `safe`."""
    result = A(draw(st.integers(0 if safe else -2, 2))) if draw(st.booleans()) else A(0)
    for name in draw(st.lists(st.sampled_from(names), max_size=2, unique=True)):
        result = result + A(name) * draw(st.sampled_from([1, 1, 2] if safe else [1, 1, 1, 2, -1]))
    return result


def _body(draw: Draw, count: int, names: Sequence[str]) -> sympy.Expr:
    """A smooth, bounded enough expression in all the slots, and sometimes an index as a number."""
    terms = [slot(m) for m in range(count)]
    if draw(st.booleans()):
        terms.append(index_symbol(draw(st.sampled_from(names))) + 1)
    while len(terms) > 1:
        a, b = terms.pop(), terms.pop()
        terms.append(draw(st.sampled_from([a * b, a + b, a - 2 * b, a * sympy.tanh(b), a * sympy.exp(b / 8)])))
    wrapped = draw(st.sampled_from([X, X, X / 2 + 1, *(ACTIVATIONS[name] for name in ("tanh", "relu", "silu"))]))
    return wrapped.subs(X, terms[0])


def _guard(draw: Draw, names: Sequence[str]) -> Guard:
    """An affine guard, or one on an int or a bool tensor."""
    op = draw(st.sampled_from([">=", "==", "!="]))
    match draw(st.integers(0, 3)):
        case 0:
            return Guard(op, A(draw(st.integers(-2, 0))), ((1, read("label", draw(st.sampled_from(names)))),))
        case 1:
            return Guard("!=", A(0), ((1, read("flag", draw(st.sampled_from(names)))),))
        case _:
            return Guard(op, _affine(draw, names) + A(draw(st.sampled_from(names))))


@st.composite
def general(draw: Draw, differentiable: bool = False) -> Case:
    """An equation with random box, subscripts, guards, reduction and body."""
    names = ["n", "i", "j", "u"][: draw(st.integers(1, 4))]
    extents: dict[str, Affine | int] = {name: draw(small(1, 3)) for name in names} | {"n": N}
    reduce: Reduction = draw(
        st.sampled_from(["sum", "sum", "max", "logsumexp", "prod"] + ([] if differentiable else ["argmax"]))
    )
    # A maximum over no point is -inf, which is no use to a check by differences.
    safe = differentiable and reduce in ("max", "logsumexp")
    over = draw(st.lists(st.sampled_from(names), unique=True, max_size=len(names)))
    over.sort(key="n".__ne__)  # the position of a maximum is affine only if the symbolic extent leads
    free = [name for name in names if name not in over]
    at: list[Affine | Read] = [A(name) for name in draw(st.permutations(free))]
    shape = [extents[s.plain] for s in at]
    if reduce == "sum" and at and draw(st.booleans()):
        at[0] = at[0] * draw(small(1, 2)) + draw(st.integers(-1, 1))
        shape[0] = draw(small(1, 4))
    tensors = [tensor("label", 2, dtype="int"), tensor("flag", 3, dtype="bool")]
    reads = []
    for m in range(draw(st.integers(1, 3))):
        rank = draw(st.integers(0 if m else 1, 3))
        where: list[Affine | Read] = [_affine(draw, names, safe) for _ in range(rank)]
        bounds = {name: A(extent) for name, extent in extents.items()}
        lengths = [s.bounds(bounds)[1] + 1 if safe else draw(small(1, 4)) for s in where]
        if rank and not safe and draw(st.integers(0, 5)) == 0:
            where[0] = read("label", draw(st.sampled_from(names)))
        tensors.append(tensor(f"x{m}", *lengths, kind="parameter"))
        reads.append(read(f"x{m}", *where))
    if not safe and draw(st.integers(0, 3)) == 0:
        reads.append(read("x0", *(_affine(draw, names) for _ in tensors[2].shape)))
    guards = [_guard(draw, names) for _ in range(0 if safe else draw(st.integers(0, 2)))]
    body = _body(draw, len(reads), names)
    tensors.append(tensor("y", *shape, dtype="int" if reduce == "argmax" else "float", kind="result"))
    main = equation("y", at, reads, body, over=over, reduce=reduce, guards=guards, **extents)
    made = replace(program(tensors, main), sizes=("N",))
    return with_arrays(draw, f"general {reduce}", made, {"label": (-1, 3)}, ties=not differentiable)


def cases(differentiable: bool = False) -> st.SearchStrategy[Case]:
    """Any program of the language; with `differentiable`, finite, of float results and away from ties."""
    smooth = [dense(), convolutions(), lookups(), scatters(), joins()]
    pooled, picked, unplanned = pools(differentiable), masked(differentiable), general(differentiable)
    passed_on = activated(st.one_of([*smooth, pooled] if differentiable else smooth))
    # Drawn by position: one_of would flatten the nested choices, and the many plain families would win.
    families = [*smooth, pooled, pooled, picked, picked, passed_on, passed_on, *[unplanned] * 4]
    return st.sampled_from(families).flatmap(lambda family: family)
