"""Families for window products: pictures lie as (row, channel, column, batch), or channel by channel."""

from __future__ import annotations

import random
from dataclasses import dataclass

from families.writing import SMOOTH, Drawn, Family, activated, written


@dataclass(frozen=True)
class Bounds:
    """What is drawn: the rows and columns of the kernel, the stride and the distance of taps along a row.

    even: whether the result has an even number of rows.
    """

    down: tuple[int, ...] = (1, 2, 3)
    along: tuple[int, ...] = (2, 3)
    strides: tuple[int, ...] = (1, 1, 2)
    apart: tuple[int, ...] = (1,)
    even: bool = False


@dataclass(frozen=True)
class _Window:
    """One drawn window: sizes, and its two moving subscripts."""

    height: int
    width: int
    rows: int
    columns: int
    down: int
    along: int
    row: str
    column: str


def _window(draw: random.Random, bounds: Bounds, stride_along: int = 1) -> _Window:
    down, along, stride, apart = (draw.choice(c) for c in (bounds.down, bounds.along, bounds.strides, bounds.apart))
    high, wide = draw.randint(0, down - 1), draw.randint(0, (along - 1) * apart)
    rows, columns = draw.randint(2, 4), draw.randint(2, 5)
    rows += bounds.even and rows % 2
    height = (rows - 1) * stride + down - draw.randint(0, high) - high
    width = (columns - 1) * stride_along + (along - 1) * apart + 1 - draw.randint(0, wide) - wide
    row, column = _sum(stride, "i", 1, "u", -high), _sum(stride_along, "j", apart, "v", -wide)
    return _Window(max(1, height), max(1, width), rows, columns, down, along, row, column)


def _sum(a: int, first: str, b: int, second: str, const: int) -> str:
    terms = f"{'' if a == 1 else f'{a}*'}{first}+{'' if b == 1 else f'{b}*'}{second}"
    return terms + (f"{const:+d}" if const else "")


PLAIN = Bounds()


def convolutions(recipe: str, bounds: Bounds = PLAIN, *, groups: bool = False) -> Family:
    """Convolutions of an input or of what is computed, added to something or not; `recipe` is preferred."""

    def family(draw: random.Random) -> Drawn:
        w = _window(draw, bounds)
        inputs, outputs = draw.randint(1, 3), draw.randint(1, 3)
        several = groups and draw.random() < 0.5
        into, out, kernel = (f"{inputs}*g+d", "g,p", f"{outputs}*g+p") if several else ("d", "p", "p")
        read, first = _picture(draw, "i,d,j,n")
        text = (
            f"{first}\nz[i,{out},j,n] = {_scale(draw)}sum[d,u,v](W[{kernel},d,u,v]*{read}[{w.row},{into},{w.column},n])"
        )
        text = _added(draw, text, f"z[i,{out},j,n]", f"y[i,{out},j,n]")
        count = 2 if several else 1
        given = f"x({w.height},{count * inputs},{w.width},N) W({count * outputs},{inputs},{w.down},{w.along}):parameter"
        given += f" y({w.rows},{'2,' if several else ''}{outputs},{w.columns},N)"
        sizes = {"i": w.rows, "j": w.columns, **({"g": 2, "p": outputs, "d": inputs} if several else {})}
        return written(draw, given, text, sizes=sizes, recipes=(_cut(draw, recipe, w),), results="z")

    family.__name__ = f"convolutions by {recipe}"
    return family


