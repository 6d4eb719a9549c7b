"""What compiling takes grows with the model as the model does: counted in instructions, never in seconds."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import symnet as sn
from building import A, equation, program, read, tensor
from codegen.ir.equation import Program
from effort import growth, instructions

LINEAR = 2.04
"""By how much more a doubling may add than the one before: 2, and what small sizes leave out."""


def compiled(model: sn.Model) -> Callable[[], object]:
    """The call that compiles a model, its gradients by the inputs included."""
    return lambda: sn.compile(model, target="numpy", wrt_inputs=True).source


def layers(count: int) -> Callable[[], object]:
    """Compiling a chain of dense layers, each with an activation."""
    y = x = sn.Input((4,), name="x")
    for _ in range(count):
        y = sn.Dense(4, activation="tanh")(y)
    return compiled(sn.Model(x, y, loss=sn.SquaredError(), name="m"))


def test_layers() -> None:
    layers(4)()
    assert growth(layers, (4, 8, 16)) < LINEAR


def asking(ask: Callable[[Program, str], object]) -> Callable[[int], Callable[[], object]]:
    """Asking for the definitions of each tensor of a chain."""

    def made(count: int) -> Callable[[], object]:
        chain = [equation(f"h{k + 1}", ("n",), [read(f"h{k}", "n")], n=A("N")) for k in range(count)]
        whole = program([tensor(f"h{k}", A("N")) for k in range(count + 1)], *chain)
        return lambda: [ask(whole, e.target) for e in whole.equations]

    return made


def test_definitions_are_looked_up() -> None:
    def scanned(whole: Program, name: str) -> object:
        return tuple(e for e in whole.equations if e.target == name)

    assert growth(asking(Program.defining), (20, 40, 80)) < LINEAR
    assert instructions(lambda: scanned(program([]), "h")) == 0, "only the two packages are counted"


def declaring(text: Callable[[int], str]) -> Callable[[int], Callable[[], object]]:
    """Reading a formula of so many lines; its text may be as long as it likes."""

    def made(count: int) -> Callable[[], object]:
        lines = text(count)
        return lambda: sn.Formula(lines, name="f")(sn.Input((9,), name="x"))

    return made


def chained(count: int) -> str:
    return "\n".join(["q0[n,i] = x[n,i]", *(f"q{k}[n,i] = sin(q{k - 1}[n,i])" for k in range(1, count))])


def starred(count: int) -> str:
    lines = [f"q{k}[n,i] = sin({k}*x[n,i])" for k in range(count)]
    return "\n".join([*lines, "y[n,i] = q0[n,i]", *(f"y[n,i] += q{k}[n,i]" for k in range(1, count))])


def windowed(count: int) -> str:
    lines = [f"q{k}[n,i] = sin(x[n,i+{k % 3}])" for k in range(count)]
    return "\n".join([*lines, "y[n] = sum[i](q0[n,i])", *(f"y[n] += sum[i](q{k}[n,i])" for k in range(1, count))])


@pytest.mark.parametrize("text", [chained, starred, windowed])
def test_lines_of_a_formula(text: Callable[[int], str]) -> None:
    declaring(text)(8)()
    assert growth(declaring(text), (16, 32, 64)) < LINEAR
