"""Weights of samples and classes: in the equations, the gradients (against PyTorch), training and the commands."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import symnet as sn
from codegen.notation import show
from codegen.oracle.interpret import interpret
from symnet.cli.main import main
from symnet.differentiate.programs import derived
from test_losses_more import BATCH, CASES, LOSSES, STEPS, Twin, per_step, several
from torch_or_skip import F, torch

WEIGHTS = np.array([0.5, 0.0, 2.0])


def flowers(**options: object) -> sn.Model:
    x = sn.Input((4,), name="flower")
    return sn.Model(x, sn.Dense(3, name="out")(x), **({"loss": sn.CrossEntropy()} | options))


@pytest.fixture(scope="module")
def net() -> ModuleType:
    return sn.compile(flowers(), dtype="float64", weighted=True).module


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 4))
    return x, (x[:, 0] > 0).astype(int) + (x[:, 1] > 0.5), rng.integers(0, 4, 40)


def test_equations() -> None:
    net = sn.compile(flowers(), weighted=True)
    assert "loss[] = sum[n](sample_weight[n]*loss.sample[n]/N)" in show(derived(net.model))
    assert "d_loss.sample[n] = sample_weight[n]/N" in show(net.program)
    assert r"L & = \frac{1}{N} \, \sum_{n} w_{n} \, \ell_{n}" in net.latex()
    assert "sample_weight" not in sn.compile(net_model := flowers()).latex() and net_model.weight is None


def weighted(twin: Twin) -> Twin:
    """The mean over the samples of each one's loss times its weight."""
    return lambda z, y: sum(w * twin(z[k : k + 1], y[k : k + 1]) for k, w in enumerate(WEIGHTS)) / BATCH


def agree(
    loss: sn.CrossEntropy, shape: tuple[int | str, ...], drawn: Callable[..., np.ndarray], twin: Twin, l2: float = 0.0
) -> None:
    x = sn.Input(shape, name="x")
    model = sn.Model(x, sn.Dense(3)(x), loss=loss, l2=l2)
    rng = np.random.default_rng(1)
    size = (BATCH, *(STEPS if e == "T" else e for e in shape))
    data, y = rng.normal(size=size), drawn(rng, (*size[:-1], 3))
    params = {"dense_1.weight": rng.normal(size=(3, size[-1])), "dense_1.bias": rng.normal(size=3)}
    module = sn.compile(model, dtype="float64", weighted=True).module
    value, grads = module.loss_and_grads(params, data, y, sample_weight=WEIGHTS)
    leaves = [torch.tensor(a, requires_grad=True) for a in params.values()]
    meant = weighted(twin)(F.linear(torch.tensor(data), *leaves), torch.tensor(y)) + l2 / 2 * (leaves[0] ** 2).sum()
    assert abs(value - float(meant.detach())) < 1e-12
    assert abs(module.loss(params, data, y, training=False, sample_weight=WEIGHTS) - value) < 1e-12
    for grad, other in zip(grads.values(), torch.autograd.grad(meant, leaves), strict=True):
        np.testing.assert_allclose(grad, other.numpy(), atol=1e-12)
    plain = sn.compile(model, dtype="float64").module
    assert abs(plain.loss(params, data, y) - module.loss(params, data, y)) < 1e-12


@pytest.mark.parametrize("name", CASES)
def test_of_vectors(name: str) -> None:
    loss, drawn, twin = CASES[name]
    agree(loss(), (4,), drawn, twin, l2=0.1)


@pytest.mark.parametrize("name", CASES)
def test_over_time(name: str) -> None:
    loss, drawn, twin = CASES[name]
    agree(loss(), ("T", 4), drawn, twin)
    agree(loss(reduction="sum_over_time"), ("T", 4), drawn, per_step(twin))


