"""Drawn mistakes: a share with fixed seeds, and what the judge of them notices."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import symnet as sn
from mistakes.commands import Commands, changed, options_of
from mistakes.driver import made, workplace
from mistakes.executed import CANARY
from mistakes.judging import LONGEST, Mistake, judged
from mistakes.public import Python
from symnet.cli.main import COMMANDS
from symnet.sklearn import SymNetClassifier
from symnet.support.errors import DataError, SymnetError

COUNTS = {"python": 1500, "files": 500, "commands": 150}


@pytest.mark.parametrize("kind", COUNTS)
def test_drawn_mistakes_get_a_message(kind: str) -> None:
    report = made(kind, 1, COUNTS[kind])
    assert not report.faults, report.text()
    assert report.refused.total() > COUNTS[kind] / 3, report.text()
    assert sum(json.loads(json.dumps(report.as_json()))["drawn"].values()) == COUNTS[kind]


def test_every_public_name_is_drawn() -> None:
    with workplace():
        drawn = {call.about for call in Python().calls}
    classes = ("Checkpoint", "Network", "Fit", "SymnetError", "augment", "stream", *sn.errors.__dict__)
    missing = {name for name in sn.__all__ if f"sn.{name}" not in drawn and name not in classes}
    assert not missing, sorted(missing)
    assert {name for name in sn.stream.__all__ if f"sn.stream.{name}" not in drawn} == set()


def test_every_command_and_option_is_drawn() -> None:
    import random  # noqa: PLC0415

    from mistakes.commands import LINES  # noqa: PLC0415

    rng = random.Random(0)
    assert {line[0] for line in LINES} >= COMMANDS.keys()
    for command in COMMANDS:
        known = options_of(command)
        own = [line for line in LINES if line[0] == command]
        words = {word.split("=")[0] for _ in range(3000) for word in changed(rng, rng.choice(own), known)}
        assert set(known) <= words, command


# --- the judge


def raises(error: BaseException) -> Callable[[], Any]:
    def run() -> None:
        raise error

    return run


FLAWS: dict[str, tuple[Callable[[], Any], str]] = {
    "another class": (raises(TypeError("units must be an int")), "TypeError at"),
    "a number too large": (raises(OverflowError("too large")), "OverflowError at"),
    "an exit": (raises(SystemExit(1)), "SystemExit at"),
    "nothing said": (raises(SymnetError("  ")), "empty message"),
    "too much said": (raises(DataError(f"Dense {'x' * LONGEST}")), "endless message"),
    "an address": (raises(DataError("Dense: got <object object at 0x7f000000aa>")), "an address"),
    "nothing named": (raises(DataError("this is wrong")), "names nothing"),
    "text was evaluated": (lambda: eval(f"{CANARY}()"), "executed"),  # noqa: S307  # that is the flaw
    "text was run": (lambda: exec(f"{CANARY}()"), "executed"),  # noqa: S102
    "a fault of a command": (lambda: "lost d.npz", "lost d.npz"),
}


@pytest.mark.parametrize("flaw", FLAWS)
def test_the_judge_notices(flaw: str) -> None:
    run, key = FLAWS[flaw]
    outcome = judged(Mistake("sn.Dense", "sn.Dense()", run, ("Dense",)))
    assert outcome.kind == "fault" and key in outcome.key, outcome


def test_the_judge_lets_good_messages_pass() -> None:
    module = SimpleNamespace(DataError=KeyError)
    for error in (SymnetError("Dense(units=): expected"), KeyError("Dense")):
        assert judged(Mistake("sn.Dense", "", raises(error), ("Dense",), (module,))).kind == "refused"
    assert judged(Mistake("sn.Dense", "", lambda: np.zeros(3))).kind == "legal"


ENDINGS: dict[str, tuple[Callable[[list[str]], tuple[int, str, str]], str]] = {
    "a traceback": (lambda words: (2, "", "Traceback (most recent call last)\nsymnet: error: x\n"), "traceback"),
    "another status": (lambda words: (1, "", "symnet: error: x\n"), "exit status 1"),
    "no message": (lambda words: (2, "", "\n"), "no message"),
    "two messages": (lambda words: (2, "", "symnet: error: x\nsymnet: error: y\n"), "2 messages"),
    "hidden characters": (lambda words: (2, "", "symnet: error: \x1b[31m\n"), "hidden"),
    "a file lost": (lambda words: (Path("notes.txt").unlink(), (2, "", "symnet: error: x\n"))[1], "lost notes.txt"),
    "a file changed": (lambda words: (Path("d.csv").write_text(""), (2, "", "symnet: error: x\n"))[1], "changed d.csv"),
    "a file left": (lambda words: (Path("a.part").write_text(""), (2, "", "symnet: error: x\n"))[1], "left behind"),
    "a folder left": (lambda words: (Path("new").mkdir(), (2, "", "symnet: error: x\n"))[1], "left behind new"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_judge_of_commands_notices(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("notes.txt", "d.csv"):
        Path(name).write_text("kept")
    run, key = ENDINGS[ending]
    commands = Commands(run)
    assert key in str(commands._faults(run, ["compile", "m.toml"], "symnet: error: "))
    assert {path.name: path.read_text() for path in Path().iterdir()} == {"notes.txt": "kept", "d.csv": "kept"}


def test_arrays_where_a_number_or_a_word_is_wanted() -> None:
    x = sn.Input((3,), name="x")
    model = sn.Model(x, sn.Dense(2, name="d")(x), loss=sn.CrossEntropy(), name="m")
    data, labels, several = np.ones((4, 3)), np.array([0, 1, 1, 0]), np.ones(3)
    for parts in (None, ["train"]):
        module = sn.compile(model, parts=parts).module
        params = module.init_params(0)
        for option in ("workers", "optimizer", "batch_size", "learning_rate", "clip"):
            with pytest.raises(module.DataError, match=option):
                module.make_step(params, **{"batch_size": 4, option: several})
        for option in ("epochs", "patience", "warmup", "schedule"):
            with pytest.raises(module.DataError, match=option):
                module.train(params, data, labels, **{"epochs": 1, option: several})
    for option in ("batch_size", "epochs"):
        with pytest.raises(DataError, match=option):
            SymNetClassifier(model, **{option: several}).fit(data, labels)


def test_no_class_has_a_weight() -> None:
    x = sn.Input((3,), name="x")
    net = sn.compile(sn.Model(x, sn.Dense(2, name="d")(x), loss=sn.CrossEntropy(), name="m"), weighted=True)
    data, labels = np.random.default_rng(0).random((4, 3)), np.array([0, 1, 1, 0])
    history = [net.fit(data, labels, epochs=1, verbose=False, class_weight=each)[1] for each in ({}, None)]
    assert history[0]["loss"] == history[1]["loss"]