def gradients(recipe: str, bounds: Bounds = PLAIN) -> Family:
    """The gradients of their kernels; `recipe` is preferred."""

    def family(draw: random.Random) -> Drawn:
        w = _window(draw, bounds)
        inputs, outputs = draw.randint(1, 3), draw.randint(1, 3)
        read, first = _picture(draw, "i,d,j,n")
        order = draw.choice(("p,d,u,v", "p,d,u,v", "d,u,v,p", "u,v,d,p"))
        text = f"{first}\nG[{order}] = {_scale(draw)}sum[i,j,n](e[i,p,j,n]*{read}[{w.row},d,{w.column},n])"
        sizes = {"p": outputs, "d": inputs, "u": w.down, "v": w.along}
        shape = tuple(sizes[name] for name in order.split(","))
        text = _added(draw, text, f"G[{order}]", f"y[{order}]")
        given = f"x({w.height},{inputs},{w.width},N) e({w.rows},{outputs},{w.columns},N)"
        given += f" y({','.join(map(str, shape))})"
        sizes |= {"i": w.rows, "j": w.columns}
        return written(draw, given, text, sizes=sizes, recipes=(_cut(draw, recipe, w),), results="G")

    family.__name__ = f"gradients by {recipe}"
    return family


def depthwise(draw: random.Random) -> Drawn:
    """Every channel by itself, rows enough for a band, the picture stored channel by channel."""
    return _by_channel(draw, "z[c,i,j,n] = {}sum[u,v](k[c,u,v]*{}[c,{},{},n])", "z")


def depthwise_gradients(draw: random.Random) -> Drawn:
    """The gradients of their kernels."""
    return _by_channel(draw, "k[c,u,v] = {}sum[i,j,n](z[c,i,j,n]*{}[c,{},{},n])", "k")


def _by_channel(draw: random.Random, equation: str, result: str) -> Drawn:
    w = _window(draw, Bounds(apart=(1, 2), even=True), draw.randint(1, 2))
    channels = draw.randint(2, 3)
    read, first = _picture(draw, "c,i,j,n")
    text = first + "\n" + equation.format(_scale(draw), read, w.row, w.column)
    sizes = {"i": w.rows, "j": w.columns, "u": w.down, "v": w.along, "c": channels}
    own = {"z": f"z({channels},{w.rows},{w.columns},N)", "k": f"k({channels},{w.down},{w.along}):parameter"}
    given = f"x({channels},{w.height},{w.width},N) " + " ".join(v for name, v in own.items() if name != result)
    return written(draw, given, text, sizes=sizes, results=result)


POINTS = ("z[p,i,j,n] = {}sum[d](W[p,d]*{}[d,i,j,n])", "z[p,i,j,n] = {}sum[d](W[d,p]*{}[d,i,j,n])")


def points(draw: random.Random) -> Drawn:
    """Convolutions of one point, channels first, of pictures with rows long enough."""
    return _of_points(draw, draw.choice(POINTS), "z")


def points_gradients(draw: random.Random) -> Drawn:
    """The gradients of their kernels."""
    return _of_points(draw, "W[p,d] = {}sum[i,j,n](z[p,i,j,n]*{}[d,i,j,n])", "W")


def _of_points(draw: random.Random, equation: str, result: str) -> Drawn:
    inputs, outputs, rows, columns = draw.randint(1, 3), draw.randint(1, 3), draw.randint(1, 3), draw.randint(1, 4)
    read, first = _picture(draw, "d,i,j,n")
    text = first + "\n" + equation.format(_scale(draw), read)
    outputs = inputs if "W[d,p]" in equation else outputs
    given = f"x({inputs},{rows},{columns},N) " + (
        f"W({outputs},{inputs}):parameter" if result == "z" else f"z({outputs},{rows},{columns},N)"
    )
    return written(draw, given, text, results=result)


