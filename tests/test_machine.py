"""The model of a machine: what it holds is read, a file gives it back, and measuring fills it in."""

from __future__ import annotations

import re
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest

import symnet as sn
from codegen.machine.model import MACHINE, Machine
from symnet.cli.main import main
from symnet.machine import measure
from symnet.machine.file import PARTS, digest, read_machine, text_of
from symnet.machine.measure import FOLLOWS, MEASURED
from symnet.machine.probes import Probe, probes, timed

ROOT = Path(__file__).resolve().parent.parent
PLACE = {"processor": 'one "fast" one', "numpy": "2", "blas": "some"}
FIELDS = [f"{part}.{name}" for part in PARTS for name in asdict(getattr(MACHINE, part))]
MODEL = """
name = "m"
input = { name = "x", shape = [4] }
loss = "cross_entropy"
[[layers]]
kind = "Dense"
name = "fc"
units = 3
"""
READERS = "\n".join(
    path.read_text(encoding="utf-8")
    for path in (*ROOT.glob("codegen/**/*.py"), *ROOT.glob("symnet/**/*.py"))
    if path.parent.name != "machine"
)


@pytest.mark.parametrize("key", FIELDS)
def test_every_field_is_read(key: str) -> None:
    part, _, name = key.partition(".")
    assert re.search(rf"\b{part}\.{name}\b", READERS), f"nobody reads {key}"


@pytest.mark.parametrize("part", PARTS)
def test_every_field_is_explained(part: str) -> None:
    kind = type(getattr(MACHINE, part))
    for each in fields(kind):
        assert re.search(rf"^    [\w, ]*\b{each.name}\b[\w, ]*: ", kind.__doc__ or "", re.MULTILINE), each.name


def changed() -> Machine:
    values: dict[str, Any] = {"sizes": {"typical": 48}, "moves": {"copied": (0.25, 1 / 3)}, "gemm": {"flop": 1 / 7}}
    return replace(MACHINE.changed(**values), name="mine")


