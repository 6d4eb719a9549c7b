"""Layers and losses: shapes, parameters and names, and values against PyTorch in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import symnet as sn
from codegen.oracle.check import check
from codegen.oracle.interpret import interpret

RNG = np.random.default_rng(7)
Arrays = dict[str, np.ndarray]


def arrays_for(model: sn.Model, batch: int = 2, **sizes: int) -> Arrays:
    """Random arrays for every input, parameter and target of `model`."""
    known = {"N": batch, **sizes}
    arrays: Arrays = {}
    for tensor in model.program.tensors:
        if tensor.kind in ("input", "parameter"):
            shape = tuple(extent.evaluate(known) for extent in tensor.shape)
            arrays[tensor.name] = RNG.normal(size=shape) if tensor.dtype == "float" else RNG.integers(0, 2, shape)
    return arrays


def run(model: sn.Model, batch: int = 2, **sizes: int) -> tuple[Arrays, Any]:
    """Random arrays and the model's output on them, by the interpreter."""
    check(model.program)
    arrays = arrays_for(model, batch, **sizes)
    return arrays, interpret(model.program, arrays)[model.output.name]


def shape(node: Any) -> tuple[int | str, ...]:
    return node.shape


def text(model: sn.Model) -> list[str]:
    return [placed.name for placed in model.layers]


def test_shapes_are_inferred_at_the_call() -> None:
    x = sn.Input((3, 9, 8), name="image")
    assert shape(sn.Conv2D(4, 3)(x)) == ("N", 4, 7, 6)
    assert shape(sn.Conv2D(4, 3, stride=2, padding="same")(x)) == ("N", 4, 5, 4)
    assert shape(sn.Conv2D(6, (3, 2), stride=(2, 1), padding=(1, 0), groups=3)(x)) == ("N", 6, 5, 7)
    assert shape(sn.Conv2D(4, 3, dilation=3)(x)) == ("N", 4, 3, 2)
    assert shape(sn.MaxPool2D(2)(x)) == ("N", 3, 4, 4)
    assert shape(sn.AvgPool2D(3, stride=2, padding=1)(x)) == ("N", 3, 5, 4)
    assert shape(sn.Flatten()(x)) == ("N", 216)
    assert shape(sn.Dense(5)(x)) == ("N", 3, 9, 5)
    assert shape(sn.concat([x, x], axis=1)) == ("N", 6, 9, 8)
    assert shape(sn.concat([x, x, x], axis=-1)) == ("N", 3, 9, 24)
    assert shape(sn.relu(x) + 2 * x / x - x**2) == ("N", 3, 9, 8)


def test_symbolic_sizes() -> None:
    x = sn.Input((4, "T"), name="signal")
    assert shape(sn.Conv1D(3, 5, padding="same")(x)) == ("N", 3, "T")
    assert shape(sn.Conv1D(3, 3)(x)) == ("N", 3, "T - 2")
    with pytest.raises(sn.ShapeError, match="symbolic length"):
        sn.Conv1D(3, 3, stride=2)(x)
    with pytest.raises(sn.ShapeError, match=r"without symbolic sizes, got \(5, T\)"):
        sn.Dense(5)(x)
    model = sn.Model(x, sn.Conv1D(3, 5, padding="same")(x))
    assert model.sizes == ("N", "T")
    assert run(model, T=6)[1].shape == (2, 3, 6)


def test_names_count_by_kind_in_the_order_of_the_calls() -> None:
    x = sn.Input((1, 8, 8), name="image")
    a = sn.Conv2D(2, 3, padding="same")(x)
    b = sn.Conv2D(2, 3, padding="same", name="side")(x)
    c = sn.Conv2D(2, 1)(x)
    model = sn.Model(x, sn.Dense(3)(sn.Flatten()(sn.concat([c, b, a]))))
    assert text(model) == ["conv2d_1", "side", "conv2d_2", "concat_1", "flatten_1", "dense_1"]
    assert [p.name for p in model.parameters][:3] == ["conv2d_1.weight", "conv2d_1.bias", "side.weight"]


