"""Parts of a tensor: assigned where they cover it once, added where they meet."""

from __future__ import annotations

import re

import pytest

import symnet as sn
from building import A, equation, n, program, read, tensor
from codegen.analysis.parts import in_parts
from codegen.ir.affine import Affine


@pytest.mark.parametrize(("places", "apart"), [((0, 1), True), ((1, 0), True), ((0, 1, 1), False), ((0, 0), False)])
def test_parts_that_meet_are_added(places: tuple[int, ...], apart: bool) -> None:
    k = A("k")
    equations = [equation("z", (n, Affine.of(p), k), [read("x", n, k)], n=A("N"), k=3) for p in places]
    made = program([tensor("x", A("N"), 3, kind="input"), tensor("z", A("N"), 2, 3)], *equations)
    assert in_parts(made) == ({"z"} if apart else set())


def test_parts_of_a_gradient_are_assigned() -> None:
    x = sn.Input((4, 3), name="x")
    model = sn.Model(x, sn.Dense(2, name="out")(sn.LSTM(5, name="rnn")(x)), loss=sn.CrossEntropy())
    source = sn.compile(model).source
    assert not re.search(r"# d_rnn\.z\[.*\] \+=", source)
    assert "d_rnn_z[...] = 0" not in source and re.search(r"out=d_rnn_z(_row_3|\[(:, )?3\])", source)
    assert 'np.copyto(g["rnn.bias_hh"], g["rnn.bias_ih"])' in source
