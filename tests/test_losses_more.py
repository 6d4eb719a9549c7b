"""Losses per time step, robust and margin losses, and several weighted losses, against PyTorch in float64."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import symnet as sn
from codegen.oracle.interpret import interpret
from symnet.definition import load
from symnet.differentiate.reverse import gradient
from torch_or_skip import F, Tensor, torch
from uncompiled import plain, uncompiled

BATCH, STEPS = 3, 4

Twin = Callable[[Tensor, Tensor], Tensor]


def per_step(twin: Twin) -> Twin:
    """The loss summed over time."""
    return lambda z, y: sum((twin(z[:, t], y[:, t]) for t in range(STEPS)), torch.zeros(()))


def labels(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(0, shape[-1], shape[:-1])


def signs(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.choice([-1.0, 1.0], shape)


def values(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(size=shape)


def shares(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    drawn = rng.random(shape) * (rng.random(shape) < 0.7)
    drawn[..., 0] += 0.1
    return drawn / drawn.sum(-1, keepdims=True)


def cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(z.flatten(0, -2), y.flatten())


def divergence(z: Tensor, y: Tensor) -> Tensor:
    return F.kl_div(torch.log_softmax(z, -1), y, reduction="none").sum(-1).mean()


def squared(z: Tensor, y: Tensor) -> Tensor:
    return ((z - y) ** 2).sum(-1).mean()


def hinge(z: Tensor, y: Tensor) -> Tensor:
    return torch.relu(1 - z * y).mean()


CASES = {
    "cross-entropy": (sn.CrossEntropy, labels, cross_entropy),
    "binary": (sn.BinaryCrossEntropy, shares, F.binary_cross_entropy_with_logits),
    "mean squared": (sn.MeanSquaredError, values, F.mse_loss),
    "squared": (sn.SquaredError, values, squared),
    "huber": (lambda **o: sn.Huber(delta=0.7, **o), values, lambda z, y: F.huber_loss(z, y, delta=0.7)),
    "log-cosh": (sn.LogCosh, values, lambda z, y: torch.log(torch.cosh(z - y)).mean()),
    "divergence": (sn.KLDivergence, shares, divergence),
    "hinge": (sn.Hinge, signs, hinge),
    "perceptron": (sn.PerceptronLoss, signs, lambda z, y: torch.relu(-z * y).mean()),
}


def agree(loss: sn.CrossEntropy, shape: tuple[int | str, ...], drawn: Callable[..., np.ndarray], twin: Twin) -> None:
    x = sn.Input(shape, name="x")
    model = sn.Model(x, sn.Dense(3)(x), loss=loss)
    rng = np.random.default_rng(1)
    size = (BATCH, *(STEPS if e == "T" else e for e in shape))
    data, y = rng.normal(size=size), drawn(rng, (*size[:-1], 3))
    params = {"dense_1.weight": rng.normal(size=(3, size[-1])), "dense_1.bias": rng.normal(size=3)}
    value, grads = sn.compile(model, dtype="float64").module.loss_and_grads(params, data, y)
    leaves = [torch.tensor(a, requires_grad=True) for a in params.values()]
    meant = twin(F.linear(torch.tensor(data), *leaves), torch.tensor(y))
    assert abs(value - float(meant.detach())) < 1e-12
    for grad, other in zip(grads.values(), torch.autograd.grad(meant, leaves), strict=True):
        np.testing.assert_allclose(grad, other.numpy(), atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_of_vectors(name: str) -> None:
    loss, drawn, twin = CASES[name]
    agree(loss(), (4,), drawn, twin)


@pytest.mark.parametrize("name", CASES)
def test_per_time_step(name: str) -> None:
    loss, drawn, twin = CASES[name]
    agree(loss(), ("T", 4), drawn, twin)
    agree(loss(reduction="sum_over_time"), ("T", 4), drawn, per_step(twin))


def test_sum_over_time_needs_time() -> None:
    x = sn.Input((4,), name="x")
    with pytest.raises(sn.ShapeError, match=r"expected an output with a time axis .*, got \(N, 3\)"):
        sn.Model(x, sn.Dense(3)(x), loss=sn.CrossEntropy(reduction="sum_over_time"))
    with pytest.raises(sn.DefinitionError, match="did you mean 'sum_over_time'"):
        sn.CrossEntropy(reduction="sum_over_tim")
    with pytest.raises(sn.DefinitionError, match="delta"):
        sn.Huber(delta=0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", ["numpy", "numexpr", "numba"])
def test_log_cosh_far_out(target: str, dtype: str) -> None:
    """cosh overflows at 711, in float32 at 90; the loss is |e| - log(2) there, its gradient a sign."""
    pytest.importorskip(target)
    x = sn.Input((1,), name="x")
    model = sn.Model(x, sn.Dense(1, use_bias=False, name="d")(x), loss=sn.LogCosh())
    with uncompiled(target):
        module = sn.compile(model, dtype=dtype, target=target).module
    plain(vars(module), target)
    one = {"d.weight": np.ones((1, 1), dtype)}
    for e in (-1e6, -800.0, -3.0, -0.5, 0.0, 0.5, 3.0, 800.0, 1e6):
        value, grads = module.loss_and_grads(one, np.full((1, 1), e, dtype), np.zeros((1, 1), dtype))
        size = abs(e)
        close = {"rel": 1e-6, "abs": 2e-7} if dtype == "float32" else {"rel": 1e-14, "abs": 1e-15}
        assert value == pytest.approx(size + np.log1p(np.exp(-2 * size)) - np.log(2), **close)
        assert float(grads["d.weight"][0, 0]) == pytest.approx(e * np.tanh(e), **close)


def test_labels_of_a_margin() -> None:
    x = sn.Input((4,), name="x")
    module = sn.compile(sn.Model(x, sn.Dense(1)(x), loss=sn.PerceptronLoss()), dtype="float64").module
    params = {"dense_1.weight": np.array([[1.0, 0, 0, 0]]), "dense_1.bias": np.zeros(1)}
    data = np.eye(4)[:3] * [[2.0], [1], [1]]
    assert module.predict(params, data).tolist() == [1, -1, -1]
    # A perceptron that starts at 0 makes a mistake everywhere: the gradient is that of the rule.
    params["dense_1.weight"] = np.zeros((1, 4))
    _, grads = module.loss_and_grads(params, data, np.array([1.0, -1, 1]))
    np.testing.assert_allclose(grads["dense_1.weight"], -(data * [[1.0], [-1], [1]]).sum(0, keepdims=True) / 3)
    with pytest.raises(module.DataError, match="-1 and 1"):
        module.loss(params, data, np.array([0, 1, 1]))


def several(**options: object) -> sn.Model:
    x = sn.Input((4,), name="x")
    h = sn.tanh(sn.Dense(5)(x))
    classes, value = sn.Dense(3, name="classes")(h), sn.Dense(1, name="value")(h)
    return sn.Model(x, [classes, value], **options)


LOSSES = [sn.CrossEntropy(), sn.MeanSquaredError()]
WAYS = {
    "lists": {"loss": LOSSES, "loss_weights": [1, 0.3]},
    "by name": {"loss": dict(zip(("classes", "value"), LOSSES, strict=True)), "loss_weights": {"value": 0.3}},
    "penalised": {"loss": LOSSES, "loss_weights": [1, 0.3], "l2": 0.1},
}


@pytest.mark.parametrize("way", WAYS)
def test_several_weighted_losses(way: str) -> None:
    model = several(**WAYS[way])
    assert [t.name for t in model.outputs] == ["classes", "value"]
    assert [o.target.name for o in model.objectives] == ["target.classes", "target.value"]
    rng = np.random.default_rng(0)
    params = {p.name: rng.normal(size=[e.const for e in p.tensor.shape]) for p in model.parameters}
    x, y = rng.normal(size=(BATCH, 4)), {"classes": rng.integers(0, 3, BATCH), "value": rng.normal(size=(BATCH, 1))}
    arrays = {**params, "x": x, "target.classes": y["classes"], "target.value": y["value"]}
    found = interpret(gradient(model.program, list(params)), arrays)
    leaves = {name: torch.tensor(a, requires_grad=True) for name, a in params.items()}

    def dense(name: str, value: Tensor) -> Tensor:
        return F.linear(value, leaves[f"{name}.weight"], leaves[f"{name}.bias"])

    h = torch.tanh(dense("dense_1", torch.tensor(x)))
    meant = F.cross_entropy(dense("classes", h), torch.tensor(y["classes"]))
    meant = meant + 0.3 * F.mse_loss(dense("value", h), torch.tensor(y["value"]))
    for name, leaf in leaves.items() if model.l2 else ():
        if name.endswith("weight"):
            meant = meant + model.l2 / 2 * (leaf**2).sum()
    assert abs(float(found["loss"]) - float(meant.detach())) < 1e-12
    grads = dict(zip(leaves, torch.autograd.grad(meant, list(leaves.values())), strict=True))
    for name, grad in grads.items():
        np.testing.assert_allclose(found[f"d_{name}"], grad.numpy(), atol=1e-12)
    module = sn.compile(model, dtype="float64").module
    loss, derived = module.loss_and_grads(params, x, y)
    assert abs(loss - float(meant.detach())) < 1e-12
    for name, grad in grads.items():
        np.testing.assert_allclose(derived[name], grad.numpy(), atol=1e-12)
    outputs = module.forward(params, x)
    assert list(outputs) == ["classes", "value"]
    np.testing.assert_allclose(outputs["value"], found["value"], atol=1e-12)
    decided = module.predict(params, x)
    assert decided["classes"].tolist() == found["classes"].argmax(1).tolist()
    np.testing.assert_allclose(decided["value"], found["value"], atol=1e-12)


def test_an_output_without_a_loss() -> None:
    model = several(loss=[None, sn.MeanSquaredError()])
    assert [o.target.name for o in model.objectives] == ["target"]
    module = sn.compile(model, dtype="float64").module
    params = module.init_params(0)
    x, y = np.ones((2, 4)), np.zeros((2, 1))
    outputs = module.forward(params, x)
    assert {name: value.shape for name, value in outputs.items()} == {"classes": (2, 3), "value": (2, 1)}
    assert abs(module.loss(params, x, y) - (outputs["value"] ** 2).mean()) < 1e-12


def test_several_losses_train() -> None:
    model = several(loss=LOSSES, loss_weights=[1, 0.3])
    module = sn.compile(model, dtype="float64").module
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4))
    y = {"classes": (x[:, 0] > 0).astype(int), "value": x[:, 1:2]}
    start = module.init_params(0)
    params, _ = module.train(start, x, y, epochs=20, batch_size=16, learning_rate=0.05, validation=(x, y), patience=5)
    assert module.loss(params, x, y) < module.loss(start, x, y) / 3
    step = module.make_step(start, batch_size=64, learning_rate=0.01)
    assert step(x, y) > step(x, y)


def test_one_weighted_loss_is_scaled() -> None:
    x = sn.Input((4,), name="x")
    model = sn.Model(x, sn.Dense(1)(x), loss=sn.MeanSquaredError(), loss_weights=3)
    module = sn.compile(model, dtype="float64").module
    params = module.init_params(0)
    data = np.ones((2, 4))
    assert abs(module.loss(params, data, np.zeros(2)) - 3 * (module.forward(params, data) ** 2).mean()) < 1e-12


MISTAKES = {
    "too few": ({"loss": [sn.CrossEntropy()]}, "expected one for each of the 2 outputs classes or value, got 1"),
    "no list": ({"loss": sn.CrossEntropy()}, "expected one for each of the 2 outputs"),
    "unknown": ({"loss": {"clases": sn.CrossEntropy()}}, "no output 'clases'; did you mean 'classes'"),
    "no loss": ({"loss": [sn.CrossEntropy(), "mse"]}, "expected a loss such as sn.CrossEntropy"),
    "weight of none": ({"loss": [LOSSES[0], None], "loss_weights": [1, 2]}, "a weight for 'value', which has no loss"),
    "negative": ({"loss": LOSSES, "loss_weights": [1, -2]}, "at least 0"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str) -> None:
    options, message = MISTAKES[name]
    with pytest.raises(sn.DefinitionError, match=message):
        several(**options)


TOML = """
name = "tagger"
outputs = ["tags", "verdict"]
loss = { tags = { kind = "cross_entropy", reduction = "sum_over_time" }, verdict = "hinge" }
loss_weights = { tags = 0.5 }

