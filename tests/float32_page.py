"""docs/float32.md: how far float32 is from the right value, by function, loss, norm and target.

PYTHONPATH=.:tests python -m float32_page            builds the page anew; numba compiles for some minutes
PYTHONPATH=.:tests python -m float32_page tanh Huber prints the rows of these
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import symnet as sn
from float32_errors import POINTS, Case, Error, Weighted
from symnet.model.activations import ACTIVATIONS

PAGE = Path(__file__).parents[1] / "docs" / "float32.md"
TARGETS = ("numpy", "numexpr", "numba")
MORE = {
    "exp": "exp(x[n])",
    "exp(x) - 1": "exp(x[n]) - 1",
    "sinh": "sinh(x[n])",
    "cosh": "cosh(x[n])",
    "log(cosh(x))": "log(cosh(x[n]))",
    "log(1 + exp(x))": "log(1 + exp(x[n]))",
    "log(sigmoid(x))": "log(sigmoid(x[n]))",
    "log(1 - tanh(x)^2)": "log(1 - tanh(x[n])**2)",
    "atan": "atan(x[n])",
    "erf": "erf(x[n])",
    "x/(1 + abs(x))": "x[n]/(1 + abs(x[n]))",
    "x*tanh(softplus(x))": "x[n]*tanh(softplus(x[n]))",
    "x/(1 + x^2)": "x[n]/(1 + x[n]**2)",
    "sqrt(1 + x^2)": "sqrt(1 + x[n]**2)",
}
"""Functions that people write out."""


def elementwise(name: str, text: str) -> Case:
    """A function of one number."""

    def build() -> sn.Model:
        x = sn.Input((), name="x")
        return sn.Model(x, sn.Formula(f"y[n] = {text}", name="f")(x), loss=Weighted(), name="m")

    return Case(name, build)


def row(name: str, layer: Callable[[], sn.Layer], terms: float = 0) -> Case:
    """A layer over rows of four numbers."""

    def build() -> sn.Model:
        x = sn.Input((4,), name="x")
        return sn.Model(x, layer()(x), loss=Weighted(), name="m")

    return Case(name, build, terms=terms)


def loss(made: sn.losses.Loss, goal: Sequence[float] | Sequence[int], terms: float = 0) -> Case:
    """A loss of rows of four numbers beside a target."""

    def build() -> sn.Model:
        x = sn.Input((4,), name="x")
        return sn.Model(x, sn.Activation("linear")(x), loss=made, name="m")

    return Case(made.kind, build, np.array([goal]) if len(goal) > 1 else np.array(goal), terms)


CASES = (
    *(elementwise(name, f"{name}(x[n])") for name in ACTIVATIONS if name != "linear"),
    *(elementwise(name, text) for name, text in MORE.items()),
    row("Softmax", sn.Softmax, 1),
    row("LayerNorm", lambda: sn.LayerNorm(name="f")),
    row("RMSNorm", lambda: sn.RMSNorm(name="f")),
    row("GroupNorm", lambda: sn.GroupNorm(name="f")),
    loss(sn.CrossEntropy(), [2], 1),
    loss(sn.BinaryCrossEntropy(), [1.0, 0.0, 1.0, 0.0], 1),
    loss(sn.MeanSquaredError(), [0.5, -0.5, 2.0, 0.0]),
    loss(sn.Huber(), [0.5, -0.5, 2.0, 0.0]),
    loss(sn.LogCosh(), [0.5, -0.5, 2.0, 0.0]),
    loss(sn.Hinge(), [1.0, -1.0, 1.0, 1.0]),
    loss(sn.PerceptronLoss(), [1.0, -1.0, 1.0, 1.0]),
    loss(sn.KLDivergence(), [0.5, 0.25, 0.125, 0.125], 1),
)

ROUNDED = "It is computed from the value, which was rounded: off by a unit in the last place of 1."
INFINITE = "exp(-x) is infinite there already."
SQUARES = "A square is infinite, or a sum of them."
REASONS = {
    ("elu", "gradient"): ROUNDED,
    ("exp(x) - 1", "gradient"): ROUNDED,
    ("tanh", "gradient"): ROUNDED,
    ("sigmoid", "gradient"): ROUNDED,
    ("silu", "value"): INFINITE,
    ("silu", "gradient"): INFINITE,
    ("x*tanh(softplus(x))", "value"): INFINITE,
    ("x*tanh(softplus(x))", "gradient"): INFINITE,
    ("gelu", "value"): "Left of -4, 1 + erf cancels; at the largest numbers, twice the value is infinite.",
    ("gelu", "gradient"): "1 + erf cancels.",
    ("gelu_tanh", "value"): "1 + tanh cancels; at the largest numbers, twice the value is infinite.",
    ("gelu_tanh", "gradient"): "The cube of x is infinite, and 0 times that is no number.",
    ("log(1 - tanh(x)^2)", "value"): "The sum of logarithms that it is computed as cancels near 0.",
    ("log(1 - tanh(x)^2)", "gradient"): "Numbers below the normal ones are 0 in compiled code.",
    ("x/(1 + abs(x))", "gradient"): "1 - x/(1 + x) cancels.",
    ("x/(1 + x^2)", "value"): SQUARES,
    ("x/(1 + x^2)", "gradient"): SQUARES,
    ("sqrt(1 + x^2)", "value"): SQUARES,
    ("sqrt(1 + x^2)", "gradient"): SQUARES,
    ("LayerNorm", "value"): SQUARES,
    ("LayerNorm", "gradient"): SQUARES,
    ("GroupNorm", "value"): SQUARES,
    ("GroupNorm", "gradient"): SQUARES,
    ("RMSNorm", "value"): SQUARES,
    ("RMSNorm", "gradient"): SQUARES,
    ("MeanSquaredError", "value"): SQUARES,
}
"""Why a row has more than what is allowed."""

INTRODUCTION = f"""# float32 at its ends

