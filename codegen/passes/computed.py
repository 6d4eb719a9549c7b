"""The passes on the equations that code is made of: names, storage orders, what is computed once, what is implicit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from codegen.analysis.schedule import in_order
from codegen.emit.scope import ATTRIBUTES
from codegen.emit.words import words_among
from codegen.ir.equation import Program, all_reads
from codegen.ir.renamed import without_words
from codegen.lower.legalize import legalize
from codegen.passes.algebra.one_hot import one_hot_products
from codegen.passes.algebra.softmax import share_exponentials
from codegen.passes.canonical.across import across
from codegen.passes.canonical.dead import remove_dead
from codegen.passes.canonical.inline import inline
from codegen.passes.canonical.merge import merge_contributions
from codegen.passes.canonical.share import copied_results, share_equal
from codegen.passes.layout.batch_last import batch_last, rows_of_inputs
from codegen.passes.layout.orders import Orders, composed, reordered
from codegen.passes.layout.reduced_first import reduced_first
from codegen.passes.layout.time_major import time_major
from codegen.passes.recurrence.gates import gates
from codegen.passes.recurrence.hoist import hoisted
from codegen.passes.recurrence.repeated import repeated
from codegen.passes.recurrence.row_copies import row_copies
from codegen.passes.scalar.scalars import simplify
from codegen.passes.state import Given, Pass, State, on_program


def _layout(chosen: Callable[[Program], Orders]) -> Callable[[State, Given], State]:
    """A pass that stores tensors in another order."""
    return lambda state, given: _stored(state, chosen(state.program))


def _stored(state: State, orders: Orders) -> State:
    return replace(state, program=reordered(state.program, orders), orders=composed(state.orders, orders))


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


NAMED = (
    Pass(
        "words",
        "named",
        _without_words,
        "other names for indices and sizes that would mean something else in the code",
        (
            "y[n,range] = 2*x[n,range]",
            "y[n,range_] = 2*x[n,range_]",
        ),
        optional=False,
    ),
    Pass(
        "softmax",
        "named",
        on_program(_softmax),
        "a softmax by its exponentials and their sum, which both passes share; a mask of -oo in place of guards",
        (
            "l[n] = logsumexp[i](x[n,i])\ny[n,i] = exp(x[n,i] - l[n])",
            "l.peak[n] = max[i](x[n,i])\n"
            "l.exp[n,i] = exp(x[n,i] - l.peak[n])\n"
            "l.sum[n] = sum[i](l.exp[n,i])\n"
            "y[n,i] = l.exp[n,i]/l.sum[n]",
        ),
        proves="kept",
    ),
)

LAYOUT = (
    Pass(
        "batch-last",
        "layout",
        _batch_last,
        "pictures beside sums of products over a window: first spatial axis, channels, other spatial axes, batch",
        (
            "h[n,p,i,j] = sum[d,u,v](K[p,d,u,v]*image[n,d,i+u,j+v])\ny[n,p] = sum[i,j](h[n,p,i,j]**2)",
            "image.rows[i,c,j,n] = image[n,c,i,j]\n"
            "h[i,p,j,n] = sum[d,u,v](K[p,d,u,v]*image.rows[i+u,d,j+v,n])\n"
            "y[n,p] = sum[i,j](h[i,p,j,n]**2)",
        ),
    ),
    Pass(
        "reduced-first",
        "layout",
        _layout(reduced_first),
        "products that a maximum is taken of: the reduced axis in front, behind what both factors have",
        (
            "h[n,o] = sum[i](W[o,i]*x[n,i])\ny[n] = max[o](h[n,o])",
            "h[o,n] = sum[i](W[o,i]*x[n,i])\ny[n] = max[o](h[o,n])",
        ),
    ),
    Pass(
        "time-major",
        "layout",
        _layout(time_major),
        "what a recurrence computes: the axis of the steps before the batch; parts one after the other",
        (
            "h[n,t,k] = tanh(q[n,t,k] + h[n,t-1,k])\ny[n,k] = h[n,6,k]",
            "h[t,n,k] = tanh(q[n,t,k] + h[t-1,n,k])\ny[n,k] = h[6,n,k]",
        ),
        optional=False,  # the lowering of a loop counts on it
    ),
)

COMPUTED = (
    Pass(
        "one-hot",
        "computed",
        on_program(lambda program, given: one_hot_products(program, given.checked, given.machine)),
        "the gradient of a small table as a product with one-hot columns",
        (
            "d_E[token[n,t],k] = q[n,t,k]",
            "token.hot[v,n,t] = [token[n,t] = v]\nd_E[v,k] = sum[n,t](q[n,t,k]*token.hot[v,n,t])",
        ),
    ),
    Pass(
        "hoist",
        "computed",
        on_program(lambda program, given: hoisted(program, given.keep)),
        "factors that do not recur, out of a recurrence's equations: computed for all steps at once",
        (
            "h[t,n,k] = s[t,n,k] + tanh(s[t,n,k])*h[t-1,n,k]",
            "h.factor[t,n,k] = tanh(s[t,n,k])\nh[t,n,k] = s[t,n,k] + h[t-1,n,k]*h.factor[t,n,k]",
        ),
        proves="kept",
    ),
    Pass(
        "repeated",
        "computed",
        on_program(lambda program, given: repeated(program)),
        "functions of a recurrent tensor that several equations compute: the loop keeps them",
        (
            "h[t,n,k] = s[t,n,k] + h[t-1,n,k]/2\ny[t,n,k] = tanh(h[t,n,k])*s[t,n,k]\nr[t,n,k] = tanh(h[t,n,k])",
            "h[t,n,k] = s[t,n,k] + h[t-1,n,k]/2\n"
            "h.tanh[t,n,k] = tanh(h[t,n,k])\n"
            "y[t,n,k] = s[t,n,k]*h.tanh[t,n,k]\n"
            "r[t,n,k] = h.tanh[t,n,k]",
        ),
    ),
    Pass(
        "gates",
        "computed",
        on_program(lambda program, given: gates(program, given.keep)),
        "parts that the same function is computed of side by side, by one kernel; their weights in that order",
        (
            "z[t,q,n,k] = s[t,n,k] + h[t-1,n,k]\n"
            "f[t,n,k] = tanh(z[t,0,n,k])\n"
            "m[t,n,k] = tanh(z[t,1,n,k])\n"
            "h[t,n,k] = f[t,n,k]*m[t,n,k]",
            "z[t,q,n,k] = s[t,n,k] + h[t-1,n,k]\n"
            "z.tanh[t,q,n,k] = tanh(z[t,q,n,k])\n"
            "h[t,n,k] = z.tanh[t,0,n,k]*z.tanh[t,1,n,k]",
        ),
        proves="kept",
        # Numba joins the equations of a step in one loop, whatever they compute.
        only=lambda target: not target.compiled,
    ),
    Pass(
        "row-copies",
        "computed",
        on_program(lambda program, given: row_copies(program)),
        "a copy, with its parts in one row, of what a loop writes part by part, for products over all steps",
        (
            "z[t,0,n,k] = tanh(h[t-1,n,k])\n"
            "z[t,1,n,k] += s[t,n,k]*h[t-1,n,k]\n"
            "h[t,n,k] = sum[q](z[t,q,n,k])\n"
            "y[q,k,j] = sum[t,n](z[t,q,n,k]*s[t,n,j])",
            "z[t,0,n,k] = tanh(h[t-1,n,k])\n"
            "z[t,1,n,k] += s[t,n,k]*h[t-1,n,k]\n"
            "h[t,n,k] = sum[q](z[t,q,n,k])\n"
            "z.whole[t,n,q,k] = z[t,q,n,k]\n"
            "y[q,k,j] = sum[t,n](z.whole[t,n,q,k]*s[t,n,j])",
        ),
    ),
    Pass(
        "across",
        "computed",
        on_program(lambda program, given: across(program)),
        "reads of a step that are no slice at the step, of what does not recur, named before the loop",
        (
            "h[t,k] = tanh(h[t-1,k] + V[t,t])",
            "V.steps[t] = V[t,t]\nh[t,k] = tanh(h[t-1,k] + V.steps[t])",
        ),
        optional=False,
    ),
    Pass(
        "copied-results",
        "computed",
        on_program(lambda program, given: copied_results(program)),
        "a result that repeats an earlier one copied from it",
        (
            "y[k] = sum[n](x[n,k])\nr[k] = sum[n](x[n,k])",
            "y[k] = sum[n](x[n,k])\nr[n] = y[n]",
        ),
    ),
)

LEGAL = (
    Pass(
        "in-order",
        "legal",
        on_program(lambda program, given: in_order(program)),
        "equations in the order in which they run, those of a loop in that of one step",
        (
            "h[t,n,k] = tanh(m[t,n,k])\nm[t,n,k] = s[t,n,k] + h[t-1,n,k]",
            "m[t,n,k] = s[t,n,k] + h[t-1,n,k]\nh[t,n,k] = tanh(m[t,n,k])",
        ),
        optional=False,
    ),
    Pass(
        "legalize",
        "legal",
        lambda state, given: replace(state, legal=legalize(state.program, given.checked)),
        "what equations leave implicit, said: points left out by guards, reductions over one point or none by bodies",
        (
            "y[n] = sum[k](2*x[n,0])",
            "y[n] = 8*x[n,0]",
        ),
        optional=False,
    ),
)
