"""Builds docs/formulas.md: the formulas of the study notes beside what symnet derives, each tried on numbers.

python docs/build_formulas.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import symnet as sn
from codegen.oracle.whole import evaluate
from symnet.differentiate.reverse import gradient
from symnet.explain.matrix.prepare import Prepared, prepare
from symnet.explain.matrix.recognise import Formula
from symnet.explain.matrix.value import largest_difference
from symnet.verify.draw import drawn

PAGE = Path(__file__).with_name("formulas.md")

INTRODUCTION = """# Formulas: by hand and derived

On the left stands a formula as textbooks and study notes have it, on the right what `symnet latex --notation matrix`
derives for a small network. Nothing on the right is typed in: each formula is recognised in the index structure of
the derived equations, and held against those equations on random numbers when this page is built.

- $n$ counts the samples. The loss is the mean over the samples, $L = \\frac{1}{N} \\sum_n L_n$, and $\\delta_n$,
  $\\bar{v}_n$ are the errors of $L_n$, the loss of one sample, which is what the notes mean by $\\delta$; gradients of
  parameters are those of the mean, so they carry $\\frac{1}{N} \\sum_n$.
- A layer's name stands above its symbols where the notes have the number of the layer. For pictures $p$ and $d$
  are maps: $W^{p,d}$ is the kernel from map $d$ to map $p$.
- $\\otimes$ is cross-correlation and $\\tilde{\\otimes}$ the full (wide) one; $P$ below them is the padding (with
  $\\tilde{\\otimes}$: how many positions are left out at each side), $S$ the stride, $D$ the dilation.
- $\\odot$ is the elementwise product. Layout: denominator, except where it says otherwise.
"""


@dataclass(frozen=True)
class Row:
    """A formula of the notes, and the tensor whose derived formula belongs beside it."""

    notes: str
    tensor: str


@dataclass(frozen=True)
class Part:
    """A section: a network, and rows about it."""

    title: str
    network: Callable[[], sn.Model]
    rows: tuple[Row, ...]
    layout: str = "denominator"
    remark: str = ""


def dense() -> sn.Model:
    """Three layers of sigmoid units with softmax and cross-entropy."""
    x = sn.Input((6,), name="x")
    h = sn.Dense(4, activation="sigmoid", name="one")(sn.Dense(5, activation="sigmoid", name="zero")(x))
    return sn.Model(x, sn.Dense(3, name="two")(h), loss=sn.CrossEntropy(), name="dense")


def risk() -> sn.Model:
    """Softmax regression with a penalty."""
    x = sn.Input((6,), name="x")
    return sn.Model(x, sn.Dense(3, name="linear")(x), loss=sn.CrossEntropy(), name="risk", l2=0.01)


def squared() -> sn.Model:
    """Sigmoid units and the squared-error cost."""
    x = sn.Input((6,), name="x")
    h = sn.Dense(4, activation="sigmoid", name="hidden")(x)
    return sn.Model(x, sn.Dense(3, activation="sigmoid", name="out")(h), loss=sn.SquaredError(), name="squared")


def logistic() -> sn.Model:
    """One unit with binary cross-entropy."""
    x = sn.Input((4,), name="x")
    return sn.Model(x, sn.Dense(1, name="unit")(x), loss=sn.BinaryCrossEntropy(), name="logistic")


def convolutions() -> sn.Model:
    """Two convolutions without padding, then a dense layer."""
    image = sn.Input((2, 7, 7), name="image")
    h = sn.Conv2D(2, 3, activation="tanh", name="near")(sn.Conv2D(3, 3, activation="tanh", name="far")(image))
    return sn.Model(image, sn.Dense(3, name="out")(sn.Flatten()(h)), loss=sn.CrossEntropy(), name="convolutions")


def strided() -> sn.Model:
    """The same with stride and padding."""
    image = sn.Input((2, 7, 7), name="image")
    h = sn.Conv2D(3, 3, padding=1, activation="relu", name="far")(image)
    h = sn.Conv2D(2, 3, stride=2, padding=1, name="near")(h)
    return sn.Model(image, sn.Dense(3, name="out")(sn.Flatten()(h)), loss=sn.CrossEntropy(), name="strided")


def pools() -> sn.Model:
    """A mean and a maximum, each after a convolution."""
    image = sn.Input((1, 8, 8), name="image")
    h = sn.AvgPool2D(2, name="mean")(sn.Conv2D(2, 3, padding=1, activation="tanh", name="first")(image))
    h = sn.MaxPool2D(2, name="max")(sn.Conv2D(2, 3, padding=1, activation="tanh", name="second")(h))
    return sn.Model(image, sn.Dense(3, name="out")(sn.Flatten()(h)), loss=sn.CrossEntropy(), name="pools")


def recurrent() -> sn.Model:
    """Elman's network with an output at every step."""
    x = sn.Input((4, 3), name="x")
    h = sn.SimpleRNN(5, name="rnn")(x)
    loss = sn.CrossEntropy(reduction="sum_over_time")
    return sn.Model(x, sn.Dense(3, name="o")(h), loss=loss, name="recurrent")


