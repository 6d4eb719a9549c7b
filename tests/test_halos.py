"""Frames of zeros that are written at each step: exactly what no copy reaches, and only where that is cheap."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.ir.affine import Affine
from codegen.ir.equation import Equation
from codegen.ir.plan import Alias, Block, Buffer, Copy, Fill, Loop, Plan, Step
from codegen.ir.view import FULL, Op, Slice, Take, View
from codegen.machine.model import MACHINE
from codegen.plan import halos
from codegen.plan.halos import Box

N = Affine.of("N")


Lengths = tuple[Affine, ...]


@st.composite
def covered(draw: st.DrawFn) -> tuple[Lengths, list[Box]]:
    """The lengths of an array, some of them N+1, and boxes in it."""
    lengths = draw(st.lists(st.one_of(st.just(N + 1), st.integers(1, 5).map(Affine.of)), min_size=1, max_size=3))

    def span(length: Affine) -> st.SearchStrategy:
        ends = [Affine(), Affine.of(1), N, N + 1] if length == N + 1 else list(map(Affine.of, range(length.const + 1)))
        pairs = [(low, high) for k, low in enumerate(ends) for high in ends[k + 1 :]]
        return st.one_of(st.none(), st.sampled_from(pairs))

    return tuple(lengths), draw(st.lists(st.tuples(*map(span, lengths)), max_size=4))


@given(covered(), st.integers(1, 3))
def test_the_rest_is_what_no_box_covers(case: tuple[Lengths, list[Box]], size: int) -> None:
    lengths, boxes = case
    count = np.zeros([length.evaluate({"N": size}) for length in lengths], int)

    def part(box: Box) -> tuple[slice, ...]:
        return tuple(slice(None) if s is None else slice(*(a.evaluate({"N": size}) for a in s)) for s in box)

    for box in boxes:
        count[part(box)] = 1
    left = halos.rest(lengths, boxes)
    assert left is not None
    for box in left:
        count[part(box)] += 1
    assert (count == 1).all()


def test_what_depends_on_a_size_is_left_alone() -> None:
    assert halos.rest((N + 9,), [((Affine(), N),), ((Affine.of(4), N + 9),)]) is None


def framed(copy: Step, *more: Step, alias: tuple[Op, ...] | None = None) -> Plan:
    """A frame of 12 x N around 10 x N, written by `copy`; alias: how the tensor z lies in it."""
    setup: list[Buffer | Alias] = [Buffer("x", (Affine.of(10), N)), Buffer("y", (Affine.of(12), N), fill=0.0)]
    setup += [Alias("z", View("y", alias))] if alias is not None else []
    return Plan(setup, [Block(Equation("y", (), 0), (copy, *more))])


def into(name: str, start: int, length: int, step: int = 1) -> View:
    return View(name).then(Take((Slice(Affine.of(start), step, Affine.of(length)), FULL)), axes=())


def fills(plan: Plan) -> list[int]:
    """The rows that are filled, each by itself."""
    takes = [step.out.ops[0] for block in plan.blocks for step in block.steps if isinstance(step, Fill)]
    return [take.items[0].const for take in takes]


def test_a_narrow_frame_is_written_at_each_step() -> None:
    made = halos.filled_halos(framed(Copy(into("y", 1, 10), View("x"))), MACHINE)
    assert [b.fill for b in made.setup if isinstance(b, Buffer)] == [None, None]
    steps = made.blocks[0].steps
    assert [type(step) for step in steps] == [Fill, Fill, Copy]
    assert fills(made) == [0, 11]


def test_an_array_written_whole_needs_no_zeros() -> None:
    made = halos.filled_halos(framed(Copy(into("y", 0, 12), View("x"))), MACHINE)
    assert [b.fill for b in made.setup if isinstance(b, Buffer)] == [None, None]
    assert not fills(made)


def test_a_tensor_that_lies_in_its_frame() -> None:
    """Whatever writes it, in a loop too, stays inside; a shifted view that is only read does not count."""
    written = Loop("t", Affine.of(10), (Copy(View("z").then(Take((Affine.of("t"),)), axes=()), View("x")),))
    plan = framed(written, Copy(View("x"), View("z")), alias=into("y", 1, 10).ops)
    plan.setup.append(Alias("before", into("y", 0, 10)))
    made = halos.filled_halos(plan, MACHINE)
    assert [type(step) for step in made.blocks[0].steps] == [Fill, Fill, Loop, Copy]
    assert fills(made) == [0, 11]


@pytest.mark.parametrize(
    "plan",
    [
        framed(Copy(into("y", 4, 4), View("x"))),
        framed(Copy(into("y", 1, 5, 2), View("x"))),
        framed(Loop("t", Affine.of(1), (Copy(into("y", 1, 10), View("x")),))),
        framed(Copy(View("x"), into("y", 1, 10)), Copy(into("y", 1, 10), View("x"))),
        framed(Copy(into("z", 0, 10), View("x")), alias=(Take((Slice(Affine.of(1), 2, Affine.of(5)), FULL)),)),
    ],
    ids=["a wide frame", "gaps", "a loop", "read before", "a tensor with gaps"],
)
def test_other_frames_keep_their_zeros(plan: Plan) -> None:
    made = halos.filled_halos(plan, MACHINE)
    assert [b.fill for b in made.setup if isinstance(b, Buffer)] == [None, 0.0]
    assert not fills(made)
