"""Families for the passes from equations to equations."""

from __future__ import annotations

import random
from dataclasses import replace

from codegen.passes.canonical.gather import gather
from codegen.passes.scalar.scalars import stabilise
from families.writing import SMOOTH, Drawn, activated, rewritten, written

MONOTONE = ("relu({})", "tanh({})", "exp({}/4)", "sigmoid({})")
NOT_MONOTONE = ("{}**2", "sin(2*{})", "-{}", "1/(1 + {}**2)")


def pools_of_activations(draw: random.Random) -> Drawn:
    """Maxima over windows at a stride, of functions that are monotone or not."""
    function = activated(draw, "z[n,p,h,w]", draw.choice((MONOTONE, MONOTONE, NOT_MONOTONE)))
    rows, columns, tall, wide = (draw.randint(1, 2) for _ in range(4))
    tall += 1
    text = f"""
        z[n,p,h,w] = {draw.choice((2, "x[n,p,h,w]"))}*x[n,p,h,w] + b[p]
        a[n,p,h,w] = {function}
        y[n,p,i,j] = max[u,v](a[n,p,{tall}*i+u,{wide}*j+v])
        loss[] = sum[n,p,i,j](y[n,p,i,j]*g[n,p,i,j])
    """
    given = f"x(N,2,{rows * tall},{columns * wide}) b(2):parameter g(N,2,{rows},{columns})"
    return written(draw, given, text, sizes={"u": tall, "v": wide}, results="y loss")


def products_of_rows(draw: random.Random) -> Drawn:
    """Products of a small table's rows at tokens, which lie in range or not, with a bias that all share."""
    words, width, units, length = draw.randint(1, 3), draw.randint(1, 3), draw.randint(1, 3), 9
    known = draw.random() < 0.4
    text = """
        e[n,t,i] = E[tok[n,t],i]
        z[n,t,k] = sum[i](W[k,i]*e[n,t,i])
        z[n,t,k] += b[k]
        loss[] = sum[n,t,k](sin(z[n,t,k])*g[n,t,k])
    """
    given = f"tok(N,{length}):int E({words},{width}):parameter W({units},{width}):parameter b({units}):parameter"
    ranges = {"tok": (0, words - 1) if known else (-1, words)}
    given += f" g(N,{length},{units})"
    checked = ("tok",) if known else ()
    return written(draw, given, text, results="z loss", ranges=ranges, checked=checked)


def left_sides(draw: random.Random) -> Drawn:
    """Gradients through shifts, slices and windows: left sides to be solved, whose points are cut off in many ways.

    What is computed may be a part of its tensor, so that a cotangent is not 0 beyond it.
    """
    length, reach, start, count = draw.randint(3, 6), draw.randint(1, 3), draw.randint(-2, 2), draw.randint(1, 4)
    match draw.choice(("slice", "slice", "window", "joined")):
        case "slice":
            text = f"y[n,i] = {activated(draw, shifted('x[n,i+{}]', start), SMOOTH)}"
        case "window":
            text = f"y[n,i] = sum[u](W[u]*{shifted('x[n,i+u+{}]', start)})"
        case _:
            text = f"y[n,i] = W[0]*x[n,i] + x[n,i-{reach}]*x[n,i]"
    text += "\nloss[] = sum[n,j](y[n,j]*g[n,j])"
    whole = count + draw.randint(0, 2)
    given = f"x(N,{length}) W({reach}):parameter g(N,{whole})"
    shapes = {"y": ("N", whole)}
    return written(draw, given, text, sizes={"i": count, "u": reach}, shapes=shapes, wrt="x W", results="y loss")


def shifted(read: str, by: int) -> str:
    """A read with a number in the place of the braces."""
    return read.format(by).replace("+-", "-")


