"""Storage orders: the passes that choose them, and what the lowering makes of them."""

from __future__ import annotations

import random

import numpy as np
import pytest

import symnet as sn
from codegen.ir.equation import Program
from codegen.notation import elaborate, show
from codegen.oracle.interpret import interpret
from codegen.passes.layout.batch_last import batch_last, rows_of_inputs
from codegen.passes.layout.orders import composed, reordered
from codegen.passes.layout.time_major import time_major
from families.writing import written
from symnet.differentiate.programs import network


def convolution(**options: object) -> sn.Model:
    image = sn.Input((3, 9, 8), name="image")
    maps = sn.MaxPool2D(2)(sn.Conv2D(4, 3, activation="tanh", **options)(image))
    maps = sn.Conv2D(2, 2)(maps)
    return sn.Model(image, sn.Dense(3)(sn.Flatten()(maps)), loss=sn.CrossEntropy())


def recurrence() -> sn.Model:
    x = sn.Input(("T", 3), name="x")
    return sn.Model(x, sn.Dense(2)(sn.SimpleRNN(4)(x)), loss=sn.CrossEntropy())


def arrays(program: Program, sizes: dict[str, int]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    drawn = {}
    for tensor in program.tensors:
        if tensor.kind in ("input", "parameter"):
            shape = tuple(e.evaluate(sizes) for e in tensor.shape)
            drawn[tensor.name] = rng.integers(0, 2, shape) if tensor.dtype == "int" else rng.normal(size=shape)
    return drawn


@pytest.mark.parametrize("model", [convolution(), convolution(stride=2, padding=1), recurrence()])
def test_reordered_programs_mean_the_same(model: sn.Model) -> None:
    program = network(model)
    sizes = {"N": 2, "T": 3} if "T" in program.sizes else {"N": 2}
    given = arrays(program, sizes)
    pictures = batch_last(program)
    program, copies = rows_of_inputs(program, pictures)
    stored = {copies.get(n, n): order for n, order in pictures.items()}
    moved = reordered(program, stored)
    steps = time_major(moved)
    moved, orders = reordered(moved, steps), composed(stored, steps)
    assert orders
    before, after = interpret(program, given, sizes), interpret(moved, given, sizes)
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value.transpose(orders.get(name, range(value.ndim))), atol=1e-12)


def test_pictures_are_stored_rows_first_and_batch_last() -> None:
    program = network(convolution())
    orders = batch_last(program)
    assert orders["image"] == orders["conv2d_1.z"] == orders["maxpool2d_1"] == (2, 1, 3, 0)
    assert orders["d_conv2d_1.z"] == (2, 1, 3, 0)
    assert not set(orders) & {"dense_1", "flatten_1", "conv2d_1.weight", "loss"}


def test_channels_of_groups_are_no_window() -> None:
    image = sn.Input((4, 5, 5), name="image")
    model = sn.Model(image, sn.Flatten()(sn.Conv2D(4, 3, groups=2)(image)), loss=sn.CrossEntropy())
    orders = batch_last(network(model))
    assert orders["image"] == orders["conv2d_1"] == (2, 1, 3, 0)


def test_nothing_moves_without_convolution_or_recurrence() -> None:
    x = sn.Input((5,), name="x")
    program = network(sn.Model(x, sn.Dense(3)(x), loss=sn.CrossEntropy()))
    assert batch_last(program) == {} == time_major(program)


def test_the_step_axis_comes_first() -> None:
    orders = time_major(network(recurrence()))
    assert orders["simplernn_1"] == orders["d_simplernn_1"] == (1, 0, 2)
    assert set(orders["simplernn_1.z"]) == {0, 1, 2}


def test_orders_compose() -> None:
    done = elaborate("y[n,i,j] = x[n,i,j]", {"x": network(recurrence()).table["x"]})
    program = Program((network(recurrence()).table["x"], *done.tensors), done.equations, ("N", "T"))
    first, second = {"y": (2, 0, 1)}, {"y": (1, 2, 0)}
    twice = reordered(reordered(program, first), second)
    assert show(twice) == show(reordered(program, composed(first, second)))


def test_pools_alone_keep_their_order() -> None:
    """The product over a flattened picture is no convolution: its indices count through the axis."""
    text = """
        m[n,c,i,j] = max[u](x[n,c,2*i+u,j])
        z[n,o] = sum[c,i,j](W[o,4*c+2*i+j]*m[n,c,i,j])
    """
    drawn = written(random.Random(0), "x(N,2,4,2) W(3,8):parameter", text, sizes={"u": 2, "i": 2})
    assert not batch_last(drawn.program)
