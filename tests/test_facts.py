"""Facts of a program: kept with it and with it alone; loops."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from dataclasses import replace

from building import tensor
from codegen.analysis.facts import fact
from codegen.analysis.lookups import lookups
from codegen.analysis.loops import loops, reaches
from codegen.equation import Program, Tensor
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
    steps = [loop.at_step(e, lambda tensor, axis, distance: names.get((tensor, distance))) for e in loop.equations]
    assert list(map(show, steps)) == [
        "z.now[n,j] += sum[i](U[j,i]*h.before[n,i])",
        "h.now[n,j] = tanh(z.now[n,j])",
    ]
    assert all("t" not in e.extents for e in steps)


def test_what_no_slice_of_a_step_is_stays_as_it_is() -> None:
    program = made("h[n,t] = h[n,t-1]*p[t,t]*x[n,t]", given({"p": ("T", "T"), "x": ("N", "T")}), h=("N", "T"))
    (loop,) = loops(program)
    step = loop.at_step(loop.equations[0], lambda tensor, axis, distance: f"{tensor}.now")
    assert {r.tensor: len(r.at) for r in step.reads} == {"h.now": 1, "p": 2, "x.now": 1}


def test_what_the_values_of_an_integer_tensor_select() -> None:
    tokens = given({"E": (9, 4), "F": (7, 4), "k": ("N", "T")})
    program = made("y[n,t,c] = E[k[n,t],c] + F[k[n,t],c]; z[n,k[n,0]] = 1", tokens, y=("N", "T", 4), z=("N", 5))
    assert {name: [size.const for size in sizes] for name, sizes in lookups(program).items()} == {"k": [9, 7, 5]}
    assert not lookups(rnn())