def test_parameters_follow_pytorch_and_their_activations() -> None:
    x = sn.Input((4, 8, 8), name="image")
    h = sn.Conv2D(6, (3, 2), groups=2, activation="relu")(x)
    h = sn.Conv2D(6, 1, use_bias=False)(h)
    h = sn.Flatten()(sn.relu(h))
    model = sn.Model(x, sn.Dense(10, init={"bias": "ones"}, trainable=False)(h))
    found = {p.name: p for p in model.parameters}
    assert list(found) == ["conv2d_1.weight", "conv2d_1.bias", "conv2d_2.weight", "dense_1.weight", "dense_1.bias"]
    first = found["conv2d_1.weight"]
    assert tuple(e.const for e in first.tensor.shape) == (6, 2, 3, 2)
    assert (first.fan_in, first.fan_out, first.init) == (12, 36, "he_uniform")
    assert (first.regularize, first.trainable, first.layer) == (True, True, "conv2d_1")
    assert found["conv2d_2.weight"].init == "he_uniform"  # a rectifier follows
    assert found["conv2d_1.bias"].init == "zeros"
    assert not found["conv2d_1.bias"].regularize
    dense = found["dense_1.weight"]
    assert (dense.fan_in, dense.fan_out, dense.init, dense.trainable) == (252, 10, "glorot_uniform", False)
    assert found["dense_1.bias"].init == "ones"


def test_a_layer_called_twice_shares_its_parameters() -> None:
    x = sn.Input((4,), name="x")
    twice = sn.Dense(4, activation="tanh")
    model = sn.Model(x, twice(twice(x)))
    assert [p.name for p in model.parameters] == ["dense_1.weight", "dense_1.bias"]
    assert text(model) == ["dense_1", "dense_1_2"]
    assert [len(placed.parameters) for placed in model.layers] == [2, 0]
    arrays, out = run(model)
    w, b = arrays["dense_1.weight"], arrays["dense_1.bias"]
    np.testing.assert_allclose(out, np.tanh(np.tanh(arrays["x"] @ w.T + b) @ w.T + b))
    narrow = sn.Dense(3)
    with pytest.raises(sn.ShapeError, match=r"called twice and shares 'dense_1.weight', which is \(3, 4\)"):
        sn.Model(x, narrow(narrow(x)))


def test_equations_name_tensors_after_layers() -> None:
    x = sn.Input((4,), name="x")
    model = sn.Model(x, sn.Dense(3, activation="relu")(x), loss=sn.CrossEntropy(), l2=1e-3)
    names = [t.name for t in model.program.tensors]
    assert names == [
        "x",
        "dense_1.weight",
        "dense_1.bias",
        "dense_1.z",
        "dense_1",
        "target",
        "loss.lse",
        "loss.sample",
        "loss",
    ]
    table = model.program.table
    assert table["loss"].kind == "result"
    assert table["dense_1"].kind == "value"
    assert {e.stage for e in model.program.equations} == {"forward", "loss"}
    assert {e.origin for e in model.program.equations} == {"dense_1", "loss"}


def test_elementwise_arithmetic_broadcasts_axes_of_one() -> None:
    x, y = sn.Input((3, 2, 2), name="x"), sn.Input((3, 1, 1), name="y")
    arrays, out = run(sn.Model([x, y], (1 - x) * y / 2 + x - y**2 - (-x)))
    a, b = arrays["x"], arrays["y"]
    np.testing.assert_allclose(out, (1 - a) * b / 2 + a - b**2 + a)


def test_concatenation_and_flattening() -> None:
    x, y = sn.Input((2, 3), name="x"), sn.Input((4, 3), name="y")
    arrays, out = run(sn.Model([x, y], sn.Flatten()(sn.concat([x, y, x]))))
    parts = (arrays["x"], arrays["y"], arrays["x"])
    np.testing.assert_allclose(out, np.concatenate(parts, axis=1).reshape(2, -1))


def test_channels_last_agrees_with_channels_first() -> None:
    def build(picture: Any) -> Any:
        h = sn.Conv2D(4, 3, stride=2, padding="same", groups=2, activation="tanh")(picture)
        h = sn.AvgPool2D(2, stride=1, padding=1)(sn.MaxPool2D(2, stride=1)(h))
        return sn.Dense(3)(sn.Flatten()(h))

    first, last = sn.Input((2, 6, 5), name="image"), sn.Input((6, 5, 2), name="image", layout="HWC")
    one, other = sn.Model(first, build(first)), sn.Model(last, build(last))
    assert [p.tensor for p in one.parameters] == [p.tensor for p in other.parameters]
    arrays, out = run(one)
    moved = arrays | {"image": arrays["image"].transpose(0, 2, 3, 1)}
    np.testing.assert_allclose(interpret(other.program, moved)[other.output.name], out, rtol=1e-12)


def test_formula_layer() -> None:
    x = sn.Input((3,), name="x")
    layer = sn.Formula(
        "y[n,k] = exp(-g[k]*sum[i]((x[n,i]-c[k,i])**2))",
        params={"c": "k,i", "g": "k"},
        sizes={"k": 4},
        init={"g": "ones"},
    )
    model = sn.Model(x, layer(x))
    found = {p.name: p for p in model.parameters}
    assert found["formula_1.g"].init == "ones"
    assert found["formula_1.c"].init == "glorot_uniform"
    assert not found["formula_1.c"].regularize
    arrays, out = run(model)
    distance = ((arrays["x"][:, None] - arrays["formula_1.c"]) ** 2).sum(-1)
    np.testing.assert_allclose(out, np.exp(-arrays["formula_1.g"] * distance))


