"""Compiled kernels: the same numbers as NumPy's, in readable source, and a clear word where numba is missing."""

from __future__ import annotations

import importlib.util
import re
from typing import Any

import numpy as np
import pytest

import corpus
import symnet as sn
from building import A, equation, i, n, program, read, tensor
from codegen.emit import native_point
from codegen.ir.equation import slot
from codegen.ir.plan import Kernel
from codegen.passes.state import Given
from codegen.pipeline import generate
from codegen.plan import fuse as fusing
from symnet.support import extras

numba = pytest.importorskip("numba")

SAME = ("lenet", "masked", "pool max overlapping", "formula radial", "cross-entropy of a sequence", "activation silu")
N = A("N")


def _both(network: Any, dtype: str) -> tuple[Any, Any]:
    return tuple(sn.compile(network.model, dtype=dtype, target=target).module for target in ("numpy", "numba"))


@pytest.mark.parametrize("name", SAME)
def test_same_numbers(name: str) -> None:
    network = corpus.network(name)
    plain, native = _both(network, "float64")
    params = plain.init_params(3)
    loss, grads = plain.loss_and_grads(params, network.x, network.y)
    compiled_loss, compiled = native.loss_and_grads(params, network.x, network.y)
    assert compiled_loss == pytest.approx(loss, rel=1e-12)
    for key, expected in grads.items():
        np.testing.assert_allclose(compiled[key], expected, rtol=1e-9, atol=1e-11, err_msg=key)


def test_polynomials_are_exact_to_a_few_ulp() -> None:
    """exp and tanh in float32 against float64, from tiny to where they saturate, and at infinity and NaN."""
    module = sn.compile(corpus.network("activation silu").model, target="numba").module
    x = np.concatenate([np.linspace(-100, 90, 20001), np.logspace(-30, 0, 500), -np.logspace(-30, 0, 500)]).astype("f4")
    exp = numba.vectorize(module.exp_single)
    tanh = numba.vectorize(module.tanh_single)
    with np.errstate(over="ignore"):
        expected = np.exp(x.astype("f8"))
    inside = (expected > 1.2e-38) & (expected < 3.4e38)
    np.testing.assert_allclose(exp(x)[inside], expected[inside], rtol=3e-7)
    np.testing.assert_allclose(tanh(x), np.tanh(x.astype("f8")), rtol=4e-7)
    ends = np.array([np.inf, -np.inf, np.nan, 89, -110, 1000, -1000], "f4")
    np.testing.assert_array_equal(exp(ends), np.array([np.inf, 0, np.nan, np.inf, 0, np.inf, 0], "f4"))
    np.testing.assert_array_equal(tanh(ends), np.array([1, -1, np.nan, 1, -1, 1, -1], "f4"))


def test_source_is_readable() -> None:
    """One loop for bias and activation, the sum kept in a variable, its formulas above the call."""
    x = sn.Input((20,), name="x")
    hidden = sn.Dense(16, activation="relu", name="hidden")(x)
    model = sn.Model(x, sn.Dense(4, name="out")(hidden), loss=sn.CrossEntropy(), name="m")
    source = sn.compile(model, target="numba").source
    region = re.search(r"@kernel\ndef forward_loops\(.*?\n\n\n", source, re.DOTALL)
    assert region is not None
    assert (
        "\n".join(
            [
                "    # hidden.z[n,o] += hidden.bias[o]",
                "    # hidden[n,o] = max(hidden.z[n,o], 0)",
                "    for n in range(hidden.shape[0]):",
                "        for o in range(hidden.shape[1]):",
                "            hidden_z_at = hidden_bias[o] + hidden_z[n, o]",
                "            hidden[n, o] = max_(hidden_z_at, real(0))",
            ]
        )
        in region[0]
    )
    loops = source[source.index("@kernel") : source.index("class Workspace")]
    assert max(map(len, loops.splitlines())) <= 88


def _kernels(*bodies: Any, shift: bool = False) -> list[Kernel]:
    """The kernels of h1 = bodies[0](x), h2 = bodies[1](h1), ...; `shift`: the last reads its neighbour."""
    names = ["x", *(f"h{k}" for k in range(1, len(bodies) + 1))]
    steps = [
        equation(b, (n, i), [read(a, n, i)], f, n=N, i=4) for a, b, f in zip(names, names[1:], bodies, strict=False)
    ]
    if shift:
        steps[-1] = equation(names[-1], (n, i), [read(names[-2], n, i + 1)], bodies[-1], n=N, i=4)
    made = program([tensor(name, N, 4) for name in names], *steps)
    found: list[Kernel] = []
    with pytest.MonkeyPatch.context() as patch:
        whole = fusing.fuse

        def watched(*args: Any) -> Any:
            plan = whole(*args)
            found.extend(s for block in plan.blocks for s in block.steps if isinstance(s, Kernel))
            return plan

        patch.setattr("codegen.passes.plans.fuse", watched)
        generate(made, Given(target="numba"), stages={"": "."}, attributes={"output": names[-1]})
    return found


def test_neighbours_share_a_loop_and_keep_only_what_is_read() -> None:
    x = slot(0)
    (kernel,) = _kernels(x**2, x + 1, 2 * x)
    assert len(kernel.steps) == 3
    assert kernel.stored == (False, False, True)


def test_a_value_of_another_point_ends_the_loop() -> None:
    x = slot(0)
    kernels = _kernels(x**2, x + 1, shift=True)
    assert {len(k.steps) for k in kernels} == {1}


def test_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None if name == "numba" else find(name))
    net = sn.compile(corpus.network("activation silu").model, target="numba")
    with pytest.raises(sn.DefinitionError, match=r"pip install 'symnet\[numba\]'"):
        _ = net.module


@pytest.mark.parametrize("optimizer", ["nesterov", "adam"])
def test_same_training(optimizer: str) -> None:
    """The compiled updates are those of NumPy, and hold no scratch vectors."""
    x = sn.Input((3,), name="x")
    model = sn.Model(x, sn.Dense(2, name="out")(x), loss=sn.CrossEntropy(), name="m")
    nets = [sn.compile(model, dtype="float64", target=target) for target in ("numpy", "numba")]
    rng = np.random.default_rng(0)
    data, labels = rng.standard_normal((5, 3)), rng.integers(0, 2, 5)
    found = []
    for net in nets:
        step = net.module.make_step(net.module.init_params(1), batch_size=5, optimizer=optimizer)
        losses = [step(data, labels) for _ in range(4)]
        found.append([*losses, *(array for _, array in sorted(step.params().items()))])
    for expected, got in zip(*found, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-9)
    states = {"nesterov": 1, "adam": 2}[optimizer]
    assert nets[1].memory(optimizer=optimizer)["optimizer"] == 8 * 8 * states
    assert f"{optimizer}_w_kernel" in nets[1].source


def test_the_operations_of_a_tree_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted anew for each of them, a product of many factors takes minutes."""
    counted: list[object] = []
    inner = native_point._occurrences
    monkeypatch.setattr(native_point, "_occurrences", lambda tree: counted.append(tree) or inner(tree))
    x = sn.Input((6,), name="x")
    product = "*".join(f"(1 + sin(x[n,{i}])/{i + 2})" for i in range(6))
    model = sn.Model(x, sn.Formula(f"y[n] = {product}", name="f")(x), loss=sn.SquaredError(), name="m")
    sn.compile(model, target="numba", wrt_inputs=True)
    assert counted
    assert len(counted) <= 2 * len(set(counted))
