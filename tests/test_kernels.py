"""Kernels, sums and loops in the generated code: less work, and the same numbers."""

from __future__ import annotations

import re

import numpy as np
import pytest

import symnet as sn
from building import A, equation, i, n, plan_of, program, read, tensor
from codegen.emit import blocked
from codegen.ir.equation import Read
from codegen.ir.plan import Compute, Loop, MatMul, Reduce, Step
from codegen.machine.model import MACHINE
from codegen.oracle.interpret import interpret
from running import run
from test_compute_less import SIZES, N, arrays, elman, perceptron, transformer


def opened(steps: tuple[Step, ...]) -> list[Step]:
    return [s for step in steps for s in (opened(step.steps) if isinstance(step, Loop) else [step])]


def summed(
    reads: list[Read], over: tuple[str, ...], at: tuple[object, ...], **shapes: tuple[object, ...]
) -> list[Step]:
    """The steps of a sum of products, checked against the interpreter."""
    tensors = [tensor(name, *shape) for name, shape in shapes.items()]
    target = tuple(shapes[reads[0].tensor][reads[0].at.index(s)] for s in at)
    made = program([*tensors, tensor("y", *target, kind="result")], equation("y", at, reads, over=over, n=N, i=40))
    given = arrays(made)
    found = run(made, given, SIZES, ("y",))
    np.testing.assert_allclose(found["y"], interpret(made, given, SIZES)["y"], rtol=1e-12)
    return [s for block in plan_of(made).blocks for s in opened(block.steps)]


def test_sums_are_products_with_a_vector() -> None:
    rows = summed([read("a", n, i)], ("n",), (i,), a=(N, 40))
    assert [type(s) for s in rows] == [MatMul]
    columns = summed([read("a", n, i)], ("i",), (n,), a=(N, 40))
    assert [type(s) for s in columns] == [MatMul]
    weighted = summed([read("a", n, i), read("b", n, i), read("s", n)], ("n",), (i,), a=(N, 40), b=(N, 40), s=(N,))
    assert [type(s) for s in weighted] == [Compute, MatMul]
    pairs = summed([read("a", n, i), read("b", n, i)], ("i",), (n,), a=(N, 40), b=(N, 40))
    assert [type(s) for s in pairs] == [MatMul] and pairs[0].rows  # type: ignore[union-attr]


def test_sums_are_put_in_the_order_of_the_left_side() -> None:
    k = A("k")
    tensors = [tensor("a", N, 5, 6), tensor("y", 6, 5, kind="result")]
    made = program(tensors, equation("y", (k, i), [read("a", n, i, k)], over=("n",), n=N, i=5, k=6))
    assert [type(s) for block in plan_of(made).blocks for s in block.steps] == [MatMul, Compute]
    given = arrays(made)
    np.testing.assert_allclose(run(made, given, SIZES, ("y",))["y"], interpret(made, given, SIZES)["y"], rtol=1e-12)


def test_a_sum_over_places_apart_is_reduced() -> None:
    k = A("k")
    tensors = [tensor("a", 4, N, 40), tensor("y", N, kind="result")]
    made = program(tensors, equation("y", (n,), [read("a", k, n, i)], over=("k", "i"), n=N, i=40, k=4))
    assert any(isinstance(s, Reduce) for block in plan_of(made).blocks for s in block.steps)


def statements(source: str, target: str) -> list[str]:
    """The lines of the kernel below the formula of `target`."""
    found = re.search(rf"    # {re.escape(target)}\[[^\n]*\n(?:    #[^\n]*\n)*((?:(?!    #)[^\n]+\n)+)", source)
    assert found, target
    return found[1].splitlines()


def test_a_value_needed_twice_is_computed_once() -> None:
    model = transformer()
    net = sn.compile(model)
    kernel = "\n".join(statements(net.source, "d_hidden.z"))
    assert kernel.count("np.tanh") == 1 and kernel.count("np.square") == 2  # of z, and of the tanh
    assert max(net.module.check().values()) < 1e-6


def test_a_value_stays_until_its_last_use() -> None:
    x = sn.Input((4,), name="x")
    net = sn.compile(sn.Model(x, sn.Dense(3, activation="silu")(x), loss=sn.MeanSquaredError()))
    assert max(net.module.check().values()) < 1e-6


