"""The corpus with every pass watched: none changes a number.  All of it where CI is set, a share of it elsewhere."""

from __future__ import annotations

import os

import pytest

import symnet as sn
from codegen.machine.target import TARGETS
from codegen.passes.table import PASSES
from corpus import NETWORKS, network

SHARE = (
    *("conv2d everything", "pool max overlapping stride", "concat rows", "formula causal attention"),
    *("formula running sum", "lookup", "masked", "cross-entropy of a sequence"),
)


@pytest.mark.parametrize("name", NETWORKS if os.environ.get("CI") else SHARE)
@pytest.mark.parametrize("target", ["numpy", "numba"])
def test_no_pass_changes_a_number(
    name: str, target: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYMNET_DEBUG", "3")
    net = sn.compile(network(name).model, dtype="float64", target=target)
    expected = [row.name for row in PASSES if row.suits(TARGETS[target])]
    assert [each.name for each in net.trace if each.title == "training"] == expected
    assert "judged by nobody" not in capsys.readouterr().err
