"""The levels of SYMNET_DEBUG: what each says, and that it finds a pass that is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

import symnet as sn
from codegen.ir.errors import CodegenError
from codegen.machine.model import MACHINE
from codegen.passes import table
from codegen.passes.state import Given, State
from symnet.cli.main import main


def _model() -> sn.Model:
    x = sn.Input((3,), name="x")
    return sn.Model(x, sn.Dense(2, activation="tanh", name="fc")(x), loss=sn.SquaredError())


def _with(monkeypatch: pytest.MonkeyPatch, level: str, **passes: Callable[[State, Given], State]) -> None:
    monkeypatch.setenv("SYMNET_DEBUG", level)
    changed = tuple(replace(row, run=passes.get(row.name, row.run)) for row in table.PASSES)
    monkeypatch.setattr(table, "PASSES", changed)


def _halved(state: State, given: Given) -> State:
    """A pass with a defect: the loss comes out halved."""
    program = state.program
    halves = (e.with_(body=e.body / 2) if e.target == "loss" and not e.accumulate else e for e in program.equations)
    return replace(state, program=program.with_equations(halves))


def _unbound(state: State, given: Given) -> State:
    """A pass with a defect: an equation loses its box."""
    program = state.program
    return replace(
        state, program=program.with_equations(e.with_(box=()) if e.target == "fc" else e for e in program.equations)
    )


def test_a_sound_pipeline_passes_every_level(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = sn.compile(_model()).source
    for level in ("1", "2", "3"):
        _with(monkeypatch, level)
        assert sn.compile(_model()).source == source
    assert "--- after inline\n" in capsys.readouterr().err


def test_the_checker_finds_an_ill_formed_program(monkeypatch: pytest.MonkeyPatch) -> None:
    _with(monkeypatch, "1", inline=_unbound)
    with pytest.raises((CodegenError, sn.SymnetError), match="fc"):
        sn.compile(_model())


def test_the_interpreter_finds_a_changed_meaning(monkeypatch: pytest.MonkeyPatch) -> None:
    _with(monkeypatch, "1", dead=_halved)
    sn.compile(_model())  # well-formed: the checker cannot know
    _with(monkeypatch, "3", dead=_halved)
    with pytest.raises((CodegenError, sn.SymnetError), match="the pass 'dead' changed 'loss'"):
        sn.compile(_model())


def _misread(state: State, given: Given) -> State:
    """A pass with a defect: a plan without its last block."""
    return replace(state, plan=replace(state.steps, blocks=state.steps.blocks[:-1]))


def test_the_executor_finds_a_changed_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    _with(monkeypatch, "3", reuse=_misread)
    with pytest.raises((CodegenError, sn.SymnetError), match=r"the pass 'reuse' (changed|lost) "):
        sn.compile(_model(), target="numpy")


def _without_arrays(state: State, given: Given) -> State:
    """A pass with a defect: a plan that makes arrays for the inputs alone."""
    inputs = [item for item in state.steps.setup if item.name in ("x", "target")]
    return replace(state, plan=replace(state.steps, setup=inputs))


def test_a_plan_that_cannot_run_is_named_with_its_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    _with(monkeypatch, "3", reuse=_without_arrays)
    with pytest.raises((CodegenError, sn.SymnetError), match="the pass 'reuse' made a plan that cannot run: "):
        sn.compile(_model(), target="numpy")


def _mirrored(state: State, given: Given) -> State:
    """A pass with a defect: an order that is not the one that was taken."""
    return replace(state, orders={name: order[::-1] for name, order in state.orders.items()})


def test_a_wrong_order_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    x = sn.Input((4, 3), name="x")
    model = sn.Model(x, sn.Dense(2, name="out")(sn.SimpleRNN(5, name="rnn")(x)), loss=sn.CrossEntropy())
    right = next(row.run for row in table.PASSES if row.name == "time-major")
    _with(monkeypatch, "3", **{"time-major": lambda state, given: _mirrored(right(state, given), given)})
    with pytest.raises((CodegenError, sn.SymnetError), match="the pass 'time-major' changed "):
        sn.compile(model, target="numpy")


def _piled_up(state: State, given: Given) -> State:
    """A pass with a defect: all arrays of a place lie at its beginning."""
    piled = (
        replace(m, arenas=tuple(replace(p, slots=tuple(replace(s, offset=0) for s in p.slots)) for p in m.arenas))
        for m in state.memory
    )
    return replace(state, memory=tuple(piled))


def test_arrays_that_overlap_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = MACHINE.changed(limits={"array": 1})
    right = next(row.run for row in table.PASSES if row.name == "arena")
    _with(monkeypatch, "1", arena=lambda state, given: _piled_up(right(state, given), given))
    with pytest.raises((CodegenError, sn.SymnetError), match=r"the pass 'arena' is wrong at the sizes \{'N': 2\}: "):
        sn.compile(_model(), machine=machine)


def test_unknown_level(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SYMNET_DEBUG", "9")
    assert main(["summary", "nothing.toml"]) == 2
    with pytest.raises((CodegenError, sn.SymnetError), match="SYMNET_DEBUG=9: expected 0, 1"):
        sn.compile(_model())
