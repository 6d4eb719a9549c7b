"""Plans executed in plain NumPy compute what the interpreter says, after each pass; broken passes and plans show."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

import symnet as sn
from building import A, Case, d, equation, i, j, n, program, read, tensor, u, v
from chains import chains
from codegen.ir.equation import Equation, slot
from codegen.ir.plan import (
    Alias,
    Block,
    Buffer,
    Compute,
    Copy,
    Fill,
    Gather,
    Loop,
    MatMul,
    Plan,
    Reduce,
    ScatterAdd,
    Step,
)
from codegen.ir.view import Reshape, Slice, Take, Transpose, View, Windows
from codegen.oracle.arrays import PlanError
from codegen.oracle.execute import execute
from codegen.plan import fuse, halos, reuse, tiling
from corpus import network
from equations import cases
from layer_models import LAYERS
from layer_models import model as model_of
from planned import Lowered, of_case, of_network, of_program, wrong

N = A("N")
CHOSEN = (
    *("conv2d same", "conv2d same dilated", "conv2d groups", "conv2d depthwise", "conv2d everything", "conv2d 1x1"),
    *("conv1d dilated groups", "pool max overlapping stride", "pool max padded", "pool mean holes", "lookup", "masked"),
    *("dense on three axes", "formula causal attention", "formula running sum", "formula maximum", "two inputs"),
    *("activation gelu", "binary cross-entropy of pictures", "shared convolution", "concat rows", "lenet", "inception"),
)
"""Networks of the corpus."""
TARGETS = ("numpy", "numba")


def recurrent(kind: str) -> sn.Model:
    x = sn.Input(("T", 3), name="x")
    h = getattr(sn, kind)(4, name="rnn", bidirectional=kind == "GRU")(x)
    return sn.Model(x, sn.Dense(2, name="out")(h), loss=sn.CrossEntropy(), name=kind.lower())


MODELS: dict[str, Callable[[], sn.Model]] = {
    **{name: lambda name=name: network(name).model for name in CHOSEN},
    **{f"layer {kind}": lambda kind=kind: model_of(kind) for kind in LAYERS},
    **{kind: lambda kind=kind: recurrent(kind) for kind in ("SimpleRNN", "GRU", "LSTM")},
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", MODELS)
def test_the_plans_of_networks(name: str, target: str) -> None:
    for lowered in of_network(MODELS[name](), target):
        assert wrong(lowered) == []


@given(case=st.one_of(cases(), chains()), target=st.sampled_from(TARGETS))
@settings(max_examples=60, deadline=None)
def test_the_plans_of_drawn_equations(case: Case, target: str) -> None:
    assert wrong(of_case(case, target), case.arrays, case.sizes) == []


# Broken passes.


def plain(*equations: Equation, target: str = "numba", **shapes: tuple[int | str, ...]) -> Lowered:
    """A program of these equations; what has no equation is an input, what nobody reads a result."""
    defined, used = {e.target for e in equations}, {r.tensor for e in equations for r in e.reads}
    kinds = {name: "input" if name not in defined else "value" if name in used else "result" for name in shapes}
    made = program([tensor(name, *shape, kind=kinds[name]) for name, shape in shapes.items()], *equations)
    return of_program(made, target)


def mirrored() -> Lowered:
    """A loop over h that reads its own values from the other end."""
    first = equation("h", (n, i), [read("x", n, i)], 2 * slot(0) + 1, n=N, i=4)
    second = equation("y", (n, i), [read("h", n, i), read("h", n, i * -1 + 3)], sympy.tanh(slot(0)) + slot(1), n=N, i=4)
    return plain(first, second, x=("N", 4), h=("N", 4), y=("N", 4))


def needed_later() -> Lowered:
    """A value that a product reads after a kernel has read it."""
    first = equation("h", (n, i), [read("x", n, i)], sympy.tanh(slot(0)), n=N, i=4)
    second = equation("k", (n, i), [read("h", n, i)], sympy.exp(slot(0)), n=N, i=4)
    third = equation("y", (n, j), [read("h", n, i), read("w", i, j)], over="i", n=N, j=4, i=4)
    fourth = equation("z", (n, i), [read("y", n, i), read("k", n, i)], n=N, i=4)
    shapes = {"x": ("N", 4), "w": (4, 4), "h": ("N", 4), "k": ("N", 4), "y": ("N", 4), "z": ("N", 4)}
    return plain(first, second, third, fourth, target="numpy", **shapes)


def lenet() -> Lowered:
    """A picture that is padded, and one that is pooled where it was computed."""
    return of_network(network("lenet").model, "numpy")[0]


def rows(upside_down: bool = False) -> Lowered:
    """A convolution over pictures, and what needs a row of its result, the same or one from the other end."""
    window = [read("w", d, u, v), read("x", i + u, 0, j + v, n)]
    first = equation("h", (i, d, j, n), window, over="uv", n=N, i=16, d=8, j=16, u=2, v=2)
    seen = [read("h", i * -1 + 15 if upside_down else i, d, j, n)]
    second = equation("y", (i, d, j, n), seen, sympy.tanh(slot(0)), n=N, i=16, d=8, j=16)
    return plain(first, second, x=(17, 1, 17, "N"), w=(8, 2, 2), h=(16, 8, 16, "N"), y=(16, 8, 16, "N"))


_real_rest, _real_accesses, _real_cut = halos.rest, reuse.accesses, tiling.cut_view
BROKEN: dict[str, tuple[object, str, Callable[..., object], Callable[[], Lowered]]] = {
    "views that meet share a loop": (fuse, "_are_apart", lambda a, b: True, mirrored),
    "what is read later is not stored": (
        *(fuse, "_stored", lambda step, *_: replace(step, stored=(False,) * len(step.steps))),
        mirrored,
    ),
    "the last part of a halo is not written": (halos, "rest", lambda *a: (_real_rest(*a) or [])[:-1], lenet),
    "a product after it does not count as a reader": (
        *(reuse, "accesses", lambda step: _real_accesses(step) if isinstance(step, Compute) else ()),
        needed_later,
    ),
    "blocks begin a row too late": (
        *(tiling, "cut_view", lambda view, at, start, *more: _real_cut(view, at, start + 1, *more)),
        rows,
    ),
    "steps that use other rows join": (tiling, "fit", lambda *a: True, lambda: rows(True)),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_pass_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, function, broken, made = BROKEN[name]
    lowered = made()
    assert wrong(lowered) == []
    monkeypatch.setattr(module, function, broken)
    assert not holds(lowered)


def holds(lowered: Lowered) -> bool:
    try:
        return not wrong(lowered)
    except PlanError:
        return False


# Plans made by hand.

EMPTY = program([tensor("x", 4), tensor("y", 4, kind="result")], equation("y", (i,), [read("x", i)], i=4))
X, Y = View("x", axes=("i",)), View("y", axes=("i",))
BOX = (("i", A(4)),)


def ran(*steps: Step, setup: Sequence[Buffer | Alias] = ()) -> list[float]:
    """What `y` is after these steps, where `x` is 1, 2, 3, 4."""
    plan = Plan([Buffer("x", (A(4),)), *setup], [Block(EMPTY.equations[0], steps)])
    return execute(plan, EMPTY, {"x": np.arange(1.0, 5.0)})["y"].tolist()


def cut(name: str, start: int, length: int, step: int = 1) -> View:
    return View(name, (Take((Slice(A(start), step, A(length)),)),), ("i",))


@pytest.mark.parametrize(("start", "into"), [(0, 1), (1, 0)])
def test_a_loop_must_not_read_what_it_writes_at_another_point(start: int, into: int) -> None:
    frame = Buffer("f", (A(5),), fill=1.0)
    along = Compute(cut("f", into, 4), slot(0) + 1, (cut("f", start, 4),), BOX)
    with pytest.raises(PlanError, match="what it writes at another point"):
        ran(along, setup=[frame])
    in_place = Compute(cut("f", 1, 4), slot(0) + 1, (cut("f", 1, 4),), BOX)
    other_half = Compute(cut("f", 0, 2, 2), slot(0) + 1, (cut("f", 1, 2, 2),), (("i", A(2)),))
    assert ran(Fill(View("f"), 1.0), in_place, other_half, Copy(Y, cut("f", 0, 4)), setup=[frame]) == [3, 2, 3, 2]


def test_what_nobody_wrote_shows() -> None:
    values = ran(Fill(cut("y", 1, 3), 0.0))
    assert values[1:] == [0, 0, 0]
    assert values[0] not in (0.0, 1.0)


def test_what_an_earlier_run_left_shows() -> None:
    total = Buffer("t", (A(4),), fill=0.0)
    add = Compute(View("t", axes=("i",)), slot(0), (X,), BOX, accumulate=True)
    assert ran(add, Copy(Y, View("t")), setup=[total]) != [1, 2, 3, 4]
    assert ran(Fill(View("t"), 0.0), add, Copy(Y, View("t")), setup=[total]) == [1, 2, 3, 4]


def test_a_product_must_not_overwrite_its_factors() -> None:
    square = Buffer("m", (A(4), A(4)), fill=1.0)
    assert ran(MatMul(View("y"), View("x"), View("m")), setup=[square]) == [10, 10, 10, 10]
    assert ran(MatMul(View("x"), View("x"), View("m")), Copy(Y, X), setup=[square]) != [10, 10, 10, 10]


@pytest.mark.parametrize(
    ("message", "step"),
    [
        ("positions 1 to 4 of an axis of length 4", Copy(Y, cut("x", 1, 4))),
        ("position 4 = 4 of an axis of length 4", Copy(Y, View("x", (Take((A(4),)),)))),
        ("beyond it", Copy(Y, View("x", (Windows((A(4), A(2)), (((0, 1),), ((0, 1),))),)))),
        ("is no view of shape (4,)", Fill(View("m", (Transpose((1, 0)), Reshape(((A(4),),)))), 0.0)),
        ("shape (4,) into shape (2,)", Copy(cut("y", 0, 2), X)),
        ("a value of shape () for one of shape (4,)", Reduce("add", Y, X, (0,))),
        ("2 places against index i below 4", Compute(Y, slot(0), (cut("x", 0, 2),), BOX)),
        ("no array is called z", Copy(Y, View("z"))),
        ("to 1099511627776 of 4", Gather(Y, X, View("k"))),
        ("a position occurs twice", ScatterAdd(Y, View("twice"), X, unique=True)),
        ("an element is written twice", Fill(View("y", (Windows((A(2), A(2)), (((0, 1),), ((0, 1),))),)), 0.0)),
        ("an axis of length 4", Loop("k", A(5), (Fill(View("y", (Take((A("k"),)),)), 0.0),))),
    ],
)
def test_a_plan_that_cannot_be_run_is_refused(message: str, step: Step) -> None:
    with pytest.raises(PlanError, match=re.escape(message)):
        ran(step, setup=[Buffer("k", (A(4),), "int"), Buffer("twice", (A(4),), "int", 1.0), Buffer("m", (A(2), A(2)))])


def test_results_are_those_at_the_end_and_values_those_when_they_were_complete() -> None:
    made = program(
        [tensor("x", 4), tensor("h", 4), tensor("y", 4, kind="result")],
        equation("h", (i,), [read("x", i)], slot(0) + 1, i=4),
        equation("y", (i,), [read("h", i)], slot(0) + 1, i=4),
    )
    more = Compute(View("h", axes=("i",)), slot(0) + 1, (X,), BOX)
    again = Compute(Y, slot(0) + 1, (View("h", axes=("i",)),), BOX)
    blocks = [Block(made.equations[0], (more,)), Block(made.equations[1], (again,))]
    setup = [Buffer("x", (A(4),)), Alias("h", View("x"))]
    arrays = {"x": np.arange(4.0)}
    assert execute(Plan(setup, blocks), made, arrays)["h"].tolist() == [1, 2, 3, 4]
    over = Plan(setup, [*blocks, Block(made.equations[0], (Fill(View("h"), 0.0),))])
    assert execute(over, made, arrays, keep={"h"})["h"].tolist() == [0, 0, 0, 0]


def test_arrays_come_and_go_in_their_original_order() -> None:
    made = program([tensor("x", 2, 3), tensor("y", 2, 3, kind="result")], equation("y", (i, j), [], i=2, j=3))
    plan = Plan([Buffer("x", (A(2), A(3)))], [Block(made.equations[0], (Copy(View("y"), View("x")),))])
    x = np.arange(6.0).reshape(3, 2)
    got = execute(plan, made, {"x": x}, orders={"x": (1, 0), "y": (1, 0)})
    np.testing.assert_array_equal(got["y"], x)
