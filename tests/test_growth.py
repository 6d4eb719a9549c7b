"""What compiling takes grows with the model as the model does: counted in instructions, never in seconds."""

from __future__ import annotations

from collections.abc import Callable

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
