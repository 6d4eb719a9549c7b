"""Who says what a program means: the interpreter, whole arrays or nobody, by how many points it has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from building import A, equation, i, n, program, read, tensor
from codegen.ir.equation import Guard, Program, slot
from codegen.oracle import judge
from codegen.oracle.interpret import interpret
from codegen.oracle.whole import evaluate
from families.writing import Family
from sabotage import ROWS
from test_sabotage import drawn

N = A("N")


def squares() -> Program:
    made = equation("y", (n, i), [read("x", n, i)], slot(0) ** 2, n=N, i=100)
    return program([tensor("x", N, 100), tensor("y", N, 100, kind="result")], made)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (1, "interpreter"),
        (2_000, "interpreter"),
        (2_001, "whole arrays"),
        (500_000, "whole arrays"),
        (500_001, "nobody"),
    ],
)
def test_the_judge_depends_on_the_points(samples: int, expected: str) -> None:
    assert judge.judge(squares(), {"N": samples}) == expected


def test_the_steps_of_a_recurrence_count() -> None:
    made = equation("h", (n, i), [read("x", n, i), read("h", n - 1, i)], slot(0) + slot(1), n=N, i=3)
    recurrent = program([tensor("x", N, 3), tensor("h", N, 3, kind="result")], made)
    assert judge.work(recurrent, {"N": 10}) == 11 * 30


@pytest.mark.parametrize("limits", [(200_000, 50_000_000), (0, 50_000_000), (0, 0)])
def test_each_judge_says_the_same(limits: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "LOOPED", limits[0])
    monkeypatch.setattr(judge, "HELD", limits[1])
    x = np.random.default_rng(0).normal(size=(2, 100))
    found = judge.computed(squares(), {"x": x}, {"N": 2})
    if limits[1]:
        assert found is not None
        np.testing.assert_array_equal(found["y"], x**2)
    else:
        assert found is None


def test_whole_arrays_take_a_subscript_beyond_its_tensor_as_0() -> None:
    tensors = [tensor("label", 2, dtype="int"), tensor("E", 3), tensor("F", N, 3)]
    looked_up = equation("y", (n, i), [read("E", read("label", i))], n=N, i=3)
    written = equation("z", (n, read("label", i)), [read("F", n, i)], n=N, i=3)
    made = program([*tensors, tensor("y", N, 3, kind="result"), tensor("z", N, 4, kind="result")], looked_up, written)
    arrays = {"label": np.array([1, 2]), "E": np.array([5.0, 6.0, 7.0]), "F": np.array([[5.0, 6.0, 7.0]])}
    expected, got = interpret(made, arrays), evaluate(made, arrays)
    np.testing.assert_array_equal(expected["y"], [[6, 7, 5]])
    np.testing.assert_array_equal(expected["z"], [[7, 5, 6, 0]])
    for name in ("y", "z"):
        np.testing.assert_array_equal(got[name], expected[name])


@pytest.mark.parametrize("family", {row.family.__name__: row.family for row in ROWS}.values(), ids=lambda f: f.__name__)
def test_whole_arrays_say_what_the_interpreter_says(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judge, "LOOPED", 0)
    for one in drawn(family, 2):
        found = judge.computed(one.program, one.arrays, one.sizes)
        expected = interpret(one.program, one.arrays, one.sizes)
        assert found is not None
        for name in one.results:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("op", [">=", "==", "!="])
def test_whole_arrays_compare_what_guards_read(op: Any) -> None:
    guard = Guard(op, A("i") - 1, ((1, read("label", n)), (-2, read("keep", i))))
    main = equation("y", (n,), [read("x", n, i)], over="i", guards=[guard], n=N, i=3)
    tensors = [tensor("x", N, 3), tensor("label", N, dtype="int"), tensor("keep", 3, dtype="bool")]
    made = program([*tensors, tensor("y", N, kind="result")], main)
    rng = np.random.default_rng(2)
    arrays = {"x": rng.normal(size=(5, 3)), "label": np.arange(5) - 2, "keep": np.array([True, False, True])}
    np.testing.assert_allclose(evaluate(made, arrays)["y"], interpret(made, arrays)["y"])
