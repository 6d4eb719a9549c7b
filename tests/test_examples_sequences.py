"""The examples on text, on sequences of different lengths and on photographs, at sizes that take a second."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import symnet as sn
from symnet.definition import load

pytest.importorskip("sklearn")
pytest.importorskip("PIL")

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "examples"
sys.path.insert(0, str(FOLDER))
sys.path.insert(0, str(ROOT / "benchmarks"))

import sequence_figures  # noqa: E402

import english  # noqa: E402
import patches  # noqa: E402
import rows  # noqa: E402
import write  # noqa: E402

TINY = write.Recipe(steps=40, batch=8, window=16, learning_rate=5e-3)


@pytest.fixture(scope="module", params=write.RECIPES)
def module(request: pytest.FixtureRequest) -> ModuleType:
    return sn.compile(load(FOLDER / f"{request.param}.py"), dtype="float64").module


@pytest.fixture
def text() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 96, 48)


def given(module: ModuleType, text: np.ndarray) -> dict[str, np.ndarray]:
    """The inputs for one text (T,) from a blank state."""
    return {"text": text[None], **write.blank(module, 1)}


def logits(module: ModuleType, params: write.Arrays, text: np.ndarray) -> np.ndarray:
    """(T, 96) for one text (T,), read from a blank state in one go."""
    result = module.forward(params, given(module, text))
    return (result["logits"] if isinstance(result, dict) else result)[0]


def test_text_survives_as_numbers() -> None:
    assert english.decode(english.encode("def f(x):\n    return x")) == "def f(x):\n    return x"
    assert english.decode(english.encode("“né”")) == '"n?"'


def test_held_out_text_is_the_end() -> None:
    training, unseen = english.load()
    assert len(training) > 300_000
    assert len(unseen) == pytest.approx(len(training) / 9, abs=2)
    assert min(training.min(), unseen.min()) >= 0
    assert max(training.max(), unseen.max()) < len(english.SYMBOLS) == 96
    assert "statement" in english.decode(training)


def test_streams_read_on() -> None:
    numbers = np.arange(1000)
    batches = write.streams(numbers, TINY, np.random.default_rng(0))
    (x, y), (following, _) = next(batches), next(batches)
    assert x.shape == y.shape == (8, 16)
    assert np.array_equal((x + 1) % 1000, y)
    assert np.array_equal(y[:, -1], following[:, 0])


def test_windows_foretell_the_next_character() -> None:
    x, y = next(write.windows(np.arange(1000), TINY, np.random.default_rng(0)))
    assert x.shape == y.shape == (8, 16)
    assert np.array_equal(x + 1, y)


def test_learning_rate_rises_then_falls() -> None:
    rates = [write.rate(TINY, step, 100) for step in range(100)]
    assert rates[0] < rates[4]
    assert max(rates) == pytest.approx(TINY.learning_rate, rel=0.01)
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] == pytest.approx(TINY.learning_rate / 10, rel=0.01)


def test_text_in_two_pieces_is_the_text(module: ModuleType, text: np.ndarray) -> None:
    names = write.states_of(module)
    if not names:
        pytest.skip("no memory")
    params = module.init_params(0)
    first = module.forward(params, given(module, text[:20]))
    states = {name: first[output] for name, output in names.items()}
    second = module.forward(params, {"text": text[None, 20:], **states})
    joined = np.concatenate([first["logits"], second["logits"]], axis=1)[0]
    assert np.allclose(joined, logits(module, params, text), rtol=0, atol=1e-12)


def test_no_network_sees_what_follows(module: ModuleType, text: np.ndarray) -> None:
    params = module.init_params(0)
    other = text.copy()
    other[30:] = (other[30:] + 1) % 96
    before, after = logits(module, params, text), logits(module, params, other)
    assert np.array_equal(before[:30], after[:30])
    assert not np.allclose(before[30:], after[30:])


def test_gpt_reads_no_more_than_its_window() -> None:
    module = sn.compile(load(FOLDER / "gpt.py")).module
    with pytest.raises(ValueError, match="64"):
        module.forward(module.init_params(0), np.zeros((1, 65), np.int64))


def test_teaching_teaches(module: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    training, _ = english.load()
    params = write.teach(module, TINY, training, TINY.steps, seed=0)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 10
    bits = [float(line[2]) for line in lines]
    assert bits[-1] < bits[0] - 0.5
    assert write.held_out(module, params, training[:1000], 16) < 5.5


def test_bits_per_character_by_hand(module: ModuleType, text: np.ndarray) -> None:
    params = module.init_params(0)
    by_hand = []
    for start in (0, 16):
        z = logits(module, params, text[start : start + 16])
        likely = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
        by_hand += [-np.log2(likely[k, text[start + k + 1]]) for k in range(16)]
    assert write.held_out(module, params, text[:33], 16) == pytest.approx(np.mean(by_hand), abs=1e-9)


def test_writing_follows_what_is_expected(module: ModuleType) -> None:
    params = module.init_params(0)
    written = write.write(module, params, "The ", 10, window=64, temperature=1e-9)
    numbers = english.encode(written)
    assert written.startswith("The ")
    assert len(numbers) == 14
    assert np.array_equal(logits(module, params, numbers)[3:-1].argmax(-1), numbers[4:])


def test_writing_is_decided_by_the_seed(module: ModuleType) -> None:
    params = module.init_params(0)
    drafts = [write.write(module, params, "x", 20, window=8, seed=seed) for seed in (1, 1, 2)]
    assert drafts[0] == drafts[1] != drafts[2]


def test_runner_prints_and_keeps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options: argparse.Namespace = write.arguments(
        ["char_rnn", "--steps", "1", "--characters", "5", "--save", str(tmp_path / "net.py")]
    )
    assert 5 < write.run(options.name, options) < 7.5
    printed = capsys.readouterr().out
    assert "bits per character" in printed
    assert "The " in printed
    with np.load(tmp_path / "net.npz", allow_pickle=False) as saved:
        assert saved["memory.weight_hh"].shape == (192, 192)


@pytest.fixture(scope="module")
def reader() -> Iterator[tuple[ModuleType, write.Arrays]]:
    module = sn.compile(load(FOLDER / "digits_rows.py"), dtype="float64").module
    yield module, module.init_params(0)


def test_rows_that_are_not_read_do_not_matter(reader: tuple[ModuleType, write.Arrays]) -> None:
    module, params = reader
    pictures = np.random.default_rng(1).random((6, 8, 8))
    lengths = np.arange(3, 9)
    given = rows.cut(pictures, lengths)
    assert np.array_equal(given["read"].sum(1), lengths)
    output = module.forward(params, given)
    given["rows"] = np.where(given["read"][..., None], given["rows"], 7.0)
    assert np.array_equal(output, module.forward(params, given))
    # The number of rows is symbolic: a picture of five rows is one cut after five.
    five = {"rows": given["rows"][2:3, :5], "read": np.ones((1, 5), bool)}
    assert np.allclose(output[2:3], module.forward(params, five), rtol=0, atol=1e-12)


def test_more_rows_tell_more(capsys: pytest.CaptureFixture[str]) -> None:
    found = rows.run(epochs=8)
    assert list(found) == [3, 4, 5, 6, 7, 8]
    assert found[8] > found[3] > 0.3
    assert found[8] > 0.7
    assert "after 3 rows" in capsys.readouterr().out


def test_patches_for_training_touch_no_held_out_tile() -> None:
    height, width = 427, 640
    test, training = (patches.places(height, width, part) for part in (False, True))
    assert len(test) == pytest.approx(height // 48 * (width // 48) / 4, abs=1)
    apart = (np.abs(training[:, None] - test[None]) >= patches.SIDE).any(-1)
    assert apart.all()
    for corners in (test, training):
        assert corners.min() >= 0
        assert (corners + patches.SIDE <= (height, width)).all()


def test_patches_of_all_classes() -> None:
    for training in (True, False):
        x, y = patches.patches(training)
        assert x.shape == (len(y), 3, 48, 48)
        assert -1 <= x.min() < 0 < x.max() <= 1
        assert set(y) == set(range(10))


def test_patches_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    strips, pictures = patches.run(epochs=4)
    assert pictures > 0.9
    assert strips > 0.2
    assert "48 x  48 x   3" in capsys.readouterr().out


def test_source_grows_by_the_same_for_each_block() -> None:
    lines = [sn.compile(sequence_figures.gpt(blocks)).source.count("\n") for blocks in (1, 2, 3)]
    assert lines[2] - lines[1] == pytest.approx(lines[1] - lines[0], rel=0.05)


def test_one_rnn_runs_ten_steps_and_a_thousand(capsys: pytest.CaptureFixture[str]) -> None:
    seconds = sequence_figures.lengths()
    assert set(seconds) == {10, 1000}
    assert "*N*T" in capsys.readouterr().out
