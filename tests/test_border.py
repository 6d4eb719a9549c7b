"""What codegen refuses is symnet's error at symnet's border, and names the layer or the model; codegen stays alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import codegen.ir.errors
import symnet as sn
from codegen.ir.affine import Affine
from codegen.ir.equation import Program, Tensor
from codegen.notation import elaborate
from symnet.differentiate.forward import jvp
from symnet.differentiate.reverse import gradient
from symnet.explain.audit import audit
from symnet.explain.report import report
from symnet.support.errors import border, located


def symbolic(reduction: str) -> sn.Model:
    """A network whose reduction has a derivative only for a fixed second extent."""
    x = sn.Input(("T", "S"), name="x")
    layer = sn.Formula(f"y[n] = {reduction}[t,s](w[]*x[n,t,s])", params={"w": ""}, name="two")
    return sn.Model(x, layer(x), loss=sn.SquaredError(), name="whole")


ENTRIES: dict[str, Callable[[sn.Model], object]] = {
    "compile": sn.compile,
    "inputs": lambda model: sn.compile(model, wrt_inputs=True),
    "second order": lambda model: sn.compile(model, hvp=True),
    "weights": lambda model: sn.compile(model, weighted=True),
    "interpret": lambda model: sn.interpret(
        model, {"x": np.ones((2, 3, 4)), "two.w": np.ones(()), "target": np.zeros(2)}
    ),
}


@pytest.mark.parametrize("reduction", ["max", "prod"])
@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
def test_a_derivative_that_codegen_refuses_names_the_layer(entry: Callable[[sn.Model], object], reduction: str) -> None:
    with pytest.raises(sn.FormulaError, match=r"layer 'two': .*row by row") as found:
        entry(symbolic(reduction))
    assert isinstance(found.value, sn.SymnetError)
    assert isinstance(found.value.__cause__, codegen.ir.errors.FormulaError)


def test_programs_of_ones_own_in_both_modes() -> None:
    x = Tensor("x", tuple(map(Affine.of, ("N", "T", "S"))), "float", "input")
    done = elaborate("y[n] = max[t,s](x[n,t,s])\nloss[] = sum[n](y[n])", {"x": x})
    program = Program((x, *done.tensors), done.equations, ("N", "T", "S"))
    for differentiate in (gradient, jvp):
        with pytest.raises(sn.FormulaError, match="the equation of 'y'"):
            differentiate(program, ["x"])


def test_the_notation_alone_raises_errors_of_its_own() -> None:
    with pytest.raises(codegen.ir.errors.FormulaError):
        elaborate("y[n] = z[n]", {})
    with pytest.raises(sn.FormulaError, match="Formula 'f'"):
        sn.Formula("y[n] = x[n,0]*z", name="f")(sn.Input((2,), name="x"))


@pytest.mark.parametrize(
    ("raised", "wanted"),
    [
        (codegen.ir.errors.FormulaError, sn.FormulaError),
        (codegen.ir.errors.ShapeError, sn.ShapeError),
        (codegen.ir.errors.CodegenError, sn.DefinitionError),
    ],
)
def test_each_error_has_its_counterpart(raised: type[Exception], wanted: type[Exception]) -> None:
    with pytest.raises(wanted, match="here: why"), located("here"):
        raise raised("why")


def test_entries_of_a_model_are_guarded() -> None:
    class Named:
        name = "net"

    @border
    def entry(model: object) -> None:
        raise codegen.ir.errors.ShapeError("too small")

    with pytest.raises(sn.ShapeError, match="Model 'net': too small"):
        entry(Named())
    for function in (sn.compile, sn.Network.latex, sn.Network.summary, sn.Network.memory, audit, report):
        assert hasattr(function, "__wrapped__"), function
