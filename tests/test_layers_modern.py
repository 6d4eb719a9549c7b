"""Attention, norms, embeddings and the convolutions of modern networks: compiled, against PyTorch in float64."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

import symnet as sn
from modern import Case, compiled, expected, heads, masked
from torch_or_skip import F, Tensor, torch

Values = Mapping[str, Tensor]


def scored(v: Values, key: str, value: str, seen: Tensor | None = None) -> Tensor:
    """Dot-product attention; a step that sees nothing gets 0."""
    scores = v["query"] @ v[key].transpose(1, 2) / v["query"].shape[-1] ** 0.5
    if seen is not None:
        scores = scores.masked_fill(~seen, -torch.inf)
    return torch.nan_to_num(torch.softmax(scores, -1)) @ v[value] if seen is None else masked(scores, seen) @ v[value]


def sinusoid(v: Values) -> Tensor:
    x = v["x"]
    t, k = torch.meshgrid(*(torch.arange(e, dtype=x.dtype) for e in x.shape[1:]), indexing="ij")
    angle = t / 10000 ** ((k - k % 2) / x.shape[2])
    return x + torch.where(k % 2 == 0, torch.sin(angle), torch.cos(angle))


def picture(x: Tensor) -> Tensor:
    return x.movedim(-1, 1).contiguous()


ATTENTION = [
    Case("attention", sn.Attention(), {"query": ("T", 3)}, lambda v: scored(v, "query", "query")),
    Case(
        "attention-cross",
        sn.Attention(),
        {"query": ("T", 3), "key": (4, 3), "value": (4, 2)},
        lambda v: scored(v, "key", "value"),
    ),
    Case(
        "attention-causal",
        sn.Attention(causal=True),
        {"query": ("T", 3)},
        lambda v: scored(v, "query", "query", torch.ones(5, 5, dtype=torch.bool).tril()),
    ),
    Case("heads", sn.MultiHeadAttention(2), {"query": ("T", 4)}, heads(2)),
    Case("heads-causal", sn.MultiHeadAttention(2, causal=True), {"query": ("T", 4)}, heads(2, causal=True)),
    Case("heads-unbiased", sn.MultiHeadAttention(2, use_bias=False), {"query": (5, 4)}, heads(2)),
    Case(
        "heads-masked",
        lambda query, mask: sn.MultiHeadAttention(2, causal=True)(query, mask=mask),
        {"query": ("T", 4), "mask": ("T",)},
        heads(2, causal=True),
        bools=("mask",),
    ),
    Case(
        "heads-pairs",
        lambda query, mask: sn.MultiHeadAttention(2)(query, mask=mask),
        {"query": ("T", 4), "mask": ("T", "T")},
        heads(2),
        bools=("mask",),
    ),
    Case(
        "heads-cross",
        lambda query, key, mask: sn.MultiHeadAttention(2)(query, key, mask=mask),
        {"query": ("T", 4), "key": ("S", 4), "mask": ("S",)},
        heads(2, key="key", value="key"),
        bools=("mask",),
    ),
]

NORMS = [
    Case("layer-norm", sn.LayerNorm(), {"x": ("T", 4)}, lambda v: F.layer_norm(v["x"], (4,), v["weight"], v["bias"])),
    Case(
        "layer-norm-2",
        sn.LayerNorm(axes=2),
        {"x": (3, 4)},
        lambda v: F.layer_norm(v["x"], (3, 4), v["weight"], v["bias"]),
    ),
    Case(
        "layer-norm-unbiased",
        sn.LayerNorm(use_bias=False),
        {"x": (4,)},
        lambda v: F.layer_norm(v["x"], (4,), v["weight"]),
    ),
    Case(
        "rms-norm",
        sn.RMSNorm(),
        {"x": ("T", 4)},
        lambda v: v["x"] / torch.sqrt((v["x"] ** 2).mean(-1, keepdim=True) + 1e-6) * v["weight"],
    ),
    Case(
        "group-norm",
        sn.GroupNorm(groups=2),
        {"x": (4, 3, 2)},
        lambda v: F.group_norm(v["x"], 2, v["weight"], v["bias"]),
    ),
    Case(
        "group-norm-hwc",
        sn.GroupNorm(groups=2),
        {"x": (3, 2, 4)},
        lambda v: F.group_norm(picture(v["x"]), 2, v["weight"], v["bias"]).movedim(1, -1),
        layout="HWC",
    ),
    Case("softmax", sn.Softmax(), {"x": ("T", 4)}, lambda v: torch.softmax(v["x"], -1)),
    Case("softmax-axis", sn.Softmax(axis=1), {"x": ("T", 4)}, lambda v: torch.softmax(v["x"], 1)),
]

EMBEDDINGS = [
    Case("embedding", sn.Embedding(7, 3), {"x": ("T",)}, lambda v: F.embedding(v["x"].long(), v["weight"]), {"x": 7}),
    Case(
        "embedding-scalar", sn.Embedding(7, 3), {"x": ()}, lambda v: F.embedding(v["x"].long(), v["weight"]), {"x": 7}
    ),
    Case("positions", sn.PositionalEmbedding(8), {"x": ("T", 3)}, lambda v: v["x"] + v["weight"][: v["x"].shape[1]]),
    Case("sinusoid", sn.SinusoidalEmbedding(), {"x": ("T", 5)}, sinusoid),
]

PICTURES = [
    Case(
        "transposed-1d",
        sn.ConvTranspose1D(3, 4, stride=2, padding=1, output_padding=1),
        {"x": (2, 5)},
        lambda v: F.conv_transpose1d(v["x"], v["weight"], v["bias"], 2, 1, 1),
    ),
    Case(
        "transposed-2d",
        sn.ConvTranspose2D(4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(2, 1), groups=2, activation="tanh"),
        {"x": (2, 3, 4)},
        lambda v: torch.tanh(
            F.conv_transpose2d(v["x"], v["weight"], v["bias"], (2, 1), (1, 0), 0, groups=2, dilation=(2, 1))
        ),
    ),
    Case(
        "transposed-hwc",
        sn.ConvTranspose2D(3, 3, stride=2, use_bias=False),
        {"x": (3, 4, 2)},
        lambda v: F.conv_transpose2d(picture(v["x"]), v["weight"], None, 2).movedim(1, -1),
        layout="HWC",
    ),
    Case(
        "depthwise",
        sn.DepthwiseConv2D(3, stride=2, padding=1, multiplier=2, activation="relu"),
        {"x": (3, 6, 5)},
        lambda v: torch.relu(F.conv2d(v["x"], v["weight"], v["bias"], 2, 1, groups=3)),
    ),
    Case(
        "separable",
        sn.SeparableConv2D(4, 3, padding=1, activation="tanh"),
        {"x": (3, 5, 4)},
        lambda v: torch.tanh(
            F.conv2d(F.conv2d(v["x"], v["depthwise.weight"], None, 1, 1, groups=3), v["pointwise.weight"], v["bias"])
        ),
    ),
    Case(
        "flipped",
        sn.Conv2D(3, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), flip_kernel=True),
        {"x": (2, 6, 5)},
        lambda v: F.conv2d(v["x"], v["weight"].flip(2, 3), v["bias"], (2, 1), (1, 0), (1, 2)),
    ),
    Case(
        "flipped-1d",
        sn.Conv1D(3, 3, padding=2, flip_kernel=True, use_bias=False),
        {"x": (2, 6)},
        lambda v: F.conv1d(v["x"], v["weight"].flip(2), None, 1, 2),
    ),
    Case(
        "upsampling",
        lambda x: sn.Conv2D(2, 1)(sn.UpSampling2D((2, 3))(x)),
        {"x": (2, 3, 2)},
        lambda v: F.conv2d(v["x"].repeat_interleave(2, 2).repeat_interleave(3, 3), v["weight"], v["bias"]),
    ),
    Case(
        "global-mean",
        lambda x: sn.GlobalAvgPool2D()(sn.Conv2D(2, 1)(x)),
        {"x": (2, 3, 2)},
        lambda v: F.conv2d(v["x"], v["weight"], v["bias"]).mean((2, 3)),
    ),
    Case(
        "global-max",
        lambda x: sn.GlobalMaxPool2D()(sn.Conv2D(2, 1)(x)),
        {"x": (2, 3, 2)},
        lambda v: F.conv2d(v["x"], v["weight"], v["bias"]).amax((2, 3)),
    ),
    Case(
        "trainable-pool",
        sn.TrainablePool2D(2),
        {"x": (3, 4, 4)},
        lambda v: torch.sigmoid(F.avg_pool2d(v["x"], 2) * v["weight"][:, None, None] + v["bias"][:, None, None]),
    ),
    Case(
        "residual",
        lambda x: sn.residual(x, sn.Conv2D(2, 3, padding="same"), activation="relu"),
        {"x": (2, 4, 4)},
        lambda v: torch.relu(v["x"] + F.conv2d(v["x"], v["weight"], v["bias"], padding=1)),
    ),
]


@pytest.mark.parametrize("case", [*ATTENTION, *NORMS, *EMBEDDINGS, *PICTURES], ids=str)
def test_agrees_with_pytorch(case: Case) -> None:
    model = case.model()
    params, x, y = case.arrays(model)
    loss, output, grads = compiled(model, params, x, y)
    expected_loss, expected_output, expected_grads = expected(case, params, x, y, str(model.output.shape[1]) == "T")
    np.testing.assert_allclose(output, expected_output, rtol=0, atol=1e-11)
    assert abs(loss - expected_loss) < 1e-9
    assert grads.keys() == expected_grads.keys()
    for name, grad in grads.items():
        np.testing.assert_allclose(grad, expected_grads[name], rtol=0, atol=1e-10, err_msg=name)


Q, PICTURE = sn.Input(("T", 6), name="q"), sn.Input((6, 5, 5), name="picture")

MISTAKES = {
    "heads do not divide": (
        lambda: sn.MultiHeadAttention(4)(Q),
        sn.ShapeError,
        "MultiHeadAttention 'multiheadattention': 4 heads do not divide the query's 6 features",
    ),
    "mask of another length": (
        lambda: sn.MultiHeadAttention(2)(Q, mask=sn.Input(5, name="m", dtype="bool")),
        sn.ShapeError,
        r"expected mask of the shape \(N, T\) or \(N, T, T\), got \(N, 5\)",
    ),
    "mask of floats": (lambda: sn.Attention()(Q, mask=sn.Input("T", name="m")), sn.ShapeError, "dtype bool, got float"),
    "key of other features": (
        lambda: sn.Attention()(Q, sn.Input(("S", 4), name="k")),
        sn.ShapeError,
        "differ in their last axis",
    ),
    "value of another length": (
        lambda: sn.Attention()(Q, sn.Input(("S", 6), name="k"), sn.Input(("R", 6), name="v")),
        sn.ShapeError,
        "differ in length",
    ),
    "heads of a picture": (lambda: sn.MultiHeadAttention(2)(PICTURE), sn.ShapeError, "3 axes"),
    "groups do not divide": (lambda: sn.GroupNorm(groups=4)(PICTURE), sn.ShapeError, "4 groups do not divide"),
    "batch normalized": (lambda: sn.LayerNorm(axes=2)(sn.Input(3, name="v")), sn.ShapeError, "the batch must stay"),
    "softmax of no axis": (lambda: sn.Softmax(axis=3)(Q), sn.ShapeError, "expected one from 1 to 2"),
    "tokens of floats": (lambda: sn.Embedding(5, 2)(sn.Input("T", name="t")), sn.ShapeError, "dtype int, got float"),
    "too long": (
        lambda: sn.PositionalEmbedding(4)(sn.Input((5, 3), name="s")),
        sn.ShapeError,
        "a sequence of 5 steps; expected at most length=4",
    ),
    "output padding": (
        lambda: sn.ConvTranspose2D(3, 3, stride=2, output_padding=2),
        sn.DefinitionError,
        "less than the stride",
    ),
    "transposed groups": (lambda: sn.ConvTranspose2D(4, 3, groups=4)(PICTURE), sn.ShapeError, "do not divide"),
    "upsampling of nothing": (lambda: sn.UpSampling2D(0), sn.DefinitionError, "of at least 1|from 1 to"),
    "inception of five": (lambda: sn.inception(PICTURE, (1, 2, 3, 4, 5)), sn.DefinitionError, "6"),
    "residual of another shape": (
        lambda: sn.residual(PICTURE, sn.Conv2D(4, 1)),
        sn.ShapeError,
        "do not fit",
    ),
    "tied to nothing": (lambda: sn.Dense(3, tied="embedding"), sn.DefinitionError, "expected a layer"),
    "tied to what is not there": (
        lambda: sn.Model(Q, sn.Dense(3, tied=sn.Embedding(3, 6))(Q)),
        sn.DefinitionError,
        "not used before it",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str) -> None:
    act, error, message = MISTAKES[name]
    with pytest.raises(error, match=message):
        act()


def test_tied_embedding() -> None:
    tokens = sn.Input(("T",), name="tokens", dtype="int")
    embedding = sn.Embedding(5, 3)
    logits = sn.Dense(5, tied=embedding)(sn.tanh(embedding(tokens)))
    model = sn.Model(tokens, logits, loss=sn.CrossEntropy(), l2=0.1)
    assert [p.name for p in model.parameters] == ["embedding_1.weight", "dense_1.bias"]
    rng = np.random.default_rng(0)
    params = {"embedding_1.weight": rng.normal(size=(5, 3)), "dense_1.bias": rng.normal(size=5)}
    x, y = rng.integers(0, 5, (2, 4)), rng.integers(0, 5, (2, 4))
    loss, grads = sn.compile(model, dtype="float64").module.loss_and_grads(params, x, y)
    weight, bias = (torch.tensor(a, requires_grad=True) for a in params.values())
    meant = F.cross_entropy(
        (torch.tanh(F.embedding(torch.tensor(x), weight)) @ weight.T + bias).flatten(0, 1), torch.tensor(y).flatten()
    )
    assert abs(loss - float(meant.detach())) < 1e-12
    for grad, twin in zip(grads.values(), torch.autograd.grad(meant, [weight, bias]), strict=True):
        np.testing.assert_allclose(grad, twin.numpy(), atol=1e-12)


def test_tied_to_another_shape() -> None:
    tokens = sn.Input(("T",), name="tokens", dtype="int")
    embedding = sn.Embedding(5, 3)
    with pytest.raises(sn.ShapeError, match=r"expected embedding_1.weight \(6, 3\)"):
        sn.Model(tokens, sn.Dense(6, tied=embedding)(embedding(tokens)))


def test_inception_branches() -> None:
    node = sn.inception(PICTURE, (2, 1, 3, 1, 2, 1))
    assert node.shape == ("N", 8, 5, 5)
    model = sn.Model(PICTURE, node)
    x = np.random.default_rng(0).normal(size=(2, 6, 5, 5))
    params = sn.compile(model, dtype="float64").module.init_params(0)
    p = {name: torch.tensor(np.asarray(a, np.float64)) for name, a in params.items()}
    t = torch.tensor(x)

    def conv(k: int, value: Tensor, padding: int) -> Tensor:
        return torch.relu(F.conv2d(value, p[f"conv2d_{k}.weight"], p[f"conv2d_{k}.bias"], padding=padding))

    meant = [
        conv(1, t, 0),
        conv(3, conv(2, t, 0), 1),
        conv(5, conv(4, t, 0), 2),
        conv(6, F.max_pool2d(t, 3, 1, 1), 0),
    ]
    output = sn.compile(model, dtype="float64").module.forward(params, x)
    np.testing.assert_allclose(output, torch.cat(meant, 1).numpy(), atol=1e-6)


def test_true_convolution_is_numpys() -> None:
    x = sn.Input((1, 7), name="x")
    model = sn.Model(x, sn.Conv1D(1, 3, padding=2, flip_kernel=True, use_bias=False)(x))
    rng = np.random.default_rng(0)
    signal, kernel = rng.normal(size=7), rng.normal(size=3)
    module = sn.compile(model, dtype="float64").module
    output = module.forward({"conv1d_1.weight": kernel[None, None]}, signal[None, None])
    np.testing.assert_allclose(output[0, 0], np.convolve(signal, kernel), atol=1e-12)


def test_tokens_and_lengths_out_of_range() -> None:
    tokens = sn.Input(("T",), name="tokens", dtype="int")
    model = sn.Model(tokens, sn.PositionalEmbedding(4)(sn.Embedding(5, 3)(tokens)), loss=sn.MeanSquaredError())
    module = sn.compile(model).module
    params = module.init_params(0)
    assert module.forward(params, np.array([[0, 4, 2]])).shape == (1, 3, 3)
    for wrong in (5, -1):
        with pytest.raises(module.DataError, match=f"'tokens': expected numbers from 0 to 4, got .*{wrong}"):
            module.forward(params, np.array([[0, wrong]]))
        with pytest.raises(module.DataError, match="expected numbers from 0 to 4"):
            module.train(params, np.array([[0, wrong]]), np.zeros((1, 2, 3)), epochs=1)
    with pytest.raises(module.DataError, match="expected at most T=4, got 5"):
        module.forward(params, np.zeros((1, 5), int))
