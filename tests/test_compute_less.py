"""The passes before the lowering, and the kernels: the meaning stays, and the code has less to do."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

import symnet as sn
from building import A, equation, n, program, read, tensor
from codegen.ir.equation import Program, Read, all_reads, slot
from codegen.oracle.interpret import interpret
from codegen.passes.algebra.one_hot import one_hot_products
from codegen.passes.layout.orders import composed, reordered
from codegen.passes.layout.reduced_first import reduced_first
from codegen.passes.layout.time_major import time_major
from codegen.passes.layout.turned import turned
from codegen.passes.recurrence.hoist import hoisted
from codegen.passes.state import Given, State
from codegen.passes.table import run
from symnet.assembly.numeric import checked_labels
from symnet.differentiate.programs import kept, network

N = A("N")
SIZES = {"N": 3}


def transformer(vocabulary: int = 5) -> sn.Model:
    tokens = sn.Input((4,), dtype="int", name="tokens")
    h = sn.Embedding(vocabulary, 6, name="table")(tokens)
    h = sn.residual(h, sn.LayerNorm(name="norm"), sn.MultiHeadAttention(2, causal=True, name="attend"))
    h = sn.Dense(7, activation="gelu_tanh", name="hidden")(h)
    return sn.Model(tokens, sn.Dense(5, name="logits")(h), loss=sn.CrossEntropy(), name="transformer")


def elman() -> sn.Model:
    x = sn.Input((4, 3), name="x")
    return sn.Model(x, sn.Dense(2, name="out")(sn.SimpleRNN(5, name="rnn")(x)), loss=sn.CrossEntropy(), name="elman")


def arrays(made: Program) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    drawn = {}
    for t in made.tensors:
        if t.kind in ("input", "parameter"):
            shape = tuple(e.evaluate(SIZES) for e in t.shape)
            drawn[t.name] = rng.integers(0, 2, shape) if t.dtype == "int" else rng.normal(size=shape)
    return drawn


def same(before: Program, after: Program, orders: Mapping[str, tuple[int, ...]] | None = None) -> None:
    """Every tensor that both define has the same values."""
    given = arrays(before)
    old, new = interpret(before, given, SIZES), interpret(after, given, SIZES)
    assert {t.name for t in before.tensors if t.kind == "result"} <= new.keys()
    for name in old.keys() & new.keys():
        value = old[name].transpose((orders or {}).get(name, range(old[name].ndim)))
        np.testing.assert_allclose(new[name], value, rtol=1e-11, atol=1e-12, err_msg=name)


def prepared(made: Program, keep: frozenset[str]) -> Program:
    """`made` with its softmaxes named."""
    return run(State(made), Given(keep=keep), "named").program


def exponentials(made: Program) -> list[str]:
    return [e.target for e in made.equations if "exp(" in str(e.body)]


def test_softmaxes_share_their_exponentials() -> None:
    model = transformer()
    before = network(model)
    after = prepared(before, kept(model))
    same(before, after)
    assert len(exponentials(before)) == 4
    assert exponentials(after) == ["attend.lse.exp", "loss.lse.exp"]
    assert not any(e.guards for e in after.equations)  # the mask's -oo has taken their place
    (score,) = [e for e in after.equations if e.target == "d_attend.score"]
    assert {r.tensor for r in score.reads} == {"d_attend.attention", "d_attend.lse", "attend.attention"}
    assert "attend.lse" not in {e.target for e in after.equations}


def test_a_softmax_that_may_see_nothing_stays_as_it_is() -> None:
    x, mask = sn.Input((4, 6), name="x"), sn.Input((4,), dtype="bool", name="mask")
    y = sn.Attention()(x, mask=mask)
    model = sn.Model([x, mask], sn.Dense(2)(y), loss=sn.MeanSquaredError())
    before = network(model)
    assert prepared(before, kept(model)) == before


def test_what_a_maximum_runs_over_is_not_stored_last() -> None:
    model = transformer()
    before = prepared(network(model), kept(model))
    orders = reduced_first(before)
    assert orders["logits"] == orders["d_logits"] == orders["loss.lse.exp"] == (2, 0, 1)
    assert orders["attend.score"] == orders["d_attend.score"] == orders["attend.attention"] == (0, 1, 3, 2)
    assert "hidden" not in orders and "tokens" not in orders
    same(before, reordered(before, orders), orders)


def test_tokens_scatter_by_a_product() -> None:
    model = transformer()
    before = prepared(network(model), kept(model))
    after = one_hot_products(before, checked_labels(model))
    same(before, after)
    (gradient,) = [e for e in after.equations if e.target == "d_table.weight"]
    assert all(not isinstance(s, Read) for s in gradient.at) and len(gradient.reads) == 2


@pytest.mark.parametrize(("vocabulary", "checked"), [(5, {}), (300, {"tokens": 300})])
def test_unchecked_tokens_and_large_tables_are_added_to(vocabulary: int, checked: dict[str, int]) -> None:
    before = network(transformer(vocabulary))
    assert one_hot_products(before, checked) == before


def test_tokens_are_checked_for_the_tables_that_they_lie_within() -> None:
    tokens = sn.Input((4,), dtype="int", name="tokens")
    h = sn.Embedding(5, 6)(tokens)
    small = sn.Formula("y[n,t,k] = E[x[n,t],k]", params={"E": "v,k"}, sizes={"v": 3, "k": 6})(x=tokens)
    module = sn.compile(sn.Model(tokens, h + small), dtype="float64").module
    params = {name: np.random.default_rng(0).normal(size=shape) for name, shape in module.PARAMETERS.items()}
    x = np.array([[0, 2, 3, 4]])
    table = np.vstack([params["formula_1.E"], np.zeros((2, 6))])  # outside of a tensor is 0
    np.testing.assert_allclose(module.forward(params, x), params["embedding_1.weight"][x] + table[x])


def test_rows_are_taken_without_positions_or_masks() -> None:
    source = sn.compile(transformer()).source
    assert 'p["table.weight"].take(w.tokens, axis=0' in source
    assert "add.at" not in source and "less_equal(w.tokens" not in source


def test_factors_that_do_not_recur_leave_the_loop() -> None:
    before = network(elman())
    after = hoisted(before)
    same(before, after)
    (delta,) = [e for e in after.equations if e.target == "d_rnn.z"]
    assert {r.tensor for r in delta.reads} == {"d_rnn", "d_rnn.z.factor"}
    assert str(delta.body) == "_0*_1"


def test_factors_that_recur_stay_in_the_loop() -> None:
    text = "z[n,t,k] = x[n,t,k] + r[k]*h[n,t-1,k]\nh[n,t,k] = r[k]*h[n,t-1,k] + (1 - r[k])*tanh(z[n,t,k])"
    x = sn.Input((4, 3), name="x")
    leaky = sn.Formula(text, params={"r": "k"}, sizes={"k": 3}, name="leaky")(x)
    before = network(sn.Model(x, leaky, loss=sn.MeanSquaredError()))
    after = hoisted(before)
    same(before, after)
    assert "leaky.factor" not in after.table


def test_what_recurs_is_no_factor_to_hoist() -> None:
    t = A("t")
    tensors = [tensor("e", N, 4), tensor("g", N, 4), tensor("z", N, 4, kind="result")]
    body = slot(0) * (1 - slot(1) ** 2)
    made = program(
        tensors,
        equation("z", (n, t), [read("e", n, t, strong=True), read("g", n, t)], body, n=N, t=4),
        equation("g", (n, t), [read("z", n, t - 1)], n=N, t=4),
    )
    assert hoisted(made) == made


def test_products_of_a_recurrence_have_their_steps_first() -> None:
    model = elman()
    before = prepared(network(model), kept(model))
    rows = reduced_first(before)
    middle = reordered(before, rows)
    steps = time_major(middle)
    assert rows["out"] == (2, 0, 1) and steps["out"] == steps["d_out"] == (0, 2, 1) and steps["rnn"] == (1, 0, 2)
    same(before, reordered(middle, steps), composed(rows, steps))


def perceptron(**options: object) -> sn.Model:
    x = sn.Input((6,), name="x")
    h = sn.Dense(5, activation="tanh", name="first", **options)(x)
    return sn.Model(x, sn.Dense(3, name="second")(h), loss=sn.CrossEntropy(), name="perceptron")


def test_every_read_of_a_prepared_program_is_defined() -> None:
    for model in (transformer(), elman()):
        made = prepared(network(model), kept(model))
        defined = {e.target for e in made.equations} | {
            t.name for t in made.tensors if t.kind in ("input", "parameter")
        }
        assert {r.tensor for e in made.equations for r in all_reads(e)} <= defined


def test_only_weights_that_one_product_reads_are_turned() -> None:
    program = network(perceptron())
    results = {f"d_{p.name}": p.name for p in perceptron().parameters}
    assert turned(program, results) == {"first.weight": "d_first.weight"}
    again = program.with_equations([*program.equations, program.equations[0].with_(target="again")])
    assert not turned(again, results)  # another product reads it too
