"""What equations leave implicit is said without a change of meaning, each equation in its place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from building import Case, equation, i, n, program, read, tensor, u
from codegen.analysis.schedule import in_order, schedule
from codegen.ir.equation import Program, slot
from codegen.lower.legalize import legalize
from codegen.notation import elaborate, show
from codegen.oracle.check import check
from codegen.oracle.interpret import interpret
from equations import cases


@settings(max_examples=150, deadline=None)
@given(cases())
def test_drawn_programs_mean_the_same(case: Case) -> None:
    legal = legalize(case.program)
    check(legal)
    assert [e.target for e in legal.equations] == [e.target for e in case.program.equations]
    expected, found = (interpret(p, case.arrays, case.sizes) for p in (case.program, legal))
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-12, atol=1e-12, err_msg=name)


@settings(max_examples=100, deadline=None)
@given(cases())
def test_nothing_is_left_to_say(case: Case) -> None:
    legal = legalize(case.program)
    assert legalize(legal) == legal
    for made in legal.equations:
        assert made.over or made.reduce == "sum"
        assert all(made.extents[name].const != 1 or made.extents[name].names for name in made.over)


SAID = {
    "y[n] = sum[u](x[n,0])": "y[n] = 3*x[n,0]",
    "y[n] = prod[u](x[n,0])": "y[n] = x[n,0]**3",
    "y[n] = logsumexp[u](x[n,0])": "y[n] = x[n,0] + log(3)",
    "y[n] = max[v](x[n,2*v])": "y[n] = x[n,0]",
    "y[n] = max[u](-x[n,u-1])": "y[n] = max[u | u >= 1](-x[n,u-1])",
    "y[n] = max[u](x[n,u-1])": "y[n] = max[u](x[n,u-1])",
    "y[n] = max[u,i](x[n,u-1] + x[n,i])": "y[n] = max[u,i](x[n,u-1] + x[n,i])",
    "y[n] = max[u](x[n,u-1]**2)": "y[n] = max[u | u >= 1](x[n,u-1]**2)",
    "y[n] = sum[u](x[n,u-1]**2)": "y[n] = sum[u](x[n,u-1]**2)",
}


@pytest.mark.parametrize("text", SAID)
def test_what_is_said(text: str) -> None:
    assert [show(e) for e in legalize(_program(text)).equations] == [SAID[text]]


def _program(text: str) -> Program:
    given = [tensor("x", "N", 4), tensor("w", 3, kind="parameter")]
    sizes = {"v": 1} if "[v]" in text else {"u": 3}
    made = elaborate(text, {t.name: t for t in given if f"{t.name}[" in text}, sizes=sizes)
    return program([*given, *made.tensors], *made.equations)


def test_a_loop_leaves_out_what_lies_before_its_first_step() -> None:
    # Elsewhere such a read is -inf; what a loop computes lies in a frame of zeros.
    reads = [read("h", n, i - 1), read("x", n, i + u)]
    made = equation("h", (n, i), reads, slot(0) + slot(1), over="u", reduce="max", n="N", i=4, u=3)
    legal = legalize(program([tensor("x", "N", 6), tensor("h", "N", 4)], made))
    assert [show(e) for e in legal.equations] == ["h[n,i] = max[u | i >= 1](h[n,i-1] + x[n,i+u])"]


@settings(max_examples=50, deadline=None)
@given(cases())
def test_programs_in_order_stay_as_they_are(case: Case) -> None:
    ordered = in_order(case.program)
    assert all(a is b for a, b in zip(in_order(ordered).equations, ordered.equations, strict=True))
    flat = [e for item in schedule(ordered) for e in getattr(item, "equations", (item,))]
    assert all(a is b for a, b in zip(flat, ordered.equations, strict=True))
