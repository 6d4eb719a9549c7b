"""Families for sums of products: matrix products with batches and parts, weighted sums, several factors."""

from __future__ import annotations

import random

from families.writing import SMOOTH, Drawn, activated, written

SCALES = ("", "", "", "3*", "-1/2*", "1/N*")


def matrices(draw: random.Random) -> Drawn:
    """Two tensors with indices of every class, each stored in any order: batches, rows, columns, summed ones."""
    batch, rows, columns = ("b" * draw.randint(0, 1), "pq"[: draw.randint(0, 2)], "no"[: draw.randint(0, 2)])
    rows = rows or columns or "p"
    columns = columns if columns != rows else ""
    summed = "sr"[: draw.randint(1, 2)]
    left, right, out = (_shuffled(draw, names) for names in (batch + rows + summed, batch + columns + summed, ""))
    out = _shuffled(draw, batch + rows + columns)
    sizes = {name: draw.randint(1, 3) for name in "bpqosr"}
    given = f"A({_shape(left, sizes)}) B({_shape(right, sizes)}):parameter C({_shape(out, sizes)})"
    result = f"y[{','.join(out)}]"
    sum_ = f"{_scale(draw, 'n' in out)}sum[{','.join(summed)}](A[{','.join(left)}]*B[{','.join(right)}])"
    text = f"{result} = C[{','.join(out)}]\n{result} += {sum_}" if draw.random() < 0.3 else f"{result} = {sum_}"
    return written(draw, given, text, sizes=sizes, results="y")


def flattened(draw: random.Random) -> Drawn:
    """Weights whose columns are several indices, or a part of them; pictures of which a part is read."""
    channels, rows, columns, units = (draw.randint(1, 3) for _ in range(4))
    start, step = draw.randint(0, 1), draw.randint(1, 2)
    weight = f"W[o,{start * columns} + {rows * columns}*c + {columns}*i + j]"
    text = f"y[n,o] = {_scale(draw, True)}sum[c,i,j]({weight}*x[n,c,{step}*i+{start},j])"
    width = channels * rows * columns + start * columns
    given = f"x(N,{channels},{(rows - 1) * step + 1 + start},{columns}) W({units},{width}):parameter"
    return written(draw, given, text, sizes={"c": channels, "i": rows, "j": columns, "o": units})


def squares(draw: random.Random) -> Drawn:
    """A tensor with itself."""
    text = draw.choice(("y[p,q] = sum[n](x[n,p]*x[n,q])", "y[] = sum[n,p](x[n,p]*x[n,p])", "y[n] = sum[p](x[n,p]**2)"))
    return written(draw, f"x(N,{draw.choice((1, 2, 3, 40))})", text)


def in_loops(draw: random.Random) -> Drawn:
    """Products of one step of a recurrence, with what came before it or comes after it."""
    units, length, gates = draw.randint(1, 3), draw.randint(1, 4), draw.randint(1, 3)
    way = draw.choice(("h[t-1,n,j]", "h[t+1,n,j]", "h[t-2,n,j]"))
    weight, width = draw.choice((("W[g,k,j]", f"{gates},{units},{units}"), ("W[j,g,k]", f"{units},{gates},{units}")))
    text = f"""
        z[t,n,g,k] = x[t,n,g,k]
        z[t,n,g,k] += sum[j]({weight}*{way})
        h[t,n,k] = {activated(draw, "z[t,n,0,k]", SMOOTH)} + z[t,n,{gates - 1},k]/2
    """
    return written(draw, f"x({length},N,{gates},{units}) W({width}):parameter", text, results="h")


def summed_in_parts(draw: random.Random) -> Drawn:
    """Two tensors whose summed indices lie first in both, with another of each behind: parts, added up afterwards."""
    size, units, inputs = draw.randint(2, 3), draw.randint(1, 3), draw.randint(1, 3)
    places = draw.choice(("i,{},n", "i,{},j,n"))
    given = "e({}) x({})".format(*(_of(places, c, size) for c in (units, inputs)))
    summed = places.replace("{},", "")
    e, x = (places.format(name) for name in "pd")
    scale, sizes = _scale(draw, False), {"p": units, "d": inputs}
    text = f"G[p,d] = {scale}sum[{summed}](e[{e}]*x[{x}])"
    if draw.random() < 0.3:
        text = f"G[p,d] = C[p,d]\n{text.replace(' = ', ' += ')}"
    return written(draw, f"{given} C({units},{inputs})", text, sizes=sizes, results="G")


