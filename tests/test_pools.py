"""Which maxima are computed by slices, and which arg maxima are stored as masks alone."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from building import tensor
from codegen.ir.equation import Program
from codegen.lower.pooling import is_maximum, masked
from codegen.lower.storage import Storage
from codegen.machine.model import MACHINE
from codegen.notation import elaborate

GIVEN = (
    *(tensor("x", "N", 12), tensor("y", 12, 12), tensor("w", "N", 12, 12), tensor("g", "N", 6), tensor("G", "N", 12)),
    tensor("s", "N", "T"),
)
SIZES = {"t": 6, "u": 2, "i": 6, "j": 4, "v": 2, "c": 12}
SHAPES = {"d": GIVEN[0].shape, "D": GIVEN[2].shape, "M": GIVEN[0].shape}


def program(text: str, **sizes: int) -> Program:
    """The program of a text over the tensors above."""
    words = re.findall(r"\b\w\b", text)
    named = {name: extent for name, extent in (SIZES | sizes).items() if name in words}
    shapes = {name: shape for name, shape in SHAPES.items() if name in words}
    done = elaborate(text, {t.name: t for t in GIVEN}, sizes=named, shapes=shapes)
    return Program((*GIVEN, *done.tensors), done.equations)


def sliced(text: str, **sizes: int) -> bool:
    """Whether the last equation is a maximum of slices."""
    made = program(text, **sizes)
    return is_maximum(made.equations[-1], Storage(made)) is True


@pytest.mark.parametrize(
    "text", ["m[n,t] = max[u](x[n,2*t+u])", "m[i,j] = max[u](y[i,3*j+u-1])", "m[n,t] = max[u](x[n,t-2*u+3])"]
)
def test_a_maximum_of_slices(text: str) -> None:
    assert sliced(text)


@pytest.mark.parametrize(
    ("text", "taps"),
    [
        ("m[n,t] = max[u](2*x[n,2*t+u])", 2),
        ("m[n,t] = max[u](x[n,2*t+u]*G[n,u])", 2),
        ("m[n,t] = max[u | u <= t](x[n,2*t+u])", 2),
        ("m[n,i,j] = max[u,v](w[n,2*i+u,3*j+v])", 2),
        ("m[n,t] = max[u](w[n,t+u,u])", 2),
        ("m[n] = max[u](x[n,u])", 2),
        ("m[n,t] = sum[u](x[n,2*t+u])", 2),
        ("m[n,t] = argmax[u](x[n,2*t+u])", 2),
        ("m[n,t] = max[u](x[n,t+u])", 1),
        ("m[n,t] = max[u](x[n,t+u])", MACHINE.limits.pool + 1),
        ("m[n,t] = max[u](s[n,2*t+u])", 2),
        ("M[n,t] = max[u](x[n,2*t+u])", 2),
    ],
)
def test_any_other_reduction(text: str, taps: int) -> None:
    assert not sliced(text, u=taps)


def test_a_maximum_that_is_added() -> None:
    made = program("m[n,t] = max[u](x[n,2*t+u])")
    assert is_maximum(made.equations[0].with_(accumulate=True), Storage(made)) is None


ARGMAX = "k[n,t] = argmax[u](x[n,2*t+u])\n"
DOWN = "d[n,2*t+u] = sum[| k[n,t] == u](g[n,t])"


def test_an_arg_max_by_which_a_gradient_is_handed_down() -> None:
    made = program(ARGMAX + DOWN)
    assert masked(made, frozenset(), MACHINE) == {"k": 2}
    assert not masked(made, frozenset({"k"}), MACHINE)
    handed_out = tuple(replace(t, kind="result") if t.name == "k" else t for t in made.tensors)
    assert not masked(Program(handed_out, made.equations), frozenset(), MACHINE)


@pytest.mark.parametrize(
    "text",
    [
        ARGMAX,
        "k[n,t] = argmax[u](2*x[n,2*t+u])\n" + DOWN,
        ARGMAX + DOWN + "\nz[n,t] = k[n,t]",
        ARGMAX + "d[n,2*t+u] = sum[| k[n,t] == u](2*g[n,t])",
        ARGMAX + "d[n,2*t+u] = sum[| k[n,t] == u+1](g[n,t])",
        ARGMAX + "d[n,2*t+u] = sum[| k[n,t] == 2*u](g[n,t])",
        ARGMAX + "d[n,2*t+u] = sum[| k[n,t] >= u](g[n,t])",
        ARGMAX + "d[n,2*t+u] = sum[| k[n,0] == u](g[n,t])",
        ARGMAX + "d[n,2*t+u] = sum[v | k[n,t] == u](g[n,t])",
        ARGMAX + "D[n,2*t+u,u] = sum[| k[n,t] == u](g[n,t])",
        "k[n,t,c] = argmax[u](w[n,2*t+u,c])\nd[n,2*t+u] = sum[c | k[n,t,c] == u](g[n,t])",
    ],
)
def test_an_arg_max_that_is_a_number(text: str) -> None:
    assert not masked(program(text), frozenset(), MACHINE)


def test_of_a_part_of_the_windows_the_arg_max_is_a_number() -> None:
    text = ARGMAX + DOWN.replace("t", "i")
    assert masked(program(text), frozenset(), MACHINE) and not masked(program(text, i=5), frozenset(), MACHINE)
