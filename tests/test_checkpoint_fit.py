"""Training with checkpoints: interrupted and resumed, it ends with the bytes of one that ran straight through."""

from __future__ import annotations

import _thread
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symnet as sn
from symnet.training.checkpoints.folder import checkpoints_in

pytest.importorskip("safetensors")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(42, 6)).astype(np.float32)
Y = RNG.integers(0, 3, 42)
STEPS = 5
"""Steps of an epoch, in batches of 9."""

Result = tuple[dict[str, np.ndarray], dict[str, list[float]]]


class Stopped(Exception):
    """What a hook raises in the place of a power cut."""


def noisy(units: int = 7) -> sn.Model:
    """A network with noise and with running statistics."""
    x = sn.Input((6,), name="x")
    h = sn.Dropout(0.4)(sn.BatchNorm1D()(sn.Dense(units, activation="tanh")(x)))
    return sn.Model(x, sn.Dense(3)(h), loss=sn.CrossEntropy(), name="noisy")


@pytest.fixture(scope="module")
def net() -> sn.Network:
    return sn.compile(noisy())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "noisy"


def fit(net: sn.Network, **options: Any) -> Result:
    result: Result = net.fit(**{"x": X, "y": Y, "epochs": 3, "batch_size": 9, "seed": 5, **options})
    return result


def count(event: dict[str, Any]) -> int:
    return int((event["epoch"] - 1) * STEPS + event["step"])


def stop_at(step: int, error: type[BaseException] = Stopped) -> Any:
    def hook(event: dict[str, Any]) -> None:
        if count(event) == step:
            raise error

    return hook


def cut(net: sn.Network, step: int, **options: Any) -> None:
    """A training that ends without a word after some step."""
    with pytest.raises(Stopped):
        fit(net, on_step=stop_at(step), **options)


