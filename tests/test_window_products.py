"""Which sums of products the recipes for windows take, and which they leave to others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from codegen.ir.equation import Equation, Program
from codegen.lower.copies import Halo
from codegen.lower.storage import Storage
from codegen.lower.windows.direct import direct_product
from codegen.lower.windows.pointwise import point_product
from codegen.lower.windows.product import window_product
from codegen.lower.windows.toeplitz import depthwise_product
from test_structure import made, tensors

Shapes = dict[str, tuple[int | str, ...]]
How = Callable[[Equation, Storage], Any]


def found(how: How, text: str, shapes: Shapes, sizes: dict[str, int] | None = None) -> Any:
    """What a recipe finds in an equation over these tensors."""
    program = Program(tuple(tensors(shapes).values()), (made(text, shapes, sizes),))
    return how(program.equations[0], Storage(program, compiled=True))


ROWS: Shapes = {"z": (8, 5, 8, "N"), "W": (5, 4, 3, 3), "x": (8, 4, 8, "N")}
DEEP: Shapes = {"z": (4, 8, 8, "N"), "W": (4, 3, 3), "x": (4, 8, 8, "N")}
POINT: Shapes = {"z": (5, 9, 99, "N"), "W": (5, 4), "x": (4, 9, 99, "N")}
FORWARD = {
    "rows": ("z[i,p,j,n] = sum[d,u,v](W[p,d,u,v]*x[i+u-1,d,j+v-1,n])", ROWS),
    "deep": ("z[c,i,j,n] = sum[u,v](W[c,u,v]*x[c,i+u-1,j+v-1,n])", DEEP),
    "point": ("z[p,i,j,n] = sum[d](W[p,d]*x[d,i,j,n])", POINT),
}
KERNEL = {
    "rows": ("W[p,d,u,v] = sum[n,i,j](z[i,p,j,n]*x[i+u-1,d,j+v-1,n])", ROWS),
    "deep": ("W[c,u,v] = sum[n,i,j](z[c,i,j,n]*x[c,i+u-1,j+v-1,n])", DEEP),
    "point": ("W[p,d] = sum[n,i,j](z[p,i,j,n]*x[d,i,j,n])", POINT),
}
TAKES: dict[How, tuple[str, ...]] = {
    window_product: ("rows",),
    depthwise_product: ("deep",),
    point_product: ("point",),
    direct_product: ("rows", "deep", "point"),
}


@pytest.mark.parametrize("how", TAKES)
def test_what_a_recipe_takes_and_that_it_leaves_the_rest(how: How) -> None:
    for table in (FORWARD, KERNEL):
        assert {name for name, (text, shapes) in table.items() if found(how, text, shapes)} == {*TAKES[how]}


X = "x[i+u-1,d,j+v-1,n]"
READS: dict[str, tuple[tuple[How, ...], str, Shapes]] = {
    "rows backwards": ((window_product, direct_product), "x[i-u+1,d,j+v-1,n]", {}),
    "rows of taps that lie apart": ((window_product,), "x[i+2*u-2,d,j+v-1,n]", {}),
    "rows from the last on": ((window_product, direct_product), "x[7-i+u,d,j+v-1,n]", {}),
    "columns backwards": ((direct_product,), "x[i+u-1,d,j-v+1,n]", {}),
    "a channel twice": ((window_product, direct_product), "x[i+u-1,d,j+v-1,d,n]", {"x": (8, 4, 8, 4, "N")}),
    "the batch first": ((window_product, direct_product), "x[n,d,i+u-1,j+v-1]", {"x": ("N", 4, 8, 8)}),
    "the next sample": ((window_product, direct_product), "x[i+u-1,d,j+v-1,n+1]", {}),
    "channels behind columns": ((direct_product,), "x[i+u-1,j+v-1,d,n]", {"x": (8, 8, 4, "N")}),
    "the next channel": ((direct_product,), "x[i+u-1,d+1,j+v-1,n]", {"x": (8, 6, 8, "N")}),
    "some channels": ((direct_product,), X, {"x": (8, 6, 8, "N")}),
    "some samples": ((direct_product,), X, {"x": (8, 4, 8, 7), "z": (8, 5, 8, 6)}),
    "rows of symbolic number": ((direct_product,), X, {"x": ("T", 4, 8, "N"), "z": ("T", 5, 8, "N")}),
    "some of symbolic rows": ((direct_product,), X, {"x": ("T", 4, 8, "N")}),
    "channels of symbolic number": ((direct_product,), X, {"z": (8, "P", 8, "N"), "W": ("P", 4, 3, 3)}),
}


def given(shapes: Shapes) -> dict[str, int]:
    """The extents of indices that the axes of these tensors do not say."""
    sizes = {"i": 8, "p": 5, "j": 8, "d": 4, "u": 3, "v": 3, "n": 6}
    symbolic = {name for name, axis in (("i", 0), ("p", 1), ("n", 3)) if isinstance(shapes["z"][axis], str)}
    return {name: extent for name, extent in sizes.items() if name not in symbolic}


@pytest.mark.parametrize("name", READS)
def test_images_that_a_recipe_leaves(name: str) -> None:
    hows, read, shapes = READS[name]
    for text, usual in (FORWARD["rows"], KERNEL["rows"]):
        for how in hows:
            assert found(how, text.replace(X, read), usual | shapes, given(usual | shapes)) is None


POINTS: Shapes = {"z": (8, 5, 8, "N"), "W": (5, 5, 3, 3), "x": (8, 1, 8, "N")}
PLACES: Shapes = {"z": (8, 8, 8, "N"), "W": (3, 3), "x": (8, 8, 8, "N")}
WHOLE: tuple[tuple[How, str, Shapes], ...] = (
    # The left side is the image; a part of its target; a square.
    (window_product, "z[2*i+r,p,n] = sum[d](W[p,d,r]*x[i,d,n])", {"z": (6, 5, "N"), "W": (5, 4, 2), "x": (3, 4, "N")}),
    (window_product, f"z[i+1,p,j,n] = sum[d,u,v](W[p,d,u,v]*{X})", ROWS | {"z": (9, 5, 8, "N")}),
    (window_product, "z[i,n] = sum[u](x[i+u,n]**2)", {"z": (6, "N"), "x": (8, "N")}),
    (direct_product, "s[] = sum[i,j,n](x[i,0,j,n]**2)", {"s": (), "x": (8, 1, 8, "N")}),
    # An index of the kernel alone; its diagonal; every second tap; taps in one axis; a part of the gradient.
    (direct_product, f"z[i,p,j,n] = sum[d,u,v,e](W[p,d,u,v,e]*{X})", ROWS | {"W": (5, 4, 3, 3, 2)}),
    (direct_product, "z[i,p,j,n] = sum[u,v](W[p,p,u,v]*x[i+u-1,0,j+v-1,n])", POINTS),
    (direct_product, f"z[i,p,j,n] = sum[d,u,v](W[p,d,2*u,v]*{X})", ROWS | {"W": (5, 4, 6, 3)}),
    (direct_product, f"z[i,p,j,n] = sum[d,u,v](W[p,d,(u,v)]*{X})", ROWS | {"W": (5, 4, 9)}),
    (direct_product, f"z[i,p,j,n] = sum[d,u,v](W[p,d,u+v]*{X})", ROWS | {"W": (5, 4, 5)}),
    (direct_product, f"W[p,d,u+1,v] = sum[n,i,j](z[i,p,j,n]*{X})", ROWS | {"W": (5, 4, 4, 3)}),
    # Two indices of output channels, of input channels, of channels on their own.
    (
        direct_product,
        f"z[i,(p,q),j,n] = sum[d,u,v](W[p,q,d,u,v]*{X})",
        ROWS | {"z": (8, 10, 8, "N"), "W": (5, 2, 4, 3, 3)},
    ),
    (
        direct_product,
        "z[i,p,j,n] = sum[d,q,u,v](W[p,d,q,u,v]*x[i+u-1,(d,q),j+v-1,n])",
        ROWS | {"x": (8, 8, 8, "N"), "W": (5, 4, 2, 3, 3)},
    ),
    (direct_product, "z[i,(d,q),j,n] = sum[u,v](W[u,v]*x[i+u-1,(d,q),j+v-1,n])", PLACES),
    # A map of more rows, or with its channels last.
    (direct_product, f"W[p,d,u,v] = sum[n,i,j](z[i,p,j,n]*{X})", ROWS | {"z": (9, 5, 8, "N")}),
    (direct_product, f"z[i,j,p,n] = sum[d,u,v](W[p,d,u,v]*{X})", ROWS | {"z": (8, 8, 5, "N")}),
)


@pytest.mark.parametrize(("how", "text", "shapes"), WHOLE)
def test_equations_that_a_recipe_leaves(how: How, text: str, shapes: Shapes) -> None:
    sizes = {"i": 8, "j": 8, "p": 5, "d": 4, "q": 2, "u": 3, "v": 3, "e": 2}
    sizes |= {"i": 3, "r": 2} if "r" in text else {"i": 6} if "i+u,n]**" in text else {}
    named = {name: extent for name, extent in sizes.items() if name in text}
    assert found(how, text, shapes, named) is None


def test_a_picture_is_read_without_a_copy() -> None:
    """Where columns follow one another, behind channels that are all there, and before the batch alone."""
    text, shapes = FORWARD["rows"]
    shifted = found(window_product, text, shapes).shifted
    assert (shifted.halo, shifted.axis, shifted.starts) == (Halo("x", (1, 0, 1, 0), (1, 0, 1, 0)), 2, (0, 0))
    fixed: Shapes = {**shapes, "z": (8, 5, 8, 6), "x": (8, 4, 8, 6)}
    assert found(window_product, text, fixed).in_halo is not None
    for read, shape in (
        ("x[i+u-1,d,2*j+v-1,n]", (8, 4, 16, 6)),
        ("x[i+u-1,d,j+2*v-2,n]", (8, 4, 8, 6)),
        ("x[i+u-1,d+1,j+v-1,n]", (8, 6, 8, 6)),
        ("x[i+u-1,j+v-1,d,n]", (8, 8, 4, 6)),
        (X, (8, 4, 8, 7)),
        (X, ("T", 4, 8, 6)),
    ):
        w = found(window_product, text.replace(X, read), {**fixed, "x": shape}, given(fixed))
        assert w is not None and w.in_halo is None, read


def test_a_picture_whose_channels_have_a_group_is_copied() -> None:
    text = "z[i,m,p,j,n] = sum[d,u,v](W[p,d,u,v,m]*x[i+u-1,(d,m),j+v-1,n])"
    shapes: Shapes = {"z": (8, 2, 5, 8, "N"), "x": (8, 8, 8, "N"), "W": (5, 4, 3, 3, 2)}
    w = found(window_product, text, shapes, {"m": 2, "d": 4, "i": 8, "j": 8})
    assert w is not None and w.in_halo is None


@pytest.mark.parametrize(
    ("read", "shapes"),
    [
        ("x[c,i+2*u-2,j+v-1,n]", {}),
        ("x[c,i+u-1,j-v+1,n]", {}),
        ("x[c+1,i+u-1,j+v-1,n]", {"x": (6, 8, 8, "N")}),
        ("x[c,i+u-1,j+v-1,n+1]", {}),
        ("x[i+u-1,c,j+v-1,n]", {"x": (8, 4, 8, "N")}),
        ("x[c,i+u-1,j+v-1,n]", {"x": (4, "T", 8, "N"), "z": (4, "T", 8, "N")}),
    ],
)
def test_what_is_no_window_of_each_channel(read: str, shapes: Shapes) -> None:
    for text, usual in (FORWARD["deep"], KERNEL["deep"]):
        sizes = {"i": 8, "j": 8, "c": 4, "u": 3, "v": 3}
        named = {name: extent for name, extent in sizes.items() if name != "i" or "T" not in (usual | shapes)["z"]}
        assert found(depthwise_product, text.replace("x[c,i+u-1,j+v-1,n]", read), usual | shapes, named) is None


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("z[c,i,n] = sum[u](W[c,u]*x[c,i+u-1,n])", {"z": (4, 8, "N"), "W": (4, 3), "x": (4, 8, "N")}),
        ("z[c,i,m,j,n] = sum[u,v](W[c,u,v]*x[c,m,i+u-1,j+v-1,n])", {"z": (4, 8, 2, 8, "N"), "x": (4, 2, 8, 8, "N")}),
        ("z[c,p,i,j,n] = sum[u,v](W[c,p,u,v]*x[c,i+u-1,j+v-1,n])", {"z": (4, 2, 8, 8, "N"), "W": (4, 2, 3, 3)}),
        ("W[c,p,u,v] = sum[n,i,j](z[c,p,i,j,n]*x[c,i+u-1,j+v-1,n])", {"z": (4, 2, 8, 8, "N"), "W": (4, 2, 3, 3)}),
        ("z[i,c,j,n] = sum[u,v](W[c,u,v]*x[c,i+u-1,j+v-1,n])", {"z": (8, 4, 8, "N")}),
    ],
)
def test_windows_of_channels_that_lie_otherwise(text: str, shapes: Shapes) -> None:
    named = {name: extent for name, extent in {"i": 8, "j": 8}.items() if f"{name}+" in text}
    assert found(depthwise_product, text, DEEP | shapes, named) is None


@pytest.mark.parametrize(
    ("kernel", "read", "shapes"),
    [
        ("W[p,d]", "x[d,j,i,n]", {"x": (4, 99, 9, "N")}),  # at other places
        ("W[p+1,d]", "x[d,i,j,n]", {}),  # beyond the kernel
        ("W[p,d]", "x[d,i,j,n]", {"W": (6, 4)}),  # a part of it
        ("W[p,d,d]", "x[d,i,j,n]", {"W": (5, 4, 4)}),  # its diagonal
        ("W[p,d]", "x[d,i+1,j,n]", {}),
        ("W[p,d]", "x[d,i,j,n]", {"x": (4, 10, 99, "N")}),
        ("W[p,d,n]", "x[d,i,j,n]", {"W": (5, 4, "N")}),
        ("W[p,d]", "x[d,i,j,n]", {"x": (4, 9, 2, 2), "z": (5, 9, 2, 2)}),  # short rows
        ("W[p,d]", "x[d,i,j,n]", {"x": (4, "T", 99, "N"), "z": (5, "T", 99, "N")}),  # rows of symbolic number
    ],
)
def test_what_is_no_window_of_one_point(kernel: str, read: str, shapes: Shapes) -> None:
    text, usual = (FORWARD if "W" not in shapes or len(shapes["W"]) > 2 else KERNEL)["point"]
    text = text.replace("W[p,d]", kernel).replace("x[d,i,j,n]", read)
    sizes = {"p": 5, "d": 4, "i": 9, "j": 2 if 2 in (usual | shapes)["z"] else 99}
    named = {name: extent for name, extent in sizes.items() if name != "i" or "T" not in (usual | shapes)["z"]}
    assert found(point_product, text, usual | shapes, named) is None