def test_formula_of_several_lines_and_inputs() -> None:
    x, w = sn.Input((3,), name="left"), sn.Input((3,), name="right")
    layer = sn.Formula("s[n] = sum[i](b[n,i]*a[n,i])\ny[n,i] = tanh(s[n])*a[n,i]")
    arrays, by_name = run(sn.Model([x, w], layer(a=x, b=w)))
    a, b = arrays["left"], arrays["right"]
    np.testing.assert_allclose(by_name, np.tanh((a * b).sum(1))[:, None] * a)
    by_order = sn.Model([x, w], layer(w, x))
    np.testing.assert_allclose(interpret(by_order.program, arrays)[by_order.output.name], by_name)


def test_activation_by_formula_equals_the_named_one() -> None:
    x = sn.Input((5,), name="x")
    arrays, named = run(sn.Model(x, sn.silu(x)))
    model = sn.Model(x, sn.Activation("t/(1+exp(-t))")(x))
    np.testing.assert_allclose(interpret(model.program, arrays)[model.output.name], named, rtol=1e-12)


# Against PyTorch.


def torch_value(build: Callable[[Any, Any], Any], arrays: Arrays) -> Any:
    """`build(torch, tensors)` as an array; skips where PyTorch is not installed."""
    torch = pytest.importorskip("torch")
    tensors = {k: torch.tensor(v, dtype=torch.float64 if v.dtype.kind == "f" else None) for k, v in arrays.items()}
    return build(torch.nn.functional, tensors).numpy()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2},
        {"padding": 2},
        {"dilation": 2, "padding": 1},
        {"groups": 2, "stride": (1, 2)},
        {"padding": (1, 0), "dilation": (2, 1), "groups": 2, "use_bias": False},
    ],
    ids=str,
)
def test_conv2d_against_pytorch(options: dict[str, Any]) -> None:
    x = sn.Input((4, 7, 6), name="x")
    arrays, out = run(sn.Model(x, sn.Conv2D(6, (3, 2), **options)(x)))
    keywords = {k: v for k, v in options.items() if k != "use_bias"}
    expected = torch_value(
        lambda f, t: f.conv2d(t["x"], t["conv2d_1.weight"], t.get("conv2d_1.bias"), **keywords), arrays
    )
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("length", "kernel", "stride"), [(7, 3, 1), (7, 4, 1), (7, 3, 2), (8, 3, 2), (5, 1, 3)])
def test_same_padding_puts_the_extra_zero_at_the_end(length: int, kernel: int, stride: int) -> None:
    x = sn.Input((2, length), name="x")
    arrays, out = run(sn.Model(x, sn.Conv1D(3, kernel, stride=stride, padding="same")(x)))
    count = -(-length // stride)
    assert out.shape == (2, 3, count)
    total = max((count - 1) * stride + kernel - length, 0)

    def build(f: Any, t: Any) -> Any:
        padded = f.pad(t["x"], (total // 2, total - total // 2))
        return f.conv1d(padded, t["conv1d_1.weight"], t["conv1d_1.bias"], stride=stride)

    np.testing.assert_allclose(out, torch_value(build, arrays), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("size", "stride", "padding"), [(2, None, 0), (3, 2, 1), (2, 1, 1), ((3, 2), (1, 2), (1, 0))])
def test_pooling_against_pytorch(size: Any, stride: Any, padding: Any) -> None:
    x = sn.Input((2, 7, 6), name="x")
    arrays, out = run(sn.Model(x, sn.MaxPool2D(size, stride, padding)(x)))
    np.testing.assert_allclose(out, torch_value(lambda f, t: f.max_pool2d(t["x"], size, stride, padding), arrays))
    arrays, out = run(sn.Model(x, sn.AvgPool2D(size, stride, padding)(x)))
    np.testing.assert_allclose(out, torch_value(lambda f, t: f.avg_pool2d(t["x"], size, stride, padding), arrays))


@pytest.mark.parametrize(("size", "stride", "padding"), [(2, None, 0), (3, 2, 1), (2, 1, 1), ((3,), (4,), (0,))])
def test_pooling_of_signals_against_pytorch(size: Any, stride: Any, padding: Any) -> None:
    x = sn.Input((2, 7), name="x")
    arrays, out = run(sn.Model(x, sn.MaxPool1D(size, stride, padding)(x)))
    np.testing.assert_allclose(out, torch_value(lambda f, t: f.max_pool1d(t["x"], size, stride, padding), arrays))
    arrays, out = run(sn.Model(x, sn.AvgPool1D(size, stride, padding)(x)))
    np.testing.assert_allclose(out, torch_value(lambda f, t: f.avg_pool1d(t["x"], size, stride, padding), arrays))


@pytest.mark.parametrize("layout", ["CHW", "HWC"])
@pytest.mark.parametrize(("size", "stride", "padding"), [(2, None, 0), (3, (1, 2, 2), 1), ((3, 1, 2), 1, (1, 0, 1))])
def test_pooling_of_volumes_against_pytorch(size: Any, stride: Any, padding: Any, layout: str) -> None:
    last = layout == "HWC"
    x = sn.Input((4, 5, 6, 2) if last else (2, 4, 5, 6), name="x", layout=layout)
    arrays, out = run(sn.Model(x, sn.MaxPool3D(size, stride, padding)(x)))

    def build(f: Any, t: Any) -> Any:
        pooled = f.max_pool3d(t["x"].movedim(-1, 1) if last else t["x"], size, stride, padding)
        return pooled.movedim(1, -1) if last else pooled

    np.testing.assert_allclose(out, torch_value(build, arrays))


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "silu", "gelu"])
def test_activations_against_pytorch(name: str) -> None:
    x = sn.Input((4, 5), name="x")
    arrays, out = run(sn.Model(x, sn.Dense(3, activation=name)(x)))
    expected = torch_value(
        lambda f, t: getattr(f, name)(f.linear(t["x"], t["dense_1.weight"], t["dense_1.bias"])), arrays
    )
    np.testing.assert_allclose(out, expected, rtol=1e-12, atol=1e-12)


LOSSES: list[tuple[Any, tuple[Any, ...], Callable[[Any, Any, Any], Any]]] = [
    (sn.CrossEntropy(), (4,), lambda f, z, t: f.cross_entropy(z, t)),
    (sn.CrossEntropy(), (2, 3, 3), lambda f, z, t: f.cross_entropy(z, t)),
    (sn.CrossEntropy(), (5, 3), lambda f, z, t: f.cross_entropy(z.movedim(-1, 1), t)),
    (sn.BinaryCrossEntropy(), (3,), lambda f, z, t: f.binary_cross_entropy_with_logits(z, t)),
    (sn.MeanSquaredError(), (3, 2), lambda f, z, t: f.mse_loss(z, t)),
    (sn.SquaredError(), (3,), lambda f, z, t: ((z - t) ** 2).sum(1).mean()),
]


@pytest.mark.parametrize(("loss", "outputs", "build"), LOSSES, ids=lambda v: getattr(v, "kind", None))
def test_losses_against_pytorch(loss: Any, outputs: tuple[Any, ...], build: Callable[[Any, Any, Any], Any]) -> None:
    x = sn.Input(outputs, name="x")
    h = 3 * x
    model = sn.Model(x, h, loss=loss)
    check(model.program)
    arrays = arrays_for(model)
    expected = torch_value(lambda f, t: build(f, 3 * t["x"], t["target"]), arrays)
    np.testing.assert_allclose(interpret(model.program, arrays)["loss"], expected, rtol=1e-12)


def test_l2_counts_weights_and_no_biases() -> None:
    x = sn.Input((3,), name="x")
    h = sn.Dense(4, activation="tanh")(x)
    output = sn.Formula("y[n,k] = sum[i](w[k,i]*x[n,i])", params={"w": "k,i"}, sizes={"k": 2})(sn.Dense(2)(h))
    plain = sn.Model(x, output, loss=sn.MeanSquaredError())
    penalised = sn.Model(x, output, loss=sn.MeanSquaredError(), l2=0.1)
    check(penalised.program)
    arrays = arrays_for(plain)
    weights = arrays["dense_1.weight"], arrays["dense_2.weight"]
    penalty = sum(0.05 * (w**2).sum() for w in weights)
    losses = [float(interpret(m.program, arrays)["loss"]) for m in (plain, penalised)]
    assert losses[1] == pytest.approx(losses[0] + penalty, rel=1e-12)


def test_target_and_decision() -> None:
    x = sn.Input((2, 4, 4), name="x")
    model = sn.Model(x, sn.Conv2D(5, 1)(x), loss=sn.CrossEntropy())
    assert model.target is not None
    assert (model.target.name, model.target.dtype, model.target.kind) == ("target", "int", "input")
    assert [str(e) for e in model.target.shape] == ["N", "4", "4"]
    assert model.class_axis == 1
    assert sn.CrossEntropy.decision == "argmax"
    assert sn.BinaryCrossEntropy.decision == "threshold"
    assert sn.SquaredError.decision is None
