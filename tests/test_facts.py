"""Facts of a program: kept with it and with it alone; loops."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from dataclasses import replace

import pytest
import sympy

from building import read, subscripts, tensor
from codegen.analysis.facts import fact
from codegen.analysis.lookups import lookups
from codegen.analysis.loops import loops, reaches
from codegen.analysis.parts import in_parts, parts
from codegen.analysis.readers import readers
from codegen.analysis.softmaxes import exponentials, holders, softmaxes
from codegen.analysis.spatial import spatial
from codegen.analysis.structure import structure
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Guard, Program, Tensor, slot
from codegen.notation import elaborate, show

Shapes = Mapping[str, tuple[int | str, ...]]


def given(shapes: Shapes) -> dict[str, Tensor]:
    """Tensors of these shapes; capital letters are parameters, `k` holds integers."""
    return {
        name: tensor(
            name, *shape, dtype="int" if name == "k" else "float", kind="parameter" if name.isupper() else "input"
        )
        for name, shape in shapes.items()
    }


def made(text: str, given: Mapping[str, Tensor], **shapes: tuple[int | str, ...]) -> Program:
    """The program of a text; shapes: of what it defines."""
    found = elaborate(text, given, shapes=shapes)
    return Program((*given.values(), *found.tensors), found.equations, ("N", "T"))


RNN = """
z[n,t,j] = sum[i](W[j,i]*x[n,t,i])
z[n,t,j] += sum[i](U[j,i]*h[n,t-1,i])
h[n,t,j] = tanh(z[n,t,j])
y[n,j] = h[n,T-1,j]
"""
STATES: Shapes = {"x": ("N", "T", 3), "W": (4, 3), "U": (4, 4)}


def rnn() -> Program:
    return made(RNN, given(STATES), h=("N", "T", 4), z=("N", "T", 4))


def test_a_fact_is_found_once_for_each_program() -> None:
    asked: list[Program] = []

    @fact
    def equations(program: Program) -> int:
        asked.append(program)
        return len(program.equations)

    program = rnn()
    assert [equations(program), equations(program), len(asked)] == [4, 4, 1]
    shorter = program.with_equations(program.equations[:3])
    assert [equations(shorter), len(asked)] == [3, 2]
    for other in (copy.copy(program), copy.deepcopy(program), pickle.loads(pickle.dumps(program)), replace(program)):  # noqa: S301
        assert other == program and "facts" not in vars(other)
    assert loops(program) is loops(program)


def test_a_loop_over_earlier_steps() -> None:
    program = rnn()
    (loop,) = loops(program)
    assert [e.target for e in loop.equations] == ["z", "h"] and loop.axes == {"z": 1, "h": 1}
    product, state = loop.equations
    assert (loop.index(product), loop.backward) == ("t", False)
    assert loop.distance(product.reads[1], product) == -1 and loop.distance(state.reads[0], state) == 0
    assert reaches(program, loop.axes) == {"h": (1, 0)}


def test_a_loop_over_later_steps() -> None:
    program = made("h[n,t] = x[n,t]*h[n,t+2]", given({"x": ("N", "T")}), h=("N", "T"))
    (loop,) = loops(program)
    (equation,) = loop.equations
    assert loop.backward and loop.distance(equation.reads[1], equation) == 2
    assert reaches(program, loop.axes) == {"h": (0, 2)}


def test_the_equations_of_one_step() -> None:
    (loop,) = loops(rnn())
    names = {("h", -1): "h.before", ("h", 0): "h.now", ("z", 0): "z.now"}
    steps = [loop.at_step(e, lambda tensor, axis, away: names.get((tensor, away.const))) for e in loop.equations]
    assert list(map(show, steps)) == [
        "z.now[n,j] += sum[i](U[j,i]*h.before[n,i])",
        "h.now[n,j] = tanh(z.now[n,j])",
    ]
    assert all("t" not in e.extents for e in steps)


def test_what_is_read_within_guards_and_subscripts_is_read_at_the_step() -> None:
    tensors = given({"E": (9, 3), "k": ("N", "T"), "W": (3,)})
    program = made("h[n,t] = sum[i | k[n,t] >= t](W[i]*E[k[n,t],i]*h[n,t-1])", tensors, h=("N", "T"))
    (loop,) = loops(program)
    step = loop.at_step(loop.equations[0], lambda tensor, axis, away: f"{tensor}.{away}")
    assert show(step) == "h.0[n] = sum[i | t <= k.0[n]](W[i]*E[k.0[n],i]*h.-1[n])"


def test_what_no_slice_of_a_step_is_stays_as_it_is() -> None:
    program = made("h[n,t] = h[n,t-1]*p[t,t]*x[n,t]", given({"p": ("T", "T"), "x": ("N", "T")}), h=("N", "T"))
    (loop,) = loops(program)
    step = loop.at_step(loop.equations[0], lambda tensor, axis, away: f"{tensor}.now")
    assert {r.tensor: len(r.at) for r in step.reads} == {"h.now": 1, "p": 2, "x.now": 1}


def test_what_the_values_of_an_integer_tensor_select() -> None:
    tokens = given({"E": (9, 4), "F": (7, 4), "k": ("N", "T")})
    program = made("y[n,t,c] = E[k[n,t],c] + F[k[n,t],c]; z[n,k[n,0]] = 1", tokens, y=("N", "T", 4), z=("N", 5))
    assert {name: [size.const for size in sizes] for name, sizes in lookups(program).items()} == {"k": [9, 7, 5]}
    assert not lookups(rnn())


IMAGE: Shapes = {"x": ("N", 3, 6, 6), "W": (4, 3, 3, 3), "V": (3, 3, 3), "M": (4, 36)}
MAPS: Shapes = {"z": ("N", 4, 6, 6), "a": ("N", 4, 6, 6)}


def test_axes_along_which_windows_move_are_passed_on() -> None:
    text = "z[n,p,i,j] = sum[d,u,v](W[p,d,u,v]*x[n,d,i+u-1,j+v-1]); a[n,p,i,j] = max(z[n,p,i,j], 0)"
    found = spatial(made(text, given(IMAGE), **MAPS))
    assert {name: {k for n, k in found if n == name} for name in "xWza"} == {name: {2, 3} for name in "xWza"}


def test_maps_of_their_own_are_images_of_their_own() -> None:
    found = spatial(made("z[n,g,i,j] = sum[u,v](V[g,u,v]*x[n,g,i+u-1,j+v-1])", given(IMAGE), z=("N", 3, 6, 6)))
    assert {k for name, k in found if name == "x"} == {1, 2, 3}


def test_digits_are_no_window() -> None:
    assert not spatial(made("z[n,p] = sum[i,j](M[p,(i,j)]*x[n,0,i,j])", given(IMAGE), z=("N", 4)))


def test_who_reads_a_tensor() -> None:
    program = made("y[n,t] = E[k[n,t]]*x[n,t]; z[n] = sum[t](x[n,t])", given({"E": (9,), "k": ("N", 5), "x": ("N", 5)}))
    assert {name: [e.target for e in found] for name, found in readers(program).items()} == {
        "E": ["y"],
        "k": ["y"],
        "x": ["y", "z"],
        "y": [],
        "z": [],
    }


def test_parts_of_a_tensor() -> None:
    text = "z[n,0,k] = x[n,k]; z[n,1,k] += 2*x[n,k]; h[n,k] = z[n,0,k]*z[n,1,k]"
    program = made(text, given({"x": ("N", 4)}), z=("N", 2, 4), h=("N", 4))
    assert parts(program) == {"z": 1} and in_parts(program) == {"z"}
    assert [structure(e, program.table).part for e in program.equations] == [(1, 0), (1, 1), None]


@pytest.mark.parametrize("text", ["z[n,0,k] = x[n,k]; z[n,0,k] += x[n,k]", "z[n,0,k] = x[n,k]; z[n,j,k] += x[n,k]"])
def test_parts_that_meet(text: str) -> None:
    assert not in_parts(made(text, given({"x": ("N", 4)}), z=("N", 2, 4)))


def attention() -> Program:
    box = (("n", Affine.of("N")), ("t", Affine.of(5)), ("s", Affine.of(5)))
    guard = (Guard(">=", Affine.of("t") - "s"),)
    scores, total = read("e", "n", "t", "s"), read("lse", "n", "t")
    share = sympy.exp(slot(0) - slot(1))
    lse = Equation("lse", subscripts("n", "t"), slot(0), (scores,), box, ("s",), "logsumexp", guard)
    equations = (
        lse,
        Equation("a", subscripts("n", "t", "s"), share, (scores, total), box, guards=guard),
        Equation("b", subscripts("n", "t", "s"), share, (scores, total), box),
        Equation("y", subscripts("n", "t"), share * slot(2), (scores, total, read("v", "n", "s")), box, ("s",)),
        Equation("w", subscripts("n", "t", "s"), share, (scores, read("lse", "n", "s")), box),
    )
    wide = {"e": ("N", 5, 5), "lse": ("N", 5), "a": ("N", 5, 5), "b": ("N", 5, 5), "y": ("N", 5), "w": ("N", 5, 5)}
    return Program((*given({"v": ("N", 5)}).values(), *given(wide).values()), equations)


def test_softmaxes_and_who_reads_them() -> None:
    program = attention()
    (softmax,) = softmaxes(program).values()
    assert softmax.total is program.equations[0] and softmax.scores.tensor == "e" and softmax.indices == ("n", "t", "s")
    reading = [e.target for e in program.equations if exponentials(e, softmax)]
    assert reading == ["a", "b", "y"]  # `w` has the total of another row
    assert [r.tensor for r in holders(softmax, program)] == ["a"]  # `b` is no 0 where the guard fails


def test_what_is_no_total_of_a_softmax() -> None:
    program = attention()
    total = program.equations[0]
    for other in (
        total.with_(body=2 * slot(0)),
        total.with_(reduce="max"),
        total.with_(reads=(read("e", "n", "t", "t"),)),
        total.with_(accumulate=True),
    ):
        assert not softmaxes(program.with_equations((other, *program.equations[1:])))
    assert not softmaxes(program.with_equations((total, total.with_(accumulate=True))))