[[inputs]]
name = "tokens"
shape = ["T"]
dtype = "int"

[[inputs]]
name = "mask"
shape = ["T"]
dtype = "bool"

[[layers]]
kind = "Embedding"
inputs = ["tokens"]
vocabulary = 9
units = 4

[[layers]]
kind = "LSTM"
inputs = { x = "embedding_1", mask = "mask" }
units = 4
return_state = true

[[layers]]
kind = "Dense"
name = "tags"
inputs = ["lstm_1"]
units = 9
tied = "embedding_1"

[[layers]]
kind = "Dense"
name = "verdict"
inputs = ["lstm_1.h_n"]
units = 1
"""


def test_in_a_model_file(tmp_path: Path) -> None:
    file = tmp_path / "tagger.toml"
    file.write_text(TOML)
    model = load(file)
    assert [str(t.name) for t in model.outputs] == ["tags", "verdict"]
    assert [(o.loss.kind, o.weight) for o in model.objectives] == [("CrossEntropy", 0.5), ("Hinge", 1.0)]
    module = sn.compile(model, dtype="float64").module
    assert module.check() and max(module.check().values()) < 1e-6


WRONG = {
    "outputs": (
        'outputs = ["tags", "verdict"]',
        'outputs = ["tag"]',
        "no layer 'tag'; did you mean|no layer 'tag'.*'tags'",
    ),
    "option": ("reduction =", "reductoin =", "unknown key 'reductoin'.*'reduction'"),
    "tied": ('tied = "embedding_1"', 'tied = "embeding_1"', "no earlier layer 'embeding_1'.*'embedding_1'"),
    "slot": ('mask = "mask" }', 'masc = "mask" }', "no input 'masc'.*'mask'"),
    "state": ('["lstm_1.h_n"]', '["lstm_1.h_m"]', "no earlier layer or input 'lstm_1.h_m'.*'lstm_1.h_n'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_in_a_model_file(name: str, tmp_path: Path) -> None:
    old, new, message = WRONG[name]
    assert old in TOML
    file = tmp_path / "tagger.toml"
    file.write_text(TOML.replace(old, new))
    with pytest.raises(sn.DefinitionError, match=message):
        load(file)
