"""Forward mode against central differences, the adjoint rule and PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import symnet as sn
from building import Case, with_loss
from codegen.ir.equation import Program
from codegen.oracle.check import check
from codegen.oracle.interpret import interpret
from equations import cases
from symnet.differentiate.forward import hvp, jvp, tangent_name
from symnet.differentiate.reverse import cotangent_name, gradient
from symnet.support.errors import FormulaError

STEP = 1e-6


def varied(case: Case) -> list[str]:
    """The float tensors that are given, but for the weights of the loss."""
    given_ = [t.name for t in case.program.tensors if t.kind in ("input", "parameter") and t.dtype == "float"]
    return [name for name in given_ if name != "weights"]


def directions(case: Case, names: list[str]) -> dict[str, np.ndarray]:
    """A random direction for each tensor, by name of the tensor."""
    rng = np.random.default_rng(3)
    return {name: rng.normal(size=np.shape(case.arrays[name])) for name in names}


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases(differentiable=True).map(with_loss))
def test_tangents_agree_with_central_differences_and_are_dual_to_cotangents(case: Case) -> None:
    names = varied(case)
    along = directions(case, names)
    forward = jvp(case.program, names)
    check(forward)
    given_ = {**case.arrays, **{tangent_name(n): d for n, d in along.items()}}
    values = interpret(forward, given_, case.sizes)
    sides = [
        interpret(
            case.program, {**case.arrays, **{n: case.arrays[n] + s * STEP * d for n, d in along.items()}}, case.sizes
        )
        for s in (1, -1)
    ]
    for name in (case.result, "loss"):
        got, expected = values[tangent_name(name)], (sides[0][name] - sides[1][name]) / (2 * STEP)
        scale = max(np.abs(got).max(initial=0.0), np.abs(expected).max(initial=0.0), 1e-3)
        assert np.abs(got - expected).max(initial=0.0) / scale < 1e-6, name
    adjoint = interpret(gradient(case.program, names), case.arrays, case.sizes)
    product = sum(float((adjoint[cotangent_name(n)] * d).sum()) for n, d in along.items())
    assert product == pytest.approx(float(values[tangent_name("loss")]), rel=1e-10, abs=1e-12)


def smooth() -> sn.Model:
    """A small network with a kink, a maximum, a softmax and shared structure."""
    image = sn.Input((1, 4, 4), name="image")
    h = sn.Conv2D(2, 3, padding=1, activation="tanh")(image)
    h = sn.Flatten()(sn.MaxPool2D(2)(h))
    return sn.Model(image, sn.Dense(3)(sn.Dense(4, activation="silu")(h)), loss=sn.CrossEntropy(), l2=0.1)


def drawn(program: Program, seed: int = 0) -> dict[str, np.ndarray]:
    """Random arrays for a program whose batch has two samples and three classes."""
    rng, arrays = np.random.default_rng(seed), {}
    for t in program.tensors:
        if t.kind in ("input", "parameter"):
            shape = tuple(extent.evaluate({"N": 2}) for extent in t.shape)
            arrays[t.name] = rng.normal(size=shape) if t.dtype == "float" else rng.integers(0, 3, shape)
    return arrays


def test_hessian_vector_products_agree_with_differences_of_gradients() -> None:
    model = smooth()
    names = [p.name for p in model.parameters]
    second = hvp(model.program, names)
    check(second)
    arrays = drawn(second)
    values = interpret(second, arrays)
    first = gradient(model.program, names)
    moved = [
        interpret(first, {**arrays, **{n: arrays[n] + s * 1e-5 * arrays[tangent_name(n)] for n in names}})
        for s in (1, -1)
    ]
    for name in names:
        bar = cotangent_name(name)
        expected = (moved[0][bar] - moved[1][bar]) / 2e-5
        got = values[tangent_name(bar)]
        assert np.abs(got - expected).max() < 1e-7 * max(1.0, np.abs(expected).max()), name
        assert second.table[tangent_name(bar)].kind == "result"


def test_hessian_vector_products_agree_with_pytorch() -> None:
    torch = pytest.importorskip("torch")
    x = sn.Input((4,), name="x")
    model = sn.Model(x, sn.Dense(3)(sn.Dense(5, activation="gelu")(x)), loss=sn.CrossEntropy())
    names = [p.name for p in model.parameters]
    second = hvp(model.program, names)
    arrays = drawn(second, seed=4)
    values = interpret(second, arrays)
    image, target = torch.tensor(arrays["x"]), torch.tensor(arrays["target"])

    def loss(w1: object, b1: object, w2: object, b2: object) -> object:
        hidden = torch.nn.functional.gelu(image @ w1.T + b1)
        return torch.nn.functional.cross_entropy(hidden @ w2.T + b2, target)

    primal = tuple(torch.tensor(arrays[n]) for n in names)
    along = tuple(torch.tensor(arrays[tangent_name(n)]) for n in names)
    _, products = torch.autograd.functional.hvp(loss, primal, along)
    _, tangent = torch.autograd.functional.jvp(loss, primal, along)
    assert float(values["t_loss"]) == pytest.approx(float(tangent), rel=1e-10)
    for name, product in zip(names, products, strict=True):
        np.testing.assert_allclose(values[f"t_d_{name}"], product.numpy(), rtol=1e-9, atol=1e-12)


def test_a_value_may_be_varied_by_itself() -> None:
    model = smooth()
    program = jvp(model.program, [model.output.name])
    assert program.table["t_dense_2"].kind == "input"
    values = interpret(program, drawn(program))
    logits, label, along = values["dense_2"], values["target"], values["t_dense_2"]
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    p[range(2), label] -= 1
    assert float(values["t_loss"]) == pytest.approx(float((p * along).sum() / 2))


def test_a_result_that_does_not_depend_has_the_tangent_zero() -> None:
    flat = sn.Model(x := sn.Input((2,), name="x"), sn.Dense(1)(x), loss=sn.MeanSquaredError())
    second = hvp(flat.program, ["dense_1.bias"])
    values = interpret(second, drawn(second))
    np.testing.assert_allclose(values["t_d_dense_1.bias"], 2 * values["t_dense_1.bias"])
    parted = gradient(flat.program, ["dense_1.bias", "dense_1.weight"])
    apart = jvp(parted.with_equations(e for e in parted.equations if e.target != "d_dense_1.bias"), ["target"])
    assert {e.target for e in apart.equations} >= {"t_loss", "t_d_dense_1.weight"}


@pytest.mark.parametrize(("name", "word"), [("dense_1.wieght", "dense_1.weight"), ("target", "int tensor")])
def test_wrong_names_are_refused(name: str, word: str) -> None:
    with pytest.raises(FormulaError, match=word):
        jvp(smooth().program, [name])
