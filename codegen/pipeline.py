"""From a program of equations to Python source, read from top to bottom.

    program -> PASSES -> time_major -> lower -> reuse -> emit -> source

Every pass takes a program and returns one that means the same; the interpreter
is the judge of that, and the checker runs after each pass when
SYMNET_CHECK_PASSES is set in the environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from codegen.check import check
from codegen.emit.stages import DEFAULT, Emitted, Naming, emit
from codegen.equation import Program
from codegen.lower import lower
from codegen.lower.reuse import reuse
from codegen.rewrite.batch_last import batch_last, rows_of_inputs
from codegen.rewrite.dead import remove_dead
from codegen.rewrite.gather import gather
from codegen.rewrite.inline import inline
from codegen.rewrite.layout import Orders, composed, reordered
from codegen.rewrite.merge import merge_contributions
from codegen.rewrite.scalars import simplify, stabilise
from codegen.rewrite.share import share_equal
from codegen.rewrite.time_major import time_major

Pass = Callable[[Program, frozenset[str]], Program]


def _gather(program: Program, keep: frozenset[str]) -> Program:
    return program.with_equations(gather(e, program) for e in program.equations)


PASSES: tuple[tuple[str, Pass], ...] = (
    ("gather", _gather),
    ("merge", lambda program, keep: merge_contributions(program)),
    ("inline", inline),
    ("dead", remove_dead),
    ("share", lambda program, keep: share_equal(program)),
    ("simplify", lambda program, keep: simplify(program)),
    ("stabilise", lambda program, keep: stabilise(program)),
)


def rewrite(program: Program, keep: frozenset[str] = frozenset()) -> Program:
    """`program` after all passes; tensors in `keep` and results stay defined."""
    checking = bool(os.environ.get("SYMNET_CHECK_PASSES"))
    for _, apply in PASSES:
        program = apply(program, keep)
        if checking:
            check(program)
    return program


def generate(
    program: Program,
    *,
    stages: Mapping[str, str],
    target: str = "auto",
    results: Mapping[str, str] | None = None,
    attributes: Mapping[str, str] | None = None,
    checked: frozenset[str] = frozenset(),
    naming: Naming = DEFAULT,
) -> Emitted:
    """Source of a rewritten program: a Workspace class and one function a stage.

    stages: docstring of each stage's function, in order of emission.
    target: "numpy", "numexpr" or "auto" (a fixed cost model chooses for each kernel).
    results: key in `g` of result tensors (default: their names).
    attributes: further names under which the workspace holds tensors; these stay intact
    after their stage.
    checked: integer tensors whose values the caller has checked to be valid wherever they are
    subscripts; a read through any other is guarded, and 0 outside its tensor.
    naming: of the class, the functions and their arguments.
    """
    keep = frozenset((attributes or {}).values())
    pictures = batch_last(program)
    program = rows_of_inputs(program, pictures)
    orders: Orders = {f"{n}.rows" if program.table[n].kind == "input" else n: order for n, order in pictures.items()}
    program = reordered(program, orders)
    steps = time_major(program)
    program, orders = reordered(program, steps), composed(orders, steps)
    plan = reuse(lower(program, checked), program, keep)
    return emit(
        program,
        plan,
        target=target,
        results=results or {},
        attributes=attributes or {},
        stages=stages,
        orders=orders,
        naming=naming,
    )
