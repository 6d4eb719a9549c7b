"""Gates of recurrences and looked-up products: what the rewritings make of them, and that it means the same."""

from __future__ import annotations

import numpy as np
import pytest

import symnet as sn
from codegen.ir.affine import Affine
from codegen.ir.equation import Program, Tensor
from codegen.notation import elaborate, show
from codegen.oracle.interpret import interpret
from codegen.passes.algebra.table_first import tables_first
from codegen.passes.canonical.merge import merge_contributions
from codegen.passes.recurrence.arranged import arranged
from codegen.passes.recurrence.gates import gates
from codegen.passes.recurrence.repeated import repeated
from codegen.passes.recurrence.row_copies import row_copies
from codegen.passes.scalar.scalars import stabilise
from symnet.differentiate.programs import network

SIZES = {"N": 3}
MIXED = """
z[t,q,n,k] = sum[i](W[k+2*q,i]*x[t,n,i])
z[t,q,n,k] += b[k+2*q] + d[k+2*q]
z[t,q,n,k] += sum[j](V[k+2*q,j]*h[t-1,n,j])
i[t,n,k] = 1/(1 + exp(-z[t,0,n,k]))
g[t,n,k] = tanh(z[t,1,n,k])
o[t,n,k] = 1/(1 + exp(-z[t,2,n,k]))
h[t,n,k] = o[t,n,k]*tanh(g[t,n,k]*i[t,n,k] + h[t-1,n,k]/2)
"""


def tensor(name: str, *shape: int | str, kind: str = "parameter", dtype: str = "float") -> Tensor:
    return Tensor(name, tuple(map(Affine.of, shape)), dtype, kind)  # type: ignore[arg-type]


GIVEN = (
    *(tensor("W", 6, 4), tensor("V", 6, 2), tensor("b", 6), tensor("d", 6)),
    tensor("x", 5, "N", 4, kind="input"),
)


def program(
    text: str, *given: Tensor, results: tuple[str, ...] = ("h",), shapes: dict[str, tuple[int | str, ...]] | None = None
) -> Program:
    known = {name: tuple(map(Affine.of, shape)) for name, shape in (shapes or {}).items()}
    done = elaborate(text, {t.name: t for t in given}, shapes=known)
    tensors = tuple(
        Tensor(t.name, t.shape, t.dtype, "result" if t.name in results else t.kind) for t in (*given, *done.tensors)
    )
    return Program(tensors, done.equations)


def arrays(made: Program) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    drawn = {}
    for t in made.tensors:
        shape = tuple(e.evaluate(SIZES) for e in t.shape)
        if t.kind in ("input", "parameter"):
            drawn[t.name] = rng.integers(0, 3, shape) if t.dtype == "int" else rng.normal(size=shape)
    return drawn


def same(before: Program, after: Program) -> None:
    given = arrays(before)
    old, new = (interpret(p, given, SIZES) for p in (before, after))
    for t in before.tensors:
        if t.kind == "result":
            np.testing.assert_allclose(new[t.name], old[t.name], rtol=1e-12, atol=1e-12)


def test_parts_of_one_function_share_a_kernel_whatever_their_order() -> None:
    before = stabilise(program(MIXED, *GIVEN))
    after = gates(before)
    text = show(after)
    assert "z.sigmoid[t,q,n,k] = 1/(1 + exp(z[t,q,n,k]))" in text
    assert "g[t,n,k] = tanh(z[t,2,n,k])" in text
    assert "V.parts[1,j,k] += -V[k+4,j]" in text
    assert "i[" not in text.replace("W.parts[", "").replace("i,k]", "")
    same(before, after)


def test_parts_side_by_side_share_a_kernel_where_nothing_can_be_put_in_order() -> None:
    text = MIXED.replace("z[t,1,n,k]", "z[t,9,n,k]").replace("z[t,2,n,k]", "z[t,1,n,k]").replace("[t,9", "[t,2")
    text = text.replace("b[k+2*q] + d[k+2*q]", "b[k+2*q]*d[k+2*q]")
    before = stabilise(program(text, *GIVEN))
    after = gates(before)
    assert "z.sigmoid[t,q,n,k] = sigmoid(z[t,q,n,k])" in show(after) and ".parts" not in show(after)
    same(before, after)


def test_a_gate_that_somebody_else_wants_keeps_its_equation() -> None:
    before = stabilise(program(MIXED, *GIVEN))
    assert gates(before, frozenset({"i"})) is before
    read_twice = stabilise(program(MIXED + "y[t,n,k] = z[t,0,n,k]*h[t,n,k]", *GIVEN, results=("h", "y")))
    assert gates(read_twice) is read_twice


@pytest.mark.parametrize("body", ["x[t,n,0]*W[k+2*q,0]**2", "x[t,n,0] + W[k+2*q,0]", "q*W[k+2*q,0]*x[t,n,0]"])
def test_only_what_parameters_make_linearly_is_put_in_order(body: str) -> None:
    made = program(f"h[t,q,n,k] = {body}", *GIVEN, shapes={"h": (5, 3, "N", 2)})
    assert arranged(made, "h", 1, (2, 0, 1), (1, 1, 1)) is None