def test_as_pytorch_weighs_cross_entropy(net: ModuleType, data: tuple[np.ndarray, ...]) -> None:
    x, y, w = data
    params = net.init_params(0)
    leaves = [torch.tensor(a, requires_grad=True) for a in params.values()]
    z = F.linear(torch.tensor(x), *leaves)
    meant = (F.cross_entropy(z, torch.tensor(y), reduction="none") * torch.tensor(w)).mean()
    value, grads = net.loss_and_grads(params, x, y, sample_weight=w)
    assert abs(value - float(meant.detach())) < 1e-12
    for grad, other in zip(grads.values(), torch.autograd.grad(meant, leaves), strict=True):
        np.testing.assert_allclose(grad, other.numpy(), atol=1e-12)


@pytest.mark.parametrize("target", ["numpy", "numexpr"])
def test_of_several_outputs(target: str) -> None:
    net = sn.compile(
        several(loss=LOSSES, loss_weights=[1, 0.3]), dtype="float64", target=target, weighted=True, hvp=True
    )
    rng = np.random.default_rng(0)
    params = {name: rng.normal(size=shape) for name, shape in net.module.PARAMETERS.items()}
    x, y = rng.normal(size=(BATCH, 4)), {"classes": rng.integers(0, 3, BATCH), "value": rng.normal(size=(BATCH, 1))}
    arrays = {**params, "x": x, "target.classes": y["classes"], "target.value": y["value"], "sample_weight": WEIGHTS}
    found = interpret(derived(net.model), arrays)
    value, grads = net.module.loss_and_grads(params, x, y, sample_weight=WEIGHTS)
    single = [net.module.loss(params, x[[k]], {name: v[[k]] for name, v in y.items()}) for k in range(BATCH)]
    assert abs(value - float(found["loss"])) < 1e-12 and abs(value - WEIGHTS @ single / BATCH) < 1e-12
    for name, grad in grads.items():
        np.testing.assert_allclose(grad, found[f"d_{name}"], atol=1e-12)
    v = {name: rng.normal(size=a.shape) for name, a in params.items()}
    product = net.module.hvp(params, x, y, v, sample_weight=WEIGHTS)
    sides = [{n: a + h * v[n] for n, a in params.items()} for h in (1e-5, -1e-5)]
    above, below = (net.module.loss_and_grads(p, x, y, sample_weight=WEIGHTS)[1] for p in sides)
    for name, array in product.items():
        np.testing.assert_allclose(array, (above[name] - below[name]) / 2e-5, atol=1e-7)


def test_check_draws_weights(net: ModuleType) -> None:
    errors = net.check()
    assert set(errors) == set(net.PARAMETERS) and max(errors.values()) < 1e-6


def test_weights_stand_for_repetitions(net: ModuleType, data: tuple[np.ndarray, ...]) -> None:
    x, y, w = data
    settings = {"epochs": 30, "learning_rate": 0.05, "verbose": False}
    one, history = net.train(net.init_params(0), x, y, batch_size=40, sample_weight=w, validation=(x, y, w), **settings)
    x2, y2 = x.repeat(w, 0), y.repeat(w)
    two, other = net.train(net.init_params(0), x2, y2, batch_size=len(x2), validation=(x2, y2), **settings)
    for name in one:
        np.testing.assert_allclose(one[name], two[name], atol=1e-10)
    np.testing.assert_allclose(history["loss"], other["loss"], atol=1e-10)
    np.testing.assert_allclose(history["val_loss"], other["val_loss"], atol=1e-10)


def test_scale_of_the_weights_does_not_matter(net: ModuleType, data: tuple[np.ndarray, ...]) -> None:
    x, y, w = data
    settings = {"epochs": 3, "batch_size": 7, "verbose": False}
    one, _ = net.train(net.init_params(0), x, y, sample_weight=w, **settings)
    two, _ = net.train(net.init_params(0), x, y, sample_weight=1000.0 * w, **settings)
    plain, _ = net.train(net.init_params(0), x, y, **settings)
    np.testing.assert_allclose(one["out.weight"], two["out.weight"], atol=1e-12)
    assert abs(one["out.weight"] - plain["out.weight"]).max() > 1e-4


