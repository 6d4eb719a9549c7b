"""The statements of a program in matrix notation, ready to be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from codegen.ir.equation import Program
from symnet.differentiate.reverse import cotangent_name
from symnet.explain.matrix.layout import numerator
from symnet.explain.matrix.primes import Primes, primes
from symnet.explain.matrix.recognise import Formula, Statement, inlined, recognised
from symnet.explain.matrix.recurrent import states, unfolded, unshifted
from symnet.explain.matrix.sample import per_sample
from symnet.explain.matrix.write import Writer
from symnet.explain.statements import readable
from symnet.explain.symbols import Glyph, glyphs, primal

LAYOUTS = ("denominator", "numerator")


@dataclass(frozen=True)
class Prepared:
    """A program in matrix notation.

    program: the equations that the statements were recognised in; it means the same as the given one, except
    that the cotangents in `scaled` are N times as large (the errors of each sample's own loss).
    statements: formulas, and what has none.  activations: those found, by value and by cotangent.
    derivatives: the tensors that are cotangents: in numerator layout their symbols stand for the transposes.
    """

    program: Program
    statements: tuple[Statement, ...]
    activations: Mapping[str, Primes]
    scaled: frozenset[str]
    derivatives: frozenset[str]
    recurrent: tuple[str, ...]
    writer: Writer
    layout: str = "denominator"

    @property
    def transposed(self) -> frozenset[str]:
        """The tensors whose symbols stand for transposes."""
        return self.derivatives if self.layout == "numerator" else frozenset()


def prepare(program: Program, layout: str = "denominator") -> Prepared:
    """The statements of `program`, a network's equations with its cotangents as derived.

    layout: "denominator" (a derivative has the shape of what it is taken by) or "numerator" (its transpose).
    """
    short, scaled = per_sample(readable(program))
    short = short.with_equations(unshifted(e, short) for e in short.equations)
    found = primes(short)
    recurrent = states(short, found)
    statements = inlined(unfolded(recognised(short), short, found), short, recurrent)
    derivatives = frozenset(n for n in short.table if primal(n, short.table) != n)
    if layout == "numerator":
        statements = tuple(numerator(s, derivatives) if isinstance(s, Formula) else s for s in statements)
    writer = Writer(short.table, _glyphs(short, recurrent))
    return Prepared(short, statements, found, scaled, derivatives, recurrent, writer, layout)


def _glyphs(program: Program, recurrent: tuple[str, ...]) -> dict[str, Glyph]:
    """The symbols of index notation; a recurrent state is h, and delta is the error of the state."""
    signs = glyphs(program)
    for name in recurrent:
        state = replace(signs[name], base="h") if signs[name].base == "a" else signs[name]
        error = replace(state, base=r"\delta")
        bar = cotangent_name(name)
        if state not in signs.values():
            signs[name] = state
        if bar in signs:
            source = [n for n, g in signs.items() if g == error]
            signs |= {n: replace(signs[n], base=r"\bar{z}") for n in source}
            signs[bar] = error
    return signs