def test_a_repeated_function_of_a_state_is_computed_once() -> None:
    text = (
        "c[t,n,k] = x[t,n,k] + c[t-1,n,k]/2 + h[t-1,n,k]\nh[t,n,k] = tanh(c[t,n,k])\ny[t,n,k] = 1 - tanh(c[t,n,k])**2"
    )
    before = program(text, tensor("x", 5, "N", 4, kind="input"), results=("h", "y"))
    after = repeated(before)
    assert show(after).count("tanh(") == 1 and "y[t,n,k] = 1 - c.tanh[t,n,k]**2" in show(after)
    same(before, after)


def test_rows_of_a_whole_are_copied_behind_the_loop_that_writes_its_parts() -> None:
    text = """
    z[t,0,n,k] = x[t,n,k]*h[t-1,n,k]
    z[t,1,n,k] += x[t,n,k] - h[t-1,n,k]
    h[t,n,j] = sum[q,k](z[t,q,n,k]*V[k+4*q,j])
    y[k+4*q,j] = sum[n,t](z[t,q,n,k]*h[t,n,j])
    """
    given = (tensor("V", 8, 4), tensor("x", 5, "N", 4, kind="input"))
    before = program(text, *given, results=("h", "y"), shapes={"z": (5, 2, "N", 4), "y": (8, 4)})
    after = row_copies(before)
    assert "z.whole[t,n,q,k] = z[t,q,n,k]" in show(after) and "z.whole[t,n,q,k]*h[t,n,j]" in show(after)
    assert "sum[q,k](z[t,q,n,k]*V[k+4*q,j])" in show(after)
    same(before, after)


LOOKED_UP = """
e[n,t,i] = E[x[n,t],i]
h[n,t,k] = sum[i](W[k,i]*e[n,t,i])
h[n,t,k] += b[k]
"""
TABLE = (tensor("E", 4, 4), tensor("W", 6, 4), tensor("b", 6), tensor("x", "N", 7, kind="input", dtype="int"))


def test_a_product_of_looked_up_rows_is_a_look_up_of_products() -> None:
    before = program(LOOKED_UP, *TABLE)
    after = tables_first(before, {"x": 4})
    text = show(after)
    assert "h.rows[v,k] = sum[i](W[k,i]*E[v,i])" in text and "h.rows[v,k] += b[k]" in text
    assert "h[n,t,k] = h.rows[x[n,t],k]" in text and "e[" not in text
    same(before, after)


def test_what_is_added_stays_where_tokens_may_be_out_of_range() -> None:
    before = program(LOOKED_UP, *TABLE)
    after = tables_first(before)
    assert "h[n,t,k] += b[k]" in show(after) and "h.rows[v,k] += b[k]" not in show(after)
    given = arrays(before) | {"x": np.arange(-3, 18).reshape(3, 7)}
    old, new = (interpret(p, given, SIZES)["h"] for p in (before, after))
    np.testing.assert_allclose(new, old, rtol=1e-12, atol=1e-12)


def test_a_large_table_is_looked_up_first() -> None:
    before = program(LOOKED_UP, tensor("E", 5000, 4), *TABLE[1:])
    assert tables_first(before, {"x": 4}) is before


def test_rows_that_somebody_else_reads_stay() -> None:
    before = program(LOOKED_UP + "y[n,t,i] = e[n,t,i]**2", *TABLE, results=("h", "y"))
    after = tables_first(before)
    assert "e[n,t,i] = E[x[n,t],i]" in show(after) and "h.rows" in show(after)
    same(before, after)


def test_a_sum_over_tokens_does_not_become_a_bracket() -> None:
    text = "h[v,k] = W[v,k]\nh[x[n,t],k] += y[n,t,k]"
    given = (tensor("W", 6, 4), TABLE[3], tensor("y", "N", 7, 4, kind="input"))
    before = program(text, *given)
    after = merge_contributions(before)
    assert "where" not in show(after)
    same(before, after)


def lstm(units: int = 5) -> sn.Model:
    x = sn.Input((7,), dtype="int", name="x")
    h = sn.LSTM(units, name="rnn")(sn.Embedding(6, 3, name="table")(x))
    return sn.Model(x, sn.Dense(2, name="out")(h), loss=sn.CrossEntropy(), name="characters")


def test_the_loop_of_an_lstm_calls_three_functions_and_slices_no_row() -> None:
    source = sn.compile(lstm(), target="numpy").source
    loop = source.partition("in w.rnn_z_steps:")[2].partition("# out")[0]
    assert loop.count("np.tanh(") == 2 and loop.count("np.exp(") == 1 and "[:, " not in loop
    back = source.partition("in reversed(w.d_rnn_c_steps):")[2].partition("d_rnn.z.whole")[0]
    assert "np.tanh(" not in source.partition("def _backward")[2].partition("def ")[0] and "[:, " not in back
    assert "out=d_rnn_z_row_3" in back


def test_the_table_of_a_small_alphabet_is_multiplied_before_it_is_looked_up() -> None:
    text = show(network(lstm()))
    assert "rnn.z[n,t,q,k] += rnn.z.rows[x[n,t],q,k]" in text
    assert "d_rnn.weight_ih[k+5*q,i] = sum[v](d_rnn.z.rows[v,q,k]*table.weight[v,i])" in text


@pytest.mark.parametrize("units", [5, 96])
def test_products_of_a_loop_too_large_for_one_are_added_up_part_by_part(units: int) -> None:
    source = sn.compile(lstm(units), target="numpy").source
    back = source.partition("in reversed(w.d_rnn_c_steps):")[2].partition("d_rnn.z.whole")[0]
    assert "np.matmul(" in back and "np.add(d_rnn, w.d_rnn_now_parts_3, out=d_rnn)" in back
