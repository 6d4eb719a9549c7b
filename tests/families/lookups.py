"""Families for subscripts that depend on data, and for brackets."""

from __future__ import annotations

import random

from families.writing import Drawn, written


def rows_of_tables(draw: random.Random) -> Drawn:
    """Whole rows of a table, at tokens that lie in range or not: one table, or several one below the other."""
    words, width, length = draw.randint(1, 4), draw.randint(1, 3), draw.randint(1, 3)
    text, table = draw.choice(
        (
            ("y[n,t,k] = E[tok[n,t],k]", f"{words},{width}"),
            ("y[n,t,k,l] = E[tok[n,t],k,l]", f"{words},{width},2"),
            ("y[q,n,t,k] = E[q,tok[n,t],k]", f"2,{words},{width}"),
        )
    )
    given = f"tok(N,{length}):int E({table}):parameter"
    known = draw.random() < 0.6
    ranges = {"tok": (0, words - 1) if known else (-1, words)}
    return written(draw, given, text, ranges=ranges, checked=("tok",) if known else ())


def gathered(draw: random.Random) -> Drawn:
    """Reads at values, quotients, or that leave by a symbolic distance: some are outside, some of them summed."""
    words, width, length = draw.randint(1, 4), draw.randint(1, 3), draw.randint(1, 4)
    text = draw.choice(
        (
            "y[n,t,k] = E[tok[n,t],k]*2",
            "y[n,t,k] = E[tok[n,t],k] + x[n,t]",
            "y[n,k] = sum[t](E[tok[n,t],k]*x[n,t])",
            "y[n,t] = z[n,tok[n,t]]",
            "y[n,t] = z[n,tok[n,t]] - x[n,tok[n,0]]",
            "y[n] = max[t](z[n,tok[n,t]])",
            "y[n,t] = x[n//2,t]",
            "y[n,t] = exp(x[n,t//2])*E[tok[n,t],0]",
            "y[n,t] = x[n,t] + s[n]",
        )
    )
    given = f"tok(N,{length}):int E({words},{width}):parameter z(N,{words}) x(N,{length}) s(2)"
    known = draw.random() < 0.5
    ranges = {"tok": (0, words - 1) if known else (-1, words)}
    sizes = {"n": "N"} if "s[n]" in text else {}
    return written(draw, given, text, sizes=sizes, ranges=ranges, checked=("tok",) if known else (), results="y")


def brackets(draw: random.Random) -> Drawn:
    """Bodies with a bracket at labels that lie in range or not: alone, or beside what is everywhere."""
    classes, length = draw.randint(1, 4), draw.randint(1, 3)
    text = draw.choice(
        (
            "y[n,c] = exp(x[n,c]) - [c == label[n]]",
            "y[n,c] = x[n,c]*s[n] + s[n]*[c == label[n]]",
            "y[n,c] = [c == label[n]]*s[n]",
            "y[n,t,c] = q[n,t,c] - 2*[c == tok[n,t]]",
            "y[n,c] = where(c == label[n], s[n], x[n,c])",
        )
    )
    known = draw.random() < 0.8
    ranges = dict.fromkeys(("label", "tok"), (0, classes - 1) if known else (-1, classes))
    given = f"x(N,{classes}) s(N) label(N):int q(N,{length},{classes}) tok(N,{length}):int"
    sizes = {"c": classes}
    return written(draw, given, text, sizes=sizes, ranges=ranges, checked=("label", "tok") if known else ())


def scattered(draw: random.Random) -> Drawn:
    """Left sides at values, where two may meet, some of them outside; or that leave by a symbolic distance."""
    words, width, length = draw.randint(1, 4), draw.randint(1, 3), draw.randint(1, 3)
    text, shape = draw.choice(
        (
            ("y[tok[n,t],k] = x[n,t,k]", (words, width)),
            ("y[tok[n,t],k] = sum[j](W[k,j]*x[n,t,j])", (words, width)),
            ("y[n,tok[n,t]] = z[n,t]", ("N", words)),
            ("y[tok[n,t]] = 2*z[n,t]", (words,)),
            ("y[tok[n,t]] = 1", (words,)),
            ("y[n,t] = z[n,t]", (2, length)),
        )
    )
    given = f"tok(N,{length}):int x(N,{length},{width}) z(N,{length}) W({width},{width}):parameter"
    return written(draw, given, text, ranges={"tok": (-1, words)}, shapes={"y": shape}, sizes={"t": length, "n": "N"})


def overlapping(draw: random.Random) -> Drawn:
    """Left sides of two indices neither of which has a fixed length, so that no loop over either is short."""
    text = draw.choice(("y[n+m] = x[n]*z[m]", "y[n+m] = x[n]", "y[2*n+m] = x[n] - z[m]", "y[n+m] = sum[k](W[k]*x[n])"))
    if draw.random() < 0.5:
        text = f"y[t] = q[t]\n{text.replace(' = ', ' += ')}"
    given = "x(N) z(M) q(T) W(2):parameter"
    return written(draw, given, text, shapes={"y": ("T",)}, sizes={"k": 2, "n": "N", "m": "M"}, results="y")