def contributions(draw: random.Random) -> Drawn:
    """Several equations that add to one tensor, elementwise or at labels; cotangents, some of them read outside."""
    if draw.random() < 0.5:
        length, shift = draw.randint(3, 5), draw.choice((-1, 1, 2))
        text = f"y[n,i] = sin(x[n,i])*{shifted('x[n,i+{}]', shift)}*a[n,i]\nq[n,i] = x[n,i]**2*a[n,i]"
        text += "\nloss[] = sum[n,i](y[n,i]*g[n,i] + q[n,i]*g[n,i])"
        sizes = {"i": length}
        made = written(draw, f"x(N,{length}) a(N,{length}) g(N,{length})", text, sizes=sizes, wrt="x", results="y")
        return replace(
            made, program=made.program.with_equations(gather(e, made.program) for e in made.program.equations)
        )
    classes = draw.randint(2, 4)
    terms = ["y[n,c] += sin(a[n,c])", "y[n,k] += a[n,k]*b[n,k]", "y[n,label[n]] += d[n]"]
    terms += ["y[n,c] += sum[j](a[n,j]*b[n,c])"]
    text = "\n".join(["y[n,c] = 2*a[n,c]", *draw.sample(terms, draw.randint(1, 4))])
    given = f"a(N,{classes}) b(N,{classes}) d(N) label(N):int"
    return written(draw, given, text, ranges={"label": (-1, classes)})


def single_readers(draw: random.Random) -> Drawn:
    """Copies, constants and functions that one equation reads, inside of their box and outside."""
    size = draw.randint(2, 4)
    own = size - draw.choice((0, 0, 0, 1))
    first = draw.choice((activated(draw, "x[n,k]"), "exp(x[n,k])", "x[n,k]", "x[n,k]*0 + 3/2"))
    where = draw.choice(("[n,i]", "[n,i]", "[n,i]", "[n,i-1]"))
    second = draw.choice((f"cos(a{where})*x[n,i]", f"exp(a{where}) + a{where}", f"max(a{where}, x[n,i])"))
    text = f"a[n,k] = {first}\nb[n,i] = {second}\ny[n,i] = tanh(b[n,i]) + x[n,i]"
    sizes, shapes = {"i": size, "k": own}, {"a": ("N", own)}
    return written(draw, f"x(N,{size})", text, sizes=sizes, shapes=shapes, results=draw.choice(("y", "y", "y b")))


def dead_ends(draw: random.Random) -> Drawn:
    """Values that nobody reads, next to results that nobody reads either."""
    size = draw.randint(1, 4)
    parts = ["a[n,i] = tanh(x[n,i])", f"b[n,i] = {activated(draw, 'a[n,i]')}", "c[n] = sum[k](a[n,k]*x[n,k])"]
    parts += ["e[n,i] = a[n,i]*c[n]"]
    return written(draw, f"x(N,{size})", "\n".join(parts), results=draw.choice(("a", "c", "a c", "b", "b c")))


def twins(draw: random.Random) -> Drawn:
    """Equations that are equal up to the names of their indices, or all but equal: another guard, read or operation."""
    size = draw.randint(2, 4)
    sums = ["sum[{0}](x[n,{0}]*w[{0}])", "sum[{0} | {0} >= 1](x[n,{0}]*w[{0}])", "max[{0}](x[n,{0}]*w[{0}])"]
    sums += ["sum[{0} | {0} <= n](x[n,{0}]*w[{0}])", "sum[{0}](w[{0}]*x[n,{0}])", "sum[{0}](x[n,{0}]*w[0])"]
    first = draw.choice(sums)
    bodies = [first, *draw.sample(sums, 2), first]
    text = "\n".join(f"a{k}[n] = {body.format(draw.choice('ijk'))}" for k, body in enumerate(bodies))
    text += "\ny[n] = a0[n] + 2*a1[n] + 4*a2[n] + 8*a3[n]"
    return written(draw, f"x(N,{size}) w({size}):parameter", text)


def bodies(draw: random.Random) -> Drawn:
    """Scalar bodies that have cheaper equal forms: sums of cases, common factors, powers of exponentials."""
    terms = ("a - a**2", "where(a > 0, a*b, 0) + where(a > 0, b, 1)", "a*b + b*c", "exp(a)*exp(2*a)", "a/b/c + c/b")
    terms += ("(a + b)**2 - a**2", "where(b > c, a, c)*where(b > c, 2, b)", "-a*(b - c)", "exp(a)/(1 + exp(a))")
    chosen = draw.sample(terms, draw.randint(1, 2))
    text = " + ".join(f"({t})" for t in chosen)
    for name in "abc":
        text = replaced(text, name, {"a": "x[n,i]", "b": "p[n,i]", "c": "q[i]"}[name])
    return written(draw, "x(N,3) p(N,3) q(3):parameter", f"y[n,i] = {text}")


