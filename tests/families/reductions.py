"""Families for reductions that are no matrix product, for equations without a reduction, and for other left sides."""

from __future__ import annotations

import random

from families.writing import ACTIVATIONS, SMOOTH, Drawn, activated, written

KINDS = ("sum", "max", "argmax", "logsumexp", "prod")


def whole_axes(draw: random.Random) -> Drawn:
    """Every reduction over whole axes, of a tensor or of a function of some, with a mask or without; added or not."""
    kind, length, width = draw.choice(KINDS), draw.randint(1, 4), draw.randint(1, 3)
    body = draw.choice(("x[n,t,k]", "2*x[n,t,k]", "x[n,t,k]*w[k]", "sin(x[n,t,k])", "x[n,t,k] - s[n]"))
    over, left = draw.choice((("t", "n,k"), ("k", "n,t"), ("t,k", "n"), ("t", "k,n"), ("n", "t,k"), ("n,t,k", "")))
    guard = draw.choice(("", "", "| keep[n,t]", "| t <= k", "| keep[n,t], t >= k"))
    text = f"y[{left}] = {kind}[{over} {guard}]({body})".replace(" ]", "]")
    return written(draw, f"x(N,{length},{width}) w({width}):parameter s(N) keep(N,{length}):bool", text)


def added_reductions(draw: random.Random) -> Drawn:
    """Sums that are no products and add to something."""
    over, left = draw.choice((("k", "n,t"), ("t", "n,k"), ("n", "t,k"), ("t,k", "n")))
    body = draw.choice(("sin(x[n,t,k])", "relu(x[n,t,k]) + t", "exp(x[n,t,k]/4)"))
    text = f"y[{left}] = sum[{over}](x[n,t,k]**3)\ny[{left}] += sum[{over}]({body})"
    return written(draw, f"x(N,{draw.randint(2, 3)},{draw.randint(2, 4)})", text, results="y")


def long_maxima(draw: random.Random) -> Drawn:
    """Maxima over a long first axis, which are taken in two stages."""
    rows = draw.choice((64, 72, 96, 97))
    return written(draw, f"x({rows},N,{draw.randint(1, 3)})", "y[n,k] = max[t](x[t,n,k])")


def windows(draw: random.Random) -> Drawn:
    """Reductions over windows in two directions, with padding and strides, of a tensor or of a function."""
    kind, down, along = draw.choice(KINDS[:-1]), draw.randint(2, 3), draw.randint(1, 2)
    stride, across, pad = draw.randint(1, 3), draw.randint(1, 2), draw.randint(0, 1)
    rows, columns = draw.randint(1, 3), draw.randint(1, 3)
    read = f"x[n,{stride}*i+u-{pad},{across}*j+v]"
    body = draw.choice((read, read, f"-{read}", f"sin({read})", f"{read}*k[u]", f"{read} + k[u]"))
    text = f"y[n,i,j] = {kind}[u,v]({body})"
    given = f"x(N,{max(1, (rows - 1) * stride + down - pad)},{(columns - 1) * across + along}) k({down}):parameter"
    return written(draw, given, text, sizes={"i": rows, "j": columns, "u": down, "v": along})


def sums_of_exponentials(draw: random.Random) -> Drawn:
    """Log-sum-exp over rows that may have no point, or none but -inf."""
    length, width = draw.randint(1, 4), draw.randint(1, 3)
    guard = draw.choice(("", "| keep[n,t]", "| t <= k", f"| t >= {length}"))
    body = draw.choice(("x[n,t,k]", "x[n,t,k]*w[k]", "m[n,k] + x[n,t,k]"))
    text = f"""
        m[n,k] = max[t | keep[n,t]](x[n,t,k])
        y[n,k] = logsumexp[t {guard}]({body})
    """.replace(" ]", "]")
    return written(draw, f"x(N,{length},{width}) w({width}):parameter keep(N,{length}):bool", text, results="y")


def elementwise(draw: random.Random) -> Drawn:
    """No reduction: shifts that leave their tensors, concatenations, reversals, brackets, numbers, guards."""
    left, right, length = draw.randint(1, 3), draw.randint(1, 3), draw.randint(1, 4)
    bodies = (
        f"a[n,c] + b[n,c-{left}]",
        f"sin(a[n,c-1])*a[n,c] + exp(b[n,c-{left}])",
        f"a[n,{left - 1}-c] - a[n,c+1]",
        "where(c >= 1, a[n,c], b[n,c])*s[n]",
        "a[n,c]*c + n",
        "relu(a[n,c])/(1 + b[n,c-1]**2)",
        "a[n,c]*keep[n]",
        "max(a[n,c], b[n,c])",
    )
    text = f"y[n,c] = {draw.choice(bodies)}"
    given = f"a(N,{left}) b(N,{right}) s(N) keep(N):bool"
    return written(draw, given, text, sizes={"c": draw.choice((left + right, length))})