PARTS: tuple[Part, ...] = (
    Part(
        "Fully connected layers",
        dense,
        (
            Row(r"z_l = W_l \, a_{l-1} + b_l", "one.z"),
            Row(r"a_l = \sigma(z_l)", "one"),
            Row(r"\delta_k = (W_{k+1}^{\top} \, \delta_{k+1}) \odot \sigma'(z_k)", "d_one.z"),
            Row(r"\partial_{W_k} = \delta_k \, a_{k-1}^{\top}", "d_one.weight"),
            Row(r"\partial_{b_k} = \delta_k", "d_one.bias"),
        ),
    ),
    Part(
        "The same in numerator layout",
        dense,
        (
            Row(r"\delta_k = \delta_{k+1} \, W_{k+1} \operatorname{diag}(\sigma'(z_k))", "d_one.z"),
            Row(r"\partial_{W_k} = a_{k-1} \, \delta_k", "d_one.weight"),
            Row(r"\partial_{b_k} = \delta_k", "d_one.bias"),
        ),
        layout="numerator",
        remark="Every derivative is the transpose of the one above: errors are rows.",
    ),
    Part("Softmax with cross-entropy", dense, (Row(r"\delta = \hat{y} - y", "d_two"),)),
    Part(
        "Structural risk",
        risk,
        (
            Row(r"R = \frac{1}{N} \sum_n L_n + \frac{\lambda}{2} \lVert W \rVert_F^2", "loss"),
            Row(r"\frac{1}{N} \sum_n \partial_W L_n + \lambda W", "d_linear.weight"),
            Row(r"\frac{1}{N} \sum_n \partial_b L_n", "d_linear.bias"),
        ),
    ),
    Part("Squared error", squared, (Row(r"\delta = 2 \, (a - y) \odot \sigma'(z)", "d_out.z"),)),
    Part("Logistic regression", logistic, (Row(r"\delta = \sigma(z) - y", "d_unit"),)),
    Part(
        "Convolution",
        convolutions,
        (
            Row(r"Z^p = \sum_d W^{p,d} \otimes X^d + b^p", "far.z"),
            Row(r"\frac{\partial L}{\partial W^{p,d}} = \delta^p \otimes X^d", "d_far.weight"),
            Row(r"\frac{\partial L}{\partial b^p} = \sum_{i,j} \delta^p_{i,j}", "d_far.bias"),
            Row(
                r"\delta^{l,d} = f'(Z^{l,d}) \odot \sum_p \operatorname{rot180}(W^{l+1,p,d})"
                r" \tilde{\otimes} \delta^{l+1,p}",
                "d_far.z",
            ),
        ),
    ),
    Part(
        "Convolution with stride and padding",
        strided,
        (
            Row(r"Z^p = \sum_d W^{p,d} \otimes X^d + b^p", "near"),
            Row(r"\frac{\partial L}{\partial W^{p,d}} = \delta^p \otimes X^d", "d_near.weight"),
            Row(
                r"\delta^{l,d} = f'(Z^{l,d}) \odot \sum_p \operatorname{rot180}(W^{l+1,p,d})"
                r" \tilde{\otimes} \delta^{l+1,p}",
                "d_far.z",
            ),
        ),
    ),
    Part(
        "Pooling",
        pools,
        (
            Row(r"\delta^l = f'(Z^l) \odot \operatorname{upsample}(\delta^{l+1}) \quad \text{(mean)}", "d_first.z"),
            Row(r"\delta^l = f'(Z^l) \odot \operatorname{upsample}(\delta^{l+1}) \quad \text{(max)}", "d_second.z"),
        ),
        remark="A pooling layer has no pre-activation of its own: its error is that of its value, $\\bar{A}$. "
        "$M$ holds the recorded positions of the maxima.",
    ),
    Part(
        "Elman's recurrent network",
        recurrent,
        (
            Row(
                r"\delta_t = V^{\top} (\hat{y}_t - y_t) + W^{\top} \operatorname{diag}(1 - h_{t+1}^2) \, \delta_{t+1}",
                "d_rnn",
            ),
            Row(
                r"\frac{\partial L}{\partial W} = \sum_t \operatorname{diag}(1 - h_t^2) \, \delta_t \, h_{t-1}^{\top}",
                "d_rnn.weight_hh",
            ),
            Row(
                r"\frac{\partial L}{\partial U} = \sum_t \operatorname{diag}(1 - h_t^2) \, \delta_t \, x_t^{\top}",
                "d_rnn.weight_ih",
            ),
            Row(r"\frac{\partial L}{\partial b} = \sum_t \operatorname{diag}(1 - h_t^2) \, \delta_t", "d_rnn.bias_ih"),
            Row(r"\frac{\partial L}{\partial V} = \sum_t (\hat{y}_t - y_t) \, h_t^{\top}", "d_o.weight"),
            Row(r"\frac{\partial L}{\partial c} = \sum_t (\hat{y}_t - y_t)", "d_o.bias"),
        ),
        remark="Here $\\delta_t = \\partial L / \\partial h_t$; $U$ is `rnn.weight_ih`, $W$ is `rnn.weight_hh`, "
        "$V$ and $c$ are weight and bias of the layer `o`.",
    ),
)


