"""FLOPs, receptive fields and the summary table, against formulas and tables written out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

import symnet as sn
from codegen.ir.equation import Equation, Program, Tensor, index_symbol, size_symbol, slot
from codegen.notation import elaborate
from networks import N, cnn, equation, mlp, read, tensor
from symnet.explain.summary import summary
from symnet.facts import flops, receptive

Golden = Callable[[str, str], None]


# Operation counts and receptive fields


def test_flops_of_the_mlp() -> None:
    # dense 2*20+5, sigmoid (exp, +, 1/) 3*5, dense 2*15+3
    assert flops.flops(mlp(), "forward") == N * (45 + 15 + 33)


def test_flops_of_the_cnn() -> None:
    conv, pool, dense = 4 * 64 * (2 * 9 + 1) + 4 * 64, 4 * 16 * 4, 3 * (2 * 64 + 1)
    assert flops.flops(cnn(), "forward") == N * (conv + pool + dense)


def test_flops_keep_symbolic_sizes() -> None:
    item = equation("y", "n,t", slot(0) * slot(1), (read("w", "i"), read("x", "n,t,i")), "n:N t:T i:3", over=("i",))
    made = {t.name: t for t in (tensor("y", "N,T"), tensor("w", "3"), tensor("x", "N,T,3"))}
    assert flops.total([item], made) == 6 * N * size_symbol("T")


def test_a_copy_costs_nothing_and_numbers_are_free() -> None:
    copy = next(e for e in cnn().equations if e.target == "flatten_1")
    assert flops.equation_flops(copy, cnn().table) == 0
    assert flops.operations(index_symbol("i") * 2 + 1) == 0


@pytest.mark.parametrize("first", ["input", "state"])
def test_a_recurrence_sees_every_step_whichever_line_comes_first(first: str) -> None:
    lines = {"input": "z[n,t,j] {} sum[i](W[j,i]*x[n,t,i])", "state": "z[n,t,j] {} sum[i](U[j,i]*h[n,t-1,i])"}
    (other,) = lines.keys() - {first}
    text = "; ".join((lines[first].format("="), lines[other].format("+="), "h[n,t,j] = tanh(z[n,t,j])"))
    given = {
        "x": tensor("x", "N,9,3", "input"),
        "W": tensor("W", "4,3", "parameter"),
        "U": tensor("U", "4,4", "parameter"),
    }
    states = {name: tensor(name, "N,9,4").shape for name in ("z", "h")}
    made = elaborate(text, given, shapes=states)
    seen = receptive.spans(Program((*given.values(), *made.tensors), made.equations))
    assert seen["h"]["x", 1].whole and seen["z"]["x", 1].whole


def test_receptive_fields_grow_with_the_windows() -> None:
    fields = receptive.receptive_fields(cnn())
    assert fields["conv2d_1"] == (3, 3)
    assert fields["maxpool2d_1"] == fields["flatten_1"] == (4, 4)
    assert fields["dense_1"] == (None, None)


@pytest.mark.parametrize(("kernel", "stride", "dilation", "layers"), [(3, 1, 1, 4), (5, 2, 1, 3), (3, 1, 4, 2)])
def test_receptive_fields_against_the_recurrence(kernel: int, stride: int, dilation: int, layers: int) -> None:
    equations, expected, jump = [], 1, 1
    for k in range(layers):
        source = f"y{k - 1}" if k else "x"
        reads = (read("w", "u"), read(source, f"n,{stride}*i+{dilation}*u-1"))
        box = f"n:N i:9 u:{kernel}"
        equations.append(equation(f"y{k}", "n,i", slot(0) * slot(1), reads, box, over=("u",), stage="forward"))
        expected, jump = expected + (kernel - 1) * dilation * jump, jump * stride
    tensors = (
        tensor("x", "N,99", "input"),
        tensor("w", str(kernel), "parameter"),
        *(tensor(e.target, "N,9") for e in equations),
    )
    assert receptive.receptive_fields(Program(tensors, tuple(equations)))[f"y{layers - 1}"] == (expected,)


def test_receptive_field_of_a_transposed_convolution() -> None:
    reads = (read("w", "u"), read("x", "n,i"))
    item = equation("y", "n,2*i+u", slot(0) * slot(1), reads, "n:N i:8 u:3", stage="forward")
    program = Program((tensor("x", "N,8", "input"), tensor("w", "3", "parameter"), tensor("y", "N,17")), (item,))
    assert receptive.receptive_fields(program)["y"] == (2,)


def test_a_recurrence_sees_all_of_time() -> None:
    reads = (read("x", "n,t"), read("h", "n,t-1"))
    item = equation("h", "n,t", slot(0) + slot(1), reads, "n:N t:T", stage="forward")
    program = Program((tensor("x", "N,T", "input"), tensor("h", "N,T")), (item,))
    assert receptive.spans(program)["h"] == {("x", 0): receptive.Span(((0, 1),)), ("x", 1): receptive.WHOLE}


# The table


@dataclass(frozen=True)
class Weight:
    name: str
    tensor: Tensor


@dataclass(frozen=True)
class Layer:
    name: str
    kind: str
    inputs: tuple[Tensor, ...]
    output: Tensor
    parameters: tuple[Weight, ...]
    equations: tuple[Equation, ...]


class CrossEntropy:
    """Stands for the loss of that name."""


@dataclass(frozen=True)
class Network:
    name: str
    layers: tuple[Layer, ...]
    output: Tensor
    loss: object
    evaluation: Program


def network(program: Program, kinds: dict[str, str]) -> Network:
    """A chain of layers over `program`, as a model gives it."""
    table, layers, last = program.table, [], program.tensors[0]
    for name, kind in kinds.items():
        mine = tuple(
            Weight(t.name, t) for t in program.tensors if t.kind == "parameter" and t.name.startswith(name + ".")
        )
        equations = tuple(e for e in program.equations if e.origin == name)
        layers.append(Layer(name, kind, (last,), table[name], mine, equations))
        last = table[name]
    return Network("digits", tuple(layers), last, CrossEntropy(), program)


def test_summary_of_a_cnn(golden: Golden) -> None:
    kinds = {"conv2d_1": "Conv2D", "maxpool2d_1": "MaxPool2D", "flatten_1": "Flatten", "dense_1": "Dense"}
    text = summary(network(cnn(), kinds))
    golden("summary_cnn.txt", text + "\n")
    assert "3 x 3 / 1" in text and "2 x 2 / 2" in text and "  8 x   8 x   4" in text
    assert text.endswith("digits: 235 parameters, 5,763 FLOPs per sample (forward)")


def test_summary_of_dense_layers(golden: Golden) -> None:
    golden("summary_mlp.txt", summary(network(mlp(), {"dense_1": "Dense", "dense_2": "Dense"})) + "\n")


def notes() -> sn.Model:
    """The network of a well-known table, with its strided and its 1x1 convolution."""
    picture = sn.Input((3, 48, 48), name="picture")
    h = sn.MaxPool2D(2)(sn.Conv2D(4, 3, padding="same", activation="relu")(picture))
    h = sn.MaxPool2D(2)(sn.Conv2D(8, 3, stride=2, padding=1, activation="relu")(h))
    h = sn.Flatten()(sn.Conv2D(16, 1, activation="relu")(h))
    return sn.Model(picture, sn.Dense(10)(h), loss=sn.CrossEntropy(), name="notes")


def test_the_table_of_the_notes(golden: Golden) -> None:
    text = summary(notes())
    golden("summary_notes.txt", text + "\n")
    rows = [line.split() for line in text.splitlines()]
    fields = [row[row.index("->") :] for row in rows[1:6]]
    assert [" ".join(f[-4:-1]) for f in fields] == ["3 x 3", "4 x 4", "8 x 8", "12 x 12", "12 x 12"]


def test_branches_groups_layouts_and_sharing_in_one_table(golden: Golden) -> None:
    image = sn.Input((8, 8, 2), name="image", layout="HWC")
    shared = sn.Conv2D(2, 3, padding="same", groups=2, name="twice")
    h = shared(shared(image))
    h = sn.concat([h, sn.Conv2D(3, 3, padding=2, dilation=2)(image)], axis=3)
    h = sn.Flatten()(sn.AvgPool2D(3, stride=2, padding=1)(h))
    text = summary(sn.Model(image, sn.Dense(1)(h), loss=sn.BinaryCrossEntropy()))
    golden("summary_branches.txt", text + "\n")
    assert "shared" in text and "(dilation 2)" in text and "sigmoid" in text
