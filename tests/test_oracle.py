"""`sn.interpret`: against numbers worked in NumPy, and against the module where both draw or accept the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symnet as sn

RNG = np.random.default_rng(5)


def close(found: Any, expected: Any) -> None:
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def dense(**options: Any) -> sn.Model:
    x = sn.Input((3,), name="x")
    return sn.Model(x, sn.Dense(2, name="d")(x), **{"loss": sn.SquaredError(), **options})


def given(samples: int = 4) -> dict[str, Any]:
    return {
        "x": RNG.normal(size=(samples, 3)),
        "d.weight": RNG.normal(size=(2, 3)),
        "d.bias": RNG.normal(size=2),
        "target": RNG.normal(size=(samples, 2)),
    }


# --- what it computes, by hand -------------------------------------------------------------------------------------


def test_the_example() -> None:
    arrays = {"x": [[1, 2, 3]], "d.weight": np.ones((2, 3)), "d.bias": [0, 1], "target": [[5, 5]]}
    found = sn.interpret(dense(), arrays, wrt_inputs=True)
    assert found["d"].tolist() == [[6, 7]] and float(found["loss"]) == 5  # 1 + 4
    assert found["d_d.bias"].tolist() == [2, 4]
    assert found["d_d.weight"].tolist() == [[2, 4, 6], [4, 8, 12]]
    assert found["d_x"].tolist() == [[6, 6, 6]]
    assert "d_x" not in sn.interpret(dense(), arrays)


def test_weights_of_samples_and_a_penalty() -> None:
    arrays, weights = given(), np.array([0.0, 1.0, 2.0, 0.5])
    found = sn.interpret(dense(l2=0.3), {**arrays, "sample_weight": weights})
    w, error = arrays["d.weight"], arrays["x"] @ arrays["d.weight"].T + arrays["d.bias"] - arrays["target"]
    close(found["loss"], (weights @ (error**2).sum(1)) / 4 + 0.15 * (w**2).sum())
    close(found["d_d.bias"], 2 * weights @ error / 4)
    close(found["d_d.weight"], 2 * (weights[:, None] * error).T @ arrays["x"] / 4 + 0.3 * w)
    weighted = dense(l2=0.3).weighted()
    close(sn.interpret(weighted, arrays)["loss"], (error**2).sum() / 4 + 0.15 * (w**2).sum())
    close(sn.interpret(weighted, {**arrays, "sample_weight": weights})["loss"], found["loss"])


def mixed(**options: Any) -> sn.Model:
    """Tokens, a mask and numbers; a sequence of symbolic length; two outputs with a loss each."""
    tokens, keep = sn.Input(("T",), name="tokens", dtype="int"), sn.Input(("T",), name="keep", dtype="bool")
    side = sn.Input((3,), name="side")
    h = sn.Embedding(5, 3, name="table")(tokens)
    text = "m[n,k] = sum[t | keep[n,t]](h[n,t,k])/T + side[n,k]"
    pooled = sn.Formula(text, name="pooled")(h=h, keep=keep, side=side)
    classes = sn.Dense(2, name="classes", use_bias=False, trainable=False)(pooled)
    value = sn.Formula("v[n] = sum[k](w[k]*x[n,k])", params={"w": "k"}, name="value")(pooled)
    losses = {"loss": [sn.CrossEntropy(), sn.MeanSquaredError()], "loss_weights": [1, 0.5]}
    return sn.Model([tokens, keep, side], [classes, value], **{**losses, **options})


def of_mixed() -> dict[str, Any]:
    return {
        "tokens": RNG.integers(0, 5, (3, 4)),
        "keep": np.array([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 1, 1]], bool),
        "side": RNG.normal(size=(3, 3)),
        "table.weight": RNG.normal(size=(5, 3)),
        "classes.weight": RNG.normal(size=(2, 3)),
        "value.w": RNG.normal(size=3),
        "target.classes": np.array([0, 1, 1]),
        "target.value": RNG.normal(size=3),
    }


def test_several_inputs_and_outputs_a_frozen_layer_and_a_symbolic_size() -> None:
    a = of_mixed()
    found = sn.interpret(mixed(), a, sizes={"T": 4, "N": 3}, wrt_inputs=True)
    pooled = (a["table.weight"][a["tokens"]] * a["keep"][..., None]).sum(1) / 4 + a["side"]
    logits, value = pooled @ a["classes.weight"].T, pooled @ a["value.w"]
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    close(found["pooled"], pooled)
    close(found["classes"], logits)
    close(found["value"], value)
    off = value - a["target.value"]
    close(found["loss"], -np.log(chances[range(3), a["target.classes"]]).mean() + 0.5 * (off**2).mean())
    upper = (chances - np.eye(2)[a["target.classes"]]) @ a["classes.weight"] / 3 + np.outer(off / 3, a["value.w"])
    close(found["d_side"], upper)
    close(found["d_value.w"], off @ pooled / 3)
    table = np.zeros((5, 3))
    for n in range(3):
        for t in range(4):
            table[a["tokens"][n, t]] += upper[n] / 4 * a["keep"][n, t]
    close(found["d_table.weight"], table)
    assert not {"d_classes.weight", "d_tokens", "d_keep"} & set(found)  # frozen; no derivative by whole numbers
    assert {found[name].dtype for name in ("loss", "classes", "d_side")} == {np.dtype(float)}
    assert found["tokens"].dtype == np.int64 and found["keep"].dtype == np.bool_


def test_without_a_loss_there_are_the_outputs_alone() -> None:
    a = {name: array for name, array in of_mixed().items() if not name.startswith("target")}
    found = sn.interpret(mixed(loss=None, loss_weights=None), a)
    close(found["value"], found["pooled"] @ a["value.w"])
    assert not [name for name in found if name == "loss" or name.startswith("d_")]


def test_a_recurrence_of_a_given_length() -> None:
    x = sn.Input(("T", 1), name="x")
    model = sn.Model(x, sn.Formula("h[n,t] = x[n,t,0] + a[0]*h[n,t-1]", params={"a": "k"}, sizes={"k": 1}, name="h")(x))
    found = sn.interpret(model, {"x": np.ones((2, 5, 1)), "h.a": [0.5]}, sizes={"T": 5})
    close(found["h"], np.tile([1, 1.5, 1.75, 1.875, 1.9375], (2, 1)))


def test_one_loss_of_two_outputs_takes_the_target_by_both_names() -> None:
    x = sn.Input((2,), name="x")
    made = [sn.Formula(f"y[n] = sum[i]({k}*x[n,i])", name=f"y{k}")(x) for k in (1, 2)]
    model = sn.Model(x, made, loss=[None, sn.SquaredError()])
    for name in ("target", "target.y2"):
        close(sn.interpret(model, {"x": [[1, 2]], name: [5]})["loss"], 1.0)


# --- targets as modules take them ----------------------------------------------------------------------------------


def test_labels_stand_for_one_hot_rows_and_vectors_for_columns() -> None:
    a = given()
    labels = np.array([1, 0, 0, 1])
    close(
        sn.interpret(dense(), {**a, "target": labels})["d_d.bias"],
        sn.interpret(dense(), {**a, "target": np.eye(2)[labels]})["d_d.bias"],
    )
    x = sn.Input((3,), name="x")
    column = sn.Model(x, sn.Dense(1, name="d")(x), loss=sn.MeanSquaredError())
    a = {"x": a["x"], "d.weight": a["d.weight"][:1], "d.bias": [0.5]}
    y = RNG.normal(size=4)
    expected = ((a["x"] @ a["d.weight"][0] + 0.5 - y) ** 2).mean()
    for target in (y, y[:, None]):
        close(sn.interpret(column, {**a, "target": target})["loss"], expected)


# --- training and use ----------------------------------------------------------------------------------------------


def modes(loss: sn.losses.Loss | None = None) -> sn.Model:
    x = sn.Input((3,), name="x")
    h = sn.Dropout(0.5, name="first")(x)
    return sn.Model(x, sn.Dropout(0.25, name="last")(sn.BatchNorm1D(name="norm")(h)), loss=loss)


def of_modes() -> dict[str, Any]:
    more = {"norm.weight": [1.0, 2.0, -1.0], "norm.bias": [0.0, 1.0, 0.5], "norm.running_mean": [0.1, 0.2, 0.3]}
    return {"x": RNG.normal(size=(4, 3)), "norm.running_var": [1.0, 4.0, 0.25], **more}


def test_in_use_no_noise_and_running_statistics() -> None:
    a = of_modes()
    expected = (a["x"] - a["norm.running_mean"]) / np.sqrt(np.array([1.0, 4.0, 0.25]) + 1e-5) * a["norm.weight"]
    expected = expected + a["norm.bias"]
    close(sn.interpret(modes(), a)["last"], expected)
    model = modes(sn.SquaredError())
    found = sn.interpret(model, {**a, "target": np.zeros((4, 3))}, training=False)
    close(found["loss"], (expected**2).sum() / 4)
    close(found["d_norm.bias"], 2 * expected.sum(0) / 4)


def test_training_with_noise_that_is_given() -> None:
    a = of_modes()
    noise = {"first.noise": RNG.random((4, 3)), "last.noise": RNG.random((4, 3))}
    found = sn.interpret(modes(sn.SquaredError()), {**a, **noise, "target": np.zeros((4, 3))})
    h = np.where(noise["first.noise"] >= 0.5, a["x"] * 2, 0)
    mu, var = h.mean(0), h.var(0)
    y = (h - mu) / np.sqrt(var + 1e-5) * a["norm.weight"] + a["norm.bias"]
    y = np.where(noise["last.noise"] >= 0.25, y / 0.75, 0)
    close(found["last"], y)
    close(found["loss"], (y**2).sum() / 4)
    close(found["norm.running_mean.next"], 0.9 * np.array(a["norm.running_mean"]) + 0.1 * mu)
    close(found["norm.running_var.next"], 0.9 * np.array(a["norm.running_var"]) + 0.1 * var * 4 / 3)


@pytest.mark.parametrize("seed", [0, 3])
def test_noise_is_drawn_as_the_module_draws_it(seed: int) -> None:
    model, a = modes(sn.SquaredError()), {**of_modes(), "target": RNG.normal(size=(4, 3))}
    module = sn.compile(model, dtype="float64").module
    params = {name: np.array(a[name]) for name in (*module.PARAMETERS, *module.BUFFERS)}
    value, grads = module.loss_and_grads(params, a["x"], a["target"], seed=seed)
    found = sn.interpret(model, a, seed=seed)
    close(found["loss"], value)
    for name, array in grads.items():
        np.testing.assert_allclose(found[f"d_{name}"], array, rtol=1e-9, atol=1e-12)
    use = sn.interpret(model, a, training=False)
    np.testing.assert_allclose(use["last"], module.forward(params, a["x"]), rtol=1e-9, atol=1e-12)


# --- what does not fit ---------------------------------------------------------------------------------------------

CLASSES = sn.Model(
    x := sn.Input(("T",), name="x"),
    sn.Formula("z[n,c] = sum[t](x[n,t]) + c", sizes={"c": 3})(x),
    loss=sn.CrossEntropy(),
)
TOKENS = sn.Model(t := sn.Input(("T",), name="t", dtype="int"), sn.Embedding(4, 2, name="e")(t))


COUNTS = sn.Model(i := sn.Input((1,), name="x", dtype="int"), sn.Formula("y[n] = x[n,0]/2")(i))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"d.wieght": np.ones((2, 3))}, sn.DataError, r"no input or parameter 'd.wieght'; did you mean 'd.weight'"),
        ({3: np.ones(3)}, sn.DataError, "no input or parameter 3"),
        ({"x": [[None] * 3] * 4}, sn.DataError, r"'x': expected numbers, got dtype object"),
        ({"x": [[1, 2], [3]]}, sn.DataError, "'x': expected a rectangular array"),
        ({"x": None, "d.bias": object()}, sn.DataError, "expected an array of numbers, got NoneType"),
        ({"x": iter([[1, 2, 3]])}, sn.DataError, "expected an array of numbers, got list_iterator"),
        ({"x": np.full((4, 3), np.longdouble("1e4000"))}, sn.DataError, "'x': .* float64 can hold, got 1e[+]4000"),
        ({"d.bias": np.array([0, np.longdouble("-1e4000")])}, sn.DataError, "'d.bias': .* float64 can hold"),
        ({"x": np.ones((4, 3)) * 1j}, sn.DataError, "'x': expected numbers, got dtype complex128"),
        ({"x": np.array([["a"] * 3] * 4)}, sn.DataError, "'x': expected numbers"),
        ({"x": np.ma.masked_array(np.ones((4, 3)), np.eye(4, 3))}, sn.DataError, "'x': .* a masked array"),
        ({"x": [np.ma.masked_array(np.ones(3), [0, 1, 0])] * 4}, sn.DataError, "masked array"),
        ({"x": [[np.ma.masked_array(1.0, True)] * 3] * 4}, sn.DataError, "masked array"),
        ({"x": [[1, 2, np.ma.masked]] * 4}, sn.DataError, "masked array"),
        ({"x": np.full((4, 3), np.nan)}, sn.DataError, r"'x': expected finite numbers, got nan at \(0, 0\)"),
        ({"x": np.ones(3)}, sn.DataError, r"'x': expected shape \(N, 3\), got \(3,\)"),
        ({"x": np.ones((4, 2))}, sn.DataError, r"'x': expected shape \(N, 3\) with N=4, got \(4, 2\)"),
        ({"x": np.ones((0, 3))}, sn.DataError, "expected N to be at least 1, got 0"),
        ({"d.weight": np.ones((3, 2))}, sn.DataError, r"parameter 'd.weight': expected shape \(2, 3\), got \(3, 2\)"),
        ({"target": np.ones((3, 2))}, sn.DataError, r"target 'target': expected shape \(N, 2\) with N=4, got \(3, 2\)"),
        ({"target": np.ones(4)}, sn.DataError, r"expected shape \(N, 2\)"),
        ({"target": np.array([0, 1, 2, 0])}, sn.DataError, "expected labels from 0 to 1, got 0 to 2"),
        ({"sample_weight": np.array([1, -1, 1, 1])}, sn.DataError, "'sample_weight': expected numbers from 0, got -1"),
        ({"sample_weight": np.ones(3)}, sn.DataError, r"'sample_weight': expected shape \(N\) with N=4, got \(3,\)"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(changes: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        sn.interpret(dense(), {**given(), **changes})


@pytest.mark.parametrize("name", ["x", "d.bias", "target"])
def test_a_missing_array(name: str) -> None:
    with pytest.raises(
        sn.DataError, match=f"no array for the (input|parameter|target) '{name}', float values of shape"
    ):
        sn.interpret(dense(), {n: array for n, array in given().items() if n != name})


@pytest.mark.parametrize(
    ("model", "arrays", "message"),
    [
        (CLASSES, {"x": np.ones((2, 4)), "target": [0, 3]}, "'target': expected numbers from 0 to 2, got 0 to 3"),
        (CLASSES, {"x": np.ones((2, 4)), "target": [0, -1]}, "'target': expected numbers from 0 to 2, got -1 to 0"),
        (CLASSES, {"x": np.ones((2, 4)), "target": [0.0, 1.0]}, r"expected int values, got .*astype\(int\)"),
        (TOKENS, {"t": [[4]], "e.weight": np.ones((4, 2))}, "'t': expected numbers from 0 to 3, got 4 to 4"),
        (COUNTS, {"x": np.array([[2**64 - 1]], np.uint64)}, "expected numbers from -9223372036854775808 to"),
        (TOKENS, {"t": [[0.5]], "e.weight": np.ones((4, 2))}, "'t': expected int values"),
        (TOKENS, {"t": [[0]], "e.weight": np.ones((4, 2)), "target": [0]}, "has no loss; leave it out"),
        (modes(), {**of_modes(), "norm.running_var": np.ones(2)}, r"buffer 'norm.running_var': expected shape \(3\)"),
        (
            modes(sn.SquaredError()),
            {**of_modes(), "target": np.ones((4, 3)), "last.noise": np.ones((4, 3)) / 2},
            "'first.noise' is missing; give all of the noise or none",
        ),
        (
            modes(sn.SquaredError()),
            {**of_modes(), "target": np.ones((4, 3)), "last.noise": np.ones((4, 3)), "first.noise": np.ones((4, 3))},
            "expected numbers from 0 to 0.9.*, got 1.0 to 1.0",
        ),
    ],
)  # fmt: skip
def test_values_out_of_range(model: sn.Model, arrays: dict, message: str) -> None:
    with pytest.raises(sn.DataError, match=message):
        sn.interpret(model, arrays)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"T": 5}, r"T=5, but the input 'x', declared \(N, T\), has the shape \(2, 4\)"),
        ({"N": 3}, "N=3, but the input 'x'"),
        ({"t": 4}, "has no size 't'; did you mean 'T'"),
        ({"T": 4.0}, "T: expected an integer of at least 1, got 4.0"),
        ({"T": True}, "T: expected an integer of at least 1, got True"),
        ({"T": 0}, "T: expected an integer of at least 1, got 0"),
    ],
)
def test_sizes_that_do_not_fit(sizes: dict, message: str) -> None:
    with pytest.raises(sn.ShapeError, match=message):
        sn.interpret(CLASSES, {"x": np.ones((2, 4)), "target": [0, 1]}, sizes=sizes)


def test_what_is_no_model_no_dict_and_no_flag() -> None:
    with pytest.raises(sn.DefinitionError, match=r"expected a sn\.Model"):
        sn.interpret(sn.compile(dense()), given())  # type: ignore[arg-type]
    with pytest.raises(sn.DataError, match="expected a dict"):
        sn.interpret(dense(), np.ones((4, 3)))  # type: ignore[arg-type]
    with pytest.raises(sn.DataError, match="expected a dict"):
        sn.interpret(dense(), given(), sizes=4)  # type: ignore[arg-type]
    with pytest.raises(sn.DefinitionError, match="wrt_inputs"):
        sn.interpret(dense(), given(), wrt_inputs="yes")  # type: ignore[arg-type]
    with pytest.raises(sn.DataError, match="seed"):
        sn.interpret(modes(sn.SquaredError()), {**of_modes(), "target": np.zeros((4, 3))}, seed=-1)


def test_arrays_are_left_as_they_are_and_results_are_the_callers_own() -> None:
    a = given()
    before = {name: array.copy() for name, array in a.items()}
    found = sn.interpret(dense(), a)
    for array in found.values():
        array[...] = 7
    for name, array in a.items():
        np.testing.assert_array_equal(array, before[name])


def test_no_arrays_at_all() -> None:
    with pytest.raises(sn.DataError, match=r"no array for the input .x., float values of shape .*; got none"):
        sn.interpret(dense(), {})


def test_arguments_that_do_not_exist() -> None:
    with pytest.raises(sn.DefinitionError, match="unknown option 'size'; did you mean 'sizes'"):
        sn.interpret(dense(), given(), size={"N": 4})  # type: ignore[call-arg]
    with pytest.raises(sn.DefinitionError, match="missing a required argument: 'arrays'"):
        sn.interpret(dense())  # type: ignore[call-arg]
