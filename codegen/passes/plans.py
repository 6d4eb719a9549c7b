"""The passes on the plan: from a program to steps, from steps to fewer and cheaper ones, and where their arrays lie."""

from __future__ import annotations

from dataclasses import replace

from codegen.emit.native import expressible
from codegen.emit.words import ARGUMENTS
from codegen.lower.lowering import Lowering
from codegen.passes.state import Given, Pass, State, on_plan
from codegen.plan.fuse import fuse
from codegen.plan.halos import filled_halos
from codegen.plan.loop_names import loops_apart
from codegen.plan.memory import planned
from codegen.plan.region import regions
from codegen.plan.reuse import reuse
from codegen.plan.tiling import tiled


def lowering(state: State, given: Given) -> Lowering:
    """A legal program that is to be lowered for the target."""
    assert state.legal is not None, "what is lowered is legalized before"
    return Lowering(
        state.program,
        state.legal,
        checked=given.checked,
        keep=given.keep,
        recipes=given.recipes,
        prefer=given.prefer,
        compiled=given.on.compiled,
        machine=given.machine,
    )


def _chosen(state: State, given: Given) -> State:
    return replace(state, choices=lowering(state, given).choices())


def _lowered(state: State, given: Given) -> State:
    plan, choices = lowering(state, given).lowered(state.choices)
    return replace(state, plan=plan, choices=choices)


CHOICE = (
    Pass(
        "choose",
        "choice",
        _chosen,
        "a recipe for each equation, of those that apply the one that should take least time",
        (
            "y[n,o] = sum[i](W[o,i]*x[n,i])",
            "y[n,o] = sum[i](W[o,i]*x[n,i])    # product",
        ),
        optional=False,
    ),
)
PLAN = (
    Pass(
        "lower",
        "plan",
        _lowered,
        "each equation as a few steps on arrays, by its recipe",
        (
            "h[n,o] = sum[i](W[o,i]*x[n,i])\ny[n,o] = tanh(h[n,o] + b[o])",
            "MatMul h <- x, W\nCompute y <- h, b",
        ),
        proves="plan",
        optional=False,
    ),
    Pass(
        "halos",
        "plan",
        on_plan(lambda state, given: filled_halos(state.steps, given.machine)),
        "cheap halos of zeros written at each step, so that their buffers can share memory",
        (
            "h[r,d,s,n] = tanh(rows[r,d,s,n])\ny[r,p,j,n] = sum[d,u,v](K[p,d,u,v]*h[r+u-1,d,j+v,n])",
            "h in h.padded\n"
            "Fill h.padded\n"
            "Compute h <- rows\n"
            "Copy K.by_column <- K\n"
            "MatMul y.stack <- K.by_column, h.padded\n"
            "Compute y <- y.stack, y.stack",
        ),
        proves="plan",
    ),
    Pass(
        "fuse",
        "plan",
        on_plan(lambda state, given: fuse(state.steps, state.program, given.keep, expressible)),
        "runs of elementwise steps as one loop; values that nobody else reads are stored nowhere",
        (
            "h[n,i] = sin(x[n,i])\ny[n,i] = tanh(h[n,i])",
            "Kernel\n    Compute h <- x\n    Compute y <- h",
        ),
        proves="plan",
        only=lambda target: target.compiled,
    ),
    Pass(
        "reuse",
        "plan",
        on_plan(lambda state, given: reuse(state.steps, state.program, given.keep)),
        "elementwise steps in place of an array that nobody reads any more",
        (
            "h[n,i] = sin(x[n,i])\nm[n,i] = exp(h[n,i])\ny[n] = max[i](m[n,i])",
            "m in h\nCompute h <- x\nCompute m <- h\nReduce y <- m",
        ),
        proves="plan",
    ),
    Pass(
        "tiling",
        "plan",
        on_plan(lambda state, given: tiled(state.steps, state.program, given.keep, given.machine)),
        "groups of steps over feature maps in a loop over blocks of rows, which stay in the cache",
        (
            "h[i,p,j,n] = sum[d,u,v](K[p,d,u,v]*rows[i+u,d,j+v,n])\ny[i,p,j,n] = tanh(h[i,p,j,n])",
            "Copy K.packed <- K\n"
            "Loop over block < 5\n"
            "    Direct h <- K.packed, rows\n"
            "    Kernel\n"
            "        Compute y <- h",
        ),
        proves="plan",
        only=lambda target: target.compiled,
    ),
    Pass(
        "regions",
        "plan",
        on_plan(lambda state, given: regions(state.steps, state.program, expressible, given.machine)),
        "runs of steps on small arrays as one compiled function",
        (
            "h[n,i] = sin(x[n,i])\ny[n] = max[i](h[n,i])",
            "Region\n    Kernel\n        Compute h <- x\n    Reduce y <- h",
        ),
        proves="plan",
        only=lambda target: target.compiled,
    ),
    Pass(
        "loop-names",
        "plan",
        on_plan(lambda state, given: loops_apart(state.steps, (*ARGUMENTS, *state.program.sizes))),
        "loops over an index called like an argument or a size under another name",
        (
            "h[w,n,k] = s[w,n,k] + h[w-1,n,k]",
            "h in h.states\nh.before in h.states\nFill h.states\nLoop over w_ < 7\n    Compute h <- s, h.before",
        ),
        proves="plan",
        optional=False,
    ),
)
MEMORY = (
    Pass(
        "arena",
        "memory",
        lambda state, given: replace(state, memory=tuple(planned(each, given.machine) for each in state.demands)),
        "arrays that are never needed at once over one another, in a few arenas",
        (
            "h[n,i] = sin(x[n,i])\nm[n] = max[i](h[n,i])\nr[n,i] = x[n,i] + m[n]\ny[i] = max[n](r[n,i])",
            "x, N*4\nplace, N*8\n    h, N*4 from 0\n    r, N*4 from 0\n    m, N from N*4",
        ),
        proves="memory",
    ),
)
