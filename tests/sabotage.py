"""For every pass and every recipe, one way to break it and a family of drawn equations that must notice.

A row names a function of the pass, and what stands in its place.  tests/test_sabotage.py holds that the family
reaches the pass, that the oracle is content with it as it is, and that it is not with the wrong function.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any

import sympy

from codegen.analysis.structure import Structure
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Tensor, slot
from codegen.ir.functions import Sigmoid
from codegen.ir.plan import Compute
from codegen.machine.model import MACHINE
from families import plans as plan
from families import rewritings as draw
from families.breaking import Sabotage, always
from families.judging import Code, Declared, Remembered, Rewriting
from sabotage_recipes import RECIPES


def _changed(result: Any, arguments: tuple[Any, ...]) -> bool:
    return bool(result != arguments[0])


def inside_anyway(right: Callable[..., Structure]) -> Callable[..., Structure]:
    """A reading by which nothing leaves its tensor."""

    def wrong(equation: Equation, table: Mapping[str, Tensor]) -> Structure:
        found = copy(right(equation, table))
        vars(found)["accesses"] = tuple(map(copy, found.accesses))
        for reading in (found, *found.accesses):
            vars(reading)["inside"] = True
        return found

    return wrong


P, L = "codegen.passes.", "codegen.lower."
TILED = MACHINE.changed(caches={"second": 64}, calls={"compiled": 0.0})
"""So that small images fall into blocks of rows."""
SHARED = MACHINE.changed(limits={"array": 1})
"""So that small arrays share their bytes."""
IN_HALOS = MACHINE.changed(limits={"halo": 0})
"""So that small images get their halos filled at each step."""
PASSES: tuple[Sabotage, ...] = (
    # Before the differentiation.
    Sabotage(
        "pool-first",
        P + "algebra.pool_first",
        "is_monotone",
        always(True),
        draw.pools_of_activations,
        Declared("pool-first"),
    ),
    Sabotage(
        "table-first",
        P + "algebra.table_first",
        "is_valid",
        always(True),
        draw.products_of_rows,
        Declared("table-first"),
    ),
    # What is derived.
    Sabotage(
        "gather",
        P + "canonical.gather",
        "_covered",
        lambda right: (
            lambda equation, name, program: any(
                isinstance(s, Affine) and s.plain == name for r in equation.reads if r.strong for s in r.at
            )
        ),
        draw.left_sides,
        Rewriting("gather"),
    ),
    Sabotage("merge", P + "canonical.merge", "structure", inside_anyway, draw.contributions, Rewriting("merge")),
    Sabotage(
        "inline",
        P + "canonical.inline",
        "structure",
        inside_anyway,
        draw.single_readers,
        Rewriting("inline"),
    ),
    Sabotage(
        "dead",
        P + "canonical.dead",
        "all_reads",
        lambda right: lambda equation: right(equation)[1:],
        draw.dead_ends,
        Rewriting("dead"),
    ),
    Sabotage(
        "share",
        P + "canonical.share",
        "_canonical",
        lambda right: lambda equation: right(equation.with_(guards=())),
        draw.twins,
        Rewriting("share"),
    ),
    Sabotage(
        "simplify",
        P + "scalar.simplify",
        "fold_piecewise",
        lambda right: lambda expr: _exchanged(right(expr)),
        draw.bodies,
        Rewriting("simplify"),
    ),
    Sabotage(
        "stabilise",
        P + "scalar.stabilise",
        "_two_branches",
        lambda right: lambda expr: (lambda found: found and found[::-1])(right(expr)),
        draw.unstable_bodies,
        Rewriting("stabilise"),
    ),
    # What is computed once.
    Sabotage(
        "softmax",
        P + "algebra.softmax",
        "_unguarded",
        lambda right: lambda equation, softmax: equation.with_(guards=()),
        draw.softmaxes_under_guards,
        Rewriting("softmax"),
    ),
    # Storage orders.
    Sabotage(
        "batch-last",
        P + "layout.batch_last",
        "_order",
        lambda right: lambda tensor, spatial: (found := right(tensor, spatial)) and found[::-1][1:] + found[:1],
        draw.pictures,
        Rewriting("batch-last"),
    ),
    Sabotage(
        "reduced-first",
        P + "layout.orders",
        "map_all_reads",
        lambda right: lambda equation, change: equation,
        draw.reduced_products,
        Rewriting("reduced-first"),
    ),
    Sabotage(
        "time-major",
        P + "layout.orders",
        "_tensor",
        lambda right: lambda tensor, orders: tensor,
        draw.recurrences,
        Rewriting("time-major"),
    ),
    # What the loops need not compute.
    Sabotage(
        "one-hot",
        P + "algebra.one_hot",
        "_as_product",
        lambda right: (
            lambda equation, *rest: [
                e.with_(body=e.body / slot(len(e.reads) - 1)) if e.over else e for e in right(equation, *rest)
            ]
        ),
        draw.small_tables,
        Rewriting("one-hot"),
    ),
    Sabotage(
        "hoist",
        P + "recurrence.hoist",
        "_hoist",
        lambda right: lambda *arguments: _doubled(*right(*arguments)),
        draw.recurrences,
        Rewriting("hoist"),
    ),
    Sabotage(
        "repeated",
        P + "recurrence.repeated",
        "_calls",
        lambda right: lambda *arguments: [(a, k, (sympy.tanh, call[1])) for a, k, call in right(*arguments)],
        draw.shared_functions,
        Rewriting("repeated"),
    ),
    Sabotage(
        "gates",
        P + "recurrence.gates",
        "INNER",
        lambda right: {Sigmoid(slot(0)): (sympy.Integer(1), 1 / (1 + sympy.exp(slot(0))))},
        draw.gated,
        Rewriting("gates"),
    ),
    Sabotage(
        "across",
        P + "canonical.across",
        "inside",
        always(()),
        draw.reads_across_steps,
        Rewriting("across"),
    ),
    Sabotage(
        "row-copies",
        P + "recurrence.row_copies",
        "_swapped",
        lambda right: tuple,
        draw.written_by_parts,
        Rewriting("row-copies"),
    ),
    Sabotage(
        "copied-results",
        P + "canonical.share",
        "_canonical",
        lambda right: lambda equation: right(equation.with_(guards=())),
        draw.equal_results,
        Rewriting("copied-results"),
    ),
    Sabotage(
        "words",
        "codegen.ir.edit",
        "renamed_body",
        lambda right: lambda body, names: body,
        draw.words,
        Rewriting("words"),
    ),
    # What equations leave implicit.
    Sabotage(
        "in-order",
        "codegen.analysis.schedule",
        "_defining_first",
        lambda right: tuple,
        draw.recurrences,
        Code("codegen.passes.computed", "in_order", did=_changed),
    ),
    Sabotage(
        "legalize",
        L + "legalize",
        "_REPEATED",
        lambda right: dict.fromkeys(right, lambda body, count: body),
        draw.reductions,
        Rewriting("legalize"),
    ),
    Sabotage(
        "legalize",
        L + "outside",
        "fill_outside",
        always(-math.inf),
        draw.reductions,
        Code("codegen.passes.computed", "legalize", did=_changed),
    ),
    # The plan.
    Sabotage(
        "halos",
        "codegen.plan.halos",
        "rest",
        lambda right: lambda lengths, boxes: (found := right(lengths, boxes)) and found[:-1],
        plan.padded_pictures,
        Code("codegen.passes.plans", "filled_halos", did=_changed, machine=IN_HALOS),
    ),
    Sabotage(
        "fuse",
        "codegen.plan.fuse",
        "_are_apart",
        always(True),
        plan.points_after_points,
        Code("codegen.passes.plans", "fuse", "numba", did=_changed),
    ),
    Sabotage(
        "reuse",
        "codegen.plan.reuse",
        "accesses",
        lambda right: lambda step: [(v, wrote) for v, wrote in right(step) if wrote or isinstance(step, Compute)],
        plan.chains,
        Code("codegen.passes.plans", "reuse", did=_changed),
    ),
    Sabotage(
        "tiling",
        "codegen.plan.tiling",
        "fit",
        always(True),
        plan.blocks_of_rows,
        Code("codegen.passes.plans", "tiled", "numba", did=_changed, machine=TILED),
    ),
    Sabotage(
        "regions",
        "codegen.plan.region",
        "_closed",
        lambda right: lambda run: right(run[::-1]),
        plan.small_steps,
        Code("codegen.passes.plans", "regions", "numba", did=_changed),
    ),
    Sabotage(
        "loop-names",
        "codegen.plan.loop_names",
        "substituted",
        lambda right: lambda view, values: view,
        plan.names_of_loops,
        Code("codegen.passes.plans", "loops_apart", did=_changed),
    ),
    # The memory.
    Sabotage(
        "arena",
        "codegen.plan.memory.moments",
        "_span",
        lambda right: lambda first, last: right(first, max(first, last - 1)),
        plan.arrays_in_turn,
        Code("codegen.passes.plans", "planned", did=lambda memory, _: bool(memory.arenas), machine=SHARED),
    ),
    Sabotage("arena", "codegen.plan.memory.arena", "meet", always(False), plan.arrays_in_turn, Remembered(SHARED)),
)
ROWS = (*PASSES, *RECIPES)
"""Each has a name of its own."""


def _doubled(made: list[Equation], rest: Equation) -> tuple[list[Equation], Equation]:
    """Factors twice as large as they are."""
    return [e.with_(body=2 * e.body) for e in made], rest


def _exchanged(expr: sympy.Piecewise | None) -> sympy.Expr | None:
    """The branches of two cases exchanged."""
    if expr is None or len(expr.args) != 2:
        return expr
    (a, condition), (b, _) = expr.args
    return sympy.Piecewise((b, condition), (a, True))
