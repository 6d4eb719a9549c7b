"""What a training shows: metrics in the history and in checkpoints, the table, TensorBoard's files, warnings."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symnet as sn
from event_files import scalars
from symnet.training.callbacks.progress import Lines, Table, best_of, number

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = (X[:, 0] + 0.3 * RNG.normal(size=60) > 0).astype(int) + (X[:, 1] > 1)


@pytest.fixture(scope="module")
def net() -> sn.Network:
    x = sn.Input((4,), name="x")
    return sn.compile(sn.Model(x, sn.Dense(3, name="out")(x), loss=sn.CrossEntropy(), name="small"))


@pytest.fixture(scope="module")
def line() -> sn.Network:
    x = sn.Input((4,), name="x")
    return sn.compile(sn.Model(x, sn.Dense(1, name="out")(x), loss=sn.MeanSquaredError(), name="line"))


HELD = {"validation": (X, Y), "epochs": 4}


def test_metrics_come_into_the_history_and_the_events(net: sn.Network) -> None:
    peers = pytest.importorskip("sklearn.metrics")
    events: list[dict[str, Any]] = []
    params, history = net.fit(X, Y, **HELD, metrics=["f1", "top2", "accuracy"], on_epoch=events.append)
    assert list(history) == ["loss", "val_loss", "val_accuracy", "val_f1", "val_top2"]
    expected = peers.f1_score(Y, net.module.predict(params, X), average="macro")
    assert history["val_f1"][-1] == pytest.approx(expected)
    assert [event["val_f1"] for event in events] == history["val_f1"]
    assert net.fit(X, Y, **HELD)[1] == {name: history[name] for name in ("loss", "val_loss", "val_accuracy")}


def test_values_have_theirs(line: sn.Network) -> None:
    y = X @ [1.0, 2.0, 0.0, -1.0]
    _, history = line.fit(
        X, y[:, None], validation=(X, y[:, None]), epochs=40, learning_rate=0.1, metrics=["rmse", "r2"]
    )
    assert history["val_rmse"][-1] == pytest.approx(history["val_loss"][-1] ** 0.5, rel=1e-5)
    assert history["val_r2"][-1] > 0.99


def test_a_resumed_training_keeps_them(net: sn.Network, tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    options: dict[str, Any] = {**HELD, "metrics": "f1", "checkpoint_every": 1, "keep": 2}

    def stop(event: dict[str, Any]) -> None:
        if (event["epoch"], event["step"]) == (3, 1):
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        net.fit(X, Y, **options, checkpoint=tmp_path / "a", on_step=stop)
    _, resumed = net.fit(X, Y, **options, checkpoint=tmp_path / "a", resume=True)
    _, straight = net.fit(X, Y, **options, checkpoint=tmp_path / "b")
    assert resumed == straight and len(straight["val_f1"]) == 4
    last = [max((tmp_path / folder).glob("*.safetensors")).read_bytes() for folder in "ab"]
    assert last[0] == last[1]
    assert sn.load_checkpoint(max((tmp_path / "a").glob("*"))).meta["history"]["val_f1"] == straight["val_f1"]
    _, longer = net.fit(X, Y, **{**HELD, "epochs": 6, "metrics": ["recall"]}, resume=tmp_path / "a")
    assert (
        longer["val_f1"] == straight["val_f1"] and np.isnan(longer["val_recall"]).tolist() == [True] * 4 + [False] * 2
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": ["f2"]}, "metrics: unknown 'f2'"),
        ({"metrics": ["rmse"]}, "'rmse' does not fit 'small'"),
        ({"metrics": {"f1"}}, "metrics=): expected names"),
        ({"metrics": "f1", "validation": None}, "there is none: give validation="),
        ({"histograms": True}, "give tensorboard='FOLDER'"),
        ({"plot": ""}, "plot: expected a folder's path"),
        ({"tensorboard": 3}, "tensorboard: expected a folder's path"),
        ({"plot": __file__}, "is a file; expected a folder"),
        ({"tensorboard": Path(__file__) / "x"}, "is a file; expected a folder"),
        ({"progress": 1}, "progress=): expected True or False"),
        ({"metrcs": "f1"}, "unknown option 'metrcs'; did you mean 'metrics'?"),
    ],
)
def test_mistakes(net: sn.Network, options: dict[str, Any], message: str) -> None:
    with pytest.raises(sn.SymnetError) as caught:
        net.fit(X, Y, **{**HELD, **options})
    assert message in str(caught.value)


def test_progress_is_asked_for(net: sn.Network, capsys: pytest.CaptureFixture[str]) -> None:
    net.fit(X, Y, **HELD)
    net.fit(X, Y, **HELD, progress=False)
    assert capsys.readouterr().err == ""
    net.fit(X, Y, **HELD, progress=True, patience=4)
    *lines, last = capsys.readouterr().err.splitlines()
    assert len(lines) == 4 and lines[0].startswith("epoch 1/4   loss ") and "   val_accuracy " in lines[0]
    assert last.startswith("symnet: the parameters are those of epoch 4, the best (val_loss ")


def test_an_early_stop_says_so(net: sn.Network, capsys: pytest.CaptureFixture[str]) -> None:
    held = (X, (Y + 1) % 3)  # what is learned makes these worse
    _, history = net.fit(X, Y, validation=held, epochs=50, patience=3, progress=True, learning_rate=0.1)
    epochs, best = len(history["loss"]), int(np.argmin(history["val_loss"])) + 1
    assert epochs < 50 and epochs == best + 3
    text = f"symnet: stopped after epoch {epochs} of 50, 3 without a lower val_loss; the parameters are those of epoch "
    assert f"{text}{best}, the best" in capsys.readouterr().err


def test_a_loss_that_explodes_is_worth_one_line(line: sn.Network, capsys: pytest.CaptureFixture[str]) -> None:
    y = X @ [1.0, 2.0, 0.0, -1.0]
    for epochs, batch, rate in ((12, 60, 2.0), (12, 4, 0.6), (1, 10, 4.0)):  # in the last, the first step tells
        line.fit(X, y[:, None], epochs=epochs, optimizer="sgd", learning_rate=rate, batch_size=batch)
        (text,) = capsys.readouterr().err.splitlines()
        assert text.startswith("symnet: the loss has grown from ") and f"lower learning_rate (now {rate:g})" in text
    line.fit(X, y[:, None], epochs=12, optimizer="sgd", learning_rate=0.01)
    assert capsys.readouterr().err == ""


# --- the table


def event(epoch: int, step: int, **more: Any) -> dict[str, Any]:
    return {"epoch": epoch, "epochs": 30, "step": step, "steps": 5, "loss": 0.5, "learning_rate": 0.001, **more}


def drawn(table: Table, losses: list[float], steps: int | None = 5) -> None:
    for epoch, loss in enumerate(losses, 1):
        for step in (3, 5):
            table._drawn = 0.0  # every step is shown
            table.step(event(epoch, step, steps=steps))
        table.epoch(event(epoch, 5, loss=1 / epoch, val_loss=loss, val_accuracy=0.75, val_f1=0.5))


def made(width: int = 120, height: int = 40, samples: int | None = 100) -> tuple[Table, io.StringIO]:
    rich = pytest.importorskip("rich.console")
    file = io.StringIO()
    return Table(
        samples, rich.Console(file=file, width=width, height=height, force_terminal=True, color_system=None)
    ), file


def stays(file: io.StringIO) -> str:
    """What is on the terminal in the end: all after the last line that was erased."""
    return file.getvalue().rpartition("\x1b[2K")[2]


def test_the_table_marks_the_best_epoch() -> None:
    table, file = made()
    drawn(table, [0.5, 0.25, 0.75])
    table.note("something [bold]else")
    running = file.getvalue()
    assert "epoch 1/30" in running and "3/5" in running and "about" in running
    table.close()
    assert "symnet: something [bold]else" in running
    final = stays(file).splitlines()
    header = next(row for row in final if "val_loss" in row).split()
    assert header == "epoch loss val_loss val_accuracy val_f1 learning rate samples/s time".split()
    rows = [row.split() for row in final if "/30" in row]
    assert [row[0] for row in rows] == ["1/30", "2/30", "3/30"]
    assert rows[1][:6] == ["2/30", "0.5000", "0.2500", "75.00%", "0.5000", "0.001"]
    assert [row[-1] == "best" for row in rows] == [False, True, False]


def test_the_table_knows_narrow_and_low_terminals_and_sources_without_an_end() -> None:
    table, file = made(60, 12, samples=None)
    drawn(table, [0.2, *[1.0] * 19], steps=None)
    running = file.getvalue()
    last = running[running.rindex("epoch ") :]  # the last picture of the running table
    assert "step 5" in running and "samples/s" not in running
    assert last.count("/30") < 12 and "best" in running[running.rindex("val_loss") :]
    table.close()
    assert max(map(len, stays(file).splitlines())) <= 60 and stays(file).count("/30") == 20


def test_numbers() -> None:
    assert [number("val_accuracy", 0.5), number("val_top5_kind", 1), number("val_f1", 0.5)] == [
        "50.00%",
        "100.00%",
        "0.5000",
    ]
    assert number("loss", 12345678.0) == "1.235e+07"
    assert best_of({"loss": [3, 1, 2], "val_loss": [float("nan"), 5, 4]}) == ("val_loss", 2)
    assert best_of({"loss": [3, 1, 2]}) == ("loss", 1)


def test_lines_show_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    Lines().epoch(event(1, 5, val_loss=0.25, val_accuracy=0.5, val_f1=0.25, val_top3=0.75))
    assert capsys.readouterr().err == (
        "epoch  1/30   loss 0.5000   val_loss 0.2500   val_accuracy 50.00%   val_f1 0.2500   val_top3 75.00%\n"
    )


# --- TensorBoard


def test_event_files(net: sn.Network, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    losses: list[float] = []
    _, history = net.fit(
        X, Y, **HELD, metrics="f1", tensorboard=tmp_path / "new" / "run", histograms=True, schedule="linear",
        on_step=lambda event: losses.append(event["loss"]),
    )  # fmt: skip
    found = scalars(tmp_path / "new" / "run")
    for name, values in history.items():
        assert found[f"epoch/{name}"] == [(k, pytest.approx(v)) for k, v in enumerate(values, 1)]
    assert found["step/loss"] == [(k, pytest.approx(v)) for k, v in enumerate(losses, 1)]
    rates = [rate for _, rate in found["epoch/learning_rate"]]
    assert rates == sorted(rates, reverse=True) and len(set(rates)) == 4
    assert [step for step, _ in found["weights/out.weight"]] == [1, 2, 3, 4]


def test_a_resumed_run_counts_on(net: sn.Network, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    pytest.importorskip("safetensors")
    for epochs in (1, 3):
        net.fit(X, Y, epochs=epochs, checkpoint=tmp_path / "c", resume=True, tensorboard=tmp_path / f"t{epochs}")
    assert [step for step, _ in scalars(tmp_path / "t3")["step/loss"]] == [3, 4, 5, 6]


def test_nothing_is_written_for_bad_data(net: sn.Network, tmp_path: Path) -> None:
    for package in ("tensorboardX", "matplotlib"):
        pytest.importorskip(package)
    with pytest.raises(sn.DataError):
        net.fit(X[:, :3], Y, tensorboard=tmp_path / "t", plot=tmp_path / "p")
    assert not list(tmp_path.iterdir())
