"""Generated code against the interpreter, on programs drawn by Hypothesis."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from codegen.interpret import interpret
from symnet.derive.reverse import gradient
from building import Case, with_loss
from equations import cases
from running import run

QUIET = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def agree(case: Case, outputs: tuple[str, ...], target: str) -> None:
    expected = interpret(case.program, case.arrays, case.sizes)
    found = run(case.program, case.arrays, case.sizes, outputs, target)
    for name in outputs:
        scale = max(np.max(np.abs(expected[name]), initial=0.0, where=np.isfinite(expected[name])), 1e-3)
        np.testing.assert_allclose(found[name] / scale, expected[name] / scale, atol=1e-11, rtol=0, err_msg=name)


@pytest.mark.parametrize("target", ["numpy", "numexpr"])
@QUIET
@given(case=cases())
def test_values(target: str, case: Case) -> None:
    agree(case, (case.result,), target)