def test_class_weights(net: ModuleType, data: tuple[np.ndarray, ...]) -> None:
    x, y, w = data
    settings = {"epochs": 3, "batch_size": 7, "verbose": False}

    def trained(**options: object) -> np.ndarray:
        return net.train(net.init_params(0), x, y, **settings, **options)[0]["out.weight"]

    counts = np.bincount(y)
    balanced = {k: len(y) / (3 * counts[k]) for k in range(3)}
    each = np.array([balanced[label] for label in y])
    np.testing.assert_allclose(trained(class_weight="balanced"), trained(class_weight=balanced), atol=1e-12)
    np.testing.assert_allclose(trained(class_weight="balanced"), trained(sample_weight=each), atol=1e-12)
    counted = np.bincount(y, w)
    factor = np.array([w.sum() / (3 * counted[label]) for label in y])
    both = trained(class_weight="balanced", sample_weight=w)
    np.testing.assert_allclose(both, trained(sample_weight=w * factor), atol=1e-12)
    np.testing.assert_allclose(
        trained(class_weight={2: 5.0}), trained(sample_weight=np.where(y == 2, 5.0, 1)), atol=1e-12
    )


@pytest.mark.parametrize(("loss", "labels"), [(sn.BinaryCrossEntropy(), (0, 1)), (sn.Hinge(), (-1, 1))])
def test_class_weights_of_one_logit(loss: sn.CrossEntropy, labels: tuple[int, int]) -> None:
    x = sn.Input((4,), name="x")
    module = sn.compile(sn.Model(x, sn.Dense(1)(x), loss=loss), weighted=True).module
    rows = np.random.default_rng(0).normal(size=(20, 4))
    y = np.where(rows[:, 0] > 0, *labels[::-1])
    start = module.init_params(0)
    one, _ = module.train(start, rows, y, epochs=2, class_weight={labels[1]: 3}, verbose=False)
    two, _ = module.train(start, rows, y, epochs=2, sample_weight=np.where(y == 1, 3, 1), verbose=False)
    np.testing.assert_array_equal(one["dense_1.weight"], two["dense_1.weight"])
    with pytest.raises(module.DataError, match=f"no label 7; the labels are {labels[0]}, 1"):
        module.train(start, rows, y, class_weight={7: 1})


def test_steps_and_sources(net: ModuleType, data: tuple[np.ndarray, ...]) -> None:
    x, y, w = data
    step = net.make_step(net.init_params(0), batch_size=40, optimizer="sgd", learning_rate=0.1)
    value = step(x, y, w)
    assert abs(value - net.loss(net.init_params(0), x, y, sample_weight=w)) < 1e-12
    _, grads = net.loss_and_grads(net.init_params(0), x, y, sample_weight=w)
    np.testing.assert_allclose(step.params()["out.bias"], -0.1 * grads["out.bias"], atol=1e-12)
    params = step.params()
    assert abs(step(x, y) - net.loss(params, x, y)) < 1e-12  # the weights of the last batch are gone

    class Source:
        samples = 40

        def batches(self, batch_size: int, rng: np.random.Generator) -> list[tuple[np.ndarray, ...]]:
            return [(x, y, w / w.mean())]

    settings = {"epochs": 2, "batch_size": 40, "verbose": False}
    one, _ = net.train(net.init_params(0), Source(), None, **settings)
    two, _ = net.train(net.init_params(0), x, y, sample_weight=w, **settings)
    np.testing.assert_allclose(one["out.weight"], two["out.weight"], atol=1e-12)
    with pytest.raises(net.DataError, match=r"\(x, y, sample_weight\)"):
        net.train(net.init_params(0), Source(), None, sample_weight=w)


