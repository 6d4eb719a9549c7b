"""Edits of equations reach every place there is, and names are free wherever they are given."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import sympy

from building import A, equation, i, n, plan_of, program, read, tensor, u
from codegen.ir.edit import compact, inserted, joined, map_all_reads, redirected, renamed, without_points
from codegen.ir.equation import Guard, Program, Read, infinite_slot, slot
from codegen.ir.names import LETTERS, by_number, indices
from codegen.ir.plan import Direct, views_of
from codegen.notation import elaborate
from codegen.oracle.interpret import interpret
from codegen.passes.canonical.share import share_equal
from running import load
from symnet.differentiate.reverse import zero_equation

N = A("N")
EVERYWHERE = equation(
    "y",
    (n, Read("to", (Read("to", (i,)),))),
    [read("x", n, Read("to", (i,))), read("w", i)],
    slot(0) * slot(1),
    guards=[Guard(">=", i, ((1, Read("to", (Read("to", (i,)),))),))],
    n=N,
    i=4,
)
"""Reads in the left side, in the body, in a guard, and within each other."""


def test_all_reads_are_changed_the_innermost_first() -> None:
    seen: list[Read] = []

    def change(old: Read) -> Read:
        seen.append(old)
        return replace(old, tensor=f"{old.tensor}_new")

    assert "to'" not in str(map_all_reads(EVERYWHERE, change)).replace("to_new'", "")
    once = Read("to", (i,))
    assert seen == [
        *(once, Read("x", (n, replace(once, tensor="to_new"))), Read("w", (i,))),
        *(once, Read("to", (replace(once, tensor="to_new"),))),
        *(once, Read("to", (replace(once, tensor="to_new"),))),
    ]


def test_tensors_are_read_under_other_names_wherever_they_are_read() -> None:
    changed = redirected(EVERYWHERE, {"to": "t", "w": "v", "y": "z"})
    assert changed.target == "y"
    assert str(changed) == str(EVERYWHERE).replace("'to'", "'t'").replace("'w'", "'v'")


def test_renaming_reaches_sizes_numbers_and_extents_and_may_exchange() -> None:
    body = slot(0) * sympy.Symbol("i", integer=True) / sympy.Symbol("N", integer=True, positive=True)
    made = equation("y", (n,), [read("x", n, i)], body, over="i", guards=[Guard(">=", i - n)], n=N, i=N)
    there = renamed(made, {"i": "n", "n": "i", "N": "M"})
    assert there.box == (("i", A("M")), ("n", A("M")))
    assert (there.at, there.over, there.guards) == ((i,), ("n",), (Guard(">=", n - i),))
    assert str(there.body) == "_0*n/M"
    assert renamed(there, {"i": "n", "n": "i", "M": "N"}) == made


def test_indices_of_one_point_are_0_in_subscripts_guards_and_body() -> None:
    body = slot(0) * (1 + sympy.Symbol("u", integer=True))
    guards = [Guard(">=", n - u, ((1, Read("to", (i + u,))),))]
    made = equation("y", (n, u), [read("x", n, i + u)], body, over="i", guards=guards, n=N, i=1, u=1)
    expected = equation("y", (n, A(0)), [read("x", n, A(0))], guards=[Guard(">=", n, ((1, Read("to", (A(0),))),))], n=N)
    assert without_points(made) == expected
    assert without_points(made, ("i",)).extents == {"n": N, "u": A(1)}


def test_what_is_inserted_is_a_cotangent_where_it_took_the_place_of_one() -> None:
    reader = equation("y", (n, i), [read("x", n, i), read("h", n, i + 1, strong=True)], slot(0) * slot(1), n=N, i=4)
    definition = equation("h", (n, i), [read("x", n, i), read("w", i)], slot(0) + slot(1), n=N, i=6)
    found = compact(inserted(reader, 1, definition))
    assert found.reads == (read("x", n, i), read("x", n, i + 1, strong=True), read("w", i + 1, strong=True))
    assert found.body == slot(0) * (slot(1) + slot(2))


def test_equal_reads_share_a_slot() -> None:
    reads, slots = joined([read("x", n)], [(slot(0), read("w", i)), (slot(1), read("x", n)), (slot(2), read("w", i))])
    assert reads == (read("x", n), read("w", i))
    assert slots == {slot(0): slot(1), slot(1): slot(0), slot(2): slot(1)}


def test_slots_that_may_be_infinite_are_renumbered_as_well() -> None:
    body = sympy.Piecewise((infinite_slot(1), infinite_slot(1) > -sympy.oo), (0, True))
    found = compact(equation("y", (n,), [read("x", n), read("m", n)], body, n=N))
    assert (found.reads, found.body.free_symbols) == ((read("m", n),), {infinite_slot(0)})


def test_there_is_always_one_more_index() -> None:
    many = list(islice(indices(("t", *LETTERS), {"h", "t_2"}), 17))
    assert many[:3] == ["t", "w", "q"]
    assert many[-3:] == ["z", "t_3", "t_4"]
    assert len({*many}) == 17


def test_an_index_by_number_is_not_called_like_a_size() -> None:
    assert by_number(3, {"i1", "N"}) == ("i0", "i2", "i3")


def _convolution(old: str, new: str) -> Program:
    """A convolution of which one index has another name."""
    text = "z[i,p,j,n] = sum[d,u,v](W[p,d,u,v]*x[i+u-1,d,j+v-1,n])"
    given = {"W": tensor("W", 8, 3, 3, 3, kind="parameter"), "x": tensor("x", 6, 3, 7, "N")}
    made = elaborate(text, given, shapes={"z": (6, 8, 7, "N")}).equations[0]
    return program([*given.values(), tensor("z", 6, 8, 7, "N", kind="result")], renamed(made, {old: new}))


@pytest.mark.parametrize("old", "ipjnduv")
def test_an_index_may_be_called_like_one_that_a_recipe_makes(old: str) -> None:
    rng = np.random.default_rng(0)
    arrays = {"W": rng.normal(size=(8, 3, 3, 3)), "x": rng.normal(size=(6, 3, 7, 2))}
    made = _convolution(old, "row")
    by_columns = load(made, ("z",), recipes=("columns",))
    workspace = by_columns.workspace(arrays, {"N": 2})
    by_columns.compute(by_columns.parameters(arrays), workspace)
    np.testing.assert_allclose(by_columns.results(workspace)["z"], interpret(made, arrays, {"N": 2})["z"], rtol=1e-12)
    for word in ("row", "block"):
        plans = [plan_of(_convolution(old, name), recipes=("direct",), compiled=True) for name in (word, "other")]
        steps, others = ([s for block in plan.blocks for s in block.steps] for plan in plans)
        assert any(isinstance(step, Direct) for step in steps)
        same = [(a.base, a.ops) for step in steps for a in views_of(step)]
        assert same == [(a.base, a.ops) for step in others for a in views_of(step)]


def test_a_size_may_be_called_like_an_index_that_a_copy_makes() -> None:
    tensors = [tensor("x", "i0"), tensor("y", "i0", kind="value"), tensor("z", "i0", kind="value")]
    squares = [equation(name, (n,), [read("x", n)], slot(0) ** 2, n="i0") for name in ("y", "z")]
    copied = share_equal(program(tensors, *squares), keep=("z",)).equations[1]
    assert copied == equation("z", ("i1",), [read("y", "i1")], i1="i0")
    assert zero_equation(tensor("W", 2, "i0"), "d_W").extents == {"i1": A(2), "i2": A("i0")}
