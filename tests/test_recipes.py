"""Every recipe for a window product, and pooling, against the interpreter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import symnet as sn
from building import tensor
from codegen.ir.equation import Program
from codegen.notation import elaborate
from codegen.oracle.interpret import interpret
from codegen.passes.algebra.pool_first import pool_first
from running import Generated, load
from symnet.differentiate.programs import derived, network
from test_layout import arrays

RECIPES = (
    "columns",
    "columns/1",
    "shifts",
    "shifts/2",
    "stacks",
    "stacks/1",
    "stacks/3",
    "shifts,columns",
    "columns,shifts",
)


def compared(model: sn.Model, recipe: str = "", ties: bool = False, target: str = "numpy") -> Generated:
    """The generated code of `model`, after comparing its gradients with those of the interpreted equations."""
    declared = derived(model)
    inputs = arrays(declared, {"N": 3})
    if ties:
        inputs = {name: np.round(value) for name, value in inputs.items()}
    names = tuple(t.name for t in declared.tensors if t.kind == "result")
    recipes = tuple(filter(None, recipe.split(",")))
    generated = load(network(model), ("loss", *names), target, rewriting=False, recipes=recipes)
    workspace = generated.workspace(inputs, {"N": 3})
    for _ in range(2):
        generated.compute(generated.parameters(inputs), workspace)
    expected = interpret(declared, inputs, {"N": 3})
    for name, value in generated.results(workspace).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-9, atol=1e-10, err_msg=name)
    return generated


def picture(shape: tuple[int, int, int], *layers: Any) -> sn.Model:
    """A network of `layers` on pictures."""
    image = node = sn.Input(shape, name="image")
    for layer in layers:
        node = layer(node)
    return sn.Model(image, node, loss=sn.SquaredError())


def two(second: Any) -> sn.Model:
    """A network in which `second` has an input gradient."""
    return picture((2, 4, 6), sn.Conv2D(2, 1, name="first"), second)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("padding", [0, 1, (2, 0)])
def test_a_convolution_by_every_recipe(recipe: str, padding: Any) -> None:
    generated = compared(two(sn.Conv2D(3, (2, 3), padding=padding, name="c")), recipe)
    assert f"by {recipe.partition('/')[0].partition(',')[0]}" in generated.source


other_convolutions = pytest.mark.parametrize(
    "layer",
    [
        sn.Conv2D(2, 3, stride=2, padding=1),
        sn.Conv2D(2, 2, dilation=2),
        sn.Conv2D(4, 2, groups=2),
        sn.Conv2D(3, 1),
        sn.ConvTranspose2D(2, 3, stride=2, padding=1),
        sn.ConvTranspose2D(2, 3),
    ],
    ids=["stride", "dilation", "groups", "one", "transposed stride", "transposed"],
)


@pytest.mark.parametrize("recipe", RECIPES[:5:2])
@other_convolutions
def test_other_convolutions_with_every_recipe_preferred(recipe: str, layer: Any) -> None:
    compared(two(layer), recipe)


@settings(max_examples=20, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.data())
def test_drawn_convolutions(data: st.DataObject) -> None:
    small = st.integers(1, 3)
    kernel, padding = (data.draw(st.tuples(small, small)), data.draw(st.tuples(st.integers(0, 2), st.integers(0, 2))))
    layer = sn.Conv2D(data.draw(small), kernel, padding=padding, stride=data.draw(st.sampled_from([1, 1, 2])))
    shape = (data.draw(small), data.draw(st.integers(3, 6)), data.draw(st.integers(3, 6)))
    compared(picture(shape, sn.Conv2D(2, 1), layer), data.draw(st.sampled_from(("", *RECIPES))))


@pytest.mark.parametrize("pool", [2, 3, (2, 3), (1, 2)])
@pytest.mark.parametrize("stride", [None, 1, 2])
@pytest.mark.parametrize("padding", [0, 1])
def test_pooling_with_many_ties(pool: Any, stride: int | None, padding: int) -> None:
    if padding and pool == (1, 2):
        padding = 0
    compared(picture((2, 5, 6), sn.Conv2D(2, 1), sn.MaxPool2D(pool, stride=stride, padding=padding)), ties=True)


@pytest.mark.parametrize(
    "activation", ["relu", "tanh", "sigmoid", "softplus", "leaky_relu", "elu", "silu", "abs(x)", "-x"]
)
@pytest.mark.parametrize("target", ["numpy", "numexpr"])
def test_pooling_after_an_activation_with_ties(activation: str, target: str) -> None:
    model = picture((1, 6, 4), sn.Conv2D(2, 3, padding=1, activation=activation, name="c"), sn.MaxPool2D(2, name="y"))
    compared(model, ties=True, target=target)
    moved = any(e.target == "y.max" for e in pool_first(model.program, {"y"}).equations)
    assert moved == (activation not in ("silu", "abs(x)", "-x"))


@pytest.mark.parametrize("read", ["n,i+u,2*j+v,k+w", "n,c,i+u,2*j+v,k+w", "n,i+u,c,2*j+v,k+w"])
def test_a_maximum_along_three_axes(read: str) -> None:
    """It is taken along one after the other: the places that are still to come have a name each."""
    sizes = {"n": (), "i+u": (4,), "c": (2,), "2*j+v": (5,), "k+w": (4,)}
    x = sn.Input(tuple(size for axis in read.split(",") for size in sizes[axis]), name="x")
    text = f"y[n,{'c,' if 'c' in read else ''}i,j,k] = max[u,v,w](x[{read}])"
    pool = sn.Formula(text, sizes={"u": 2, "v": 2, "w": 3}, name="y")
    compared(sn.Model(x, pool(x), loss=sn.SquaredError()), ties=True)


def test_channels_may_be_digits_of_an_axis() -> None:
    """They lie one behind the other, as they do in the kernel, and are neither copied nor taken for taps."""
    text = "z[i,p,j,n] = sum[c,k,u,v](W[p,c,k,u,v]*x[i+u,(c,k),j+v,n])"
    given = [tensor("x", 5, 6, 5, "N"), tensor("W", 4, 2, 3, 2, 3, kind="parameter")]
    done = elaborate(text, {t.name: t for t in given})
    program = Program((*given, *done.tensors), done.equations)
    inputs = arrays(program, {"N": 3})
    for recipe in ("shifts", "stacks", "columns"):
        generated = load(program, ("z",), recipes=(recipe,))
        assert f"by {recipe}" in generated.source
        workspace = generated.workspace(inputs, {"N": 3})
        generated.compute(generated.parameters(inputs), workspace)
        expected = interpret(program, inputs, {"N": 3})["z"]
        np.testing.assert_allclose(generated.results(workspace)["z"], expected, rtol=1e-10)


def test_what_somebody_else_reads_stays() -> None:
    image = sn.Input((1, 4, 4), name="image")
    maps = sn.Conv2D(2, 1, activation="relu", name="c")(image)
    both = sn.Concat()(sn.Flatten()(maps), sn.Flatten()(sn.MaxPool2D(2, name="y")(maps)))
    model = sn.Model(image, both, loss=sn.SquaredError())
    compared(model, ties=True)
    assert "y.max" not in {e.target for e in network(model).equations}


def test_two_pools_of_one_picture_hand_their_gradients_down_in_arrays_of_their_own() -> None:
    image = sn.Input((1, 5, 6), name="image")
    maps = sn.Conv2D(2, 1, name="c")(image)
    both = (sn.Flatten()(sn.MaxPool2D((1, wide), stride=1)(maps)) for wide in (2, 3))
    compared(sn.Model(image, sn.Concat()(*both), loss=sn.SquaredError()), ties=True)


def test_a_maximum_keeps_masks_and_no_positions() -> None:
    generated = compared(picture((1, 4, 4), sn.Conv2D(2, 3, padding=1), sn.MaxPool2D(2)))
    assert "np.int64" not in generated.source
    assert "wins_1" in generated.source


def test_a_picture_lives_in_the_frame_of_its_reader() -> None:
    model = picture((1, 4, 4), sn.Conv2D(2, 3, padding=1, activation="tanh", name="a"), sn.Conv2D(2, 3, padding=1))
    generated = compared(model, "shifts")
    assert "self.a = self.a_padded[1:5, :, 1:5]" in generated.source
    assert "np.copyto(w.a_padded" not in generated.source


def test_a_frame_gives_way_to_a_reader_of_the_whole() -> None:
    text = """a[n,c,i,j] = tanh(x[n,c,i,j])
    b[n,p,i,j] = sum[c,u,v](w[p,c,u,v]*a[n,c,i+u-1,j+v-1])
    y[n,o] = sum[c,i,j](k[o,c,i,j]*a[n,c,i,j])"""
    given = [
        tensor("x", "N", 2, 3, 4),
        tensor("w", 2, 2, 3, 3, kind="parameter"),
        tensor("k", 5, 2, 3, 4, kind="parameter"),
    ]
    done = elaborate(text, {t.name: t for t in given}, sizes={"i": 3, "j": 4})
    program = Program((*given, *done.tensors), done.equations)
    inputs = arrays(program, {"N": 3})
    generated = load(program, ("b", "y"), recipes=("shifts",))
    assert "by shifts" in generated.source
    workspace = generated.workspace(inputs, {"N": 3})
    generated.compute(generated.parameters(inputs), workspace)
    expected = interpret(program, inputs, {"N": 3})
    for name, value in generated.results(workspace).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-10, err_msg=name)