def unstable_bodies(draw: random.Random) -> Drawn:
    """Bodies that the table of stable forms takes: sigmoids, softplus, logarithms of sums, cases with a threshold."""
    terms = ("1/(1 + exp(-a))", "log(1 + exp(a))", "log(exp(a) + exp(b))", "where(a > 1, a, 1)", "where(a < b, a, b)")
    terms += ("exp(a) - 1", "where(a > 0, a, a/100)", "where(a > 0, a, exp(a) - 1)", "log(1 + a**2)", "1/(1 + exp(a))")
    terms += ("sinh(a)/cosh(a)", "log(1 + exp(a)) - a", "exp(-a)/(1 + exp(-a))**2", "abs(a) + sign(b)")
    chosen = draw.sample(terms, draw.randint(1, 2))
    text = " + ".join(f"({t})*{k + 1}" for k, t in enumerate(chosen))
    text = replaced(replaced(text, "a", "x[n,i]"), "b", "p[n,i]")
    return written(draw, "x(N,3) p(N,3)", f"y[n,i] = {text}")


def replaced(text: str, name: str, by: str) -> str:
    """The text with a variable of one letter replaced."""
    found = [by if c == name and not (text[k - 1 : k] + text[k + 1 : k + 2]).strip("()+-*/ ,<>") else c
             for k, c in enumerate(text)]  # fmt: skip
    return "".join(found)


def softmaxes_under_guards(draw: random.Random) -> Drawn:
    """Softmaxes, causal, masked along both indices or bare, and what multiplies them: guarded alike or otherwise."""
    length = draw.randint(2, 4)
    own = draw.choice((" | s <= t", " | s <= t", "", " | s <= 2*t"))
    other = draw.choice((own, " | s <= t", " | s < t", " | t <= s", " | s <= 1", ""))
    chosen = f"where({own[3:]}, exp(e[n,t,s] - l[n,t]), 0)" if own else "exp(e[n,t,s] - l[n,t])"
    text = f"""
        l[n,t] = logsumexp[s{own}](e[n,t,s])
        a[n,t,s] = {chosen}
        y[n,t,k] = sum[s{other}](a[n,t,s]*v[n,s,k])
        q[n,t] = sum[s{own}](exp(e[n,t,s] - l[n,t])*v[n,s,0])
        r[n,t] = sum[s{draw.choice((own, other))}](a[n,t,s]*v[n,s,0]*w[s,t])
    """
    given = f"e(N,{length},{length}) v(N,{length},2) w({length},{length}):parameter"
    return written(draw, given, text, results="y q r")


def small_tables(draw: random.Random) -> Drawn:
    """Gradients of a small table: rows added at tokens."""
    words, width, length = draw.randint(1, 4), draw.randint(1, 3), draw.randint(1, 3)
    left = draw.choice(("E[tok[n,t],k]", "E[tok[n,t],k]", "E[tok[t,n],k]"))
    right = draw.choice(("d[n,t,k]", "d[n,t,k]*d[n,0,k]", "2*sum[j](d[n,t,j]*w[j,k])"))
    given = f"tok(N,{length}):int d(N,{length},{width}) w({width},{width}):parameter"
    given = given.replace("tok(N,", f"tok({length},N").replace(f"N{length}", "N") if "t,n" in left else given
    given = given.replace("tok(N,N)", f"tok({length},N)")
    shapes = {"E": (words, width)}
    return written(
        *(draw, given, f"{left} = {right}"), shapes=shapes, ranges={"tok": (0, words - 1)}, checked=("tok",)
    )  # fmt: skip


def recurrences(draw: random.Random) -> Drawn:
    """Recurrences with their gradients: steps that multiply what recurs by what does not, and functions used twice."""
    length, units = draw.randint(2, 4), draw.randint(1, 3)
    pre = draw.choice(("sum[j](V[k,j]*h[n,t-1,j])", "V[k,0]*h[n,t-1,k]", "h[n,t-1,k]*x[n,t,k]"))
    body = draw.choice(("tanh(z[n,t,k])", "z[n,t,k]/(1 + z[n,t,k]**2)", "sigmoid(z[n,t,k])*tanh(z[n,t,k])"))
    text = f"""
        z[n,t,k] = {pre}
        z[n,t,k] += x[n,t,k]*tanh(x[n,t,k])
        h[n,t,k] = {body}
        loss[] = sum[n,t,k](h[n,t,k]*g[n,t,k])
    """
    given = f"x(N,{length},{units}) V({units},{units}):parameter g(N,{length},{units})"
    return rewritten(written(draw, given, text, wrt="V x", results="h loss"))


