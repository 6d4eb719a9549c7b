"""Hessian-vector and Jacobian-vector products of generated modules: against PyTorch, differences and themselves."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import symnet as sn
import torch_twin
from batch import Network, parameters, with_data
from corpus import TARGETS, network
from layer_models import LAYERS, model
from sequences import STEPS, Sequence
from torch_or_skip import torch

TOLERANCE = 1e-9
Arrays = dict[str, np.ndarray]


def error(found: np.ndarray, expected: np.ndarray) -> float:
    assert np.shape(found) == np.shape(expected)
    return float(np.abs(found - expected).max(initial=0.0) / max(np.abs(expected).max(initial=0.0), 1e-3))


def compiled(net: sn.Model, target: str = "auto", dtype: str = "float64") -> ModuleType:
    return sn.compile(net, dtype=dtype, target=target, hvp=True).module


def direction(module: ModuleType, seed: int = 5) -> Arrays:
    """A random direction for every trainable parameter."""
    rng = np.random.default_rng(seed)
    return {n: rng.normal(size=s) for n, s in module.PARAMETERS.items() if n not in module.FROZEN}


def inner(left: Arrays, right: Arrays) -> float:
    return sum(float(np.vdot(left[name], right[name])) for name in left)


def moved(params: Arrays, v: Arrays, by: float) -> Arrays:
    return params | {name: params[name] + by * v[name] for name in v}


def agree_with_differences(module: ModuleType, params: Arrays, x: Any, y: Any, step: float = 1e-5) -> None:
    """hvp and jvp are what gradient and output change by; the Hessian is symmetric."""
    u, v = direction(module, 6), direction(module)
    products = module.hvp(params, x, y, v)
    assert list(products) == list(v)
    up, down = (module.loss_and_grads(moved(params, v, s * step), x, y)[1] for s in (1, -1))
    scale = max(1e-2, *(float(np.abs(a).max()) for a in products.values()))
    for name, product in products.items():
        assert np.abs(product - (up[name] - down[name]) / (2 * step)).max() < 1e-6 * scale, name
    left, right = inner(u, products), inner(v, module.hvp(params, x, y, u))
    assert left == pytest.approx(right, rel=1e-9, abs=1e-10)
    output, tangent = module.jvp(params, x, v)
    np.testing.assert_allclose(output, module.forward(params, x), rtol=1e-13, atol=1e-13)
    up, down = (module.forward(moved(params, v, s * step), x) for s in (1, -1))
    assert np.abs(tangent - (up - down) / (2 * step)).max() < 1e-6 * max(1.0, float(np.abs(tangent).max()))


def torch_products(
    loss: Callable[[dict[str, torch.Tensor]], tuple[torch.Tensor, torch.Tensor]], params: Arrays, v: Arrays
) -> tuple[Arrays, np.ndarray]:
    """(Hessian times v, tangent of the output) by PyTorch: a derivative of the gradient."""
    leaves = {name: torch.tensor(params[name], requires_grad=True) for name in v}
    held = {name: torch.tensor(array) for name, array in params.items() if name not in v}
    value, _ = loss({**held, **leaves})
    grads = torch.autograd.grad(value, list(leaves.values()), create_graph=True)
    slope = sum((g * torch.tensor(v[n])).sum() for n, g in zip(v, grads, strict=True))
    found = torch.autograd.grad(slope, list(leaves.values()), allow_unused=True)
    products = {n: np.zeros_like(v[n]) if h is None else h.detach().numpy() for n, h in zip(v, found, strict=True)}
    primal = tuple(torch.tensor(params[n]) for n in v)
    along = tuple(torch.tensor(v[n]) for n in v)
    _, tangent = torch.autograd.functional.jvp(
        lambda *given: loss({**held, **dict(zip(v, given, strict=True))})[1], primal, along
    )
    return products, tangent.numpy()


OF_THE_CORPUS = (
    "dense one unit",
    "dense on three axes",
    "dense formula",
    "multiply",
    "divide",
    "concat three",
    "cross-entropy of a sequence",
    "cross-entropy of pictures",
    "binary cross-entropy",
    "mean squared error",
    "squared error of pictures",
    "l2",
    "shared",
    "shared convolution",
    "frozen",
    "lenet",
)


def agree_with_pytorch(case: Network, target: str) -> None:
    module = compiled(case.model, target)
    params, v = parameters(case.model), direction(module)
    expected, tangent = torch_products(lambda p: torch_twin.passed(case, p), params, v)
    products = module.hvp(params, case.x, case.y, v)
    assert list(products) == list(expected)
    errors = {name: error(products[name], expected[name]) for name in expected}
    assert all(e < TOLERANCE for e in errors.values()), errors
    assert error(module.jvp(params, case.x, v)[1], tangent) < TOLERANCE


@pytest.mark.parametrize("name", OF_THE_CORPUS)
def test_networks_against_pytorch(name: str) -> None:
    agree_with_pytorch(network(name), "auto")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "softplus", "elu", "gelu", "silu", "relu"])
def test_activations_and_pools_against_pytorch(activation: str, target: str) -> None:
    """A derivative in terms of the output, as in a*(1 - a), has the derivative of that equation."""
    image = sn.Input((2, 6, 6), name="image")
    h = sn.Conv2D(3, 3, padding=1, activation=activation)(image)
    h = sn.AvgPool2D(2)(sn.Conv2D(2, 2, activation=activation)(sn.MaxPool2D(2, stride=1)(h)))
    net = sn.Model(image, sn.Dense(3)(sn.Dense(4, activation=activation)(sn.Flatten()(h))), loss=sn.CrossEntropy())
    agree_with_pytorch(with_data(net), target)


KINDS = {"SimpleRNN": torch.nn.RNN, "GRU": torch.nn.GRU, "LSTM": torch.nn.LSTM}


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_recurrences_against_pytorch(kind: str, bidirectional: bool) -> None:
    case = Sequence(kind, bidirectional)
    net = case.model()
    arrays = case.arrays(net)
    layer = KINDS[kind](2, 2, batch_first=True, bidirectional=bidirectional).double()
    names = {f"{kind.lower()}_1.{n.replace('_l0', '')}": n for n, _ in layer.named_parameters()}
    x, target = torch.tensor(arrays["x"]), torch.tensor(arrays["target"])

    def loss(p: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        own = {names[name]: array for name, array in p.items()}
        y, _ = torch.func.functional_call(layer, own, (x,))
        return ((y - target) ** 2).sum() / len(x), y

    module = compiled(net)
    params = {name: arrays[name] for name in module.PARAMETERS}
    v = direction(module)
    expected, tangent = torch_products(loss, params, v)
    products = module.hvp(params, arrays["x"], arrays["target"], v)
    assert all(error(products[n], expected[n]) < TOLERANCE for n in expected)
    assert error(module.jvp(params, arrays["x"], v)[1], tangent) < TOLERANCE
    longer = np.random.default_rng(1).normal(size=(2, STEPS + 4, 2))
    goal = np.zeros((2, STEPS + 4, 2 + 2 * bidirectional))
    agree_with_differences(module, params, longer, goal)


@pytest.mark.parametrize("kind", LAYERS)
def test_every_layer_against_differences_of_its_gradients(kind: str) -> None:
    net = model(kind)
    module, case = compiled(net), with_data(net)
    rng = np.random.default_rng(0)
    params = {n: a + rng.normal(0, 0.3, a.shape) for n, a in module.init_params(1).items()}
    params |= {n: np.abs(a) + 0.5 for n, a in params.items() if n in module.BUFFERS}
    agree_with_differences(module, params, case.x, case.y)


def logistic() -> sn.Model:
    x = sn.Input((3,), name="x")
    return sn.Model(x, sn.Dense(1, name="unit")(x), loss=sn.BinaryCrossEntropy(), name="logistic")


def test_the_hessian_of_logistic_regression_is_the_textbook_one() -> None:
    module, rng = compiled(logistic()), np.random.default_rng(2)
    x, y = rng.normal(size=(7, 3)), rng.integers(0, 2, 7)
    params, v = module.init_params(0), direction(module)
    rows = np.concatenate([x, np.ones((7, 1))], axis=1)
    p = 1 / (1 + np.exp(-module.forward(params, x)[:, 0]))
    along = np.concatenate([v["unit.weight"][0], v["unit.bias"]])
    expected = rows.T @ (p * (1 - p) / 7 * (rows @ along))
    found = module.hvp(params, x, y, v)
    np.testing.assert_allclose(np.concatenate([found["unit.weight"][0], found["unit.bias"]]), expected, rtol=1e-12)


def test_the_formulas_stand_above_their_blocks() -> None:
    source = sn.compile(logistic(), hvp=True).source
    body = source.partition("def _hvp(")[2].partition("\ndef ")[0]
    assert "# t_unit[n,o] = sum[i](t_unit.weight[o,i]*x[n,i])" in body
    assert "# t_d_unit.weight[o,i] = sum[n](t_d_unit[n,o]*x[n,i])" in body
    assert "# t_unit[n,o] = " in source.partition("def _tangent(")[2].partition("\ndef ")[0]
    # The gradient by the parameters and the loss themselves are not computed there.
    assert "# d_unit.weight" not in body
    assert "# loss[] " not in body


def test_a_module_without_it_is_the_one_with_it_less_its_parts() -> None:
    plain, curved = (sn.compile(logistic(), hvp=hvp, target="numpy").source for hvp in (False, True))
    assert "hvp" not in plain
    assert "tangent" not in plain.lower()
    start, end = curved.index("TANGENTS = {"), curved.index("# --- The optimizers")
    less = curved[: curved.rindex("# ---", 0, start)] + curved[end:]
    start = less.index("# --- Derivatives along a direction")
    end = less.index("# ---", start + 5)
    assert less[:start] + less[end:] == plain


def test_modes_noise_and_several_outputs() -> None:
    x = sn.Input((4,), name="x")
    h = sn.Dropout(0.5)(sn.BatchNorm1D()(sn.Dense(6, activation="tanh")(x)))
    one, two = sn.Dense(3, name="one")(h), sn.Dense(1, name="two")(h)
    net = sn.Model(x, [one, two], loss={"one": sn.CrossEntropy(), "two": sn.MeanSquaredError()})
    module, rng = compiled(net), np.random.default_rng(0)
    data, y = rng.normal(size=(6, 4)), {"one": rng.integers(0, 3, 6), "two": rng.normal(size=(6, 1))}
    params, v = module.init_params(0), direction(module)
    products = module.hvp(params, data, y, v, seed=3)
    up, down = (module.loss_and_grads(moved(params, v, s * 1e-5), data, y, seed=3)[1] for s in (1, -1))
    for name, product in products.items():
        assert np.abs(product - (up[name] - down[name]) / 2e-5).max() < 1e-7, name
    output, tangent = module.jvp(params, data, v)
    up, down = (module.forward(moved(params, v, s * 1e-5), data) for s in (1, -1))
    assert list(output) == list(tangent) == ["one", "two"]
    for name, array in tangent.items():
        np.testing.assert_allclose(output[name], module.forward(params, data)[name], rtol=1e-13)
        assert np.abs(array - (up[name] - down[name]) / 2e-5).max() < 1e-7, name


ONE_LOOP = {
    "a scale": ("y[n] = w[0]*x[n]", {"w": "1"}, ()),
    "a parameter for each": ("y[n,i] = w[i]*x[n,i]", {"w": "i"}, (3,)),
    "a shift": ("y[n,i] = tanh(x[n,i] + b[])", {"b": ""}, (2,)),
}
"""Formulas whose whole Hessian product numba computes in one loop."""


@pytest.mark.parametrize("name", ONE_LOOP)
def test_a_product_in_one_loop(name: str) -> None:
    pytest.importorskip("numba")
    text, params, shape = ONE_LOOP[name]
    x = sn.Input(shape, name="x")
    model = sn.Model(x, sn.Formula(text, params=params, name="f")(x), loss=sn.MeanSquaredError(), name="m")
    module, plain = compiled(model, "numba"), compiled(model, "numpy")
    rng = np.random.default_rng(3)
    drawn = {n: rng.normal(size=s) for n, s in module.PARAMETERS.items()}
    inputs, target = rng.normal(size=(4, *shape)), rng.normal(size=(4, *shape))
    agree_with_differences(module, drawn, inputs, target)
    for key, product in plain.hvp(drawn, inputs, target, direction(plain)).items():
        np.testing.assert_allclose(module.hvp(drawn, inputs, target, direction(plain))[key], product, rtol=1e-12)


VANISHING = {
    "sign": "h[n,k] = sign(sum[i](W[k,i]*x[n,i]))\ny[n,k] = v[k]*h[n,k] + sum[i](W[k,i]*x[n,i]**2)",
    "position": "h[n,k] = sum[i](W[k,i]*x[n,i])\ny[n,k] = v[k]*argmax[j](h[n,j] + W[k,0]) + h[n,k]",
    "difference": "h[n,k] = sum[i](W[k,i]*x[n,i]) + v[k]\ny[n,k] = h[n,k] - h[n,k]",
    "step": "h[n,k] = where(sum[i](W[k,i]*x[n,i]) > 0, 1, 2)\ny[n,k] = h[n,k]*v[k]**2",
}
"""Formulas in which a tensor that depends on parameters has the derivative 0."""


@pytest.mark.parametrize("name", VANISHING)
def test_what_does_not_vary_has_the_derivative_zero(name: str) -> None:
    """Also in a workspace that held other numbers: the tangent is written before anything reads it."""
    x = sn.Input((3,), name="x")
    layer = sn.Formula(VANISHING[name], params={"W": "k,i", "v": "k"}, sizes={"k": 2, "j": 2}, name="f")
    module = compiled(sn.Model(x, layer(x), loss=sn.MeanSquaredError(), name="m"))
    params = {"f.W": np.array([[1.0, -2, 0.5], [0.3, 1, 1.5]]), "f.v": np.array([0.7, -1.2])}
    rng = np.random.default_rng(3)
    inputs, target = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    for _ in range(2):
        agree_with_differences(module, params, inputs, target)
        module.loss_and_grads(params, 1e3 * inputs, target)


def test_results_are_the_callers_own_and_single_precision_works() -> None:
    module, rng = compiled(logistic(), dtype="float32"), np.random.default_rng(2)
    x, y = rng.normal(size=(7, 3)), rng.integers(0, 2, 7)
    params, v = module.init_params(0), direction(module)
    before = copy.deepcopy((params, v))
    first = module.hvp(params, x, y, v)
    kept = copy.deepcopy(first)
    module.hvp(params, x + 1, y, v)
    _, tangent = module.jvp(params, x, v)
    assert tangent.dtype == np.float32
    for name, array in first.items():
        assert array.dtype == np.float32
        assert np.array_equal(array, kept[name])
        assert np.array_equal(params[name], before[0][name])
        assert np.array_equal(v[name], before[1][name])


def test_wrong_directions_are_refused() -> None:
    x = sn.Input((3,), name="x")
    frozen = sn.Dense(2, name="frozen", trainable=False)(x)
    module = compiled(sn.Model(x, sn.Dense(1, name="unit")(frozen), loss=sn.MeanSquaredError()))
    params, v = module.init_params(0), direction(module)
    data, y = np.zeros((2, 3)), np.zeros(2)
    wrong = {
        "is missing; use zeros": {"unit.weight": v["unit.weight"]},
        "did you mean 'unit.weight'": {**v, "unit.wieght": v["unit.weight"]},
        "is not trained": {**v, "frozen.bias": params["frozen.bias"]},
        "expected numbers of shape": {**v, "unit.bias": np.zeros(2)},
        "expected finite numbers": {**v, "unit.bias": np.array([np.nan])},
        "expected a dict": [1.0],
    }
    for message, given in wrong.items():
        with pytest.raises(module.DataError, match=message):
            module.hvp(params, data, y, given)
        with pytest.raises(module.DataError, match=message):
            module.jvp(params, data, given)


def test_what_cannot_be_compiled_is_refused() -> None:
    x = sn.Input((3,), name="x")
    with pytest.raises(sn.DefinitionError, match="has no loss"):
        sn.compile(sn.Model(x, sn.Dense(1)(x)), hvp=True)
    both = sn.Dense(1, name="t_a")(sn.Dense(2, name="a")(x))
    with pytest.raises(sn.DefinitionError, match="another name"):
        sn.compile(sn.Model(x, both, loss=sn.MeanSquaredError()), hvp=True)
    with pytest.raises(sn.DefinitionError, match="hvp"):
        sn.compile(logistic(), hvp="yes")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("layers", ["none", "frozen", "constant"])
def test_a_network_without_trained_parameters_has_no_product(layers: str, target: str) -> None:
    """The output moves along no direction, so its tangent is 0."""
    x = sn.Input((3,), name="x")
    made = {
        "none": lambda: x + sn.Activation("tanh")(x),
        "frozen": lambda: sn.Dense(2, name="unit", trainable=False)(x),
        "constant": lambda: sn.Formula("y[n,i] = x[n,i]*c[i] - i", params={"c": "i"}, trainable=False)(x),
    }[layers]()
    module = compiled(sn.Model(x, made, loss=sn.MeanSquaredError(), name="m"), target)
    params, data = module.init_params(0), np.ones((2, 3))
    output = module.forward(params, data)
    assert module.hvp(params, data, output * 0, {}) == {}
    assert module.loss_and_grads(params, data, output * 0)[1] == {}
    assert np.array_equal(module.jvp(params, data, {})[1], output * 0)
