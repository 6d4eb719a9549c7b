"""Families for what happens to plans: halos, fusion, work in place, blocks of rows, regions, memory."""

from __future__ import annotations

import random

from families.writing import SMOOTH, Drawn, activated, written


def padded_pictures(draw: random.Random) -> Drawn:
    """Convolutions with padding of what is computed, which therefore lies in a frame of zeros."""
    size, reach, pad, depth = draw.randint(4, 6), draw.randint(2, 3), draw.randint(1, 2), draw.randint(1, 2)
    pad = min(pad, reach - 1)
    tall = size + 2 * pad - reach + 1
    text = f"""
        h[n,d,a,b] = {activated(draw, "x[n,d,a,b]", SMOOTH)}
        z[n,p,i,j] = sum[d,u,v](W[p,d,u,v]*h[n,d,i+u-{pad},j+v-{pad}])
        y[n,p,i,j] = {activated(draw, "z[n,p,i,j]", SMOOTH)}
    """
    given = f"x(N,{depth},{size},{size}) W(2,{depth},{reach},{reach}):parameter"
    sizes = {"i": tall, "j": tall}
    return written(draw, given, text, sizes=sizes, recipes=draw.choice(((), ("shifts",), ("columns",))))


def points_after_points(draw: random.Random) -> Drawn:
    """Elementwise equations over one box; what one writes the next reads at the same point, turned, or at another."""
    size = draw.randint(2, 4)
    reads = ("{0}[i,j]", "{0}[j,i]", "{0}[i,j] + {0}[j,i]", f"{{0}}[{size - 1}-i,j]", "{0}[i,j]*{0}[0,j]")
    lines = [f"a[i,j] = {activated(draw, 'x[i,j]', SMOOTH)}"]
    for before, name in zip("abc", "bcd", strict=True):
        lines.append(f"{name}[i,j] = {activated(draw, '(' + draw.choice(reads).format(before) + ')', SMOOTH)}")
    text = "\n".join([*lines, "y[i,j] = d[i,j] + x[i,j]"])
    return written(draw, f"x({size},{size})", text, results=draw.choice(("y", "y b", "y a c")))


def interleaved(draw: random.Random) -> Drawn:
    """Parts of one array, every second row of it, written and read in turn."""
    size = draw.randint(2, 3)
    first, second = draw.choice(((0, 1), (1, 0), (0, 0), (1, 1)))
    text = f"""
        a[n,2*i+r] = x[n,i]*w[r]
        b[n,i] = a[n,2*i+{first}] + 1
        c[n,i] = tanh(b[n,i]) + a[n,2*i+{second}]
        y[n,i] = c[n,i]*b[n,i]
    """
    given = f"x(N,{size}) w(2):parameter"
    return written(draw, given, text, sizes={"r": 2, "i": size}, results="y")


def chains(draw: random.Random) -> Drawn:
    """Values of one shape, most of which a product reads again later: whoever works in place must know."""
    size, length = draw.randint(2, 4), draw.randint(2, 4)
    lines = ["a0[n,i] = tanh(x[n,i])"]
    for k in range(1, length):
        argument = f"a{k - 1}[n,i]*x[n,i] + a{draw.randrange(k)}[n,i]"
        lines.append(f"a{k}[n,i] = {activated(draw, f'({argument})', SMOOTH)}")
    read = draw.sample(range(length), draw.randint(1, length))
    lines += [f"s{k}[n,o] = sum[j](W[o,j]*a{k}[n,j])" for k in read]
    lines.append(f"y[n,o] = tanh(s{read[0]}[n,o])" + "".join(f" + s{k}[n,o]*x[n,o]" for k in read))
    return written(draw, f"x(N,{size}) W({size},{size}):parameter", "\n".join(lines))


def blocks_of_rows(draw: random.Random) -> Drawn:
    """A convolution of a picture and what follows it row by row, or not row by row."""
    rows, columns, depth, stride = draw.choice((4, 6)), 4, draw.randint(1, 2), draw.choice((1, 1, 2))
    after = draw.choice(("z[n,p,i,j]", "z[n,p,i,j]", f"z[n,p,{rows - 1}-i,j]", "z[n,p,i,j] + z[n,p,0,j]"))
    text = f"""
        h[n,d,a,b] = {activated(draw, "x[n,d,a,b]", SMOOTH)}
        z[n,p,i,j] = sum[d,u,v](W[p,d,u,v]*h[n,d,{stride}*i+u-1,j+v-1])
        q[n,p,i,j] = {activated(draw, f"({after} + b[p])", SMOOTH)}
        y[n,p,i,j] = q[n,p,i,j]*2 + h[n,0,i,j]
    """
    given = f"x(N,{depth},{rows * stride},{columns}) W(2,{depth},3,3):parameter b(2):parameter"
    return written(draw, given, text, sizes={"i": rows, "j": columns}, results=draw.choice(("y", "y q")))


def small_steps(draw: random.Random) -> Drawn:
    """Small products, sums and functions in a row, within a recurrence and outside."""
    size, length = draw.randint(1, 3), draw.randint(2, 3)
    text = f"""
        a[n,k] = sum[j](W[k,j]*x[n,j])
        s[n] = sum[k](a[n,k]*x[n,k])
        b[n,k] = tanh(a[n,k])*s[n]
        m[n] = {draw.choice(("max", "sum", "logsumexp"))}[k](b[n,k])
        y[n,k] = b[n,k] - m[n]
        h[t,n,k] = tanh(sum[j](W[k,j]*h[t-1,n,j]) + y[n,k])
        r[n,k] = sum[t](h[t,n,k])
    """
    given = f"x(N,{size}) W({size},{size}):parameter"
    return written(draw, given, text, sizes={"t": length}, results="y r")


def arrays_in_turn(draw: random.Random) -> Drawn:
    """Arrays that share their bytes, read at once and long after they were written."""
    size, length = 4, draw.randint(3, 5)
    lines = [f"a{k}[i,j] = {activated(draw, f'x[i,j]*{k + 1}', SMOOTH)}" for k in range(length)]
    lines += [f"s{k}[i] = sum[j](a{k}[i,j]*x[j,i])" for k in draw.sample(range(length), length)]
    lines += [f"b{k}[i,j] = s{k}[i]*x[i,j] + a{draw.randrange(length)}[j,i]" for k in range(length)]
    text = "\n".join([*lines, "y[i,j] = " + " + ".join(f"b{k}[i,j]" for k in range(length))])
    return written(draw, f"x({size},{size})", text)


def names_of_loops(draw: random.Random) -> Drawn:
    """Loops over indices called like what the generated code uses."""
    name = draw.choice(("g", "p", "w", "N", "np", "t"))
    text = f"h[{name}_,n] = x[{name}_,n] + tanh(h[{name}_-1,n])\ny[n] = sum[{name}_](h[{name}_,n])"
    text = text.replace(f"{name}_", name if name != "N" else "M")
    return written(draw, "x(4,N)", text)