@pytest.mark.parametrize("method", ["l-bfgs", "newton-cg"])
def test_training_by_scipy(method: str, data: tuple[np.ndarray, ...]) -> None:
    pytest.importorskip("scipy")
    x, y, w = data
    net = sn.compile(flowers(l2=0.1), dtype="float64", hvp=True, weighted=True)
    one = sn.fit_scipy(net, x, y, method, sample_weight=w / w.mean())
    two = sn.fit_scipy(net, x.repeat(w, 0), y.repeat(w), method)
    assert one.converged and abs(one.loss - two.loss) < 1e-10
    np.testing.assert_allclose(one.params["out.weight"], two.params["out.weight"], atol=1e-5)


def test_training_goes_on_with_the_same_weights_only(net: ModuleType, data: tuple[np.ndarray, ...]) -> None:
    x, y, w = data
    states: list[dict[str, object]] = []
    settings = {"epochs": 2, "batch_size": 7, "verbose": False}
    start = net.init_params(0)
    straight, _ = net.train(start, x, y, sample_weight=w, **settings)
    net.train(start, x, y, sample_weight=w, on_step=lambda event: states.append(event["state"]()), **settings)
    resumed, _ = net.train(start, x, y, sample_weight=w, resume=states[3], **settings)
    np.testing.assert_array_equal(straight["out.weight"], resumed["out.weight"])
    with pytest.raises(net.DataError, match="weights"):
        net.train(start, x, y, resume=states[3], **settings)


