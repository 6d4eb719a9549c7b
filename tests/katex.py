"""The vendored KaTeX in a JavaScript engine, for tests; without the `quickjs` package they skip."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

import pytest

from symnet.explain import katex

CHECK = """
function refused(latex) {
  try { katex.renderToString(latex, {displayMode: true, strict: "error", throwOnError: true}); return ""; }
  catch (problem) { return String(problem); }
}
"""


@lru_cache(maxsize=1)
def engine() -> Callable[[str], str]:
    """What says why KaTeX refuses a formula in its strict mode, "" where it does not."""
    quickjs = pytest.importorskip("quickjs", reason="KaTeX in strict mode needs the quickjs package")
    context = quickjs.Context()
    context.eval(katex.script())
    context.eval(CHECK)
    function: Callable[[str], str] = context.get("refused")
    return function


def refused(formulas: Iterable[str]) -> list[str]:
    """The formulas that KaTeX refuses, each with the reason."""
    check = engine()
    return [f"{latex}\n    {problem}" for latex in formulas if (problem := check(latex))]