def direct(draw: random.Random) -> Drawn:
    """Convolutions for compiled loops: strides and dilation both ways, rows or channels first, depthwise too."""
    w = _window(draw, Bounds(along=(1, 2, 3), apart=(1, 2)), draw.randint(1, 2))
    inputs, outputs, deep, rows_first = (
        draw.randint(1, 3),
        draw.choice((1, 2, 4, 8)),
        draw.random() < 0.3,
        draw.random(),
    )
    inputs = outputs if deep else inputs
    at, seen = (
        ("i,p", f"{w.row},{'p' if deep else 'd'}") if rows_first < 0.6 else ("p,i", f"{'p' if deep else 'd'},{w.row}")
    )
    read, first = _picture(draw, "i,d,j,n" if rows_first < 0.6 else "d,i,j,n")
    kernel, over = ("W[p,u,v]", "u,v") if deep else ("W[p,d,u,v]", "d,u,v")
    text = f"{first}\nz[{at},j,n] = {_scale(draw)}sum[{over}]({kernel}*{read}[{seen},{w.column},n])"
    picture = f"{w.height},{inputs}" if rows_first < 0.6 else f"{inputs},{w.height}"
    given = f"x({picture},{w.width},N) W({outputs},{'' if deep else f'{inputs},'}{w.down},{w.along}):parameter"
    sizes = {"i": w.rows, "j": w.columns}
    return written(draw, given, text, sizes=sizes, recipes=("direct",), results="z")


def direct_gradients(draw: random.Random) -> Drawn:
    """The gradients of their kernels for compiled loops."""
    w = _window(draw, Bounds(along=(1, 2, 3), apart=(1, 2)), draw.randint(1, 2))
    inputs, outputs, deep = draw.randint(1, 4), draw.choice((1, 2, 4)), draw.random() < 0.3
    inputs = outputs if deep else inputs
    read, first = _picture(draw, "i,d,j,n")
    kernel, channel = ("G[p,u,v]", "p") if deep else ("G[p,d,u,v]", "d")
    text = f"{first}\n{kernel} = {_scale(draw)}sum[i,j,n](e[i,p,j,n]*{read}[{w.row},{channel},{w.column},n])"
    given = f"x({w.height},{inputs},{w.width},N) e({w.rows},{outputs},{w.columns},N)"
    sizes = {"p": outputs, "u": w.down, "v": w.along, "i": w.rows, "j": w.columns, **({} if deep else {"d": inputs})}
    return written(draw, given, text, sizes=sizes, recipes=("direct",), results="G")


def maxima(draw: random.Random) -> Drawn:
    """Maxima over windows of one row, and the gradients by what they are of."""
    taps, stride, length = draw.randint(2, 4), draw.randint(1, 3), draw.randint(1, 3)
    pad = draw.randint(0, 1)
    size = max(1, (length - 1) * stride + taps - pad - draw.randint(0, 1))
    text = f"""
        y[n,c,i] = max[u](x[n,c,{_sum(stride, "i", 1, "u", -pad)}])
        loss[] = sum[n,c,i](y[n,c,i]*g[n,c,i])
    """
    given = f"x(N,2,{size}) g(N,2,{length})"
    return written(draw, given, text, sizes={"i": length, "u": taps}, wrt="x", results="y d_x")


def _picture(draw: random.Random, axes: str) -> tuple[str, str]:
    """The name of the picture, and the equation that it is computed by."""
    if draw.random() < 0.5:
        return "x", ""
    return "h", f"h[{axes.replace('i', 'a').replace('j', 'b')}] = " + activated(
        draw, f"x[{axes.replace('i', 'a').replace('j', 'b')}]", SMOOTH
    )


def _scale(draw: random.Random) -> str:
    return draw.choice(("", "", "", "2*", "-1/2*"))


def _cut(draw: random.Random, recipe: str, w: _Window) -> str:
    """The recipe, or with blocks of columns; of rows for stacks."""
    blocks = range(1, w.rows + 1) if recipe == "stacks" else [b for b in range(1, w.columns) if w.columns % b == 0]
    return draw.choice((recipe, *(f"{recipe}/{b}" for b in blocks)))


def _added(draw: random.Random, text: str, left: str, other: str) -> str:
    """The text, or one where the last equation adds to something."""
    if draw.random() < 0.7:
        return text
    *before, last = text.split("\n")
    return "\n".join([*before, f"{left} = {other}", last.replace(" = ", " += ", 1)])