def _of(places: str, channels: int, size: int) -> str:
    return places.format(channels).replace("i", str(size)).replace("j", "2").replace("n", "N")


def several_factors(draw: random.Random) -> Drawn:
    """More than two factors: those that share their indices are multiplied first."""
    size, units = draw.randint(1, 3), draw.randint(1, 3)
    factors = ["d[n,o]", "W[o,i]", draw.choice(("(1 - a[n,o]**2)", "a[n,o]*a[n,o]", "exp(a[n,o]/4)", "s[n]", "q[o]"))]
    factors += draw.sample(["s[n]", "q[o]", "V[o,i]", "r[i]"], draw.randint(0, 2))
    draw.shuffle(factors)
    text = f"y[n,i] = {_scale(draw, True)}sum[o]({'*'.join(factors)})"
    given = (
        f"d(N,{units}) a(N,{units}) W({units},{size}):parameter V({units},{size}):parameter s(N) q({units}) r({size})"
    )
    return written(draw, given, text)


def weighted_sums(draw: random.Random) -> Drawn:
    """Sums that are products with a vector: of ones, of shares, of a factor that the summed indices alone have."""
    units, length = draw.randint(1, 3), draw.randint(1, 3)
    text = draw.choice(
        (
            "y[o] = {}sum[n](d[n,o])",
            "y[] = {}sum[n](s[n])",
            "y[] = {}sum[n,o](d[n,o])",
            "y[o] = {}sum[n](d[n,o]*s[n])",
            "y[k] = {}sum[n,t](a[n,t,k]*b[n,t,k]*w[n,t])",
            "y[n,t] = {}sum[k](a[n,t,k])",
            "y[n,k] = {}sum[t](a[n,t,k])",
            "y[k,n] = {}sum[t](a[n,t,k])",
            "y[n] = {}sum[t,k](sin(a[n,t,k]))",
        )
    )
    given = f"d(N,{units}) s(N) a(N,{length},{units}) b(N,{length},{units}) w(N,{length})"
    return written(draw, given, text.format(_scale(draw, True)))


def dots(draw: random.Random) -> Drawn:
    """Rows times rows, long ones, and squares of them."""
    width = draw.choice((32, 40))
    text = draw.choice(
        ("y[n] = {}sum[k](a[n,k]*b[n,k])", "y[n] = {}sum[k](a[n,k]**2)", "y[i,j] = {}sum[n](u[i,j,n]*v[i,j,n])")
    )
    given = f"a(N,{width}) b(N,{width}) u(2,3,N) v(2,3,N)"
    return written(draw, given, text.format(_scale(draw, True)))


def sums_of_runs(draw: random.Random) -> Drawn:
    """Sums over all but the channels in the middle."""
    channels, rows, columns = draw.randint(1, 3), draw.randint(1, 3), draw.randint(1, 3)
    text = draw.choice(
        ("y[c] = {}sum[i,j,n](x[i,c,j,n])", "y[i,c] = {}sum[n,j](z[n,i,c,j])", "y[c] = {}sum[n,i](q[n,c,i])")
    )
    given = f"x({rows},{channels},{columns},N) z(N,{rows},{channels},{columns}) q(N,{channels},{columns})"
    return written(draw, given, text.format(draw.choice(("", "", "2*", "-1/2*"))))


def _shuffled(draw: random.Random, names: str) -> str:
    return "".join(draw.sample(names, len(names)))


def _shape(names: str, sizes: dict[str, int]) -> str:
    return ",".join("N" if name == "n" else str(sizes[name]) for name in names)


def _scale(draw: random.Random, symbolic: bool) -> str:
    return draw.choice(SCALES if symbolic else SCALES[:-1])
