"""Each lowering rule on an equation made for it: the steps it becomes, and that they compute the equation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import sympy

from building import A, c, d, equation, i, j, n, o, p, plan_of, program, read, tensor, u
from codegen.ir.equation import Equation, Guard, Program, Tensor, index_symbol, slot
from codegen.ir.plan import Loop, Step
from codegen.oracle.interpret import interpret
from running import load
from test_passes import SAMPLES, N, drawn

CHECKED = {"label": 4}
FOUR = [tensor("x", N, 4), tensor("y", N, 4, kind="result")]


def kinds(made: Program, checked: Mapping[str, int] | None = None) -> list[str]:
    """The kinds of the steps, loops opened."""

    def opened(steps: tuple[Step, ...]) -> list[Step]:
        return [s for step in steps for s in ([step, *opened(step.steps)] if isinstance(step, Loop) else [step])]

    return [type(step).__name__ for block in plan_of(made, checked).blocks for step in opened(block.steps)]


def computes(made: Program, checked: Mapping[str, int] | None = None) -> str:
    """The generated source, after comparing what it computes with the interpreter; nothing may warn."""
    arrays, sizes = drawn(made), {"N": SAMPLES}
    names = tuple(e.target for e in made.equations)
    generated = load(made, names, rewriting=False, checked=checked)
    workspace = generated.workspace(arrays, sizes)
    with np.errstate(all="raise"):
        generated.compute(generated.parameters(arrays), workspace)
    expected = interpret(made, arrays, sizes)
    for name, value in generated.results(workspace).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-12, atol=1e-12, err_msg=name)
    return generated.source


def both(tensors: list[Tensor], *equations: Equation, checked: Mapping[str, int] | None = None) -> list[str]:
    made = program(tensors, *equations)
    computes(made, checked)
    return kinds(made, checked)


def test_a_reshape_is_no_step() -> None:
    first = equation("h", (n, c, i), [read("x", n, c * 2 + i)], sympy.tanh(slot(0)), n=N, c=2, i=2)
    flat = equation("f", (n, c * 2 + i), [read("h", n, c, i)], n=N, c=2, i=2)
    tensors = [tensor("x", N, 4), tensor("h", N, 2, 2), tensor("f", N, 4, kind="value")]
    assert both(tensors, first, flat) == ["Compute"]


def test_a_product_is_a_matmul() -> None:
    tensors = [tensor("W", 2, 4, kind="parameter"), tensor("x", N, 4), tensor("y", N, 2, kind="result")]
    assert both(tensors, equation("y", (n, o), [read("W", o, i), read("x", n, i)], over="i", n=N, o=2, i=4)) == [
        "MatMul"
    ]


def test_several_factors_become_two() -> None:
    reads = [read("W", o, i), read("d", n, o), read("a", n, o)]
    body = slot(0) * slot(1) * (1 - slot(2) ** 2)
    made = equation("y", (n, i), reads, body, over="o", n=N, i=4, o=2)
    tensors = [tensor("W", 2, 4, kind="parameter"), tensor("d", N, 2), tensor("a", N, 2)]
    assert both([*tensors, tensor("y", N, 4, kind="result")], made) == ["Compute", "MatMul"]


def test_integers_are_no_operands_of_a_matmul() -> None:
    tensors = [tensor("W", 2, 4, kind="parameter"), tensor("k", N, 4, dtype="int"), tensor("y", N, 2, kind="result")]
    made = equation("y", (n, o), [read("W", o, i), read("k", n, i)], over="i", n=N, o=2, i=4)
    assert "MatMul" not in both(tensors, made)


def test_a_lookup_is_a_gather_and_is_masked_unless_its_labels_are_checked() -> None:
    tensors = [tensor("x", N, 4), tensor("label", N, dtype="int"), tensor("y", N, kind="result")]
    made = equation("y", (n,), [read("x", n, read("label", n))], n=N)
    assert both(tensors, made, checked=CHECKED) == ["Compute", "Gather", "Compute"]
    assert both(tensors, made) == ["Compute", "Gather", "Compute", "Compute"]


def test_a_label_out_of_range_reads_zero_and_writes_nothing() -> None:
    tensors = [tensor("x", N, 2), tensor("label", N, dtype="int"), tensor("y", N, kind="result")]
    tensors.append(tensor("z", 2, kind="result"))
    seen = equation("y", (n,), [read("x", n, read("label", n))], n=N)
    counted = equation("z", (read("label", n),), [], sympy.Integer(1), n=N)
    computes(program(tensors, seen, counted))  # labels go up to 2


def test_a_bracket_is_a_scatter_where_labels_are_checked() -> None:
    bracket = sympy.Piecewise((1, sympy.Eq(index_symbol("i"), slot(1))), (0, True))
    made = equation("y", (n, i), [read("x", n, i), read("label", n)], slot(0) - bracket, n=N, i=4)
    tensors = [*FOUR, tensor("label", N, dtype="int")]
    assert "ScatterAdd" in both(tensors, made, checked=CHECKED)
    assert both(tensors, made) == ["Compute"]


def test_elementwise_is_one_kernel_and_pieces_where_reads_escape() -> None:
    assert both(FOUR, equation("y", (n, i), [read("x", n, i)], sympy.tanh(slot(0)), n=N, i=4)) == ["Compute"]
    joined = equation("y", (n, i), [read("x", n, i), read("x", n, i - 2)], slot(0) + slot(1), n=N, i=4)
    assert both(FOUR, joined) == ["Compute", "Compute"]


@pytest.mark.parametrize("over", ["", "i"])
def test_a_cotangent_outside_its_box_annihilates_an_infinite_cofactor(over: str) -> None:
    at = (n,) if over else (n, i)
    reads = [read("x", n, i - 1, strong=True), read("z", n, i)]
    made = equation("y", at, reads, slot(0) / slot(1), over=over, n=N, i=4)
    result = tensor("y", *(N if s is n else 4 for s in at), kind="result")
    whole = program([tensor("x", N, 4), tensor("z", N, 4), result], made)
    zeros = np.where(np.arange(4) > 0, drawn(whole)["z"], 0)
    arrays = {**drawn(whole), "z": zeros}
    generated = load(whole, ("y",), rewriting=False)
    workspace = generated.workspace(arrays, {"N": SAMPLES})
    with np.errstate(all="ignore"):
        generated.compute({}, workspace)
    np.testing.assert_allclose(generated.results(workspace)["y"], interpret(whole, arrays)["y"], rtol=1e-12)


def test_whole_axes_are_reduced_at_once_and_windows_tap_by_tap() -> None:
    whole = equation("y", (n,), [read("x", n, i)], over="i", reduce="max", n=N, i=4)
    assert both([tensor("x", N, 4), tensor("y", N, kind="result")], whole) == ["Reduce"]
    window = equation("y", (n, i), [read("x", n, i * 2 + u)], over="u", reduce="max", n=N, i=2, u=9)
    assert "Loop" in both([tensor("x", N, 11), tensor("y", N, 2, kind="result")], window)
    short = equation("y", (n, i), [read("x", n, i * 2 + u)], over="u", reduce="max", n=N, i=2, u=3)
    assert both([tensor("x", N, 5), tensor("y", N, 2, kind="result")], short) == ["Compute", "Compute"]


def test_a_window_partly_outside_leaves_those_points_out() -> None:
    window = equation("y", (n, i), [read("x", n, i + u - 1)], -slot(0), over="u", reduce="max", n=N, i=4, u=3)
    computes(program(FOUR, window))
    nothing = Guard(">=", i - 4)
    empty = equation("y", (n,), [read("x", n, i)], over="i", reduce="argmax", guards=[nothing], n=N, i=4)
    computes(program([tensor("x", N, 4), tensor("y", N, dtype="int", kind="result")], empty))


def test_an_index_of_one_point_is_no_loop() -> None:
    made = equation("y", (n, i), [read("x", n, i + u)], over="u", reduce="max", n=N, i=4, u=1)
    assert both(FOUR, made) == ["Compute"]


def test_an_overlapping_left_side_is_written_tap_by_tap() -> None:
    tensors = [tensor("x", N, 4), tensor("W", 3, kind="parameter"), tensor("y", N, 6, kind="result")]
    steps = both(tensors, equation("y", (n, i + u), [read("x", n, i), read("W", u)], n=N, i=4, u=3))
    assert "Loop" in steps
    assert "ScatterAdd" not in steps


def test_a_left_side_that_leaves_by_a_symbolic_distance_is_added_at_positions() -> None:
    tensors = [tensor("x", N), tensor("y", 2, kind="result")]
    assert "ScatterAdd" in both(tensors, equation("y", (n,), [read("x", n)], slot(0) + 1, n=N))


def test_a_read_that_leaves_by_a_symbolic_distance_is_gathered() -> None:
    tensors = [tensor("x", 2), tensor("y", N, kind="result")]
    assert "Gather" in both(tensors, equation("y", (n,), [read("x", n)], slot(0) + 1, n=N))


@pytest.mark.parametrize("step", [-1, -2])
def test_slices_run_backwards_to_the_very_first_element(step: int) -> None:
    size = 2 * -step * 2
    made = equation("y", (n, i, j), [read("x", n, i * step + size - 1 - j)], over=(), n=N, i=2, j=2)
    summed = equation("z", (n, i), [read("x", n, i * step + size - 1 - j)], over="j", n=N, i=2, j=size + 2 * step + 2)
    tensors = [tensor("x", N, size), tensor("y", N, 2, 2, kind="result"), tensor("z", N, 2, kind="result")]
    computes(program(tensors, made, summed))


def test_two_views_of_one_tensor_get_two_names() -> None:
    body = sympy.exp(slot(0) - slot(1))
    first = equation("a", (n, i, u), [read("x", n, i + u), read("x", n, 0)], body, n=N, i=3, u=2)
    other = equation("b", (n, u, i), [read("x", n, i + u), read("x", n, 0)], body, n=N, u=2, i=3)
    tensors = [tensor("x", N, 4), tensor("a", N, 3, 2, kind="result"), tensor("b", N, 2, 3, kind="result")]
    source = computes(program(tensors, first, other))
    made = [line.split(" =")[0].strip() for line in source.splitlines() if line.startswith("        self.")]
    assert len(made) == len(set(made))


def test_sources_do_not_depend_on_the_order_of_sets() -> None:
    numbers = index_symbol("i") * slot(0) + sympy.sin(index_symbol("j")) * index_symbol("n")
    tensors = [tensor("x", N, 4), tensor("y", N, 4, 3, kind="result")]
    made = program(tensors, equation("y", (n, i, j), [read("x", n, i)], numbers, n=N, i=4, j=3))
    assert computes(made).index("self.value_4") < computes(made).index("self.value_3")


def test_groups_are_a_batch_of_products() -> None:
    g, q = A("g"), A("q")
    reads = [read("W", g * 2 + q, d), read("x", n, g * 2 + d)]
    made = equation("y", (n, g * 2 + q), reads, over="d", n=N, g=2, q=2, d=2)
    tensors = [tensor("W", 4, 2, kind="parameter"), *FOUR]
    assert "MatMul" in both(tensors, made)


def test_a_convolution_is_columns_and_a_product() -> None:
    tensors = [tensor("W", 2, 3, kind="parameter"), tensor("x", N, 5), tensor("y", N, 2, 5, kind="result")]
    made = equation("y", (n, p, i), [read("W", p, u), read("x", n, i + u - 1)], over="u", n=N, p=2, i=5, u=3)
    assert "MatMul" in both(tensors, made)