def page() -> str:
    """The whole page."""
    worst, texts = 0.0, []
    for part in PARTS:
        model = part.network()
        ready = prepare(gradient(model.program, [p.name for p in model.parameters]), part.layout)
        values = evaluate(ready.program, drawn(model, seed=1, samples=2))
        lines = [f"## {part.title}", "", *([part.remark, ""] if part.remark else [])]
        lines += ["| by hand | derived |", "| --- | --- |"]
        for row in part.rows:
            formula = _formula(ready, row.tensor)
            worst = max(worst, _difference(formula, ready, values))
            left, right = ready.writer.text(formula.target), ready.writer.text(formula.node)
            lines.append(f"| ${row.notes}$ | ${left} = {right}$ |")
        texts.append("\n".join(lines))
    closing = f"The largest difference between the two sides of a derived formula was below {_bound(worst)}."
    text = "\n\n".join([INTRODUCTION.rstrip(), *texts, closing]) + "\n"
    # GitHub does not render \\operatorname.
    return text.replace("\\operatorname{", "\\mathrm{")


def _formula(ready: Prepared, tensor: str) -> Formula:
    return next(s for s in ready.statements if isinstance(s, Formula) and s.target.tensor == tensor)


def _difference(formula: Formula, ready: Prepared, values: dict[str, object]) -> float:
    sizes = {"N": 2}
    return largest_difference(formula.target, formula.node, formula.labels, values, sizes, ready.transposed)  # type: ignore[arg-type]


def _bound(worst: float) -> str:
    """A power of ten above the difference: the difference itself varies from machine to machine."""
    power = next(k for k in range(15, 0, -1) if worst < 10.0**-k)
    return f"$10^{{-{min(power, 12)}}}$"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
    print(f"wrote {PAGE}")
