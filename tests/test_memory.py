"""The memory plan: nothing that is wanted is overwritten, and what is planned is what is allocated."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import layer_models
import symnet as sn
from building import Case
from chains import chains
from codegen.emit.stages import Emitted
from codegen.ir.affine import Affine
from codegen.ir.plan import Buffer
from codegen.machine.model import MACHINE, Machine
from codegen.oracle.interpret import interpret
from codegen.passes.state import Given, State, Traced
from codegen.plan.memory import (
    Access,
    Demand,
    Memory,
    Moment,
    Overwritten,
    Polynomial,
    elements,
    planned,
    verify,
)
from codegen.plan.memory import arena as placing
from corpus import NETWORKS, network
from equations import cases
from nine import WORKLOADS
from running import load
from symnet.assembly.numeric import numeric
from symnet.differentiate.programs import evaluation
from symnet.differentiate.programs import network as derived
from test_generated import differentiated

N, T = Affine.of("N"), Affine.of("T")
MODELS: dict[str, Callable[[], sn.Model]] = {
    **{name: lambda name=name: network(name).model for name in NETWORKS},
    **{f"layer {kind}": lambda kind=kind: layer_models.model(kind) for kind in layer_models.LAYERS},
    **{name: workload.model for name, workload in WORKLOADS.items()},
}


SHARING = MACHINE.changed(limits={"array": 1})
"""The smallest arrays lie in places too."""


def arena(model: sn.Model, machine: Machine = MACHINE) -> State:
    """The state in which the memory of the training's workspaces is planned."""
    trace: list[Traced] = []
    given = Given(target="numpy", machine=machine, trace=trace)
    numeric(model, derived(model), evaluation(model), given)
    return next(each.after for each in trace if each.name == "arena")


def proved(state: State, sizes: dict[str, int]) -> None:
    """Both workspaces hold at these sizes."""
    for memory, demand in zip(state.memory, state.demands, strict=True):
        verify(memory, demand, sizes)


@pytest.mark.parametrize("name", MODELS)
def test_nothing_is_overwritten_that_is_wanted(name: str) -> None:
    made = arena(MODELS[name](), SHARING)
    for sizes in ({"N": 1, "T": 1}, {"N": 1, "T": 9}, {"N": 3, "T": 2}, {"N": 200, "T": 7}):
        proved(made, sizes)


