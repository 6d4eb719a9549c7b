"""What numbers do at the edges: huge logits, the dtype of everything in between, ties, and who owns a result."""

from __future__ import annotations

import threading
from types import ModuleType
from typing import Any

import numexpr
import numpy as np
import pytest

import symnet as sn
from batch import parameters
from corpus import POOLS, TARGETS, compiled, network
from corpus_formulas import FORMULAS, NAMED
from loud import strict

HUGE = 1e4
POINTS = np.array([-HUGE, -300, -104, -89, -50, -20, -1, -1e-3, -1e-30, 0, 1e-30, 1e-3, 1, 20, 50, 89, 104, 300, HUGE])

UNBOUNDED = "sinh(x/4) - cosh(x/3)"
"""Beyond float32 at 1e4, whatever the code."""


def shifted(activation: str, dtype: str, target: str) -> ModuleType:
    """activation(x + b), so that the gradient by b is the derivative at every point of x."""
    x = sn.Input((len(POINTS),), name="x")
    h = sn.Formula("y[n,k] = x[n,k] + b[k]", params={"b": "k"}, name="shift")(x)
    model = sn.Model(x, sn.Activation(activation)(h), loss=sn.SquaredError())
    return sn.compile(model, dtype=dtype, target=target).module


@pytest.mark.parametrize("target", ["numpy", "numexpr"])
@pytest.mark.parametrize("activation", [*NAMED, *(text for text in FORMULAS if text != UNBOUNDED)])
def test_activations_and_their_derivatives_are_finite(activation: str, target: str) -> None:
    found = {}
    for dtype in ("float32", "float64"):
        module = shifted(activation, dtype, target)
        params, x = {"shift.b": np.zeros(len(POINTS))}, POINTS[None]
        with strict(module, "over", "divide"):  # sigmoid is 1/(1 + inf) far left; a branch that is not taken is 1/0
            output = module.forward(params, x)
            loss, grads = module.loss_and_grads(params, x, output - 0.5)  # so that the gradient is the derivative
        assert np.isfinite(loss)
        assert np.isfinite(output).all()
        assert np.isfinite(grads["shift.b"]).all()
        found[dtype] = output[0], grads["shift.b"]
    # A sine of 1e4 keeps little of float32's precision; float64 shows that the finite numbers are the right ones.
    near = np.abs(POINTS) <= 20
    for single, double in zip(found["float32"], found["float64"], strict=True):
        np.testing.assert_allclose(single[near], double[near], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_of_huge_logits(dtype: str, target: str) -> None:
    x = sn.Input((3,), name="x")
    model = sn.Model(
        x, sn.Formula("y[n,k] = x[n,k] + b[k]", params={"b": "k"}, name="shift")(x), loss=sn.CrossEntropy()
    )
    module = sn.compile(model, dtype=dtype, target=target).module
    params = {"shift.b": np.zeros(3)}
    logits = np.array([[HUGE, -HUGE, 0.0]])
    for label, expected, slope in [(0, 0.0, [0, 0, 0]), (1, 2e4, [1, -1, 0]), (2, 1e4, [1, 0, -1])]:
        with strict(module):
            loss, grads = module.loss_and_grads(params, logits, [label])
        assert loss == pytest.approx(expected, rel=1e-6)
        np.testing.assert_allclose(grads["shift.b"], slope, atol=1e-6)
    for value in (HUGE, -HUGE):
        with strict(module):
            loss, grads = module.loss_and_grads(params, np.full((1, 3), value), [1])
        assert loss == pytest.approx(np.log(3), rel=1e-3)
        np.testing.assert_allclose(grads["shift.b"], [1 / 3, -2 / 3, 1 / 3], rtol=1e-3)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_binary_cross_entropy_of_huge_logits(dtype: str, target: str) -> None:
    x = sn.Input((4,), name="x")
    shift = sn.Formula("y[n,k] = x[n,k] + b[k]", params={"b": "k"}, name="shift")
    module = sn.compile(sn.Model(x, shift(x), loss=sn.BinaryCrossEntropy()), dtype=dtype, target=target).module
    logits, y = np.array([[HUGE, HUGE, -HUGE, -HUGE]]), np.array([[1, 0, 1, 0]])
    with strict(module, "over"):
        loss, grads = module.loss_and_grads({"shift.b": np.zeros(4)}, logits, y)
    assert loss == pytest.approx(2 * HUGE / 4, rel=1e-6)
    np.testing.assert_allclose(grads["shift.b"], [0, 0.25, -0.25, 0], atol=1e-6)


class Watched(np.ndarray):
    """An array that refuses every operation whose operands make it compute in anything but float32."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: tuple[Any, ...] = (), **options: Any):
        plain = [np.asarray(a) if isinstance(a, Watched) else a for a in inputs]
        computed = np.result_type(*(plain[:1] + plain[2:] if method == "at" else plain))
        assert computed.kind in "biu" or computed == np.float32, f"np.{ufunc.__name__} computes in {computed}"
        views = {"out": tuple(np.asarray(a) for a in out)} if out else {}
        if isinstance(options.get("where"), Watched):
            options["where"] = np.asarray(options["where"])
        result = getattr(ufunc, method)(*plain, **views, **options)
        if not out and result is not None:
            kinds = result if isinstance(result, tuple) else (result,)
            assert all(np.asarray(r).dtype.kind in "biu" or np.asarray(r).dtype == np.float32 for r in kinds)
        return out[0] if len(out) == 1 else result


class WatchedNumpy:
    """NumPy, whose new arrays are watched."""

    def __getattr__(self, name: str) -> Any:
        made = getattr(np, name)
        if name in ("empty", "zeros", "ones"):
            return lambda *args, **options: made(*args, **options).view(Watched)
        return made


class WatchedNumexpr:
    """numexpr, whose results must be of float32 without a cast."""

    def evaluate(self, text: str, names: dict[str, np.ndarray], out: np.ndarray, **options: Any) -> None:
        plain = {name: np.asarray(array) for name, array in names.items()}
        result = numexpr.evaluate(text, plain, {})
        assert result.dtype.kind in "biu" or result.dtype == np.float32, f"{text} computes in {result.dtype}"
        numexpr.evaluate(text, plain, {}, out=np.asarray(out), **options)


@pytest.mark.parametrize("target", ["numpy", "numexpr"])
@pytest.mark.parametrize(
    "name",
    [
        "lenet",
        "inception",
        "conv2d everything",
        "pool max padded",
        "pool mean padded",
        "masked",
        "lookup",
        "divide",
        "binary cross-entropy",
        "mean squared error of labels",
        "formula radial",
        "formula causal attention",
        "formula product",
        *(f"activation {a}" for a in NAMED if not a.startswith("gelu")),
    ],
)
def test_float32_stays_float32(name: str, target: str) -> None:
    case = network(name)
    module = sn.compile(case.model, dtype="float32", target=target).module
    params = {name: array.astype(np.float32) for name, array in parameters(case.model).items()}
    expected, slopes = module.loss_and_grads(params, case.x, case.y)
    vars(module)["np"] = WatchedNumpy()
    if target == "numexpr":
        vars(module)["ne"] = WatchedNumexpr()
    vars(module)["_idle"].clear()
    loss, grads = module.loss_and_grads({n: a.view(Watched) for n, a in params.items()}, case.x, case.y)
    assert loss == expected
    for parameter, gradient in grads.items():
        assert gradient.dtype == np.float32
        np.testing.assert_array_equal(gradient, slopes[parameter])
    sizes = module._sizes(module._as_inputs(case.x))
    for attribute, array in vars(module.Workspace(**sizes)).items():
        if isinstance(array, np.ndarray):
            assert array.dtype == np.float32 or array.dtype.kind in "biu", attribute
    assert module.forward(params, case.x).dtype == np.float32
    assert all(array.dtype == np.float32 for array in module.init_params(0).values())


def first_greatest(picture: np.ndarray, layer: sn.MaxPool2D, seen: np.ndarray) -> np.ndarray:
    """The gradient by one plane of `sum(seen*pooled)`, written out: each window's first greatest gets its share."""
    gradient = np.zeros(picture.shape)
    sizes = layer.pool_size if isinstance(layer.pool_size, tuple) else (layer.pool_size,) * 2
    strides = layer.stride if isinstance(layer.stride, tuple) else (layer.stride,) * 2 if layer.stride else sizes
    zeros = layer.padding if isinstance(layer.padding, tuple) else (layer.padding,) * 2
    for i, j in np.ndindex(seen.shape):
        best = None
        for u, v in np.ndindex(*sizes):
            at = i * strides[0] + u - zeros[0], j * strides[1] + v - zeros[1]
            inside = all(0 <= a < e for a, e in zip(at, picture.shape, strict=True))
            if inside and (best is None or picture[at] > picture[best]):
                best = at
        gradient[best] += seen[i, j]
    return gradient


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("layout", ["CHW", "HWC"])
@pytest.mark.parametrize("name", [name for name in POOLS if name.startswith("max")])
def test_ties_go_to_the_first_of_the_window(name: str, layout: str, target: str) -> None:
    layer = POOLS[name]()
    shape = (2, 6, 5) if layout == "CHW" else (6, 5, 2)
    image = sn.Input(shape, name="image", layout=layout)
    h = sn.Formula("y[n,a,b,c] = x[n,a,b,c] + s[a,b,c]", params={"s": "a,b,c"}, name="shift")(image)
    model = sn.Model(image, layer(h), loss=sn.SquaredError())
    module = sn.compile(model, dtype="float64", target=target).module
    rng = np.random.default_rng(0)
    for values in (np.zeros(shape), rng.integers(0, 2, shape), rng.integers(-2, 1, shape)):
        params, x = {"shift.s": np.zeros(shape)}, values[None].astype(float)
        pooled = module.forward(params, x)
        seen = rng.normal(size=pooled.shape)
        _, grads = module.loss_and_grads(params, x, pooled - seen / 2)
        axis = 0 if layout == "CHW" else -1
        planes = zip(np.moveaxis(values, axis, 0), np.moveaxis(seen[0], axis, 0), strict=True)
        expected = np.stack([first_greatest(plane, layer, s) for plane, s in planes], axis)
        np.testing.assert_allclose(grads["shift.s"], expected, atol=1e-12)


@pytest.mark.parametrize("target", TARGETS)
def test_ties_of_a_formula_go_to_the_first(target: str) -> None:
    x = sn.Input((2, 3), name="x")
    own = sn.Formula("y[n] = max[i,j](x[n,i,j] + s[i,j])", params={"s": "i,j"}, name="own")
    module = sn.compile(sn.Model(x, own(x), loss=sn.SquaredError()), dtype="float64", target=target).module
    for values, first in [
        ([[1, 1, 1], [1, 1, 1]], (0, 0)),
        ([[0, 1, 2], [2, 0, 2]], (0, 2)),
        ([[0] * 3, [1] * 3], (1, 0)),
    ]:
        expected = np.zeros((2, 3))
        expected[first] = 2 * (max(map(max, values)) - 5)
        _, grads = module.loss_and_grads({"own.s": np.zeros((2, 3))}, np.array([values], float), [5.0])
        np.testing.assert_array_equal(grads["own.s"], expected)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("activation", ["relu", "max(x, 0)", "max(0, x)", "where(x > 0, x, 0)"])
def test_relu_is_flat_at_zero(activation: str, target: str) -> None:
    module = shifted(activation, "float64", target)
    _, grads = module.loss_and_grads({"shift.b": np.zeros(len(POINTS))}, POINTS[None], POINTS.clip(0)[None] - 0.5)
    np.testing.assert_allclose(grads["shift.b"], POINTS > 0, atol=1e-9)


@pytest.mark.parametrize("target", TARGETS)
def test_results_are_the_callers_own(target: str) -> None:
    case, module = network("lenet"), compiled("lenet", target).module
    params = parameters(case.model)
    kept = {name: array.copy() for name, array in params.items()}
    x, y = {name: array.copy() for name, array in case.x.items()}, case.y.copy()
    output = module.forward(params, case.x)
    loss, grads = module.loss_and_grads(params, case.x, case.y)
    before = output.copy(), {name: array.copy() for name, array in grads.items()}
    other = {name: array * 1.5 + 1 for name, array in case.x.items()}
    module.forward(params, other)
    module.loss_and_grads({name: array + 0.1 for name, array in params.items()}, other, (case.y + 1) % 3)
    module.predict(params, other)
    step = module.make_step(params, batch_size=3, optimizer="adam", learning_rate=0.1)
    step(other, case.y)
    exported = step.params()
    copies = {name: array.copy() for name, array in exported.items()}
    step(other, case.y)
    np.testing.assert_array_equal(output, before[0])
    for name, gradient in grads.items():
        np.testing.assert_array_equal(gradient, before[1][name])
        np.testing.assert_array_equal(params[name], kept[name])
        np.testing.assert_array_equal(exported[name], copies[name])
        assert not np.array_equal(step.params()[name], copies[name])
    for name, array in x.items():
        np.testing.assert_array_equal(case.x[name], array)
    np.testing.assert_array_equal(case.y, y)
    for gradient in grads.values():  # writing to what was handed out changes no later result
        gradient[...] = np.nan
    output[...] = np.nan
    again, more = module.loss_and_grads(params, case.x, case.y)
    assert again == loss
    for name, gradient in more.items():
        np.testing.assert_array_equal(gradient, before[1][name])


def test_calls_in_threads_do_not_meet() -> None:
    case, module = network("lenet"), compiled("lenet", "numpy").module
    starts = [parameters(case.model, seed) for seed in range(4)]
    expected = [module.loss_and_grads(params, case.x, case.y) for params in starts]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(20):
            loss, grads = module.loss_and_grads(starts[k], case.x, case.y)
            if loss != expected[k][0] or any(not np.array_equal(grads[n], g) for n, g in expected[k][1].items()):
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