def shared_functions(draw: random.Random) -> Drawn:
    """Functions of a recurrent tensor that several equations compute, not always the same function."""
    functions = draw.choice((("tanh", "tanh"), ("sigmoid", "sigmoid"), ("tanh", "exp"), ("tanh", "tanh", "sigmoid")))
    uses = [f"u{k}[t,n] = {name}(c[t,n])*x[t,n]" for k, name in enumerate((*functions, "sigmoid", "sigmoid"))]
    text = "\n".join(["c[t,n] = x[t,n] + c[t-1,n]/2 + h[t-1,n]", "h[t,n] = sin(x[t,n])*tanh(c[t,n])", *uses])
    return written(draw, "x(4,N)", text, results=" ".join(["h", *(f"u{k}" for k in range(len(uses)))]))


def gated(draw: random.Random) -> Drawn:
    """A recurrence whose parts are each the argument of one function, the same for some of them."""
    parts, units, inputs = draw.randint(2, 4), draw.randint(1, 2), draw.randint(1, 3)
    names = [draw.choice(("sigmoid", "sigmoid", "tanh", "sin")) for _ in range(parts)]
    names[-1] = names[0]
    lines = ["z[t,q,n,k] = sum[i](W[k+{0}*q,i]*x[t,n,i])", "z[t,q,n,k] += b[k+{0}*q]"]
    lines += ["z[t,q,n,k] += sum[j](V[k+{0}*q,j]*h[t-1,n,j])"]
    lines = [line.format(units) for line in lines]
    lines += [f"p{k}[t,n,k] = {name}(z[t,{k},n,k])" for k, name in enumerate(names)]
    product = " + ".join(f"{k + 1}*p{k}[t,n,k]" for k in range(1, parts))
    lines += [f"h[t,n,k] = p0[t,n,k]*({product}) + h[t-1,n,k]/2"]
    rows = parts * units
    given = f"W({rows},{inputs}):parameter V({rows},{units}):parameter b({rows}):parameter x(3,N,{inputs})"
    made = written(draw, given, "\n".join(lines), shapes={"z": (3, parts, "N", units)})
    return replace(made, program=stabilise(made.program))


def reads_across_steps(draw: random.Random) -> Drawn:
    """Recurrences that read what does not recur by diagonals and windows, inside of its box and outside."""
    length = draw.randint(2, 4)
    across = draw.choice(("p[t,t] + w[u]", "x[n,t+u-1]*w[u]", "p[t,t] + x[n,t+u-1]", "x[n,t+u-1] - 9"))
    reduce = draw.choice(("sum", "max", "max", "logsumexp"))
    text = f"g[t,n] = {reduce}[u]({across} + h[t,n])\nh[t,n] = tanh(g[t-1,n])"
    given = f"p({length + 1},{length + 1}) x(N,{length}) w(3):parameter"
    return written(draw, given, text, sizes={"t": length, "u": 3}, results="g h")


def written_by_parts(draw: random.Random) -> Drawn:
    """A tensor that a loop writes part by part, and products over all of its steps."""
    length, units = draw.randint(2, 4), draw.randint(1, 3)
    functions = [draw.choice(("tanh(x[t,n,{0}] + h[t-1,n,k])", "h[t-1,n,k]*x[t,n,{0}]")).format(0) for _ in range(2)]
    lines = [f"d[t,{q},n,k] {'+=' if q else '='} {f}" for q, f in enumerate(functions)]
    lines += ["h[t,n,k] = sum[q](c[q]*d[t,q,n,k])", "w[q,k,i] = sum[t,n](d[t,q,n,k]*x[t,n,i])"]
    given = f"x({length},N,{units}) c(2):parameter"
    return written(draw, given, "\n".join(lines), shapes={"d": (length, 2, "N", units)}, results="w h")


