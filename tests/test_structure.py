"""The one reading of an equation: subscripts, products, windows."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping

import pytest

import corpus
from building import tensor
from codegen.analysis.access import Access, axis, plain_indices
from codegen.analysis.structure import Structure, structure
from codegen.analysis.window import moving, window_of
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Tensor
from codegen.lower.storage import Storage
from codegen.lower.windows.product import window_by_batch, window_product
from codegen.notation import elaborate
from planned import of_network


def tensors(shapes: Mapping[str, tuple[int | str, ...]]) -> dict[str, Tensor]:
    """Tensors of these shapes; capital letters are parameters, `k` holds integers."""
    return {
        name: tensor(
            name, *shape, kind="parameter" if name.isupper() else "value", dtype="int" if name == "k" else "float"
        )
        for name, shape in shapes.items()
    }


def made(text: str, shapes: Mapping[str, tuple[int | str, ...]], sizes: Mapping[str, int] | None = None) -> Equation:
    """The equation of a text about such tensors; sizes: of all its indices, where the text leaves them open."""
    target = text.split("[")[0]
    given = {name: t for name, t in tensors(shapes).items() if name != target}
    return elaborate(text, given, shapes={target: shapes[target]}, sizes=sizes, indices=tuple(sizes or ())).equations[0]


def reading(text: str, **shapes: tuple[int | str, ...]) -> Structure:
    """The reading of a text."""
    return structure(made(text, shapes), tensors(shapes))


FORMS = {
    "y[n,i] = x[n,i]": ("whole", "whole"),
    "y[n,i] = x[n,2*i]": ("whole", "slice"),
    "y[n,i] = x[n,i-1]": ("whole", "slice"),
    "y[n,i] = x[n,3-i]": ("whole", "slice"),
    "y[n,i] = x[n,0]": ("whole", "point"),
    "y[n,i] = sum[u](x[n,i+u-1])": ("whole", "window"),
}


@pytest.mark.parametrize("text", FORMS)
def test_what_a_subscript_does(text: str) -> None:
    equation = elaborate(text, {"x": tensor("x", "N", 7)}, sizes={"i": 7 if "x[n,i]" in text else 4, "u": 3})
    given = {"x": tensor("x", "N", 7), "y": equation.output}
    assert tuple(a.form for a in structure(equation.equations[0], given).accesses[1].axes) == FORMS[text]


def test_how_far_a_subscript_reaches() -> None:
    s = reading("y[n,i] = sum[u](K[u]*x[n,i+u-1])", y=("N", 8), K=(3,), x=("N", 8))
    assert [(a.low, a.high) for a in s.accesses[2].axes] == [(0, 0), (1, 1)]
    assert s.accesses[2].regular and not s.accesses[2].inside and s.accesses[1].covers


@pytest.mark.parametrize(("times", "start", "outside"), [(1, 7, False), (1, 8, True), (-1, -1, True), (-1, 7, False)])
def test_a_read_beyond_its_tensor(times: int, start: int, outside: bool) -> None:
    assert axis(Affine.of("i") * times + start, Affine.of(8), {"i": Affine.of(8)}).outside == outside


def test_the_only_place_of_an_axis_is_all_of_it() -> None:
    assert reading("y[n,0] = x[n]", y=("N", 1), x=("N",)).left.covers
    assert not reading("y[n,0] = x[n]", y=("N", 2), x=("N",)).left.covers


def test_a_tile_counts_through_its_axis() -> None:
    s = reading("y[n,(c,k)] = x[n,c,k]", y=("N", 12), x=("N", 4, 3))
    assert [a.form for a in s.left.axes] == ["whole", "tile"] and s.left.covers and s.left.order == ("n", "c", "k")
    assert s.window is None  # both sides hold both digits


def test_the_value_of_an_integer_tensor() -> None:
    s = reading("y[n,t,c] = E[k[n,t],c]", y=("N", 5, 4), E=(9, 4), k=("N", 5))
    lookup, whole = s.accesses[1].axes
    assert (lookup.form, whole.form) == ("lookup", "whole") and s.accesses[1].looked == {"n", "t"}
    assert s.indices["t"].looked == {1} and s.indices["t"].held == {0} and not s.indices["t"].reduced


def test_rows_at_tokens() -> None:
    row = reading("y[n,t,c] = E[k[n,t],c]", y=("N", 5, 4), E=(9, 4), k=("N", 5)).lookup
    assert row is not None and (row.tensor, row.axis, row.positions, row.rest) == ("E", 0, ("n", "t"), ("c",))
    assert row.separate
    s = reading("z[n,k[n]] = x[n]", z=("N", 9), x=("N",), k=("N",))
    assert s.bracket is not None and (s.bracket.tensor, s.bracket.axis, s.bracket.rest) == ("z", 1, ("n",))
    assert not s.bracket.separate and s.lookup is None


@pytest.mark.parametrize(
    "text",
    [
        "y[n,t] = E[k[n,t],t]",  # the position stands in the row as well
        "y[n,t] = E[k[n,0],t]",  # the token is not read as it is
    ],
)
def test_rows_at_positions_that_are_not_their_own(text: str) -> None:
    row = reading(text, y=("N", 5), E=(9, 5), k=("N", 5)).lookup
    assert row is not None and not row.separate


@pytest.mark.parametrize(
    "text", ["y[n,t] = E[k[n,t],0]", "y[n,t] = E[k[n,t],k[n,0]]", "y[n,t] = 2*E[k[n,t],t]", "y[n,t] = E[n,t]"]
)
def test_what_is_no_row_at_a_token(text: str) -> None:
    assert reading(text, y=("N", 5), E=("N", 5), k=("N", 5)).lookup is None


def test_a_row_of_one_number_is_a_row() -> None:
    row = reading("y[n,c] = E[k[n],c]", y=("N", 1), E=(9, 1), k=("N",)).lookup
    assert row is not None and row.rest == ("c",)


def test_an_index_that_is_compared_with_a_label() -> None:
    (found,) = reading("d[n,c] = x[n,c] - [c = k[n]]", d=("N", 4), x=("N", 4), k=("N",)).one_hots
    assert (found.index, found.label.tensor) == ("c", "k")
    assert not reading("d[n,c] = x[n,c]*[c = n]", d=(4, 4), x=(4, 4)).one_hots
    assert not reading("d[n,c] = x[n,c]*[c = k[c]]", d=("N", 4), x=("N", 4), k=(4,)).one_hots


def test_indices_of_one_point_are_read_as_points() -> None:
    s = reading("y[n,o] = sum[i](W[o,i]*x[n,i])", y=("N", 1), W=(1, 6), x=("N", 6))
    assert s.units == ("o",) and s.contraction is not None and s.contraction.summed == ("i",)


def test_the_parts_of_a_product() -> None:
    s = reading("z[q,t,n,k] = sum[j](W[q,j,k]*h[t,n,j])", z=(4, 5, "N", 3), W=(4, 2, 3), h=(5, "N", 2))
    c = s.contraction
    assert c is not None and (c.rows, c.columns, c.summed, c.lone) == (("q", "k"), ("t", "n"), ("j",), ())
    s = reading("s[n,h,t,u] = sum[d](0.5*a[n,h,t,d]*b[n,h,u,d])", s=("N", 2, 5, 6), a=("N", 2, 5, 3), b=("N", 2, 6, 3))
    c = s.contraction
    assert c is not None and (c.batch, c.rows, c.columns, 2 * s.number) == (("n", "h"), ("t",), ("u",), 1)
    s = reading("y[n] = sum[i,j](a[n,i]*b[n,i,j])", y=("N",), a=("N", 2), b=("N", 2, 3))
    assert s.contraction is not None and s.contraction.lone == ("j",)
    s = reading("y[n] = sum[i](x[n,i]**2)", y=("N",), x=("N", 2))
    assert s.contraction is not None and (s.contraction.left, s.contraction.right) == (1, 1)


X, Z, W = ("N", 8, 8, 3), ("N", 4, 4, 5), (5, 3, 3, 3)
WINDOWS = {
    "a convolution": (
        "z[n,i,j,p] = sum[d,u,v](W[p,d,u,v]*x[n,2*i+u-1,2*j+v-1,d])",
        {"z": Z, "W": W, "x": X},
        ("map", 2, 0, 1, [(1, "i", "u", 2, 1, -1), (2, "j", "v", 2, 1, -1)], "bssc"),
        {"batch": ("n",), "inputs": ("d",), "outputs": ("p",)},
    ),
    "its kernel's gradient": (
        "dW[p,d,u,v] = sum[n,i,j](dz[n,i,j,p]*x[n,2*i+u-1,2*j+v-1,d])",
        {"dW": W, "dz": Z, "x": X},
        ("kernel", 2, 1, 0, [(1, "i", "u", 2, 1, -1), (2, "j", "v", 2, 1, -1)], "bssc"),
        {"batch": ("n",), "inputs": ("d",), "outputs": ("p",)},
    ),
    "its image's gradient, a transposed convolution": (
        "dx[n,2*i+u-1,2*j+v-1,d] = sum[p](dz[n,i,j,p]*W[p,d,u,v])",
        {"dx": X, "dz": Z, "W": W},
        ("image", 0, 1, 2, [(1, "i", "u", 2, 1, -1), (2, "j", "v", 2, 1, -1)], "bssc"),
        {"inputs": ("d",), "outputs": ("p",)},
    ),
    "one dimension, dilated, of symbolic length": (
        "z[n,p,t] = sum[d,u](W[p,d,u]*x[n,d,t+2*u])",
        {"z": ("N", 5, "T-4"), "W": (5, 3, 3), "x": ("N", 3, "T")},
        ("map", 2, 0, 1, [(2, "t", "u", 1, 2, 0)], "bcs"),
        {},
    ),
    "three dimensions, a flipped kernel": (
        "z[n,i,j,k] = sum[a,b,c](W[a,b,c]*x[n,i-a+1,j-b+1,k-c+1])",
        {"z": ("N", 4, 5, 6), "W": (2, 2, 2), "x": ("N", 4, 5, 6)},
        ("map", 2, 0, 1, [(1, "i", "a", 1, -1, 1), (2, "j", "b", 1, -1, 1), (3, "k", "c", 1, -1, 1)], "bsss"),
        {},
    ),
    "depthwise": (
        "z[g,i,n] = sum[u](W[g,u]*x[g,i+u,n])",
        {"z": (3, 6, "N"), "W": (3, 3), "x": (3, 8, "N")},
        ("map", 2, 0, 1, [(1, "i", "u", 1, 1, 0)], "gsb"),
        {"groups": ("g",), "inputs": (), "outputs": ()},
    ),
    "a pool": (
        "m[n,t,c] = max[u](x[n,2*t+u,c])",
        {"m": ("N", 4, 3), "x": ("N", 8, 3)},
        ("map", 1, 0, None, [(1, "t", "u", 2, 1, 0)], "bsb"),
        {"batch": ("n", "c")},
    ),
    "an upsampling": (
        "y[n,2*t+u,c] = x[n,t,c]",
        {"y": ("N", 8, 3), "x": ("N", 4, 3)},
        ("image", 0, 1, None, [(1, "t", "u", 2, 1, 0)], "bsb"),
        {},
    ),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_windows(name: str) -> None:
    text, shapes, (way, image, mapped, kernel, spans, order), indices = WINDOWS[name]
    sizes = {"t": 4, "u": 2, "c": 3} if name == "an upsampling" else {"i": 4, "j": 4, "u": 3, "v": 3, "d": 3}
    w = structure(made(text, shapes, sizes if way == "image" else None), tensors(shapes)).window
    assert w is not None
    assert (w.way, w.image, w.map, w.kernel, w.order) == (way, image, mapped, kernel, order)
    assert [(p.axis, p.place, p.tap, p.stride, p.dilation, p.offset.const) for p in w.spans] == spans
    for role, names in indices.items():
        assert set(getattr(w, role)) == set(names), role


def test_the_batch_tells_the_gradient_of_a_large_kernel_from_a_convolution() -> None:
    """Over a fixed batch, a map of fewer points than the kernel is taken for one; in rows of an image it is none."""
    shapes: dict[str, tuple[int | str, ...]] = {"dW": (4, 3, 5, 5), "dz": (4, 4, 4, 2), "x": (8, 3, 8, 2)}
    s = structure(made("dW[p,d,u,v] = sum[n,i,j](dz[i,p,j,n]*x[i+u,d,j+v,n])", shapes), tensors(shapes))
    assert s.window is not None and (s.window.way, s.window.places, s.window.inputs) == ("map", ("u", "v"), ("n",))
    w = window_by_batch(s)
    assert w is not None and (w.way, w.places, w.batch, w.order) == ("kernel", ("i", "j"), ("n",), "scsb")
    pool = made("m[t,n] = max[u](x[2*t+u,n])", {"m": (4, "N"), "x": (8, "N")})
    assert window_by_batch(structure(pool, tensors({"m": (4, "N"), "x": (8, "N")}))) is None


def test_a_point_does_not_move() -> None:
    """The window moves over x; along an axis of z an index of one point stands beside another one, and tiles it."""
    shapes: dict[str, tuple[int | str, ...]] = {"z": (2, 4, "N"), "W": (2, 1), "x": (3, 4, "N")}
    made_so = made("z[i,2*v+j,n] = sum[u](W[u,v]*x[i+u,j,n])", shapes, {"v": 1, "j": 4})
    w = structure(made_so, tensors(shapes)).literal.window
    assert w is not None and (w.way, w.image, w.order, w.outputs) == ("map", 2, "sbb", ("v",))


def test_a_window_of_one_point_has_no_spans() -> None:
    s = reading("z[p,i,j,n] = sum[d](W[p,d]*x[d,i,j,n])", z=(4, 5, 6, "N"), W=(4, 3), x=(3, 5, 6, "N"))
    w = window_of(s, 2, 0, 1)
    assert s.window is None and (w.way, w.spans, w.order) == ("map", (), "cbbb")
    assert ({*w.batch}, w.inputs, w.outputs, w.groups) == ({"i", "j", "n"}, ("d",), ("p",), ())


def test_what_reaches_beyond_an_axis_of_one_point_does_not_cover_it() -> None:
    one = Affine.of(1)
    inside, beyond = (Access("x", (axis(Affine.of(k), one, {}),)) for k in (0, 1))
    assert inside.covers and inside.overhang == ((0,), (0,))
    assert not beyond.covers and beyond.overhang == ((0,), (1,))
    assert Access("x", (axis(Affine.of("N"), one, {}),)).overhang is None


def test_the_gradient_of_a_pool_by_its_recorded_arg_max() -> None:
    sizes = {"t": 4, "u": 2, "c": 3}
    shapes: dict[str, tuple[int | str, ...]] = {"dx": ("N", 8, 3), "k": ("N", 4, 3), "dm": ("N", 4, 3)}
    made_so = made("dx[n,2*t+u,c] = sum[| k[n,t,c] == u](dm[n,t,c])", shapes, sizes)
    w = structure(made_so, tensors(shapes)).window
    assert w is not None and (w.way, w.image, w.map, w.kernel) == ("image", 0, 1, None)
    assert w.choice is not None and w.choice.tensor == "k"


@pytest.mark.parametrize("guard", ["k[n,t,c] == u + 1", "2*k[n,t,c] == u", "k[n,t,c] >= u"])
def test_what_is_no_recorded_arg_max(guard: str) -> None:
    sizes = {"t": 4, "u": 2, "c": 3}
    shapes: dict[str, tuple[int | str, ...]] = {"dx": ("N", 8, 3), "k": ("N", 4, 3), "dm": ("N", 4, 3)}
    w = structure(made(f"dx[n,2*t+u,c] = sum[| {guard}](dm[n,t,c])", shapes, sizes), tensors(shapes)).window
    assert w is not None and w.choice is None


@pytest.mark.parametrize(
    ("text", "moves"),
    [
        ("z[n,i] = sum[u](W[u]*x[n,i+u]*y[n,i])", {"i", "u"}),  # three factors are no product of a window
        ("z[n,i] = max[u](tanh(x[n,2*i+u]))", {"i", "u"}),
        ("z[n,(g,q)] = sum[d](V[(g,q),d]*y[n,(g,d)])", set()),  # digits of groups
        ("z[n,(g,q)] = y[n,g]*W[q]", {"g", "q"}),
    ],
)
def test_indices_that_move(text: str, moves: set[str]) -> None:
    shapes: dict[str, tuple[int | str, ...]] = {"W": (3,), "V": (6, 2), "x": ("N", 8), "y": ("N", 6), "z": ("N", 6)}
    sizes = {"g": 3 if "d" in text else 2, "q": 2 if "d" in text else 3, "i": 3, "d": 2, "u": 2}
    if "g" in text and "d" not in text:
        shapes["y"] = ("N", 2)
    if "i" in text:
        shapes |= {"z": ("N", 3), "y": ("N", 3), "W": (2,)}
    assert moving(structure(made(text, shapes, sizes), tensors(shapes))) == moves


def test_what_is_a_copy() -> None:
    copied = reading("y[n,i] = x[n,2*i]", y=("N", 3), x=("N", 6)).copy
    assert copied is not None and copied.tensor == "x"
    assert reading("y[n,i] = 2*x[n,i]", y=("N", 3), x=("N", 3)).copy is None
    assert reading("y[n,i] = x[n,i]**2", y=("N", 3), x=("N", 3)).copy is None


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("z[n,o] = sum[i](W[o,i]*x[n,i])", {"z": ("N", 2), "W": (2, 6), "x": ("N", 6)}),
        ("z[n,p,d] = sum[q](W[q,d]*x[n,3*p+q])", {"z": ("N", 2, 5), "W": (3, 5), "x": ("N", 7)}),
        ("y[n,t] = x[n,t+1]", {"y": ("N", 4), "x": ("N", 5)}),
    ],
)
def test_what_is_no_window_over_two_dimensions(text: str, shapes: dict[str, tuple[int | str, ...]]) -> None:
    w = reading(text, **shapes).window
    assert w is None or [s.exact for s in w.spans] == [False]


def test_a_reading_is_kept_with_its_equation_and_with_it_alone() -> None:
    shapes: dict[str, tuple[int | str, ...]] = {"y": ("N", 2), "x": ("N", 2)}
    equation = made("y[n,i] = 2*x[n,i]", shapes)
    given = tensors(shapes)
    first = structure(equation, given)
    assert structure(equation, dict(given)) is first
    assert structure(equation, given | {"x": tensor("x", "N", 3)}) is not first
    assert structure(equation.with_(stage="backward"), given) is not first
    for other in (copy.copy(equation), copy.deepcopy(equation), pickle.loads(pickle.dumps(equation))):  # noqa: S301
        assert other == equation and "structure" not in vars(other)


NETWORKS = ("mlp", "conv2d", "conv2d dilation", "conv2d depthwise", "conv2d groups", "lstm", "attention", "embedding")


@pytest.mark.parametrize("name", [n for n in NETWORKS if n in corpus.NETWORKS])
def test_the_reading_agrees_with_those_who_read_for_themselves(name: str) -> None:
    """What lowers an equation asks for less, in a certain storage order, and never for anything else."""
    for lowered in of_network(corpus.network(name).model, "numpy"):
        program = lowered.program
        storage = Storage(program)
        for equation in program.equations:
            s = structure(equation, program.table)
            for read, access in zip(s.equation.reads, s.accesses[1:], strict=True):
                assert access.plain == plain_indices(read.at)
            found = window_product(s.equation, storage)
            if found is not None:
                assert s.window is not None and s.accesses[s.window.image].tensor == found.p.image.tensor
                assert (s.window.way == "map") == found.forward
