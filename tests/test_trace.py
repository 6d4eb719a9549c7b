"""What each pass did: the table, the page, and passes that are left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import symnet as sn
from codegen.machine.target import TARGETS
from codegen.passes import table
from codegen.passes.table import PASSES, switched_off
from symnet.cli.main import main
from symnet.cli.trace import changed
from symnet.network.compiler import Network

FILE = str(Path(__file__).resolve().parent.parent / "examples" / "digits_mlp.toml")


def compiled(*without: str) -> Network:
    x = sn.Input((4,), dtype="int", name="x")
    h = sn.LSTM(3, name="cell")(sn.Embedding(5, 4, name="table")(x))
    model = sn.Model(x, sn.Dense(5, name="out")(h), loss=sn.CrossEntropy(), name="m")
    return sn.compile(model, dtype="float64", target="numpy", without=without)


def test_every_pass_of_the_target_is_traced_in_order() -> None:
    net = compiled()
    expected = [row.name for row in PASSES if row.suits(TARGETS["numpy"])]
    assert [each.name for each in net.trace if each.title == "training"] == expected
    does = {each.name for each in net.trace if changed(each)}
    assert {"table-first", "merge", "softmax", "time-major", "gates", "lower"} <= does
    for one, after in zip(net.trace, net.trace[1:], strict=False):
        if one.phase == after.phase:
            assert after.before is one.after


def test_a_pass_that_is_left_out_does_not_run_and_what_needs_it_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "gates" not in {each.name for each in compiled("gates").trace}
    rows = tuple(replace(row, needs=("gates",)) if row.name == "row-copies" else row for row in PASSES)
    monkeypatch.setattr(table, "PASSES", rows)
    assert switched_off({"gates"}) == {"gates", "row-copies"}


@pytest.mark.parametrize("name", [row.name for row in PASSES if row.optional and all(map(row.suits, TARGETS.values()))])
def test_a_network_is_right_without_any_one_pass(name: str) -> None:
    whole, less = compiled().module, compiled(name).module
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, (3, 4)), rng.integers(0, 5, (3, 4))
    params = whole.init_params(1)
    loss, grads = whole.loss_and_grads(params, x, y)
    other, found = less.loss_and_grads(params, x, y)
    assert other == pytest.approx(loss, rel=1e-12)
    for key, expected in grads.items():
        np.testing.assert_allclose(found[key], expected, rtol=1e-9, atol=1e-12, err_msg=key)


def test_the_command_prints_a_table_and_writes_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "passes.html"
    words = ["compile", FILE, "-o", str(tmp_path / "m.py"), "--trace", "--trace-page", str(page), "--without", "inline"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("program") and "merge" in printed and "inline" not in printed
    text = page.read_text(encoding="utf-8")
    assert text.count("<section ") == printed.count("training") and "<ins># logits" not in text
    assert "http" not in text, "it needs nothing from elsewhere"


def test_the_nearest_pass_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", FILE, "-o", str(tmp_path / "m.py"), "--without", "gate"]) == 2
    assert "symnet compile: --without: unknown 'gate'; did you mean 'gates'?" in capsys.readouterr().err
    assert main(["compile", FILE, "-o", str(tmp_path / "m.py"), "--without", "lower"]) == 2


def test_a_page_ends_in_html(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compile", FILE, "-o", str(tmp_path / "m.py"), "--trace-page", str(tmp_path / "passes.txt")]
    assert main(words) == 2
    assert "expected a file name that ends with .html, got '.txt'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