MISTAKES = {
    "length": ({"sample_weight": np.ones(39)}, r"a number for each of the 40 samples, got shape \(39,\)"),
    "shape": ({"sample_weight": np.ones((40, 1))}, r"got shape \(40, 1\)"),
    "negative": ({"sample_weight": np.arange(40) - 1.0}, r"sample_weight: expected numbers from 0, got -1.0 at 0"),
    "nan": ({"sample_weight": np.full(40, np.nan)}, "sample_weight: expected finite numbers, got nan"),
    "zero": ({"sample_weight": np.zeros(40)}, "all weights are zero"),
    "word": ({"class_weight": "balance"}, "expected {label: weight} or \"balanced\", got 'balance'"),
    "label": ({"class_weight": {3: 1.0}}, "class_weight: no label 3; the labels are 0, 1, 2"),
    "negative class": ({"class_weight": {1: -1.0}}, "class_weight: expected numbers from 0, got -1.0"),
    "validation": ({"validation": (np.ones((2, 4)), [0, 1], [1.0])}, "each of the 2 samples"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str, net: ModuleType, data: tuple[np.ndarray, ...]) -> None:
    options, message = MISTAKES[name]
    with pytest.raises(net.DataError, match=message):
        net.train(net.init_params(0), *data[:2], **options)


def test_class_weights_need_labels() -> None:
    module = sn.compile(flowers(loss=sn.MeanSquaredError()), weighted=True).module
    with pytest.raises(module.DataError, match="one label a sample; give sample_weight instead"):
        module.train(module.init_params(0), np.ones((5, 4)), np.ones((5, 3)), class_weight="balanced")


def test_without_weighted(data: tuple[np.ndarray, ...]) -> None:
    x, y, w = data
    module = sn.compile(flowers()).module
    params = module.init_params(0)
    step = module.make_step(params, batch_size=40)
    for call in (
        lambda: module.loss(params, x, y, sample_weight=w),
        lambda: module.loss_and_grads(params, x, y, sample_weight=w),
        lambda: step(x, y, w),
        lambda: module.train(params, x, y, sample_weight=w),
        lambda: module.train(params, x, y, class_weight="balanced"),
        lambda: module.train(params, x, y, validation=(x, y, w)),
    ):
        with pytest.raises(module.DataError, match=r"compile\(\.\.\., weighted=True\)"):
            call()
    assert not hasattr(module.Workspace(4), "sample_weight")


def test_what_has_no_weights() -> None:
    with pytest.raises(sn.DefinitionError, match="there is no loss"):
        sn.compile(flowers(loss=None), weighted=True)
    x = sn.Input((4,), name="sample_weight")
    with pytest.raises(sn.DefinitionError, match="'sample_weight' names the weights of the samples"):
        sn.compile(sn.Model(x, sn.Dense(3)(x), loss=sn.CrossEntropy()), weighted=True)
    with pytest.raises(sn.DefinitionError, match="expected True or False"):
        sn.compile(flowers(), weighted=1)


def test_the_model_stays_as_it_is() -> None:
    model = flowers()
    before = show(derived(model))
    assert sn.compile(model, weighted=True).model.weight is not None
    assert show(derived(model)) == before
    assert show(derived(copy.copy(model).weighted())) != before


MODEL = """
name = "flowers"
loss = "cross_entropy"
input = { shape = [4] }
layers = [{ kind = "Dense", units = 3 }]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: tuple[np.ndarray, ...]) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("flowers.toml").write_text(MODEL)
    x, y, w = data
    np.savez("data.npz", x=x, y=y, trust=w, short=w[:-1])
    return tmp_path


def trained(*options: str) -> np.ndarray:
    """The weights after `symnet train` with these options."""
    words = "train flowers.toml --data data.npz --epochs 3 --holdout 0 --dtype float64 --quiet --params out.npz"
    assert main([*words.split(), *options]) == 0
    with np.load("out.npz", allow_pickle=False) as arrays:
        return np.array(arrays["dense_1.weight"])


def test_command(folder: Path, data: tuple[np.ndarray, ...], capsys: pytest.CaptureFixture[str]) -> None:
    x, y, w = data
    x_input = sn.Input((4,))
    model = sn.Model(x_input, sn.Dense(3)(x_input), loss=sn.CrossEntropy(), name="flowers")
    module = sn.compile(model, dtype="float64", weighted=True).module

    def expected(**weights: object) -> np.ndarray:
        return module.train(module.init_params(0), x, y, epochs=3, verbose=False, **weights)[0]["dense_1.weight"]

    np.testing.assert_allclose(trained("--sample-weight", "trust"), expected(sample_weight=w), atol=1e-12)
    out = capsys.readouterr().out
    np.testing.assert_allclose(trained("--class-weight", "balanced"), expected(class_weight="balanced"), atol=1e-12)
    by_label = trained("--class-weight", "0=2,2=0.5", "--sample-weight", "trust")
    np.testing.assert_allclose(by_label, expected(class_weight={0: 2, 2: 0.5}, sample_weight=w), atol=1e-12)
    assert "train       loss" in out
    assert main("train flowers.toml --data data.npz --epochs 2 --quiet --sample-weight trust".split()) == 0
    assert "validation  loss" in capsys.readouterr().out


WRONG = {
    "word": (["--class-weight", "balancd"], "expected balanced, or LABEL=WEIGHT,..., got 'balancd'"),
    "pairs": (["--class-weight", "0=1,2"], "expected balanced, or LABEL=WEIGHT"),
    "label": (["--class-weight", "7=1"], "class_weight: no label 7; the labels are 0, 1, 2"),
    "array": (["--sample-weight", "trus"], "no array 'trus' for the weights of the samples.*did you mean 'trust'"),
    "length": (["--sample-weight", "short"], "'weights' has 39 samples where the input has 40"),
    "csv": (["--data", "data.csv", "--sample-weight", "w"], "weights of samples come from an .npz file"),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_of_the_command(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options, message = WRONG[name]
    np.savetxt("data.csv", np.column_stack([np.ones((6, 4)), np.arange(6) % 3]), delimiter=",")
    assert main(["train", "flowers.toml", "--data", "data.npz", *options]) == 2
    assert re.search(message, capsys.readouterr().err)
