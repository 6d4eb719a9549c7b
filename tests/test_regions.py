"""Regions: runs of steps as one compiled function.  Their loops run as plain Python here, except where it says so."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import combinations
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import corpus
import symnet as sn
from building import A, equation, program
from codegen.analysis.elements import Arrays
from codegen.ir.affine import Affine
from codegen.ir.equation import slot
from codegen.ir.plan import (
    Block,
    Buffer,
    Fill,
    Kernel,
    Loop,
    MatMul,
    Plan,
    Region,
    Step,
    accesses,
)
from codegen.ir.view import Reshape, Slice, Take, Transpose, View
from codegen.lower.lowering import Lowering
from codegen.machine.model import MACHINE
from codegen.passes import plans
from codegen.plan.region import regions

numba = pytest.importorskip("numba")

NETWORKS = (
    *("cross-entropy of a sequence", "binary cross-entropy", "mean squared error of labels", "two inputs", "frozen"),
    *("formula normalised", "formula causal attention", "formula radial", "formula softmax", "formula maximum"),
    *("lookup", "masked", "pool mean", "pool max overlapping", "concat rows", "activation silu", "dense on three axes"),
)
N = A("N")


def _python(source: str) -> dict[str, Any]:
    """A module whose kernels are not compiled, so that every index is checked."""
    kept, numba.config.DISABLE_JIT = numba.config.DISABLE_JIT, 1
    try:
        names: dict[str, Any] = {"__name__": "uncompiled"}
        exec(compile(source, "uncompiled", "exec"), names)  # noqa: S102
    finally:
        numba.config.DISABLE_JIT = kept
    names.update(exp_=math.exp, tanh_=math.tanh, choose=_choose)
    return names


def _choose(condition: bool, a: float, b: float) -> float:
    return a if condition else b


def _plan(model: Any, monkeypatch: pytest.MonkeyPatch) -> Plan:
    found: list[Plan] = []

    def watched(*args: Any) -> Plan:
        found.append(regions(*args))
        return found[-1]

    monkeypatch.setattr(plans, "regions", watched)
    _ = sn.compile(model, target="numba").source
    return found[0]


def _opened(steps: Any) -> list[Step]:
    return [s for step in steps for s in ([*_opened(step.steps)] if isinstance(step, Region | Loop) else [step])]


def _classifier(*units: int, activation: str = "relu") -> Any:
    h = x = sn.Input((units[0],), name="x")
    for count in units[1:-1]:
        h = sn.Dense(count, activation=activation)(h)
    return sn.Model(x, sn.Dense(units[-1])(h), loss=sn.CrossEntropy(), name="m")


def _recurrent() -> Any:
    x = sn.Input(("T",), dtype="int", name="x")
    h = sn.LSTM(5)(sn.Embedding(7, 4)(x))
    return sn.Model(x, sn.Dense(7)(h), loss=sn.CrossEntropy(), name="m")


@pytest.fixture
def loops_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No window products of another kind, which only run compiled."""
    monkeypatch.setattr(
        plans, "Lowering", lambda program, legal, **options: Lowering(program, legal, **options | {"compiled": False})
    )


def _same(model: Any, x: Any, y: Any) -> None:
    plain = sn.compile(model, dtype="float64", target="numpy").module
    loops = _python(sn.compile(model, dtype="float64", target="numba").source)
    params = plain.init_params(3)
    with np.errstate(all="ignore"):
        loss, grads = plain.loss_and_grads(params, x, y)
        other, found = loops["loss_and_grads"](params, x, y)
    assert other == pytest.approx(loss, rel=1e-12)
    for key, expected in grads.items():
        np.testing.assert_allclose(found[key], expected, rtol=1e-9, atol=1e-11, err_msg=key)


@pytest.mark.usefixtures("loops_alone")
@pytest.mark.parametrize("name", NETWORKS)
def test_same_numbers(name: str) -> None:
    network = corpus.network(name)
    _same(network.model, network.x, network.y)


@pytest.mark.usefixtures("loops_alone")
def test_same_numbers_of_a_recurrence() -> None:
    rng = np.random.default_rng(1)
    _same(_recurrent(), rng.integers(0, 7, (3, 6)), rng.integers(0, 7, (3, 6)))


def test_same_numbers_compiled() -> None:
    """In float32, with products of every form, and for other batch sizes than the first."""
    model = _classifier(6, 5, 4, 3)
    plain, native = (sn.compile(model, target=target).module for target in ("numpy", "numba"))
    params = plain.init_params(3)
    for count in (7, 1, 8):
        rng = np.random.default_rng(count)
        x, y = rng.standard_normal((count, 6)), rng.integers(0, 3, count)
        loss, grads = plain.loss_and_grads(params, x, y)
        other, found = native.loss_and_grads(params, x, y)
        assert other == pytest.approx(loss, rel=1e-5)
        for key, expected in grads.items():
            np.testing.assert_allclose(found[key], expected, rtol=1e-4, atol=1e-6, err_msg=key)


def test_a_small_network_is_a_function_a_stage() -> None:
    source = sn.compile(_classifier(20, 20, 3), target="numba").source
    for stage in ("forward", "loss", "backward"):
        body = source[source.index(f"\ndef _{stage}(") :].split("\n\n\n")[0]
        assert body.count(f"    {stage}_loops(") == 1
        assert "np." not in body


