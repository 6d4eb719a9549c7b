"""The passes from program to program: those before the differentiation, those for people, those for the code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from codegen.analysis.structure import structure
from codegen.emit.scope import ATTRIBUTES
from codegen.emit.words import words_among
from codegen.equation import Equation, Program, all_reads
from codegen.lower.legalize import legalize
from codegen.passes.state import Given, Pass, State
from codegen.rewrite.across import across
from codegen.rewrite.batch_last import batch_last, rows_of_inputs
from codegen.rewrite.dead import remove_dead
from codegen.rewrite.gates import gates
from codegen.rewrite.gather import gather
from codegen.rewrite.hoist import hoisted
from codegen.rewrite.inline import inline
from codegen.rewrite.layout import Orders, composed, reordered
from codegen.rewrite.merge import merge_contributions
from codegen.rewrite.one_hot import one_hot_products
from codegen.rewrite.pool_first import pool_first
from codegen.rewrite.reduced_first import reduced_first
from codegen.rewrite.renamed import without_words
from codegen.rewrite.repeated import repeated
from codegen.rewrite.row_copies import row_copies
from codegen.rewrite.scalars import simplify, stabilise
from codegen.rewrite.share import copied_results, share_equal
from codegen.rewrite.softmax import share_exponentials
from codegen.rewrite.table_first import tables_first
from codegen.rewrite.time_major import time_major
from codegen.schedule import in_order

Run = Callable[[State, Given], State]


def _program(change: Callable[[Program, Given], Program]) -> Run:
    """A pass that changes the program and nothing else."""
    return lambda state, given: replace(state, program=change(state.program, given))


def _layout(chosen: Callable[[Program], Orders]) -> Run:
    """A pass that stores tensors in another order."""
    return lambda state, given: _stored(state, chosen(state.program))


def _stored(state: State, orders: Orders) -> State:
    return replace(state, program=reordered(state.program, orders), orders=composed(state.orders, orders))


def _without_scatters(program: Program, given: Given) -> Program:
    return program.with_equations(e if _follows(e, program) else gather(e, program) for e in program.equations)


def _follows(equation: Equation, program: Program) -> bool:
    """Whether an arg max says where it writes: its left side stays, a slice for each point of the window."""
    w = structure(equation, program.table).literal.window
    return w is not None and w.way == "image" and w.choice is not None and not equation.over


def _without_words(state: State, given: Given) -> State:
    program = state.program
    program, renaming = without_words(program, words_among(program), ATTRIBUTES.union(given.taken))
    return replace(state, program=program, renaming=renaming)


def _softmax(program: Program, given: Given) -> Program:
    shared = share_exponentials(program)
    if shared is program:
        return program
    read = {r.tensor for e in program.equations for r in all_reads(e)}
    # Of what somebody read, logarithms and values of the backward pass may have lost their last reader.
    lost = {e.target for e in program.equations if e.stage == "backward" or e.reduce == "logsumexp"} & read
    kept = {e.target for e in shared.equations} - (lost - given.keep)
    program = inline(share_equal(merge_contributions(shared), given.keep), kept)
    return remove_dead(simplify(program), kept)


def _batch_last(state: State, given: Given) -> State:
    pictures = batch_last(state.program)
    program, copies = rows_of_inputs(state.program, pictures)
    orders = {copies.get(name, name): order for name, order in pictures.items()}
    return _stored(replace(state, program=program), orders)


DECLARED = (
    Pass(
        "pool-first",
        "declared",
        _program(lambda program, given: pool_first(program, given.keep)),
        "a maximum over a window in front of a bias and an activation, one axis after the other",
        proves="kept",
    ),
    Pass(
        "table-first",
        "declared",
        _program(lambda program, given: tables_first(program, given.checked, given.keep, given.machine)),
        "a product of a small table's rows, looked up, as looked-up rows of a product with the table",
        proves="kept",
    ),
)

DERIVED = (
    Pass(
        "gather",
        "derived",
        _program(_without_scatters),
        "scatters solved for their target, over the integers",
        optional=False,  # the gradient of a recurrence is one only afterwards
    ),
    Pass(
        "merge",
        "derived",
        _program(lambda program, given: merge_contributions(program)),
        "contributions to one tensor added in one equation",
    ),
    Pass(
        "inline",
        "derived",
        _program(lambda program, given: inline(program, given.keep)),
        "elementwise equations put into those that read them",
    ),
    Pass(
        "dead",
        "derived",
        _program(lambda program, given: remove_dead(program, given.keep)),
        "what nothing reads left out",
        proves="kept",
    ),
    Pass(
        "share",
        "derived",
        _program(lambda program, given: share_equal(program, given.keep)),
        "equal right sides computed once",
    ),
    Pass(
        "simplify",
        "derived",
        _program(lambda program, given: simplify(program)),
        "bodies in the cheapest of a few algebraic forms",
    ),
    Pass(
        "stabilise",
        "derived",
        _program(lambda program, given: stabilise(program)),
        "forms that neither overflow nor cancel, by a table of rules",
    ),
)

NAMED = (
    Pass(
        "words",
        "named",
        _without_words,
        "other names for indices and sizes that would mean something else in the code",
        optional=False,
    ),
    Pass(
        "softmax",
        "named",
        _program(_softmax),
        "a softmax by its exponentials and their sum, which both passes share; a mask of -oo in place of guards",
        proves="kept",
    ),
)

LAYOUT = (
    Pass(
        "batch-last",
        "layout",
        _batch_last,
        "pictures beside sums of products over a window: first spatial axis, channels, other spatial axes, batch",
    ),
    Pass(
        "reduced-first",
        "layout",
        _layout(reduced_first),
        "products that a maximum is taken of: the reduced axis in front, behind what both factors have",
    ),
    Pass(
        "time-major",
        "layout",
        _layout(time_major),
        "what a recurrence computes: the axis of the steps before the batch; parts one after the other",
        optional=False,  # the lowering of a loop counts on it
    ),
)

COMPUTED = (
    Pass(
        "one-hot",
        "computed",
        _program(lambda program, given: one_hot_products(program, given.checked, given.machine)),
        "the gradient of a small table as a product with one-hot columns",
    ),
    Pass(
        "hoist",
        "computed",
        _program(lambda program, given: hoisted(program, given.keep)),
        "factors that do not recur, out of a recurrence's equations: computed for all steps at once",
        proves="kept",
    ),
    Pass(
        "repeated",
        "computed",
        _program(lambda program, given: repeated(program)),
        "functions of a recurrent tensor that several equations compute: the loop keeps them",
    ),
    Pass(
        "gates",
        "computed",
        _program(lambda program, given: gates(program, given.keep)),
        "parts that the same function is computed of side by side, by one kernel; their weights in that order",
        proves="kept",
        # Numba joins the equations of a step in one loop, whatever they compute.
        targets=frozenset({"auto", "numpy", "numexpr"}),
    ),
    Pass(
        "row-copies",
        "computed",
        _program(lambda program, given: row_copies(program)),
        "a copy, with its parts in one row, of what a loop writes part by part, for products over all steps",
    ),
    Pass(
        "across",
        "computed",
        _program(lambda program, given: across(program)),
        "reads of a step that are no slice at the step, of what does not recur, named before the loop",
        optional=False,
    ),
    Pass(
        "copied-results",
        "computed",
        _program(lambda program, given: copied_results(program)),
        "a result that repeats an earlier one copied from it",
    ),
)

LEGAL = (
    Pass(
        "in-order",
        "legal",
        _program(lambda program, given: in_order(program)),
        "equations in the order in which they run, those of a loop in that of one step",
        optional=False,
    ),
    Pass(
        "legalize",
        "legal",
        lambda state, given: replace(state, legal=legalize(state.program, given.checked)),
        "what equations leave implicit, said: points left out by guards, reductions over one point or none by bodies",
        optional=False,
    ),
)
