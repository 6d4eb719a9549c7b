"""LaTeX of single pieces: symbols, scalar bodies, subscripts and guards."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sympy

import symnet as sn
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Guard, Program, Quotient, Read, slot
from codegen.ir.scalars import Expm1, Log1p, Sigmoid
from networks import affine, cnn, mlp, tensor
from symnet.differentiate.programs import derived
from symnet.differentiate.reverse import gradient
from symnet.explain.formula import equation as latex_of
from symnet.explain.scalar import decimal, scalar
from symnet.explain.subscripts import affine as latex_affine
from symnet.explain.subscripts import guard as latex_guard
from symnet.explain.symbols import Glyph, glyphs


def with_gradients(program: Program) -> Program:
    """The program and the gradients of its parameters."""
    return gradient(program, [t.name for t in program.tensors if t.kind == "parameter"])


# Symbols


def test_symbols_name_layer_and_role() -> None:
    signs = glyphs(with_gradients(mlp()))
    assert signs["dense_1.weight"].at(["o", "i"]) == r"W^{\text{dense\_1}}_{o,i}"
    assert signs["d_dense_1.weight"].at(["o", "i"]) == r"\frac{\partial L}{\partial W^{\text{dense\_1}}_{o,i}}"
    assert signs["d_dense_1.z"].at(["n", "o"]) == r"\delta^{\text{dense\_1}}_{n,o}"
    assert signs["d_dense_1"].at(["n", "i"]) == r"\bar{a}^{\text{dense\_1}}_{n,i}"
    assert signs["loss.lse.softmax"].at(["n", "c"]) == r"\hat{y}_{n,c}"
    assert (signs["image"].at(), signs["target"].at(), signs["loss"].at()) == ("x", "y", "L")


def test_a_suffix_becomes_a_word_above() -> None:
    rnn = Program((tensor("rnn.weight_ih", "4,3", "parameter"), tensor("g.alpha", "", "parameter")), ())
    signs = glyphs(rnn)
    assert signs["rnn.weight_ih"].at() == r"W^{\text{rnn, ih}}"
    assert signs["g.alpha"].at() == r"\alpha^{\text{g}}"


def test_no_two_tensors_share_a_symbol() -> None:
    names = ("a.x", "a.x.lse.softmax", "a.x.softmax", "a.x.logsumexp.softmax", "d_d_a.x", "d_a.x", "b", "b_1", "b.1")
    for program in (with_gradients(mlp()), with_gradients(cnn()), Program(tuple(tensor(n, "N") for n in names), ())):
        drawn = list(glyphs(program).values())
        assert len(set(drawn)) == len(drawn)


def test_names_are_escaped() -> None:
    assert Glyph("W", ("a_b#c%",)).at() == r"W^{\text{a\_b\#c\%}}"


# Scalars, subscripts, guards


X = slot(0)
SYMBOLS = {"_0": "x", "_1": "y"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (sympy.Piecewise((X, X > 0), (0, True)), r"\max\left(0, x\right)"),
        (sympy.Piecewise((1, X > 0), (0, True)) * slot(1), r"y \, [x > 0]"),
        (sympy.Piecewise((X - 1, X > 2), (X, True)), "x - [x > 2]"),
        (sympy.exp(X - slot(1)), r"\exp\left(x - y\right)"),
        (sympy.exp(-X), "e^{- x}"),
        (slot(1) - X - 1, "y - x - 1"),
        (X * sympy.Rational(44715, 1000000), r"0.044715 \, x"),
        (X / 4, r"\frac{x}{4}"),
        (Expm1(X) * slot(1), r"y \, \left(e^{x} - 1\right)"),
        (Log1p(X), r"\log{\left(x + 1 \right)}"),
        (Sigmoid(X) ** 2, r"\sigma^{2}\left(x\right)"),
        (X * sympy.Rational(-1, 1000), r"-0.001 \, x"),
    ],
)
def test_scalars_read_as_on_paper(body: sympy.Expr, expected: str) -> None:
    assert scalar(body, SYMBOLS) == expected


def test_decimals_are_exact_or_absent() -> None:
    assert decimal(sympy.Rational(-1, 8)) == "-0.125"
    assert decimal(sympy.Rational(1, 3)) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2*i+u-1", "2i + u - 1"), ("2-u", "2 - u"), ("0", "0"), ("h-u+1", "h - u + 1"), ("-1*i", "-i")],
)
def test_subscripts(text: str, expected: str) -> None:
    assert latex_affine(affine(text)) == expected


LABEL = Read("target", (Affine.of("n"),))


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (Guard(">=", affine("t-r")), r"r \le t"),
        (Guard(">=", affine("t-r-1")), "r < t"),
        (Guard(">=", affine("i-1")), r"i \ge 1"),
        (Guard(">=", affine("7-i")), r"i \le 7"),
        (Guard(">=", affine("i+2")), r"i \ge -2"),
        (Guard(">=", affine("i-j+3")), r"j \le i + 3"),
        (Guard(">=", affine("i-j-3")), r"j + 3 \le i"),
        (Guard("==", affine("c"), ((-1, LABEL),)), "c = y_{n}"),
        (Guard("==", affine("i-3")), "i = 3"),
        (Guard("==", affine("i+j+3")), "i + j = -3"),
        (Guard("==", affine("3-i")), "3 = i"),
        (Guard("!=", affine("i")), r"i \ne 0"),
        (Guard("!=", affine("0"), ((1, Read("mask", (Affine.of("n"),))),)), r"\text{mask}_{n}"),
        (Guard("divides", affine("h+1-u"), (), 2), r"2 \mid h - u + 1"),
    ],
)
def test_guards(item: Guard, expected: str) -> None:
    signs = {"target": Glyph("y"), "mask": Glyph(r"\text{mask}")}
    assert latex_guard(item, signs) == expected


def test_masked_reduction_and_floor() -> None:
    program = Program((tensor("e", "N,T"), tensor("s", "N,T")), ())
    item = Equation(
        "s",
        (Affine.of("n"), Affine.of("t")),
        slot(0),
        (Read("e", (Affine.of("n"), Quotient(Affine.of("r"), 2))),),
        (("n", Affine.of("N")), ("t", Affine.of("T")), ("r", Affine.of("T"))),
        over=("r",),
        reduce="logsumexp",
        guards=(Guard(">=", affine("t-r")),),
    )
    expected = r"s_{n,t} = \mathop{\mathrm{logsumexp}}\limits_{\substack{r \\ r \le t}} e_{n,\lfloor r/2 \rfloor}"
    assert latex_of(item, program.table, glyphs(program)) == expected


def test_a_parameter_that_is_called_like_an_output_keeps_its_symbol_in_its_gradient() -> None:
    x = sn.Input((3,), name="x")
    layer = sn.Formula("h[n,k] = a[k]*tanh(x[n,k])", params={"a": "k"}, name="mine")(x)
    signs = glyphs(derived(sn.Model(x, layer, loss=sn.MeanSquaredError())))
    assert signs["mine.a"] != signs["mine"]
    assert signs["d_mine.a"] == replace(signs["mine.a"], partial=True)
