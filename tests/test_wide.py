"""Recipes for pictures of many channels, against the interpreter."""

from __future__ import annotations

from typing import Any

import pytest

import symnet as sn
from test_recipes import compared, other_convolutions, picture, two

TURNED = ("turned shifts", "turned shifts/2", "turned columns", "turned columns/3")


@pytest.mark.parametrize("recipe", TURNED)
@pytest.mark.parametrize("padding", [0, 1, (2, 0)])
def test_a_kernel_gradient_of_what_was_turned(recipe: str, padding: Any) -> None:
    generated = compared(two(sn.Conv2D(3, (2, 3), padding=padding, name="c")), f"kernel:{recipe}")
    assert "np.copyto(w.d_c_turned" in generated.source


@pytest.mark.parametrize("recipe", TURNED[::2])
@other_convolutions
def test_other_convolutions_with_what_was_turned(recipe: str, layer: Any) -> None:
    compared(two(layer), f"kernel:{recipe}")


def test_what_is_turned_is_turned_once() -> None:
    model = picture((2, 4, 6), sn.Conv2D(3, 3, padding=1, name="a"), sn.Conv2D(2, 3, padding=1, name="b"))
    generated = compared(model, "kernel:turned shifts")
    assert generated.source.count("np.copyto(w.d_b_turned") == 1


@pytest.mark.parametrize("size", [(8, 5), (7, 4), (1, 4)])
@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"padding": (0, 2)}])
def test_a_depthwise_convolution(size: tuple[int, int], options: dict[str, Any]) -> None:
    kernel = (min(3, size[0]), 3)
    layer = sn.DepthwiseConv2D(kernel, activation="tanh", name="c", **options)
    compared(picture((3, *size), sn.Conv2D(3, 1, name="first"), layer))


@pytest.mark.parametrize("padding", [0, 1])
def test_a_depthwise_convolution_by_bands(padding: int) -> None:
    layers = (sn.Conv2D(3, 1, name="first"), sn.DepthwiseConv2D(3, padding=padding, use_bias=False, name="c"))
    generated = compared(picture((2, 6, 5), *layers))
    assert generated.source.count("# by bands") == 3
    assert generated.source.count("copyto(w.first_columns[") <= 3  # the columns serve the kernel's gradient as well


@pytest.mark.parametrize("layer", [sn.DepthwiseConv2D(3, multiplier=2), sn.Conv2D(4, (1, 3), groups=2)])
def test_convolutions_in_groups(layer: Any) -> None:
    compared(two(layer))


@pytest.mark.parametrize("recipe", ["pairs", "pairs/2", "forward:pairs", "kernel:pairs"])
@pytest.mark.parametrize("padding", [0, 1, (2, 0)])
def test_a_convolution_by_pairs(recipe: str, padding: Any) -> None:
    generated = compared(two(sn.Conv2D(3, (3, 2 + (padding == 1)), padding=padding, name="c")), recipe)
    assert "by pairs" in generated.source


def test_the_sums_of_rows_serve_both_passes() -> None:
    model = picture((2, 4, 6), sn.Conv2D(3, 3, padding=1, activation="tanh"), sn.Conv2D(2, 3, padding=1, name="b"))
    generated = compared(model, "pairs")
    assert generated.source.count("# by pairs") == 5
    assert generated.source.count("out=w.conv2d_1_pairs[0, ...]") == 1
    assert "np.copyto(w.conv2d_1_padded" not in generated.source


@pytest.mark.parametrize(
    "layer",
    [sn.Conv2D(2, 3), sn.Conv2D(2, 3, stride=2, padding=1), sn.Conv2D(2, 3, dilation=2), sn.ConvTranspose2D(2, 3)],
    ids=["odd", "stride", "dilation", "transposed"],
)
def test_what_is_not_in_pairs(layer: Any) -> None:
    compared(picture((2, 7, 6), sn.Conv2D(2, 1), layer), "pairs")


@pytest.mark.parametrize(
    "layer", [sn.Conv2D(3, 1, name="c"), sn.Conv2D(2, 1, activation="tanh", use_bias=False, name="c")]
)
def test_a_convolution_of_one_point_row_by_row(layer: Any) -> None:
    layers = (sn.DepthwiseConv2D(3, padding=1, name="d"), layer, sn.DepthwiseConv2D(3, padding=1))
    generated = compared(picture((2, 5, 8), sn.Conv2D(2, 3, padding=1), *layers))
    assert "np.add.reduce(w.d_c_weight_parts, axis=0" in generated.source
