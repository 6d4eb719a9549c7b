"""Drawn networks that mix recurrences, attention, norms and convolutions of every kind, against PyTorch."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

import symnet as sn
from batch import Network
from mixed_drawn import pictures, sequences

pytest.importorskip("torch", reason="PyTorch is not installed")

from agreement import agree

EXAMPLES = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
TARGETS = ("numpy", "auto")


@EXAMPLES
@given(case=sequences())
def test_drawn_sequences(case: Network) -> None:
    for target in TARGETS:
        agree(sn.compile(case.model, dtype="float64", target=target).module, case)


@EXAMPLES
@given(case=pictures())
def test_drawn_pictures(case: Network) -> None:
    for target in TARGETS:
        agree(sn.compile(case.model, dtype="float64", target=target).module, case)
