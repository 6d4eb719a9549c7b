"""Layers with two modes: noise and running statistics, in training and in use."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import symnet as sn
from symnet.definition import from_table

TARGETS = ("numpy", "numexpr")


def vectors(rate: float = 0.4) -> sn.Model:
    """Dense layers with a batch normalization and two dropouts."""
    x = sn.Input((6,), name="x")
    h = sn.Dropout(rate)(x)
    h = sn.tanh(sn.BatchNorm1D()(sn.Dense(8)(h)))
    return sn.Model(x, sn.Dense(3)(sn.Dropout(0.25)(h)), loss=sn.CrossEntropy(), l2=0.01, name="vectors")


def batch(model: sn.Model, samples: int = 7, **sizes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    shape = [e.evaluate({"N": samples, **sizes}) for e in model.inputs[0].shape]
    assert model.target is not None
    wanted = [e.evaluate({"N": samples, **sizes}) for e in model.target.shape]
    y = rng.integers(0, 3, wanted) if model.target.dtype == "int" else rng.normal(size=wanted)
    return rng.normal(size=shape), y


def module_of(model: sn.Model, target: str = "numpy", **options: Any) -> ModuleType:
    return sn.compile(model, dtype="float64", target=target, **options).module


def started(module: ModuleType) -> dict[str, np.ndarray]:
    """Parameters and buffers away from their first values."""
    rng = np.random.default_rng(11)
    params = {name: a + rng.normal(0, 0.2, a.shape) for name, a in module.init_params(1).items()}
    return {name: abs(a) if name.endswith("running_var") else a for name, a in params.items()}


@contextmanager
def unchanged(params: dict[str, np.ndarray]) -> Iterator[None]:
    before = {name: array.tobytes() for name, array in params.items()}
    yield
    assert {name: array.tobytes() for name, array in params.items()} == before


def close(found: Any, expected: Any) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-9 * max(np.abs(expected).max(), 1e-3)


# --- batch normalization against PyTorch --------------------------------------------------------


def normalized_vectors(**options: Any) -> sn.Model:
    x = sn.Input((6,), name="x")
    h = sn.tanh(sn.BatchNorm1D(**options)(sn.Dense(5, name="first")(x)))
    return sn.Model(x, sn.Dense(3, name="last")(h), loss=sn.CrossEntropy())


def normalized_signals(**options: Any) -> sn.Model:
    x = sn.Input((4, 9), name="x")
    h = sn.tanh(sn.BatchNorm1D(**options)(sn.Conv1D(5, 3, name="first")(x)))
    return sn.Model(x, sn.Dense(3, name="last")(sn.Flatten()(h)), loss=sn.CrossEntropy())


def normalized_pictures(**options: Any) -> sn.Model:
    x = sn.Input((2, 5, 6), name="x")
    h = sn.tanh(sn.BatchNorm2D(**options)(sn.Conv2D(5, 3, name="first")(x)))
    return sn.Model(x, sn.Dense(3, name="last")(sn.Flatten()(h)), loss=sn.CrossEntropy())


def twice(**options: Any) -> sn.Model:
    """One layer called twice: its statistics move twice a step."""
    x = sn.Input((6,), name="x")
    norm = sn.BatchNorm1D(**options)
    h = norm(sn.tanh(norm(sn.Dense(5, name="first")(x))))
    return sn.Model(x, sn.Dense(3, name="last")(h), loss=sn.CrossEntropy())


CASES: list[tuple[Callable[..., sn.Model], dict[str, Any]]] = [
    (normalized_vectors, {}),
    (normalized_vectors, {"momentum": 0.3, "eps": 0.01, "use_bias": False}),
    (normalized_vectors, {"trainable": False}),
    (normalized_signals, {}),
    (normalized_pictures, {}),
    (normalized_pictures, {"momentum": 1.0}),
    (twice, {}),
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("build", "options"), CASES)
def test_batch_norm_is_that_of_pytorch(build: Callable[..., sn.Model], options: dict[str, Any], target: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    model = build(**options)
    module = module_of(model, target, wrt_inputs=True)
    params, (x, y) = started(module), batch(model)
    prefix = "batchnorm2d_1" if build is normalized_pictures else "batchnorm1d_1"

    kind = torch.nn.BatchNorm2d if build is normalized_pictures else torch.nn.BatchNorm1d
    twin = kind(5, eps=options.get("eps", 1e-5), momentum=options.get("momentum", 0.1), dtype=torch.float64)
    own = {name: torch.tensor(a, requires_grad=not name.startswith(prefix)) for name, a in params.items()}
    with torch.no_grad():
        for name in ("weight", "bias", "running_mean", "running_var"):
            if f"{prefix}.{name}" in params:
                getattr(twin, name).copy_(own[f"{prefix}.{name}"])
    for name in ("weight", "bias"):
        own[f"{prefix}.{name}"] = getattr(twin, name)

    def forward(x: Any) -> Any:
        first = {normalized_signals: torch.conv1d, normalized_pictures: torch.conv2d}.get(
            build, torch.nn.functional.linear
        )
        h = torch.tanh(twin(first(x, own["first.weight"], own["first.bias"])))
        h = twin(h) if build is twice else h
        return torch.nn.functional.linear(h.flatten(1), own["last.weight"], own["last.bias"])

    wanted = [name for name in module.PARAMETERS if name not in module.FROZEN]
    assert len(wanted) == {"trainable": 4}.get(next(iter(options), ""), 5 if "use_bias" in options else 6)
    step = module.make_step(params, batch_size=7, optimizer="sgd", learning_rate=0.1)
    now = params
    for _ in range(3):
        given = torch.tensor(x, requires_grad=True)
        output = forward(given)
        loss = torch.nn.functional.cross_entropy(output, torch.tensor(y))
        grads = torch.autograd.grad(loss, [given, *(own[name] for name in wanted)])
        with unchanged(now):
            found, found_grads = module.loss_and_grads(now, x, y)
            close(found, loss.item())
            close(module.loss(now, x, y), loss.item())
            close(module.forward(now, x, training=True), output.detach().numpy())
        for name, expected in zip(["x", *wanted], grads, strict=True):
            close(found_grads[name], expected.numpy())
        assert set(found_grads) == {"x", *wanted}
        close(step(x, y), loss.item())
        with torch.no_grad():
            for name, gradient in zip(wanted, grads[1:], strict=True):
                own[name] -= 0.1 * gradient
        now = step.params()
        for name in ("running_mean", "running_var"):
            close(now[f"{prefix}.{name}"], getattr(twin, name).numpy())
    twin.eval()
    output = forward(torch.tensor(x)).detach()
    close(module.forward(now, x), output.numpy())
    close(module.forward(now, x[:1]), output[:1].numpy())
    close(module.loss(now, x, y, training=False), torch.nn.functional.cross_entropy(output, torch.tensor(y)).item())
    assert (module.predict(now, x) == output.numpy().argmax(1)).all()


def test_channels_last_is_channels_first() -> None:
    def build(layout: str) -> sn.Model:
        shape = (2, 5, 6) if layout == "CHW" else (5, 6, 2)
        x = sn.Input(shape, name="x", layout=layout)
        h = sn.BatchNorm2D()(sn.Conv2D(3, 2)(x))
        return sn.Model(x, sn.Dense(2)(sn.Flatten()(h)), loss=sn.MeanSquaredError())

    first, last = module_of(build("CHW")), module_of(build("HWC"))
    params, (x, y) = started(first), batch(build("CHW"))
    moved = np.moveaxis(x, 1, -1)
    close(last.loss(params, moved, y), first.loss(params, x, y))
    for name, gradient in first.loss_and_grads(params, x, y)[1].items():
        close(last.loss_and_grads(params, moved, y)[1][name], gradient)
    close(last.forward(params, moved), first.forward(params, x))


def test_a_batch_of_one_leaves_finite_statistics() -> None:
    model = normalized_vectors()
    module = module_of(model)
    params, (x, y) = started(module), batch(model)
    trained, _ = module.train(params, x, y, epochs=1, batch_size=3)  # 3 + 3 + 1
    assert all(np.isfinite(array).all() for array in trained.values())
    step = module.make_step(params, batch_size=1)
    step(x[:1], y[:1])
    close(step.params()["batchnorm1d_1.running_var"], 0.9 * params["batchnorm1d_1.running_var"])


# --- dropout ------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_dropout_keeps_what_its_noise_says(target: str) -> None:
    x = sn.Input((500,), name="x")
    module = module_of(sn.Model(x, sn.Dropout(0.3)(x), loss=sn.SquaredError()), target, wrt_inputs=True)
    data = np.random.default_rng(1).normal(1, 0.1, (40, 500))
    noise = np.random.default_rng(9).random((40, 500))
    output = module.forward({}, data, training=True, seed=9)
    close(output, np.where(noise >= 0.3, data / 0.7, 0))
    assert abs((output == 0).mean() - 0.3) < 0.01
    assert abs(output.mean() - 1) < 0.02
    assert (module.forward({}, data) == data).all()
    gradient = module.loss_and_grads({}, data, 0 * data, seed=9)[1]["x"]
    close(gradient, np.where(noise >= 0.3, 2 * output / 0.7 / 40, 0))


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_decide_the_noise(target: str) -> None:
    model = vectors()
    module = module_of(model, target)
    params, (x, y) = started(module), batch(model)
    with unchanged(params):
        first = module.loss_and_grads(params, x, y)
        again = module.loss_and_grads(params, x, y, seed=0)
        other = module.loss_and_grads(params, x, y, seed=1)
    assert first[0] == again[0] == module.loss(params, x, y)
    assert all((first[1][name] == again[1][name]).all() for name in first[1])
    assert first[0] != other[0] == module.loss(params, x, y, seed=1)
    outputs = [module.forward(params, x, training=True, seed=seed) for seed in (0, 1, 0)]
    assert (outputs[0] == outputs[2]).all()
    assert (outputs[0] != outputs[1]).any()
    assert (module.forward(params, x) == module.forward(params, x, seed=1)).all()
    with pytest.raises(module.DataError, match="seed"):
        module.loss(params, x, y, seed=-1)


@pytest.mark.parametrize("target", TARGETS)
def test_gradients_hold_under_noise(target: str) -> None:
    errors = module_of(vectors(), target, wrt_inputs=True).check()
    assert set(errors) > {"x", "batchnorm1d_1.weight", "dense_1.weight"}
    assert max(errors.values()) < 1e-6


def test_training_is_reproducible() -> None:
    model = vectors()
    module = module_of(model)
    params, (x, y) = started(module), batch(model, samples=20)
    steps = [module.make_step(params, batch_size=20, seed=4) for _ in range(2)]
    losses = [[step(x, y) for _ in range(3)] for step in steps]
    assert losses[0] == losses[1]
    assert len(set(losses[0])) == 3
    assert losses[0][0] == module.loss(params, x, y, seed=4)
    with unchanged(params):
        runs = [module.train(params, x, y, epochs=2, batch_size=8, seed=seed, validation=(x, y)) for seed in (0, 0, 1)]
    assert runs[0][1] == runs[1][1] != runs[2][1]
    assert all((runs[0][0][name] == runs[1][0][name]).all() for name in params)
    trained, history = runs[0]
    close(history["val_loss"][-1], module.loss(trained, x, y, training=False))
    assert history["val_accuracy"][-1] == (module.predict(trained, x) == y).mean()
    assert (trained["batchnorm1d_1.running_mean"] != params["batchnorm1d_1.running_mean"]).any()


def test_dropout_between_recurrent_layers() -> None:
    x = sn.Input(("T", 3), name="x")
    h = sn.LSTM(4)(sn.Dropout(0.3)(sn.SimpleRNN(4)(x)))
    model = sn.Model(x, sn.Dense(2)(sn.Dropout(0.5)(h)), loss=sn.MeanSquaredError())
    module = module_of(model)
    assert max(module.check().values()) < 1e-6
    x5, y5 = batch(model, samples=3, T=5)
    step = module.make_step(module.init_params(), batch_size=3)
    assert np.isfinite([step(x5, y5), step(x5[:, :2], y5[:, :2] if y5.ndim > 2 else y5)]).all()


@pytest.mark.parametrize("target", ["numpy", "auto"])
def test_a_step_allocates_nothing_big(target: str) -> None:
    x = sn.Input((3, 16, 16), name="x")
    h = sn.relu(sn.BatchNorm2D()(sn.Conv2D(16, 3)(x)))
    h = sn.Dropout(0.2)(h)
    model = sn.Model(x, sn.Dense(3)(sn.Flatten()(h)), loss=sn.CrossEntropy())
    module = sn.compile(model, target=target, wrt_inputs=True).module
    data, labels = batch(model, samples=16)
    data = data.astype(np.float32)
    step = module.make_step(module.init_params(), batch_size=16)
    step(data, labels)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        step(data, labels)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak - before < 32_000  # an activation takes 200,704 bytes


# --- the two programs ---------------------------------------------------------------------------


def test_networks_without_modes_have_one_program() -> None:
    x = sn.Input((6,), name="x")
    model = sn.Model(x, sn.Dense(2)(sn.Dropout(0.0)(x)), loss=sn.MeanSquaredError())
    assert model.evaluation is model.program
    net = sn.compile(model)
    assert net.module._evaluate_forward is net.module._forward
    assert "def _evaluate_forward" not in net.source
    assert net.module.BUFFERS == {} == net.module.INPUT_GRADIENTS
    assert net.module.NOISE == ()
    assert list(net.module.loss_and_grads(net.module.init_params(), np.ones((2, 6)), np.ones((2, 2)))[1]) == [
        "dense_1.weight",
        "dense_1.bias",
    ]


def test_programs_of_a_model() -> None:
    model = vectors()
    assert [t.name for t in model.noise] == ["dropout_1.noise", "dropout_2.noise"]
    assert [b.name for b in model.buffers] == ["batchnorm1d_1.running_mean", "batchnorm1d_1.running_var"]
    assert not any(b.trainable or b.regularize for b in model.buffers)
    assert {e.stage for e in model.program.equations} == {"forward", "loss", "state"}
    assert {e.stage for e in model.evaluation.equations} == {"forward", "loss"}
    assert not any(".noise" in t.name for t in model.evaluation.tensors)
    assert {t.kind for t in model.program.tensors if t.name in model.updates.values()} == {"result"}
    module = sn.compile(model).module
    assert set(module.init_params()) == {*module.PARAMETERS, *module.BUFFERS}
    assert not set(module.PARAMETERS) & set(module.BUFFERS)


def test_buffers_are_saved_with_the_parameters(tmp_path: Path) -> None:
    model = vectors()
    net = sn.compile(model)
    x, y = batch(model, samples=20)
    trained, _ = net.fit(x, y, epochs=1)
    net.module.save_params(tmp_path / "p.npz", trained)
    loaded = net.module.load_params(tmp_path / "p.npz")
    assert (net.module.forward(loaded, x) == net.module.forward(trained, x)).all()


def test_latex_and_summary() -> None:
    net = sn.compile(vectors())
    text = net.latex()
    assert r"\mu^{\text{batchnorm1d\_1}}_{c} & = \frac{1}{N} \, \sum_{n} z^{\text{dense\_1}}_{n,c}" in text
    assert r"[u^{\text{dropout\_1}}_{n,c} \geq" in text
    assert r"\hat{\mu}^{\text{batchnorm1d\_1, next}}_{c} & = " in text
    assert "## State" in text
    assert "x_{n,c}" in text
    assert "vectors: 99 parameters" in net.summary()


def test_inputs_have_gradients_on_request() -> None:
    left, right = sn.Input((4,), name="left"), sn.Input((4,), name="right")
    model = sn.Model([left, right], sn.Dense(2)(left * right), loss=sn.MeanSquaredError())
    module = module_of(model, wrt_inputs=True)
    rng = np.random.default_rng(0)
    x, y = {"left": rng.normal(size=(5, 4)), "right": rng.normal(size=(5, 4))}, rng.normal(size=(5, 2))
    params = started(module)
    _, grads = module.loss_and_grads(params, x, y)
    assert list(grads) == ["dense_1.weight", "dense_1.bias", "left", "right"]
    delta = (module.forward(params, x) - y) / 5 @ params["dense_1.weight"]
    close(grads["left"], delta * x["right"])
    close(grads["right"], delta * x["left"])
    with pytest.raises(sn.DefinitionError, match="wrt_inputs"):
        sn.compile(model, wrt_inputs="yes")  # type: ignore[arg-type]


# --- mistakes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: sn.Dropout(1.0), sn.DefinitionError, "rate.*below 1"),
        (lambda: sn.Dropout(-0.1), sn.DefinitionError, "rate"),
        (lambda: sn.Dropout("half"), sn.DefinitionError, "rate"),
        (lambda: sn.Dropout(ratio=0.5), sn.DefinitionError, "ratio.*did you mean 'rate'"),
        (lambda: sn.BatchNorm1D(momentum=2), sn.DefinitionError, "momentum"),
        (lambda: sn.BatchNorm1D(eps=-1), sn.DefinitionError, "eps"),
        (lambda: sn.BatchNorm1D()(sn.Input((3, 5, 5))), sn.ShapeError, r"\(N, C\) or \(N, C, L\), got \(N, 3, 5, 5\)"),
        (lambda: sn.BatchNorm2D()(sn.Input((3,))), sn.ShapeError, r"\(N, C, H, W\), got \(N, 3\)"),
        (lambda: sn.BatchNorm1D()(sn.Input(("T",))), sn.ShapeError, "symbolic"),
    ],
)
def test_mistakes(build: Callable[[], object], error: type[sn.SymnetError], message: str) -> None:
    with pytest.raises(error, match=message):
        build()


def test_model_files_know_the_layers() -> None:
    model = from_table(
        {
            "input": {"name": "x", "shape": [2, 6, 6]},
            "loss": "cross_entropy",
            "layers": [
                {"kind": "BatchNorm2D", "momentum": 0.2},
                {"kind": "Flatten"},
                {"kind": "Dropout", "rate": 0.5},
                {"kind": "Dense", "units": 2},
            ],
        }
    )
    assert [layer.name for layer in model.layers] == ["batchnorm2d_1", "flatten_1", "dropout_1", "dense_1"]
    assert max(module_of(model).check().values()) < 1e-6
