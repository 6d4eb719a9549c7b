"""Softmaxes: exponentials of scores less their own log-sum-exp.

lse[n,t] = logsumexp[s | s <= t](e[n,t,s])              the total, over s, of the scores e
a[n,t,s] = exp(e[n,t,s] - lse[n,t])     (s <= t)        holds the softmax
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import sympy

from codegen.analysis.access import plain_indices
from codegen.analysis.facts import fact
from codegen.analysis.structure import structure
from codegen.ir.affine import Affine
from codegen.ir.edit import substitute_guard, substitute_read
from codegen.ir.equation import Equation, Program, Read, slot, slots_of


@dataclass(frozen=True)
class Softmax:
    """What a total is the log-sum-exp of.

    total: the equation.  scores: what it reads, at all of its indices.
    """

    total: Equation

    @property
    def scores(self) -> Read:
        """What is summed, at all of the total's indices."""
        return self.total.reads[0]

    @property
    def indices(self) -> tuple[str, ...]:
        """The indices of the scores as they lie."""
        return plain_indices(self.scores.at) or ()

    def at(self, places: Mapping[str, str]) -> Softmax:
        """The same under other names of the indices."""
        values = {old: Affine.of(new) for old, new in places.items()}
        guards = tuple(substitute_guard(g, values) for g in self.total.guards)
        read = substitute_read(self.scores, values)
        at = substitute_read(Read(self.total.target, self.total.at), values).at
        return Softmax(self.total.with_(at=at, reads=(read,), guards=guards))


@fact
def softmaxes(program: Program) -> Mapping[str, Softmax]:
    """By its name, each total that one equation defines, over whole scores at plain indices."""
    return {e.target: Softmax(e) for e in program.equations if _is_total(e, program)}


def _is_total(equation: Equation, program: Program) -> bool:
    if equation.reduce != "logsumexp" or equation.body != slot(0) or len(program.defining(equation.target)) > 1:
        return False
    s = structure(equation, program.table).literal
    left, scores = s.accesses
    plain = set(left.plain or ()) == set(equation.free) and set(scores.plain or ()) == set(equation.extents)
    return plain and scores.inside and not equation.accumulate


def exponentials(equation: Equation, softmax: Softmax) -> list[tuple[sympy.Expr, Mapping[str, str]]]:
    """Each exp(scores - total) in a body, with the indices of the equation for those of the softmax."""
    nodes = sorted(equation.body.atoms(sympy.exp), key=str)
    found = [(node, _places(node.args[0], equation, softmax)) for node in nodes]
    return [(node, places) for node, places in found if places is not None]


def _places(argument: sympy.Expr, equation: Equation, softmax: Softmax) -> Mapping[str, str] | None:
    slots = {equation.reads[k].tensor: k for k in slots_of(argument)}
    scores, total = slots.get(softmax.scores.tensor), slots.get(softmax.total.target)
    if scores is None or total is None or argument != slot(scores) - slot(total):
        return None
    at, row = (plain_indices(equation.reads[k].at) for k in (scores, total))
    if at is None or row is None:
        return None
    places = dict(zip(softmax.indices, at, strict=True))
    same = all(equation.extents.get(v) == softmax.total.extents[n] for n, v in places.items())
    return places if same and softmax.at(places).total.at == equation.reads[total].at else None


def holders(softmax: Softmax, program: Program) -> tuple[Read, ...]:
    """Reads of the tensors that are the softmax, 0 where a guard fails, under the softmax's own indices."""
    found = []
    for equation in program.equations:
        for node, places in exponentials(equation, softmax):
            names = plain_indices(equation.at)
            own = softmax.at(places).total.guards
            whole = equation.body == node and set(equation.guards) == set(own) and not equation.over
            if whole and names is not None and set(names) == set(places.values()):
                back = {new: Affine.of(old) for old, new in places.items()}
                found.append(substitute_read(Read(equation.target, equation.at), back))
    return tuple(read for read in found if len(program.defining(read.tensor)) == 1)