How far a module in float32 is from the right value, over the whole range of float32: {len(POINTS)} numbers of either
sign from 1e-44 to 3.4e38 for a function of one number, rows of four from 1e-38 to 1e37, and rows with up to 1e30 in
common. What is right is computed from the equations as they are declared, in 400 digits, and slopes as differences.

Allowed are $4 + 4\\,|x f'(x)/f(x)|$ units in the last place, since a rounded argument alone moves a value by about as
much, and twice that for a gradient; in a row, units of the row's largest number, and of 1 where numbers of that size
are added up (softmax and the losses of logits); below the normal numbers, 2.4e-38. A number of the table is the
greatest share of what is allowed: up to 1, all is as it should be. Where it is above 1, the lists say where, and why.
Right values beyond float32 are left out, and so are gradients at a kink.

Built by `PYTHONPATH=.:tests python -m float32_page`; a test holds that it is so.
"""


def found(case: Case, targets: Sequence[str] = TARGETS) -> dict[str, tuple[Error, ...]]:
    """The errors of values and of gradients, by column."""
    errors = {target: case.errors(target) for target in targets}
    return {f"{t}: {part}": getattr(each, of) for t, each in errors.items() for part, of in PARTS.items()}


PARTS = {"value": "values", "gradient": "slopes"}


def worst(errors: Sequence[Error]) -> Error:
    """The one that is furthest off."""
    return max(errors, key=lambda error: error.share)


def shown(share: float) -> str:
    """A share of what is allowed."""
    return f"{share:.1f}" if share <= 1 else "**not finite**" if share == float("inf") else f"**{share:.0e}**"


def remark(errors: Sequence[Error]) -> str:
    """Where more than what is allowed was found, with an example."""
    most = worst(errors)
    return f"{', '.join(runs(errors))}, such as {most.got:.3g} for {most.right:.3g} at {most.at:.3g}"


def runs(errors: Sequence[Error]) -> list[str]:
    """The ranges in which more than what is allowed was found, point after point."""
    worst_at: dict[float, float] = {}
    for error in errors:
        worst_at[error.at] = max(worst_at.get(error.at, 0.0), error.share)
    spans: list[list[float]] = []
    after = False
    for at in sorted(worst_at):
        if worst_at[at] > 1:
            spans = spans if after else [*spans, [at, at]]
            spans[-1][1] = at
        after = worst_at[at] > 1
    return [f"{a:.3g}" if a == b else f"{a:.3g} to {b:.3g}" for a, b in spans]


def section(cases: Sequence[Case], targets: Sequence[str] = TARGETS) -> str:
    """The table of some cases, and the list of what is not as it should be."""
    columns = [f"{target}: {part}" for target in targets for part in PARTS]
    rows, remarks = [["", *columns], ["---"] * (len(columns) + 1)], []
    for case in cases:
        errors = found(case, targets)
        rows.append([case.name, *(shown(worst(errors[c]).share) for c in columns)])
        for part in PARTS:
            told = {t: remark(errors[f"{t}: {part}"]) for t in targets if worst(errors[f"{t}: {part}"]).share > 1}
            for text in dict.fromkeys(told.values()):
                which = [t for t in told if told[t] == text]
                on = "" if len(which) == len(targets) else f" ({', '.join(which)})"
                why = REASONS.get((case.name, part), "")
                remarks.append(f"- `{case.name}`, {part}{on}: {text}.{' ' if why else ''}{why}")
        print(" | ".join(rows[-1]), *remarks[-2:], sep="\n", flush=True)
    return "\n".join(["| " + " | ".join(cells) + " |" for cells in rows] + (["", *remarks] if remarks else []))


def main() -> None:
    chosen = [case for case in CASES if case.name in sys.argv[1:]]
    if chosen:
        print(section(chosen))
        return
    ones, rows = [c for c in CASES if not c.is_row], [c for c in CASES if c.is_row]
    parts = ("Functions of one number", ones), ("Rows: softmax, norms, losses", rows)
    text = [INTRODUCTION, *(f"## {title}\n\n{section(cases)}\n" for title, cases in parts)]
    PAGE.write_text("\n".join(text), "utf-8")


if __name__ == "__main__":
    main()