@pytest.mark.parametrize("name", ["W3", "W8", "lenet"])
def test_arrays_that_live_too_short_are_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every array forgets its last moment: the plan is smaller, and it does not pass."""
    lives = placing.lives

    def shorter(*given: Any) -> dict[str, int | None]:
        return {n: bits and bits ^ 1 << bits.bit_length() - 1 for n, bits in lives(*given).items()}

    monkeypatch.setattr(placing, "lives", shorter)
    with pytest.raises(Overwritten):
        proved(arena(MODELS[name](), SHARING), {"N": 3, "T": 4})


@pytest.mark.parametrize("name", ["W3", "W8", "lenet"])
def test_arrays_that_live_too_long_only_cost_bytes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = MODELS[name]()
    lives, before = placing.lives, arena(model)
    monkeypatch.setattr(placing, "lives", lambda *given: {n: b and b | b << 1 for n, b in lives(*given).items()})
    after = arena(model)
    proved(after, {"N": 3, "T": 4})
    assert held(after.memory[0], N=64, T=16) > held(before.memory[0], N=64, T=16)


def held(memory: Memory, **sizes: int) -> int:
    return memory.bytes({"float": 4, "int": 8, "bool": 1}).evaluate(sizes)


# A plan by hand: a is read when b is written, then c takes its place.


def moment(reads: str, writes: str, stage: str = "forward") -> Moment:
    return Moment(stage, (*(Access(name, False) for name in reads), *(Access(name, True) for name in writes)))


CHAIN = (moment("", "a"), moment("a", "b"), moment("b", "c"), moment("c", "d"))


def asked(arrays: list[Buffer], kept: str = "d", moments: tuple[Moment, ...] = CHAIN, fixed: str = "") -> Demand:
    return Demand(tuple(arrays), moments, frozenset(kept), frozenset(fixed))


def arrays(**extents: Affine) -> list[Buffer]:
    return [Buffer(name, (extent, Affine.of(64))) for name, extent in extents.items()]


def test_a_chain_needs_room_for_two() -> None:
    demand = asked(arrays(a=N, b=N, c=N, d=N))
    memory = planned(demand)
    (arena,) = memory.arenas
    assert {slot.buffer.name: slot.offset for slot in arena.slots} == {"a": 0, "b": 64, "c": 0, "d": 64}
    assert (arena.unit, arena.length) == (Polynomial.of({("N",): 1}), 128)
    verify(memory, demand, {"N": 5})


def test_what_is_kept_lives_to_the_end() -> None:
    (arena,) = planned(asked(arrays(a=N, b=N, c=N, d=N), kept="ad")).arenas
    assert arena.length == 3 * 64


def test_arrays_of_two_units_share_only_where_one_always_fits() -> None:
    many, few = replace(arrays(a=N)[0], shape=(N, T, Affine.of(64))), arrays(b=N, c=N, d=N)
    demand = asked([many, *few])
    memory = planned(demand)
    verify(memory, demand, {"N": 1, "T": 1})
    verify(memory, demand, {"N": 7, "T": 3})
    assert [str(arena.unit) for arena in memory.arenas] == ["N*T", "N"]
    assert {slot.buffer.name for slot in memory.arenas[0].slots} == {"a", "c"}, "b is needed while a is read"


@pytest.mark.parametrize(("dtype", "room"), [("float", "N*64"), ("int", "N*128"), ("bool", "N*16")])
def test_the_room_of_every_dtype(dtype: Any, room: str) -> None:
    assert str(placing.needed(Buffer("a", (N, Affine.of(64)), dtype))) == room


def test_frames_inputs_and_what_is_read_first_are_left_alone() -> None:
    framed = [replace(b, fill=0.0) if b.name == "b" else b for b in arrays(a=N, b=N, c=N, d=N, e=N)]
    memory = planned(asked(framed, moments=(*CHAIN, moment("e", "e")), fixed="c"))
    assert {buffer.name for buffer in memory.own} == {"b", "c", "e"}


@given(st.lists(st.tuples(st.sampled_from([(), ("N",), ("N", "T"), ("N", "N", "T")]), st.integers(-4, 9)), max_size=4))
def test_multiples_are_enough_wherever_they_are_claimed(terms: list[tuple[tuple[str, ...], int]]) -> None:
    wanted, unit = Polynomial.of(dict(terms)), elements([N, T + 1])
    found = wanted.multiples(unit)
    for n in (1, 2, 5, 40):
        for t in (1, 2, 5, 40):
            sizes = {"N": n, "T": t}
            assert found is None or found * unit.evaluate(sizes) >= wanted.evaluate(sizes)


# Reads of stale memory: whatever a step does not write first is NaN.


def poison(workspace: Any, made: Emitted, inputs: set[str]) -> None:
    """NaN in every float, nonsense in every other array that the plan does not hold to be constant."""
    buffers = [slot.buffer for arena in made.memory.arenas for slot in arena.slots]
    buffers += [b for b in made.memory.own if b.fill is None and b.name not in inputs]
    for buffer in sorted(buffers, key=lambda b: b.dtype == "float"):
        array = getattr(workspace, made.names.get(buffer.name, buffer.name))
        if not buffer.name.startswith(("count_", "value_")):
            array[...] = (
                np.nan if buffer.dtype == "float" else np.iinfo(np.int64).min if buffer.dtype == "int" else True
            )


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=st.one_of(cases(), cases(differentiable=True), chains()), gradients=st.booleans())
def test_no_step_reads_what_an_earlier_one_left(case: Case, gradients: bool) -> None:
    case, outputs = differentiated(case) if gradients else (case, (case.result,))
    expected = interpret(case.program, case.arrays, case.sizes)
    generated = load(case.program, outputs, machine=SHARING)
    proved(generated.arena, case.sizes)
    parameters, workspace = generated.parameters(case.arrays), generated.workspace(case.arrays, case.sizes)
    inputs = {t.name for t in case.program.tensors if t.kind == "input"}
    with np.errstate(all="ignore"):
        for _ in range(2):
            poison(workspace, generated.emitted, inputs)
            generated.compute(parameters, workspace)
    for name, found in generated.results(workspace).items():
        wanted = np.asarray(expected[name], float)
        scale = max(np.max(np.abs(wanted), initial=0.0, where=np.isfinite(wanted)), 1e-3)
        np.testing.assert_allclose(found / scale, wanted / scale, atol=1e-10, rtol=0, err_msg=name)


# What is planned is what tracemalloc sees.


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_plan_is_what_is_allocated(name: str) -> None:
    """The arrays to the byte; with all that Python and NumPy hold beside them within 5 % from 300 kB on."""
    workload = WORKLOADS[name]
    net = sn.compile(workload.model(), target="numpy")
    module, sizes, (x, y) = net.module, workload.sizes, workload.batch()
    params = module.init_params(0)
    grads = {name: np.empty_like(array) for name, array in params.items()}

    def one_step() -> Any:
        workspace = module.Workspace(**sizes)
        workspace.x[...], workspace.target[...] = x, y
        module._forward(params, workspace)
        module._loss(params, workspace)
        module._backward(params, workspace, grads)
        return workspace

    with np.errstate():
        np.setbufsize(module._BUFFER)
        one_step()  # what Python itself keeps
        tracemalloc.start()
        try:
            workspace = one_step()
            _, peak = tracemalloc.get_traced_memory()
            of_arrays = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
            seen = sum(t.size for t in tracemalloc.take_snapshot().filter_traces([of_arrays]).traces)
        finally:
            tracemalloc.stop()
    planned_bytes = net.memory(**sizes)["workspace"]
    assert seen == planned_bytes
    if planned_bytes > 300_000:
        assert planned_bytes < peak < 1.05 * planned_bytes
    assert workspace.loss > 0


@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_what_training_holds_in_all(optimizer: str) -> None:
    """The arrays of `make_step`, frozen parameters and statistics included, within 5 %."""
    x = sn.Input((64,), name="x")
    h = sn.BatchNorm1D()(sn.Dense(256, activation="relu", trainable=False)(x))
    net = sn.compile(sn.Model(x, sn.Dense(200)(sn.Dense(256, activation="tanh")(h)), loss=sn.CrossEntropy()))
    params = net.module.init_params(0)
    tracemalloc.start()
    try:
        step = net.module.make_step(params, batch_size=32, optimizer=optimizer)
        of_arrays = tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)
        seen = sum(t.size for t in tracemalloc.take_snapshot().filter_traces([of_arrays]).traces)
    finally:
        tracemalloc.stop()
    held = net.memory(N=32, optimizer=optimizer)
    assert list(held) == ["parameters", "gradients", "optimizer", "workspace"]
    assert sum(held.values()) == pytest.approx(seen, rel=0.05), step
    assert net.memory(N=32, training=False)["workspace"] < held["workspace"]


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"N": 0, "T": 1}, r"memory\(N=\): expected an integer from 1"),
        ({"N": 2}, "T is missing"),
        ({"N": 2, "T": 3, "S": 4}, "unknown size 'S'; expected N or T"),
        ({"N": 2, "T": 3, "optimizer": "adma"}, "did you mean 'adam'"),
    ],
)
def test_sizes_that_make_no_sense(given_: dict[str, Any], words: str) -> None:
    net = sn.compile(WORKLOADS["W5"].model())
    with pytest.raises(sn.DefinitionError, match=words):
        net.memory(**given_)


def test_the_summary_and_the_header_say_it() -> None:
    net = sn.compile(WORKLOADS["W2b"].model())
    one, two = ([net.memory(N=n, training=t)["workspace"] for t in (True, False)] for n in (1, 2))
    train, use = (f"{b - a:,}*N + {2 * a - b:,}" for a, b in zip(one, two, strict=True))
    assert f"workspace: {train} bytes to train, {use} to use" in net.summary()
    assert f"    to train  {train}\n    to use    {use}\n" in net.source