def assert_same(first: Result, second: Result) -> None:
    assert first[1] == second[1]
    assert list(first[0]) == list(second[0])
    for name, array in first[0].items():
        assert array.tobytes() == second[0][name].tobytes(), name


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adamw"])
@pytest.mark.parametrize(("every", "steps"), [(1, (3,)), (2, (4, 9, 13)), ("epoch", (2, 8)), (3, (15,))])
def test_resumed_it_ends_with_the_same_bytes(
    net: sn.Network, folder: Path, optimizer: str, every: int | str, steps: tuple[int, ...]
) -> None:
    options = {"optimizer": optimizer, "validation": (X[:20], Y[:20]), "patience": 2, "clip": 0.9}
    saved = {**options, "checkpoint": folder, "checkpoint_every": every, "resume": True}
    for step in steps:
        cut(net, step, **saved)
    straight = fit(net, **options)
    left: list[int] = []
    assert_same(fit(net, **saved, on_step=lambda event: left.append(count(event))), straight)
    between = STEPS if every == "epoch" else int(every)
    assert left == list(range((steps[-1] - 1) // between * between + 1, len(straight[1]["loss"]) * STEPS + 1))
    assert_same(fit(net, **saved, on_step=lambda event: pytest.fail("nothing is left to do")), straight)


def test_checkpoints_change_nothing(net: sn.Network, folder: Path) -> None:
    assert_same(fit(net, checkpoint=folder, checkpoint_every=2), fit(net))


def test_the_last_few_are_kept_and_the_last_is_the_end(net: sn.Network, folder: Path) -> None:
    params, history = fit(net, checkpoint=folder, checkpoint_every=4, keep=2)
    assert names(folder) == ["checkpoint-000003.safetensors", "checkpoint-000004.safetensors"]
    last = sn.load_checkpoint(folder / "checkpoint-000004.safetensors")
    assert (last.meta["epoch"], last.meta["step"], last.meta["history"]) == (4, 0, history)
    assert_same((net.load(folder), {}), (params, {}))
    assert_same((net.load(folder / "checkpoint-000004.safetensors"), {}), (last.params, {}))


def test_a_longer_training_goes_on(net: sn.Network, folder: Path) -> None:
    fit(net, checkpoint=folder, epochs=2)
    assert_same(fit(net, checkpoint=folder, epochs=4, resume=True), fit(net, epochs=4))


def test_steps_are_counted_over_the_whole_run(net: sn.Network, folder: Path) -> None:
    options = {"checkpoint": folder, "checkpoint_every": 4, "keep": 9}
    interrupted(net, **options, on_step=stop_at(6, KeyboardInterrupt))
    fit(net, **options, resume=True)
    places = [(c.meta["epoch"], c.meta["step"]) for c in map(sn.load_checkpoint, checkpoints_in(folder))]
    assert places == [(1, 4), (2, 1), (2, 3), (3, 2), (4, 0)]


def test_what_it_starts_from_is_said(net: sn.Network, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(net, checkpoint=folder, resume=True, epochs=1)
    assert capsys.readouterr().err == f"symnet: '{folder}' holds no checkpoint: starting afresh\n"
    fit(net, checkpoint=folder, resume=True)
    first = folder / "checkpoint-000001.safetensors"
    assert capsys.readouterr().err == f"symnet: resuming from '{first}', after epoch 1\n"


def test_damaged_ones_are_passed_over(net: sn.Network, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut(net, 7, checkpoint=folder, checkpoint_every=2)
    one, two, three = checkpoints_in(folder)
    data = three.read_bytes()
    three.write_bytes(data[:-1])
    two.write_bytes(bytes(len(data)))
    assert_same(fit(net, checkpoint=folder, checkpoint_every=2, resume=True, keep=1), fit(net))
    said = capsys.readouterr().err.splitlines()
    assert [re.sub(r"is damaged.*;", "is damaged;", line) for line in said] == [
        f"symnet: '{three}' is damaged; trying the one before",
        f"symnet: '{two}' is damaged; trying the one before",
        f"symnet: resuming from '{one}', after step 2 of epoch 1",
    ]
    # Damaged ones neither count as kept nor are they lost.
    assert names(folder) == [two.name, three.name, "checkpoint-000010.safetensors"]


def test_where_all_are_damaged_it_starts_afresh(
    net: sn.Network, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fit(net, checkpoint=folder, epochs=1)
    (path,) = checkpoints_in(folder)
    path.write_bytes(b"")
    with pytest.raises(sn.CheckpointError, match="holds no intact checkpoint"):
        net.load(folder)
    assert_same(fit(net, checkpoint=folder, resume=True), fit(net))
    assert "holds no intact checkpoint: starting afresh" in capsys.readouterr().err


def test_one_that_a_training_deletes_meanwhile(net: sn.Network, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params, _ = fit(net, checkpoint=folder, keep=1)
    listings = iter([[folder / "checkpoint-000001.safetensors"], checkpoints_in(folder)])
    monkeypatch.setattr("symnet.training.checkpoints.folder.checkpoints_in", lambda place: next(listings))
    assert_same((net.load(folder), {}), (params, {}))


def test_from_one_of_several(net: sn.Network, folder: Path, tmp_path: Path) -> None:
    fit(net, checkpoint=folder, epochs=2)
    first = folder / "checkpoint-000001.safetensors"
    assert_same(fit(net, resume=first), fit(net))
    assert_same(fit(net, resume=str(folder)), fit(net))
    assert_same(fit(net, resume=first, checkpoint=tmp_path / "other"), fit(net))
    assert_same(fit(net, resume=first, checkpoint=folder), fit(net))
    assert names(folder)[-1] == "checkpoint-000004.safetensors"


def test_left_overs_of_a_killed_process_go(net: sn.Network, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / ".checkpoint-000001.safetensors.0123456789ab.part").write_bytes(b"half")
    (folder / "notes.txt").write_text("mine")
    fit(net, checkpoint=folder, epochs=1)
    assert names(folder) == ["checkpoint-000001.safetensors", "notes.txt"]


def test_another_run_is_not_overwritten(net: sn.Network, folder: Path, tmp_path: Path) -> None:
    fit(net, checkpoint=folder, epochs=1)
    before = (folder / "checkpoint-000001.safetensors").read_bytes()
    fit(net, checkpoint=tmp_path / "other", epochs=1)
    for resume in (False, tmp_path / "other"):
        with pytest.raises(sn.CheckpointError, match="holds checkpoints of another run"):
            fit(net, checkpoint=folder, resume=resume)
    assert names(folder) == ["checkpoint-000001.safetensors"]
    assert (folder / "checkpoint-000001.safetensors").read_bytes() == before


def test_another_model_is_refused(net: sn.Network, folder: Path) -> None:
    fit(net, checkpoint=folder, epochs=1)
    with pytest.raises(sn.CheckpointError, match=r"another model.*dense_1\.weight' float\[8,6\], got float\[7,6\]"):
        fit(sn.compile(noisy(8)), checkpoint=folder, resume=True)
    double = sn.compile(noisy(), dtype="float64")
    with pytest.raises(sn.CheckpointError, match="expected dtype float64, got float32"):
        fit(double, checkpoint=folder, resume=True)
    assert {array.dtype for array in double.load(folder).values()} == {np.dtype(np.float64)}
    assert names(folder) == ["checkpoint-000001.safetensors"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 8}, "batch_size.*9.*8"),
        ({"optimizer": "sgd"}, "optimizer.*adam.*sgd"),
        ({"learning_rate": 0.5}, r"learning_rate.*0\.001.*0\.5"),
        ({"seed": 6}, "seed.*5.*6"),
        ({"clip": 1.0}, r"clip.*None.*1\.0"),
        ({"x": X[:-1], "y": Y[:-1]}, "samples.*42.*41"),
        ({"validation": (X, Y)}, "held_out.*None.*42"),
    ],
)
def test_other_options_are_refused(net: sn.Network, folder: Path, options: dict[str, Any], words: str) -> None:
    fit(net, checkpoint=folder, epochs=1)
    with pytest.raises(sn.SymnetError, match=words):
        fit(net, **options, checkpoint=folder, resume=True)
    assert names(folder) == ["checkpoint-000001.safetensors"]


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"checkpoint": ""}, sn.DefinitionError, "checkpoint=.*folder"),
        ({"checkpoint": 3}, sn.DefinitionError, "checkpoint=.*folder"),
        ({"checkpoint_every": 0}, sn.DefinitionError, "checkpoint_every"),
        ({"checkpoint_every": "step"}, sn.DefinitionError, "'epoch' or a number of steps, got 'step'"),
        ({"keep": 0}, sn.DefinitionError, "keep"),
        ({"keep": 1.5}, sn.DefinitionError, "keep"),
        ({"resume": 1}, sn.DefinitionError, "resume"),
        ({"resume": True}, sn.DefinitionError, "resume from where"),
        ({"checkpont": "here"}, sn.DefinitionError, "unknown option 'checkpont'; did you mean 'checkpoint'"),
        ({"epoch": 3}, sn.DefinitionError, "unknown option 'epoch'; did you mean 'epochs'"),
        ({"resume": "nowhere/to/be/found"}, sn.CheckpointError, "no such file: 'nowhere/to/be/found'"),
        ({"resume": "."}, sn.CheckpointError, "holds no intact checkpoint"),
        ({"checkpoint": "file.txt"}, sn.CheckpointError, "'file.txt' is no folder"),
        ({"checkpoint": "file.txt/deeper"}, sn.CheckpointError, "is no folder"),
        ({"checkpoint": "a\0b"}, sn.CheckpointError, "cannot make the folder"),
    ],
)
def test_mistakes_are_told_before_anything_is_done(
    net: sn.Network,
    options: dict[str, Any],
    error: type[Exception],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file.txt").write_text("text")
    with pytest.raises(error, match=words):
        fit(net, **options)
    assert names(tmp_path) == ["file.txt"]


def test_the_callers_hooks_are_called_and_answered(net: sn.Network, folder: Path) -> None:
    seen: list[int] = []
    _, history = fit(
        net, checkpoint=folder, on_step=lambda e: seen.append(count(e)), on_epoch=lambda e: e["epoch"] == 2
    )
    assert seen == list(range(1, 2 * STEPS + 1))
    assert len(history["loss"]) == 2
    assert len(checkpoints_in(folder)) == 2


def interrupted(net: sn.Network, **options: Any) -> str:
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(net, **options)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    return str(caught.value)


class Pressing:
    """Data in batches; while the seventh is read, which is between two hooks, Ctrl-C is pressed."""

    samples = len(X)

    def __init__(self) -> None:
        self.read = 0

    def batches(self, batch_size: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(X), batch_size):
            self.read += 1
            if self.read == 7:
                signal.raise_signal(signal.SIGINT)
            yield X[start : start + batch_size], Y[start : start + batch_size]


def test_ctrl_c_ends_the_step_and_writes_a_checkpoint(net: sn.Network, folder: Path) -> None:
    said = interrupted(net, x=Pressing(), y=None, checkpoint=folder)
    path = folder / "checkpoint-000002.safetensors"
    assert said.startswith("training interrupted")
    assert f"'{path}', after step 2 of epoch 2" in said
    quiet = {"x": Pressing(), "y": None}
    quiet["x"].read = 7
    assert_same(fit(net, **quiet, checkpoint=folder, resume=True), fit(net, **quiet))


def test_ctrl_c_in_a_hook_of_the_caller(net: sn.Network, folder: Path) -> None:
    said = interrupted(net, checkpoint=folder, on_step=stop_at(3, KeyboardInterrupt))
    assert "after step 3 of epoch 1" in said
    assert_same(fit(net, checkpoint=folder, resume=True), fit(net))


def test_ctrl_c_after_the_last_step(net: sn.Network, folder: Path) -> None:
    def press(event: dict[str, Any]) -> None:
        if event["epoch"] == 3:
            _thread.interrupt_main()

    assert "after epoch 3" in interrupted(net, checkpoint=folder, on_epoch=press)
    assert_same(fit(net, checkpoint=folder, resume=True), fit(net))


def test_a_second_ctrl_c_ends_at_once(net: sn.Network, folder: Path) -> None:
    def press_twice(event: dict[str, Any]) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the second did nothing")

    interrupted(net, checkpoint=folder, on_step=press_twice)


def test_in_a_thread_there_is_no_ctrl_c(net: sn.Network, folder: Path) -> None:
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.append(fit(net, checkpoint=folder)))
    thread.start()
    thread.join()
    assert_same(results[0], fit(net))
