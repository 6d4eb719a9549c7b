"""The adjoint rule against central differences, on programs drawn at random and run by the interpreter."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings

from building import Case, differences, with_loss
from codegen.oracle.check import check
from codegen.oracle.interpret import interpret
from equations import cases
from symnet.differentiate.reverse import cotangent_name, gradient


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases(differentiable=True).map(with_loss))
def test_gradients_agree_with_central_differences(case: Case) -> None:
    names = [t.name for t in case.program.tensors if t.kind in ("input", "parameter") and t.dtype == "float"]
    names.remove("weights")
    derived = gradient(case.program, names)
    check(derived)
    values = interpret(derived, case.arrays, case.sizes)
    for name in names:
        expected = differences(case, name)
        got = values[cotangent_name(name)]
        scale = max(np.abs(got).max(initial=0.0), np.abs(expected).max(initial=0.0), 1e-3)
        assert np.abs(got - expected).max(initial=0.0) / scale < 1e-6, name
