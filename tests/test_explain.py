"""LaTeX of equations, derivations and documents, against formulas written out."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

import symnet as sn
from codegen.ir.equation import Program, slot
from networks import N, cnn, equation, mlp, read, tensor
from symnet.differentiate.programs import network
from symnet.differentiate.reverse import gradient
from symnet.explain.latex import chapters, document, legend, tex
from symnet.explain.solve import gathered

Golden = Callable[[str, str], None]

WORDS = r"""\text \mathrm \delta \bar \hat \ell \frac \partial \sum \prod \max \exp \left \right \mathop \limits
    \substack \mid \le \ge \ne \lfloor \rfloor \quad \mathrel \begin \end \times \sqrt \sigma \log \tanh \cdot
    \, \_ \\"""
"""The commands a document of the tests may use; KaTeX and amsmath know all of them."""


def with_gradients(program: Program, *more: str) -> Program:
    """The program and the gradients of its parameters, and of the tensors in `more`."""
    return gradient(program, [t.name for t in program.tensors if t.kind == "parameter"] + list(more))


def lines_of(program: Program, chapter: str) -> dict[str, str]:
    """Right sides of a chapter by left side."""
    found = [s for c in chapters(program) if c.title == chapter for s in c.sections]
    return {left: right.removeprefix("= ") for section in found for left, right in section.lines}


def strided(pad: int, kernel: int) -> Program:
    """A convolution of stride 2 over 9 positions, means of pairs of its outputs, and their squares as the loss."""
    window = (read("c.weight", "p,d,u"), read("x", f"n,d,2*i+u-{pad}"))
    forward = {"stage": "forward", "over": ("d", "u"), "origin": "c"}
    pool = {"stage": "forward", "over": ("u",), "origin": "pool"}
    loss = {"stage": "loss", "over": ("n", "c", "i"), "origin": "loss"}
    return Program(
        (
            tensor("x", "N,2,9", "input"),
            tensor("c.weight", f"4,2,{kernel}", "parameter"),
            tensor("c", "N,4,5"),
            tensor("pool", "N,4,2"),
            tensor("loss", "", "result"),
        ),
        (
            equation("c", "n,p,i", slot(0) * slot(1), window, f"n:N p:4 i:5 d:2 u:{kernel}", **forward),
            equation("pool", "n,c,i", slot(0) / 2, (read("c", "n,c,2*i+u"),), "n:N c:4 i:2 u:2", **pool),
            equation("loss", "", slot(0) ** 2 / N, (read("pool", "n,c,i"),), "n:N c:4 i:2", **loss),
        ),
    )


# The derivations to reach


def test_softmax_cross_entropy_reads_as_prediction_minus_label() -> None:
    gradients = lines_of(with_gradients(mlp()), "Gradients")
    assert gradients[r"\delta^{\text{dense\_2}}_{n,c}"] == r"\frac{\hat{y}_{n,c} - [c = y_{n}]}{N}"


def test_dense_gradients() -> None:
    gradients = lines_of(with_gradients(mlp()), "Gradients")
    delta, d1 = r"\delta^{\text{dense\_2}}", r"\text{dense\_1}"
    assert (
        gradients[rf"\bar{{a}}^{{{d1}}}_{{n,i}}"] == rf"\sum_{{o}} W^{{\text{{dense\_2}}}}_{{o,i}} \, {delta}_{{n,o}}"
    )
    assert gradients[r"\frac{\partial L}{\partial b^{\text{dense\_2}}_{o}}"] == rf"\sum_{{n}} {delta}_{{n,o}}"
    a = rf"a^{{{d1}}}_{{n,o}}"
    assert gradients[rf"\delta^{{{d1}}}_{{n,o}}"] == rf"\bar{{a}}^{{{d1}}}_{{n,o}} \, {a} \, \left(1 - {a}\right)"


def test_convolution_input_gradient_shows_the_rotated_kernel() -> None:
    gradients = lines_of(with_gradients(cnn(), "image"), "Gradients")
    c = r"\text{conv2d\_1}"
    expected = rf"\sum_{{p,u,v}} W^{{{c}}}_{{p,d,2 - u,2 - v}} \, \delta^{{{c}}}_{{n,p,h + u - 1,w + v - 1}}"
    assert gradients[r"\bar{x}_{n,d,h,w}"] == expected


def test_strided_convolution_divides() -> None:
    gradients = lines_of(with_gradients(strided(1, 3), "x"), "Gradients")
    expected = (
        r"\sum_{\substack{p,u \\ 2 \mid h - u + 1}} W^{\text{c}}_{p,d,u} \, \delta^{\text{c}}_{n,p,(h - u + 1)/2}"
    )
    assert gradients[r"\bar{x}_{n,d,h}"] == expected


def test_mean_pooling_spreads_the_error_evenly() -> None:
    gradients = lines_of(with_gradients(strided(1, 3)), "Gradients")
    assert gradients[r"\delta^{\text{c}}_{n,c,h}"] == r"\frac{\bar{a}^{\text{pool}}_{n,c,\lfloor h/2 \rfloor}}{2}"


def test_max_pooling_sends_the_error_to_the_maximum() -> None:
    gradients = lines_of(with_gradients(cnn()), "Gradients")
    m, place = r"m^{\text{maxpool2d\_1}}", "n,c,(h - u)/2,(w - v)/2"
    conditions = rf"{m}_{{{place}}} = 2u + v \\ 2 \mid h - u \\ 2 \mid w - v"
    expected = rf"\sum_{{\substack{{u,v \\ {conditions}}}}} \bar{{a}}^{{\text{{maxpool2d\_1}}}}_{{{place}}}"
    assert gradients[r"\bar{a}^{\text{conv2d\_1}}_{n,c,h,w}"] == expected


def test_solving_keeps_what_it_cannot_solve() -> None:
    flatten = next(e for e in cnn().equations if e.target == "flatten_1")
    assert flatten in gathered(cnn()).equations


# Documents


def test_documents_match_their_golden_files(golden: Golden) -> None:
    golden("mlp.md", document(with_gradients(mlp())))
    golden("cnn.md", document(with_gradients(cnn(), "image")))
    golden("mlp.tex", tex(with_gradients(mlp())))


@pytest.mark.parametrize("make", [mlp, cnn])
def test_documents_use_only_standard_commands(make: Callable[[], Program]) -> None:
    text = document(with_gradients(make()))
    maths = re.findall(r"```math\n(.*?)```", text, re.DOTALL)
    assert maths
    for block in maths:
        assert set(re.findall(r"\\(?:[A-Za-z]+|.)", block)) <= {*WORDS.split()}
        assert block.replace(r"\{", "").count("{") == block.replace(r"\}", "").count("}")
        assert block.count(r"\left") == block.count(r"\right")
        assert block.isascii()


def test_legend_names_every_primal_tensor() -> None:
    program = with_gradients(cnn())
    names = {name for _, name, _ in legend(program).symbols}
    assert names == {t.name for t in cnn().tensors} | {"loss.lse.softmax", "maxpool2d_1.argmax"}


# Whole models


def digits() -> sn.Model:
    """A small convolutional network on 8x8 digits."""
    image = sn.Input((1, 8, 8), name="image")
    h = sn.Conv2D(8, 3, padding="same", activation="relu")(image)
    h = sn.Flatten()(sn.MaxPool2D(2)(h))
    logits = sn.Dense(10)(sn.Dense(16, activation="sigmoid")(h))
    return sn.Model(image, logits, loss=sn.CrossEntropy(), name="digits_cnn", l2=1e-4)


def test_documents_of_a_model(golden: Golden) -> None:
    model = digits()
    program = gradient(model.program, [p.name for p in model.parameters] + ["image"])
    golden("digits_cnn.md", document(program, model))
    golden("digits_cnn.tex", tex(program, model))


def test_a_penalty_keeps_the_names_of_the_layer_and_adds_one_term() -> None:
    model = digits()
    gradients = lines_of(gradient(model.program, ["dense_1.weight"]), "Gradients")
    w = r"W^{\text{dense\_1}}_{o,i}"
    right = gradients[rf"\frac{{\partial L}}{{\partial {w}}}"]
    assert right.startswith(rf"0.0001 \, {w} + \sum_{{n}} \delta^{{\text{{dense\_1}}}}_{{n,o}}")


def test_a_kernel_of_one_point_has_no_offsets() -> None:
    image = sn.Input((3, 6, 6), name="image")
    forward = lines_of(sn.Model(image, sn.Conv2D(4, 1)(image)).program, "Forward")
    (right,) = forward.values()
    assert right.endswith(r"\sum_{d} W^{\text{conv2d\_1}}_{p,d,0,0} \, x_{n,d,i,j}")


def test_rewritten_programs_read_as_well() -> None:
    gradients = lines_of(network(digits()), "Gradients")
    assert gradients[r"\delta^{\text{dense\_2}}_{n,c}"] == r"\frac{\hat{y}_{n,c} - [c = y_{n}]}{N}"
    forward = lines_of(network(digits()), "Forward")
    # The pool comes before bias and activation, a row at a time.
    top = r"b^{\text{conv2d\_1}}_{c} + \text{max}^{\text{maxpool2d\_1}}_{n,c,i,j}"
    assert forward[r"a^{\text{maxpool2d\_1}}_{n,c,i,j}"] == rf"\max\left({top}, 0\right)"
    assert forward[r"a^{\text{dense\_1}}_{n,o}"] == r"\sigma\left(z^{\text{dense\_1}}_{n,o}\right)"


def test_binary_cross_entropy_reads_as_sigmoid_minus_label() -> None:
    x = sn.Input((4,), name="x")
    model = sn.Model(x, sn.Dense(1)(x), loss=sn.BinaryCrossEntropy())
    gradients = lines_of(gradient(model.program, [p.name for p in model.parameters]), "Gradients")
    z = r"z^{\text{dense\_1}}_{n,o}"
    assert gradients[r"\delta^{\text{dense\_1}}_{n,o}"] == rf"\frac{{\sigma\left({z}\right) - y_{{n,o}}}}{{N}}"