def test_blocks_of_arrays_whose_names_fill_a_line() -> None:
    """An array of a block stays an array where its line has to be broken."""
    sizes = "length_of_the_sequence_of_queries", "length_of_the_sequence_of_keys_and_values"
    x, mask = sn.Input(sizes, name="x"), sn.Input(sizes[1:], name="mask", dtype="bool")
    text = "y[n,s,t] = where(m[n,t], exp(x[n,s,t])*tanh(2*x[n,s,t]) + sin(x[n,s,t])*cos(3*x[n,s,t]), 0)"
    layer = sn.Formula(text, name="a" * 80)(x=x, m=mask)
    net = sn.compile(sn.Model([x, mask], layer, loss=sn.SquaredError()), dtype="float64", target="numpy")
    assert "for rows in blocks(N, 8):" in net.source
    rng = np.random.default_rng(0)
    a, m = rng.normal(size=(3, 4, 5)), rng.random((3, 5)) < 0.6
    expected = np.where(m[:, None], np.exp(a) * np.tanh(2 * a) + np.sin(a) * np.cos(3 * a), 0)
    np.testing.assert_allclose(net.module.forward({}, {"x": a, "mask": m}), expected, rtol=1e-12)


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_blocks_of_rows_cover_every_row(samples: int) -> None:
    small = MACHINE.changed(caches={"second": 2 * 64 * blocked.ARRAYS})
    x = sn.Input((64,), name="x")
    h = sn.Dense(64, activation="gelu_tanh", name="hidden")(x)
    model = sn.Model(x, sn.Dense(3)(h), loss=sn.CrossEntropy())
    net = sn.compile(model, dtype="float64", machine=small)
    assert "for rows in blocks(N, 2):" in net.source
    params = net.module.init_params(0)
    rng = np.random.default_rng(0)
    given, labels = rng.normal(size=(samples, 64)), rng.integers(0, 3, samples)
    loss, gradients = net.module.loss_and_grads(params, given, labels)
    plain = sn.compile(model, dtype="float64", machine=small.changed(limits={"blocked_calls": 10**6}))
    assert "for rows in blocks(" not in plain.source
    expected, others = plain.module.loss_and_grads(params, given, labels)
    assert loss == expected
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(gradient, others[name], err_msg=name)


def test_a_loop_runs_over_slices_made_with_the_workspace() -> None:
    source = sn.compile(elman()).source
    assert re.search(r"for rnn_before, rnn_z, rnn in w\.rnn_z_steps:\n(?:        #.*\n)*        np\.dot\(", source)
    assert source.count('\n    np.copyto(w.rnn_weight_hh_columns, p["rnn.weight_hh"].T)\n') == 1


def test_slices_of_a_step_may_be_taken_further() -> None:
    x = sn.Input((4, 3), name="x")
    net = sn.compile(sn.Model(x, sn.Dense(2)(sn.LSTM(5, name="lstm")(x)), loss=sn.CrossEntropy()))
    assert net.source.count(" in w.lstm_z_steps:") == 1 and "for t in" not in net.source
    assert max(net.module.check().values()) < 1e-6


def test_products_into_views_are_not_dots() -> None:
    net = sn.compile(transformer())
    for line in net.source.splitlines():
        if "np.dot(" in line and line.endswith(")"):
            assert ".T)" not in line.rpartition("out=")[2]
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 5, (3, 4))
    net.module.loss_and_grads(net.module.init_params(0), tokens, tokens)


def test_training_with_turned_weights_gives_the_same_parameters() -> None:
    net = sn.compile(perceptron())
    assert 'TURNED = ("first.weight",)' in net.source
    names: dict[str, object] = {"__name__": "plain"}
    exec(net.source.replace('TURNED = ("first.weight",)', "TURNED = ()"), names)  # noqa: S102
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 6)), rng.integers(0, 3, 8)
    start = net.module.init_params(0)
    found, expected = net.module.make_step(start, batch_size=8), names["make_step"](start, batch_size=8)  # type: ignore[operator]
    for _ in range(3):
        assert found(x, y) == pytest.approx(expected(x, y), rel=1e-6)
    for name, value in expected.params().items():
        np.testing.assert_allclose(found.params()[name], value, rtol=1e-5, atol=1e-7, err_msg=name)


def test_copies_of_a_state_are_made_at_each_step() -> None:
    x = sn.Input((3, 2, 2), name="x")
    text = "h[n,t,i,j] = tanh(x[n,t,i,j] + sum[k](A[k,j]*h[n,t-1,k,i]))"
    h = sn.Formula(text, params={"A": "k,j"}, sizes={"k": 2}, name="square")(x)
    net = sn.compile(sn.Model(x, sn.Dense(2)(sn.Flatten()(h)), loss=sn.CrossEntropy()))
    assert max(net.module.check().values()) < 1e-6


def test_batches_of_products_are_no_dots() -> None:
    j, k = A("j"), A("k")
    tensors = [tensor("a", N, 2, 3), tensor("b", N, 3, 4), tensor("y", N, 2, 4, kind="result")]
    reads = [read("a", n, i, j), read("b", n, j, k)]
    made = program(tensors, equation("y", (n, i, k), reads, over=("j",), n=N, i=2, j=3, k=4))
    given = arrays(made)
    np.testing.assert_allclose(run(made, given, SIZES, ("y",))["y"], interpret(made, given, SIZES)["y"], rtol=1e-12)