def test_a_file_gives_the_model_back(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    for machine in (MACHINE, changed()):
        path.write_text(text_of(machine, PLACE), encoding="utf-8")
        assert read_machine(path) == machine
    assert digest(changed()) != digest(MACHINE) == digest(replace(MACHINE, name="other"))
    path.write_text("[gemm]\nflop = 1\n", encoding="utf-8")
    assert read_machine(path) == replace(MACHINE.changed(gemm={"flop": 1.0}), name="mine")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[gem]\nflop = 1", "unknown key 'gem'; did you mean 'gemm'"),
        ("[gemm]\nflops = 1", r"\[gemm\]: unknown key 'flops'; did you mean 'flop'"),
        ("[gemm]\nflop = 'fast'", "gemm.flop: expected a number above 0, such as 0.0039.*, got 'fast'"),
        ("[gemm]\nflop = 0", "gemm.flop: expected a number above 0"),
        ("[gemm]\nflop = true", "gemm.flop: expected a number"),
        ("[gemm]\nflop = nan", "gemm.flop: expected a number"),
        ("[gemm]\nflop = inf", "gemm.flop: expected a number"),
        ("[caches]\npage = 1.5", "caches.page: expected a whole number from 1, such as 1024, got 1.5"),
        ("[caches]\npage = 0", "caches.page: expected a whole number from 1"),
        ("[moves]\ncopied = [1]", r"moves.copied: expected 2 numbers such as \[0.1, 0.2\], got \[1\]"),
        ("gemm = 3", r"gemm: expected a table, \[gemm\], got 3"),
        ("name = 3", "name: expected a line of text"),
        ("name = 'a\\b'", "name: expected a line of text"),
        ("[gemm", "expected a machine file in TOML"),
    ],
)
def test_a_wrong_file(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str) -> None:
    path, toml = tmp_path / "here.toml", tmp_path / "m.toml"
    path.write_text(text, encoding="utf-8")
    toml.write_text(MODEL, encoding="utf-8")
    with pytest.raises(sn.DefinitionError, match=message):
        read_machine(path)
    assert main(["compile", str(toml), "--machine", str(path)]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_module_says_what_it_was_compiled_for(tmp_path: Path) -> None:
    x = sn.Input((2, 9, 9), name="x")
    h = sn.Flatten()(sn.Conv2D(3, 3, activation="tanh", name="conv")(x))
    made = sn.Model(x, sn.Dense(2, name="fc")(h), loss=sn.CrossEntropy(), name="m")
    path = tmp_path / "mine.toml"
    path.write_text(text_of(changed(), PLACE), encoding="utf-8")
    default = sn.compile(made).source
    assert sn.compile(made, machine=MACHINE).source == default and "machine:" not in default
    header = sn.compile(made, machine=path).source.split('"""')[1]
    assert f"\nmachine: mine {digest(changed())}\n" in header
    other = MACHINE.changed(moves={"added": (9.0, 9.0), "stacked": 9.0})
    assert sn.compile(made, machine=other).source.split('"""', 2)[2] != default.split('"""', 2)[2]
    with pytest.raises(sn.DefinitionError, match=r"compile\(machine=\): expected a machine file"):
        sn.compile(made, machine=3)  # type: ignore[arg-type]
    with pytest.raises(sn.DefinitionError, match="without"):
        sn.compile(made, machine=replace(other, name='"""\nimport os'))


def test_what_is_measured_and_what_follows() -> None:
    assert {*MEASURED, *FOLLOWS} <= set(FIELDS) and set(FOLLOWS.values()) <= set(MEASURED)
    assert not any(key.startswith(("limits.", "sizes.")) for key in (*MEASURED, *FOLLOWS))
    twice = measure.model({"moves.copied": (0.2, 0.5), "gemm.flop": MACHINE.gemm.flop})
    assert twice.moves.copied == (0.2, 0.5) and twice.gemm.aliased == 2 * MACHINE.gemm.aliased
    assert twice.gemm.product == MACHINE.gemm.product and twice.limits == MACHINE.limits


def test_times_that_the_model_gives_are_read_as_the_model() -> None:
    """Products of a machine that is exactly as the model says, in nanoseconds."""
    gemm, times = MACHINE.gemm, {"ufunc": 500.0, "plain": 0.1, "function": 0.2, "scattered": 10.0, "transposed": 0.4}
    for probe in probes():
        word, *shape = probe.key.split()
        if word == "product":
            m, k, n = map(int, shape)
            work = 2 * k * (m + gemm.thin) * -(-n // 16) * 16 * gemm.flop
            packs = m * k * n > gemm.unpacked
            times[probe.key] = 540 + work + packs * k * n * gemm.packed
        elif word == "across":
            m, k, n = map(int, shape)
            times[probe.key] = 540 + 2 * (m + 2) * k * (n + 4) * gemm.across
        elif word == "knee":
            times[probe.key] = 0.07 if int(shape[0]) <= MACHINE.caches.second else 0.12
    times |= {f"{what} {where}": 0.1 for what in ("copied", "added") for where in ("near", "far")}
    found = measure.read_off(times)
    assert found["gemm.flop"] == pytest.approx(gemm.flop) and found["gemm.call"] == pytest.approx(40)
    assert found["gemm.packed"] == pytest.approx(gemm.packed)
    assert found["gemm.across"] == pytest.approx(gemm.across) and found["caches.second"] == MACHINE.caches.second


def test_the_fastest_of_all_turns_counts() -> None:
    calls: list[int] = []
    found = timed([Probe("a", lambda: calls.append(1), 2), Probe("b", lambda: None)], 0.02)
    assert 0 < found["b"] < 1e6 and len(calls) > 10


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"gemm.flop": 0.005, "moves.copied": (0.1, 0.25), "caches.second": 65536}
    made = replace(measure.model(found), name="here")
    monkeypatch.setattr("symnet.cli.tune.measured", lambda name, seconds: (replace(made, name=name), found))
    path, toml, out = tmp_path / "here.toml", tmp_path / "m.toml", tmp_path / "m.py"
    assert main(["tune", "--machine", "-o", str(path)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"0\.005 ns +0\.00392 ns +gemm\.flop", printed) and digest(made) in printed
    assert read_machine(path) == made and "processor" in path.read_text(encoding="utf-8")
    toml.write_text(MODEL, encoding="utf-8")
    assert main(["compile", str(toml), "--machine", str(path), "-o", str(out)]) == 0
    assert f"machine: here {digest(made)}" in out.read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(["tune", "--machine"]) == 0
    assert capsys.readouterr().out.endswith(text_of(made, {}).split("[limits]")[1])
    assert main(["tune"]) == 2 and "expected --machine" in capsys.readouterr().err
    assert main(["tune", "--machine", "-o", str(tmp_path / "no" / "f.toml")]) == 2
    assert main(["compile", str(toml), "--machine", str(tmp_path / "none.toml")]) == 2
