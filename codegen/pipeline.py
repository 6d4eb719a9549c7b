"""From a program of equations to Python source, read from top to bottom.

    program -> PASSES -> time_major -> lower -> borders -> (fuse) -> reuse -> (regions) -> emit -> source

Every pass takes a program and returns one that means the same; the interpreter
is the judge of that (SYMNET_DEBUG=3 calls it after each pass; see debug.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from codegen.debug import watch
from codegen.emit.native import expressible
from codegen.emit.scope import ATTRIBUTES
from codegen.emit.stages import DEFAULT, Emitted, Naming, emit
from codegen.emit.words import ARGUMENTS, words_among
from codegen.equation import Program, all_reads
from codegen.lower import lower
from codegen.lower.borders import borders
from codegen.lower.fuse import fuse
from codegen.lower.loop_names import loops_apart
from codegen.lower.region import regions
from codegen.lower.reuse import reuse
from codegen.lower.row_blocks import row_blocks
from codegen.notation import show
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
from codegen.rewrite.parts import in_parts
from codegen.rewrite.reduced_first import reduced_first
from codegen.rewrite.renamed import without_words
from codegen.rewrite.repeated import repeated
from codegen.rewrite.row_copies import row_copies
from codegen.rewrite.scalars import simplify, stabilise
from codegen.rewrite.shape import Checked
from codegen.rewrite.share import copied_results, share_equal
from codegen.rewrite.softmax import softmaxes
from codegen.rewrite.time_major import time_major
from codegen.rewrite.turned import turned
from codegen.schedule import schedule

Pass = Callable[[Program, frozenset[str]], Program]


def _gather(program: Program, keep: frozenset[str]) -> Program:
    # What follows an arg max keeps its left side: a slice for each point of the window, as `lower/pooling.py` wants it.
    follows = (not e.over and any(g.op == "==" and g.reads for g in e.guards) for e in program.equations)
    return program.with_equations(
        e if kept else gather(e, program) for e, kept in zip(program.equations, follows, strict=True)
    )


PASSES: tuple[tuple[str, Pass], ...] = (
    ("gather", _gather),
    ("merge", lambda program, keep: merge_contributions(program)),
    ("inline", inline),
    ("dead", remove_dead),
    ("share", share_equal),
    ("simplify", lambda program, keep: simplify(program)),
    ("stabilise", lambda program, keep: stabilise(program)),
)


def rewrite(program: Program, keep: frozenset[str] = frozenset()) -> Program:
    """`program` after all passes; tensors in `keep` and results stay defined."""
    for name, apply in PASSES:
        before, program = program, apply(program, keep)
        watch(name, before, program, keep)
    return program


def prepared(program: Program, keep: frozenset[str]) -> Program:
    """`program` with what its code is to compute once named; tensors in `keep` stay defined."""
    shared = softmaxes(program)
    if shared is program:
        return program
    read = {r.tensor for e in program.equations for r in all_reads(e)}
    # Of what somebody read, logarithms and values of the backward pass may have lost their last reader.
    lost = {e.target for e in program.equations if e.stage == "backward" or e.reduce == "logsumexp"} & read
    kept = {e.target for e in shared.equations} - (lost - keep)
    program = inline(share_equal(merge_contributions(shared), keep), kept)
    return remove_dead(simplify(program), kept)


def generate(
    program: Program,
    *,
    stages: Mapping[str, str],
    target: str = "auto",
    results: Mapping[str, str] | None = None,
    attributes: Mapping[str, str] | None = None,
    checked: Checked | None = None,
    naming: Naming = DEFAULT,
    recipes: tuple[str, ...] = (),
) -> Emitted:
    """Source of a rewritten program: a Workspace class and one function a stage.

    stages: docstring of each stage's function, in order of emission.
    target: "numpy", "numexpr", "numba" or "auto" (a fixed cost model chooses NumPy or numexpr for each kernel).
    results: key in `g` of result tensors (default: their names).
    attributes: names under which the workspace holds tensors, possibly their own; these stay
    intact after their stage.
    checked: of integer tensors whose values the caller has checked, the number that they lie below, from 0; a read
    at values that may be outside of its tensor is guarded, and 0 there.
    naming: of the class, the functions and their arguments.
    recipes: "columns", "shifts", "stacks": those to prefer for window products, whatever they cost.
    """
    keep = frozenset((attributes or {}).values())
    program, renaming = without_words(program, words_among(program), ATTRIBUTES.union(attributes or ()))
    program = prepared(program, keep)
    pictures = batch_last(program)
    program, copies = rows_of_inputs(program, pictures)
    orders: Orders = {copies.get(name, name): order for name, order in pictures.items()}
    program = reordered(program, orders)
    rows = reduced_first(program)
    program, orders = reordered(program, rows), composed(orders, rows)
    steps = time_major(program)
    program, orders = reordered(program, steps), composed(orders, steps)
    program = repeated(hoisted(one_hot_products(program, checked or {}), keep))
    # Numba joins the equations of a step in one loop, whatever they compute.
    program = program if target == "numba" else gates(program, keep)
    program = copied_results(across(row_copies(program)))
    plan = borders(lower(program, checked, keep, recipes, compiled=target == "numba"))
    assigned = in_parts(program, schedule(program))
    if target == "numba":
        plan = fuse(plan, program, keep, expressible)
    plan = reuse(plan, program, keep)
    if target == "numba":
        plan = regions(row_blocks(plan, program, keep), program, expressible)
    plan = loops_apart(plan, (*ARGUMENTS, *program.sizes))
    emitted = emit(
        program,
        plan,
        target=target,
        results=results or {},
        attributes=attributes or {},
        stages=stages,
        orders=orders,
        naming=naming,
        turned=turned(program, results or {}),
        note=lambda e: show(renaming.back(e.with_(accumulate=e.accumulate and e.target not in assigned))),
    )
    return emitted.renamed(renaming)
