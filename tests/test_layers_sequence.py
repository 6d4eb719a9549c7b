"""Recurrent layers: forward and every gradient against PyTorch in float64, and the mistakes of a user."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

import symnet as sn
from codegen.oracle.interpret import interpret
from sequences import Sequence, interpreted, twin

KINDS = ("SimpleRNN", "GRU", "LSTM")
CASES = [
    *(Sequence(kind) for kind in KINDS),
    *(Sequence(kind, return_sequences=False, initial=True) for kind in KINDS),
    *(Sequence(kind, bidirectional=True, initial=True) for kind in KINDS),
    *(Sequence(kind, bidirectional=True, return_sequences=False, masked=True) for kind in KINDS),
    *(Sequence(kind, bidirectional=True, masked=True, initial=True) for kind in KINDS),
    *(Sequence(kind, returned="h_n", initial=True, masked=True) for kind in KINDS),
    Sequence("LSTM", returned="c_n", initial=True),
    Sequence("LSTM", returned="c_n_reverse", bidirectional=True, masked=True),
    Sequence("GRU", returned="h_n_reverse", bidirectional=True),
    Sequence("SimpleRNN", options={"activation": "relu"}, use_bias=False),
    Sequence("LSTM", use_bias=False),
    Sequence("GRU", use_bias=False),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_pytorch(case: Sequence) -> None:
    model = case.model()
    arrays = case.arrays(model)
    loss, values, grads = interpreted(model, arrays)
    expected_loss, expected, expected_grads = twin(case, arrays)
    np.testing.assert_allclose(values[model.output.name], expected, rtol=0, atol=1e-12)
    assert abs(loss - expected_loss) < 1e-12
    assert grads.keys() == expected_grads.keys()
    for name, grad in grads.items():
        np.testing.assert_allclose(grad, expected_grads[name], rtol=0, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_compiled_agrees_with_pytorch(case: Sequence) -> None:
    model = case.model()
    arrays = case.arrays(model)
    module = sn.compile(model, dtype="float64").module
    params = {p.name: arrays[p.name] for p in model.parameters}
    x = {t.name: arrays[t.name] for t in model.inputs} if len(model.inputs) > 1 else arrays["x"]
    loss, grads = module.loss_and_grads(params, x, arrays["target"])
    expected_loss, expected, expected_grads = twin(case, arrays)
    np.testing.assert_allclose(module.forward(params, x), expected, rtol=0, atol=1e-12)
    assert abs(loss - expected_loss) < 1e-12
    for name, grad in grads.items():
        np.testing.assert_allclose(grad, expected_grads[name], rtol=0, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_one_step_is_the_first_of_several(kind: str) -> None:
    def module(steps: int) -> ModuleType:
        x = sn.Input((steps, 3), name="x")
        layer = getattr(sn, kind)(2, bidirectional=True)
        return sn.compile(sn.Model(x, layer(x), loss=sn.SquaredError()), dtype="float64").module

    one, several = module(1), module(3)
    params, x = one.init_params(0), np.random.default_rng(0).normal(size=(2, 3, 3))
    first, many = one.forward(params, x[:, :1]), several.forward(params, x)
    np.testing.assert_allclose(first[..., :2], many[:, :1, :2], atol=1e-15)
    np.testing.assert_allclose(one.forward(params, x[:, 2:])[..., 2:], many[:, 2:, 2:], atol=1e-15)
    _, grads = one.loss_and_grads(params, x[:, :1], first + 1)
    assert not grads[f"{kind.lower()}_1.weight_hh"].any()
    assert grads[f"{kind.lower()}_1.weight_ih"].any()


def test_names_and_shapes_are_those_of_pytorch() -> None:
    x = sn.Input(("T", 3), name="x")
    model = sn.Model(x, sn.LSTM(4, bidirectional=True)(sn.GRU(5)(x)))
    assert {p.name: tuple(e.const for e in p.tensor.shape) for p in model.parameters} == {
        "gru_1.weight_ih": (15, 3),
        "gru_1.weight_hh": (15, 5),
        "gru_1.bias_ih": (15,),
        "gru_1.bias_hh": (15,),
        **{f"lstm_1.{name}{s}": shape for s in ("", "_reverse") for name, shape in LSTM_SHAPES.items()},
    }
    assert [p.name for p in model.parameters if p.regularize] == [
        p.name for p in model.parameters if ".weight" in p.name
    ]
    assert [str(e) for e in model.output.shape] == ["N", "T", "8"]


LSTM_SHAPES = {"weight_ih": (16, 5), "weight_hh": (16, 4), "bias_ih": (16,), "bias_hh": (16,)}


def test_states_are_handed_from_one_call_to_the_next() -> None:
    x, h, c = sn.Input((4, 2), name="x"), sn.Input(3, name="h"), sn.Input(3, name="c")
    layer = sn.LSTM(3, return_state=True)
    y, h_n, c_n = layer(x, h, c)
    assert (y.shape, h_n.shape, c_n.shape) == (("N", 4, 3), ("N", 3), ("N", 3))
    model = sn.Model([x, h, c], [y, h_n, c_n])
    assert [t.name for t in model.outputs] == ["lstm_1", "lstm_1.h_n", "lstm_1.c_n"]
    rng = np.random.default_rng(0)
    arrays = {
        t.name: rng.normal(size=[e.evaluate({"N": 2}) for e in t.shape])
        for t in model.program.tensors
        if t.kind in ("input", "parameter")
    }
    whole = interpret(model.program, arrays)
    # The same in two halves, the state of the first handed to the second.
    half = sn.Input((2, 2), name="x")
    y, h_n, c_n = sn.LSTM(3, return_state=True)(half, h_0=h, c_0=c)
    short = sn.Model([half, h, c], [y, h_n, c_n]).program
    first = interpret(short, {**arrays, "x": arrays["x"][:, :2]})
    again = {**arrays, "x": arrays["x"][:, 2:], "h": first["lstm_1.h_n"], "c": first["lstm_1.c_n"]}
    second = interpret(short, again)
    np.testing.assert_allclose(second["lstm_1.h_n"], whole["lstm_1.h_n"], atol=1e-14)
    np.testing.assert_allclose(second["lstm_1"], whole["lstm_1"][:, 2:], atol=1e-14)


X = sn.Input(("T", 3), name="x")
MASK = sn.Input("T", name="mask", dtype="bool")

MISTAKES = {
    "mask of another length": (
        lambda: sn.LSTM(4)(X, mask=sn.Input(5, name="m", dtype="bool")),
        sn.ShapeError,
        r"LSTM 'lstm': expected mask of the shape \(N, T\), got \(N, 5\)",
    ),
    "mask of floats": (lambda: sn.GRU(4)(X, mask=sn.Input("T", name="m")), sn.ShapeError, "mask of dtype bool"),
    "state of another size": (
        lambda: sn.GRU(4)(X, h_0=sn.Input(3, name="h")),
        sn.ShapeError,
        r"expected h_0 of the shape \(N, 4\), got \(N, 3\)",
    ),
    "state that there is not": (
        lambda: sn.GRU(4)(X, c_0=sn.Input(4, name="h")),
        sn.DefinitionError,
        "no input 'c_0'; did you mean 'h_0'",
    ),
    "given twice": (
        lambda: sn.GRU(4)(X, sn.Input(4, name="h"), h_0=sn.Input(4, name="g")),
        sn.DefinitionError,
        "'h_0' is given twice",
    ),
    "no input": (lambda: sn.GRU(4)(mask=MASK), sn.DefinitionError, "'x' is missing"),
    "picture": (lambda: sn.SimpleRNN(4)(sn.Input((3, 4, 5), name="p")), sn.ShapeError, "3 axes"),
    "vector": (lambda: sn.SimpleRNN(4)(sn.Input(3, name="v")), sn.ShapeError, r"\(N, time, features\), got \(N, 3\)"),
    "no units": (lambda: sn.LSTM(0), sn.DefinitionError, r"LSTM\(units=\)"),
    "no flag": (lambda: sn.LSTM(4, bidirectional="yes"), sn.DefinitionError, "True or False"),
    "activation": (lambda: sn.SimpleRNN(4, activation="tahn"), sn.DefinitionError, "did you mean 'tanh'"),
    "future and past": (
        lambda: sn.Formula("h[n,t,k] = tanh(x[n,t,k] + h[n,t-1,k]/2 + h[n,t+1,k]/2)")(X),
        sn.FormulaError,
        r"Formula 'formula': these equations read each other in a cycle that no loop can run",
    ),
    "future and past through another": (
        lambda: sn.Formula(
            "z[n,t,k] = x[n,t,k] + h[n,t-1,k]\nh[n,t,k] = tanh(z[n,t,k]) + z[n,t+1,k]\ny[n,t,k] = h[n,t,k]"
        )(X),
        sn.FormulaError,
        "two directions need two recurrences",
    ),
    "itself at the same step": (
        lambda: sn.Formula("h[n,t,k] = tanh(x[n,t,k] + h[n,t,k])")(X),
        sn.FormulaError,
        r"expected every read of the cycle to be at the same step or earlier",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str) -> None:
    act, error, message = MISTAKES[name]
    with pytest.raises(error, match=message):
        act()


def test_a_recurrence_by_formula() -> None:
    model = sn.Model(X, sn.Formula("h[n,t,k] = x[n,t,k] + h[n,t-1,k]*h[n,t-2,k]")(X))
    x = np.random.default_rng(0).normal(size=(2, 5, 3))
    h = np.zeros((2, 7, 3))
    for t in range(5):
        h[:, t + 2] = x[:, t] + h[:, t + 1] * h[:, t]
    np.testing.assert_allclose(interpret(model.program, {"x": x})[model.output.name], h[:, 2:], atol=1e-12)