def test_large_products_stay_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = _plan(_classifier(300, 200, 3), monkeypatch)
    kinds = {type(s) for block in plan.blocks for s in block.steps}
    assert {MatMul, Region} <= kinds
    inside = [
        s for b in plan.blocks for r in b.steps if isinstance(r, Region) for s in r.steps if isinstance(s, MatMul)
    ]
    assert inside
    assert MACHINE.limits.region_products < 300 * 200 * 32
    assert all(s.out.base != "d_dense_1.weight" for s in inside)


@pytest.mark.parametrize("name", [*NETWORKS, "lenet", "inception"])
def test_what_a_kernel_writes_it_sees_point_by_point(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Operands and results of one loop share storage only as the very same elements of one array."""
    plan = _plan(corpus.network(name).model, monkeypatch)
    storage, sizes = plan.storage, defaultdict(int, N=2, T=3)  # the first step of a loop
    shapes = {item.name: item.shape for item in plan.setup if isinstance(item, Buffer)}
    for kernel in (s for b in plan.blocks for s in _opened(b.steps) if isinstance(s, Kernel)):
        used = [(storage.get(v.base, v.base), v, wrote) for v, wrote in accesses(kernel)]
        written = {root for root, _, wrote in used if wrote}
        for root in written & shapes.keys():
            views = list(dict.fromkeys(view for at, view, _ in used if at == root))
            assert len({v.base for v in views}) == 1
            shape = [e.evaluate(sizes) for e in shapes[root]]
            places = np.arange(math.prod(shape)).reshape(shape)
            points = [set(_seen(places, v.ops, sizes).reshape(-1).tolist()) for v in views if v.base == root]
            assert all(a.isdisjoint(b) for a, b in combinations(points, 2)), (name, root, views)


OPS = st.sampled_from(
    [
        Transpose((1, 0)),
        Take((Slice(full=True), Slice(Affine.of(1), 2, Affine.of(2)))),
        Take((Slice(Affine.of(1), 1, Affine.of(2)),)),
        Take((Slice(full=True, step=-1),)),
        Take((Affine.of(1), None)),
        Take((None, Affine.of(2), Slice(full=True))),
    ]
)


def _seen(array: np.ndarray, ops: Any, sizes: Any = MappingProxyType({})) -> np.ndarray:
    for op in ops:
        if isinstance(op, Transpose):
            array = array.transpose(op.order)
        elif isinstance(op, Reshape):
            array = array.reshape([math.prod(f.evaluate(sizes) for f in dim) for dim in op.shape])
        else:
            array = array[tuple(_item(i, sizes) for i in op.items)]
    return array


def _item(item: Any, sizes: Any = MappingProxyType({})) -> Any:
    if not isinstance(item, Slice):
        return item if item is None else item.evaluate(sizes)
    start, length = item.start.evaluate(sizes), item.length.evaluate(sizes)
    if item.full:
        return slice(None, None, item.step)
    stop = start + item.step * length
    return slice(start, stop if stop >= 0 else None, item.step)


@given(st.data())
def test_elements_are_those_of_numpy(data: st.DataObject) -> None:
    """The subscripts of a point of a view find the element that NumPy's view has there."""
    arrays, array = Arrays({"x": ((A(4),), (A(6),))}), np.arange(24).reshape(4, 6)
    ops: tuple[Any, ...] = ()
    if data.draw(st.booleans()):
        ops = (Reshape(((A(4),), (A(3),), (A(2),))), Transpose((2, 0, 1)))
    else:
        rank = 2
        for op in data.draw(st.lists(OPS, max_size=3)):
            fits = rank == 2 and (not isinstance(op, Take) or _fits(op, _seen(array, ops).shape))
            if fits:
                ops = (*ops, op)
                rank = _seen(array, ops).ndim
    view = View("x", ops)
    seen = _seen(array, ops)
    assert tuple(math.prod(f.const for f in dim) for dim in arrays.shape(view)) == seen.shape
    for point in np.ndindex(seen.shape):
        source, at = arrays.element(view, [A(k) for k in point])
        assert source == View("x")
        assert array[tuple(a.const for a in at)] == seen[point]


def _fits(take: Take, shape: tuple[int, ...]) -> bool:
    """Whether an indexing has all its points within a shape, and slices as many as it says."""
    axis = 0
    for item in take.items:
        if item is None:
            continue
        if isinstance(item, Affine) and item.const >= shape[axis]:
            return False
        if isinstance(item, Slice) and not item.full and len(range(shape[axis])[_item(item)]) != item.length.const:
            return False
        axis += 1
    return True


@pytest.mark.parametrize(("first", "kinds"), [("v", [Fill, MatMul, Region]), ("u", [MatMul, Region])])
def test_only_what_a_product_does_not_read_comes_after_it(first: str, kinds: list[type]) -> None:
    product = MatMul(View("c"), View("a"), View("v"))
    fills = [Fill(View(name), 0) for name in (first, "w", "x")]
    setup = [Buffer("a", (A(300), A(300))), *(Buffer(name, (A(300),)) for name in "cuvwx")]
    made = program([], equation("c", (), [], slot(0)))
    block = Block(made.equations[0], (Loop("t", A(3), (fills[0], product, *fills[1:])),), noted=True)
    plan = regions(Plan([*setup], [block]), made, lambda _: True, MACHINE)
    (loop,) = plan.blocks[0].steps
    assert isinstance(loop, Loop)
    assert [type(s) for s in loop.steps] == kinds