def copies(draw: random.Random) -> Drawn:
    """Reshapes in storage order, which are no step, and copies that are one: in another order, reversed, of a part."""
    rows, columns = draw.randint(1, 3), draw.randint(1, 3)
    copy = draw.choice(
        (
            f"q[n,i,j] = h[n,{columns}*i+j]",
            "q[n,i,j] = h[n,j]",
            f"q[n,i,j] = h[n,{columns}*i+j]",
            f"q[n,j,i] = h[n,{columns}*i+j]",
            f"q[n,i,j] = h[n,{rows * columns - 1}-i*{columns}-j]",
            f"q[n,i,j] = h[n,{columns}*i]",
        )
    )
    axes = copy[2:].partition("]")[0]
    text = f"h[n,c] = {activated(draw, 'x[n,c]', SMOOTH)}\n{copy}\ny[{axes}] = q[{axes}]*2\nz[n,c] = h[n,c] + 1"
    sizes = {"i": rows, "j": columns, "c": rows * columns}
    return written(draw, f"x(N,{rows * columns})", text, sizes=sizes, results="y z")


def left_sides(draw: random.Random) -> Drawn:
    """Slices, tiles and windows on the left, inside the tensor or beyond it, with a reduction or without."""
    rows, taps, stride, pad = draw.randint(1, 4), draw.randint(1, 3), draw.randint(1, 3), draw.randint(0, 1)
    whole = max(1, (rows - 1) * stride + taps - pad - draw.randint(0, 1))
    body = draw.choice(
        (
            "sum[c](W[c,d,u]*x[n,c,i])",
            "x[n,d,i]*V[u]",
            activated(draw, "x[n,d,i]", ACTIVATIONS) + "*V[u]",
            "sum[c](x[n,c,i])*V[u]",
        )
    )
    at = f"{'' if stride == 1 else f'{stride}*'}i+u{f'-{pad}' if pad else ''}"
    text = f"y[n,d,{at}] = {body}"
    if draw.random() < 0.3:
        text = f"y[n,d,e] = z[n,d,e]\n{text.replace(' = ', ' += ')}"
    given = f"x(N,2,{rows}) W(2,2,{taps}):parameter V({taps}):parameter z(N,2,{whole})"
    return written(draw, given, text, shapes={"y": ("N", 2, whole)}, results="y")


def recurrences(draw: random.Random) -> Drawn:
    """Loops forward and backward, over one step or two, the steps outermost, with a mask, and sums behind them."""
    units, length = draw.randint(1, 2), draw.randint(1, 4)
    back, far = draw.choice((("t-1", "t-1"), ("t+1", "t+1"), ("t-2", "t-1"), ("t+2", "t+1")))
    order = draw.choice(("t,n,k", "t,k,n"))
    h, first, second = (f"h[{order.replace('t', step)}]" for step in ("t", back, far))
    body = draw.choice(
        (
            f"tanh({first}) + x[{order}]",
            f"{first}*x[{order}] + sin({second})",
            f"where(keep[n], {first}, 0)/2 + x[{order}]",
            f"x[{order}] + {first} - t",
        )
    )
    text = f"{h} = {body}\ny[n,k] = sum[t]({h})"
    sizes = {"t": str(length), "n": "N", "k": str(units)}
    return written(draw, f"x({','.join(sizes[a] for a in order.split(','))}) keep(N):bool", text, results="h y")


def parts(draw: random.Random) -> Drawn:
    """An array that several equations fill, each its own part of it, and a sum of them."""
    count, width = draw.randint(2, 3), draw.randint(1, 3)
    lines = [f"d[n,{q},k] {'+=' if q else '='} {activated(draw, 'x[n,k]', ACTIVATIONS)}*c[{q}]" for q in range(count)]
    given = f"x(N,{width}) c({count}):parameter"
    text = "\n".join([*lines, "y[n,k] = sum[q](d[n,q,k])"])
    return written(draw, given, text, shapes={"d": ("N", count, width)}, results="y")