def reductions(draw: random.Random) -> Drawn:
    """Reductions over windows that leave their tensor, over one point, and over what the body does not name."""
    size, reach, back = draw.randint(2, 4), draw.randint(1, 3), draw.randint(1, 2)
    how = draw.choice(("max", "max", "logsumexp", "prod", "sum"))
    inner = ("x[n,i]", "x[n,i]*x[n,i]", "x[n,i] + w[0]")
    edge = ("-x[n,i+u-1]", "x[n,i+u-1]**2", "w[u] - 2*x[n,i+u-1]")
    body = draw.choice(edge if reach > 1 and how in ("max", "logsumexp") and draw.random() < 0.6 else inner)
    text = f"y[n,i] = {how}[u]({body})"
    if draw.random() < 0.2:
        text = f"y[n,i] = {how}[u | i >= {back}](w[0]*x[n,i] - y[n,i-{back}])"
    given, sizes = f"x(N,{size}) w({reach}):parameter g(N,{size})", {"i": size, "u": reach}
    if "- y[" in text or how == "prod" or draw.random() < 0.5:
        return written(draw, given, text, sizes=sizes, shapes={"y": ("N", size)})
    text += "\nloss[] = sum[n,i](y[n,i]*g[n,i])"
    return written(draw, given, text, sizes=sizes, wrt="x", results="y loss")


def equal_results(draw: random.Random) -> Drawn:
    """Gradients of biases, some of them equal."""
    size = draw.randint(1, 4)
    sums = ("sum[n](d[n,k])", "sum[n](e[n,k])", "sum[n | n >= 1](d[n,k])", "sum[n](2*d[n,k])")
    lines = [f"b{k}[k] = {body}" for k, body in enumerate((sums[0], draw.choice(sums), draw.choice(sums), sums[0]))]
    given = f"d(N,{size}) e(N,{size})"
    return written(draw, given, "\n".join(lines), results="b0 b1 b2 b3")


def pictures(draw: random.Random) -> Drawn:
    """Convolutions of pictures with what elementwise equations and pools tie to them, and their gradients."""
    depth, maps, size = draw.randint(1, 3), draw.randint(1, 3), draw.randint(3, 4)
    pad, stride = draw.randint(0, 1), draw.choice((1, 1, 2))
    tall = (size + 2 * pad - 2) // stride + 1
    text = f"""
        z[n,p,i,j] = sum[d,u,v](W[p,d,u,v]*x[n,d,{stride}*i+u-{pad},{stride}*j+v-{pad}])
        z[n,p,i,j] += b[p]
        y[n,p,i,j] = {activated(draw, "z[n,p,i,j]", SMOOTH)}
        loss[] = sum[n,p,i,j](y[n,p,i,j]*g[n,p,i,j])
    """
    given = f"x(N,{depth},{size},{size}) W({maps},{depth},2,2):parameter b({maps}):parameter g(N,{maps},{tall},{tall})"
    return rewritten(written(draw, given, text, wrt="W b x", results="z y loss", sizes={"i": tall, "j": tall}))


def reduced_products(draw: random.Random) -> Drawn:
    """Products that a maximum is taken of along their last axis."""
    classes, size, length = draw.randint(2, 4), draw.randint(1, 3), draw.randint(2, 3)
    if draw.random() < 0.5:
        text = "z[n,c] = sum[i](W[c,i]*x[n,i])\ny[n,c] = tanh(z[n,c])\nm[n] = max[c](z[n,c])"
        text += "\nr[n,c] = exp(z[n,c] - m[n])*y[n,c]"
        return written(draw, f"x(N,{size}) W({classes},{size}):parameter", text, results=draw.choice(("r z", "r", "y")))
    text = "e[n,t,s] = sum[k](q[n,t,k]*x[n,s,k])\nm[n,t] = max[s](e[n,t,s])\nr[n,t,s] = e[n,t,s] - m[n,t]"
    return written(draw, f"q(N,{length},{size}) x(N,{length + 1},{size})", text, results=draw.choice(("r e", "r")))


def words(draw: random.Random) -> Drawn:
    """Indices and sizes called like words of Python or of the generated code."""
    first, second = draw.sample(("p", "range", "type", "g", "w", "np", "i", "out"), 2)
    text = f"y[n,{first}] = sum[{second}](x[n,{second}]*W[{first},{second}])/(1 + {first})"
    return written(draw, "x(N,3) W(4,3):parameter", text)
