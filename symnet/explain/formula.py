"""LaTeX of equations and statements in index notation.

What is written is understood by KaTeX in strict mode and by LaTeX with amsmath.
The same program gives the same text on every run.
"""

from __future__ import annotations

from collections.abc import Mapping

import sympy

from codegen.analysis.access import plain_indices
from codegen.ir.equation import Equation, Guard, Read, Tensor, index_symbol, indices_of, slot
from symnet.explain.scalar import Bracket, scalar, with_brackets, with_sigmoids
from symnet.explain.statements import Statement
from symnet.explain.subscripts import Exact, Glyphs, guard, name, read, subscript
from symnet.explain.symbols import COTANGENT

HEADS: Mapping[str, str] = {
    "sum": r"\sum",
    "max": r"\max",
    "argmax": r"\mathop{\mathrm{arg\,max}}\limits",
    "logsumexp": r"\mathop{\mathrm{logsumexp}}\limits",
    "prod": r"\prod",
}
"""What each reduction is written as; its indices go below.  (GitHub refuses the operatorname macro.)"""

DERIVED = "backward"
"""The stage in which a sigmoid is written sigma(x); where it is declared, its formula shows."""

LONG = 3
"""Statements of more terms than this have one term a line."""


class Vocabulary:
    """Symbols for the reads, indices and sizes of the bodies of one statement.

    SymPy orders factors and terms by name, so names are given in the order to be
    read: parameters, cotangents, other tensors, each by first appearance.
    """

    def __init__(self, tensors: Mapping[str, Tensor], glyphs: Glyphs) -> None:
        self._tensors, self._glyphs = tensors, glyphs
        self._names: dict[str, str] = {}
        self.texts: dict[str, str] = {}

    def body(self, equation: Equation) -> sympy.Expr:
        """The equation's body over the vocabulary's symbols."""
        exact = exact_quotients(equation)
        table = {slot(k): self._of(r, read(r, self._glyphs, exact)) for k, r in enumerate(equation.reads)}
        body = equation.body.xreplace(table)
        for symbol in body.free_symbols - set(table.values()):
            self.texts.setdefault(symbol.name, name(symbol.name))
        return with_sigmoids(with_brackets(body)) if equation.stage == DERIVED else with_brackets(body)

    def indices(self, expr: sympy.Expr, equation: Equation) -> set[str]:
        """The reduced indices of `equation` that occur in `expr`, also in subscripts."""
        exact = exact_quotients(equation)
        found = {n for n in equation.over if index_symbol(n) in expr.free_symbols}
        for item in equation.reads:
            if self._of(item, read(item, self._glyphs, exact)) in expr.free_symbols:
                found |= set(indices_of(item.at)) & set(equation.over)
        return found

    def condition(self, item: Guard, exact: Exact) -> sympy.Expr:
        """A guard as a bracket factor."""
        text = guard(item, self._glyphs, exact)
        key = self._names.setdefault(text, f"_8{len(self._names):03d}")
        self.texts[key] = f"[{text}]"
        return sympy.Symbol(key, real=True)

    def _of(self, item: Read, text: str) -> sympy.Symbol:
        tensor = self._tensors[item.tensor]
        rank = 0 if tensor.kind == "parameter" else 1 if item.tensor.startswith(COTANGENT) else 2
        key = self._names.setdefault(text, f"_{rank}{len(self._names):03d}")
        self.texts[key] = text
        return sympy.Symbol(key, real=True)


def exact_quotients(equation: Equation) -> Exact:
    """Numerators and divisors that a "divides" guard of the equation makes exact."""
    return tuple((g.affine, g.modulus) for g in equation.guards if g.op == "divides")


def statement(item: Statement, tensors: Mapping[str, Tensor], glyphs: Glyphs) -> tuple[str, str]:
    """LaTeX of the two sides, the relation at the beginning of the second one."""
    vocabulary = Vocabulary(tensors, glyphs)
    elementwise = [e for e in item.terms if not e.over and e.reduce == "sum"]
    terms = _elementwise(elementwise, vocabulary)
    terms += [reduction(e, vocabulary, glyphs) for e in item.terms if e not in elementwise]
    text = terms[0]
    separator = r" \\ & \quad " if len(terms) > LONG else " "
    for term in terms[1:]:
        text += separator + (f"- {term[1:].lstrip()}" if term.startswith("-") else f"+ {term}")
    left = glyphs[item.target].at([subscript(s, glyphs) for s in item.at])
    relation = r"\mathrel{+}=" if item.accumulate else "="
    return left, f"{relation} {text}{_range(item)}"


def equation(item: Equation, tensors: Mapping[str, Tensor], glyphs: Glyphs) -> str:
    """LaTeX of one equation, as one line."""
    return " ".join(statement(Statement(item.target, item.at, (item,), item.accumulate), tensors, glyphs))


def reduction(item: Equation, vocabulary: Vocabulary, glyphs: Glyphs) -> str:
    """LaTeX of one reduced term, constant factors before a sum."""
    body = vocabulary.body(item)
    body = sympy.factor_terms(body) if item.stage == DERIVED else body
    outer: sympy.Expr = sympy.Integer(1)
    if item.reduce == "sum":
        factors = sympy.Mul.make_args(body)
        outer = sympy.Mul(*(f for f in factors if not vocabulary.indices(f, item) and not f.has(Bracket)))
        body = sympy.Mul(*(f for f in factors if vocabulary.indices(f, item) or f.has(Bracket)))
    sign = "-" if outer.could_extract_minus_sign() else ""
    outer = -outer if sign else outer
    inner = scalar(body, vocabulary.texts)
    if isinstance(body, sympy.Add) or inner.startswith("-"):
        inner = rf"\left({inner}\right)"
    front = "" if outer == 1 else _factor(outer, vocabulary) + r" \, "
    return f"{sign}{front}{HEADS[item.reduce]}{_below(item, glyphs)} {inner}"


def _elementwise(items: list[Equation], vocabulary: Vocabulary) -> list[str]:
    """The terms without a reduction, as one expression with guards as bracket factors."""
    if not items:
        return []
    bodies = [
        sympy.Mul(vocabulary.body(e), *(vocabulary.condition(g, exact_quotients(e)) for g in e.guards)) for e in items
    ]
    total = sympy.Add(*bodies)
    tidy = len(bodies) > 1 or total.has(Bracket)
    return [scalar(sympy.factor_terms(total) if tidy else total, vocabulary.texts)]


def _factor(outer: sympy.Expr, vocabulary: Vocabulary) -> str:
    text = scalar(outer, vocabulary.texts)
    return rf"\left({text}\right)" if isinstance(outer, sympy.Add) else text


def _below(item: Equation, glyphs: Glyphs) -> str:
    """What stands below the reduction: its indices, then its guards."""
    names = ",".join(name(n) for n in item.over)
    conditions = [guard(g, glyphs, exact_quotients(item)) for g in item.guards]
    lines = [names, *conditions] if names else conditions
    if not lines:
        return ""
    return f"_{{{lines[0]}}}" if len(lines) == 1 else r"_{\substack{" + r" \\ ".join(lines) + "}}"


def _range(item: Statement) -> str:
    """For a scatter, the indices over which the statement is repeated."""
    if plain_indices(item.at) is not None:
        return ""
    indices = dict.fromkeys(n for e in item.terms for n in e.free)
    names = ", ".join(name(n) for n in indices)
    return rf" \quad \text{{for all }} {names}" if names else ""
