"""LaTeX, FLOPs, receptive fields and the summary table, against formulas and tables written out."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import sympy

import symnet as sn
from codegen.affine import Affine
from codegen.equation import Equation, Guard, Program, Quotient, Read, Tensor, index_symbol, size_symbol, slot
from networks import N, affine, cnn, equation, mlp, read, tensor
from symnet.derive.reverse import gradient
from symnet.explain import flops, receptive
from symnet.explain.formula import equation as latex_of
from symnet.explain.latex import chapters, document, legend, tex
from symnet.explain.scalar import decimal, scalar
from symnet.explain.solve import gathered
from symnet.explain.subscripts import affine as latex_affine
from symnet.explain.subscripts import guard as latex_guard
from symnet.explain.summary import summary
from symnet.explain.symbols import Glyph, glyphs

Golden = Callable[[str, str], None]

WORDS = r"""\text \mathrm \delta \bar \hat \ell \frac \partial \sum \prod \max \exp \left \right \operatorname
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


# Symbols


def test_symbols_name_layer_and_role() -> None:
    signs = glyphs(with_gradients(mlp()))
    assert signs["dense_1.weight"].at(["o", "i"]) == r"W^{\text{dense\_1}}_{o,i}"
    assert signs["d_dense_1.weight"].at(["o", "i"]) == r"\frac{\partial L}{\partial W^{\text{dense\_1}}_{o,i}}"
    assert signs["d_dense_1.z"].at(["n", "o"]) == r"\delta^{\text{dense\_1}}_{n,o}"
    assert signs["d_dense_1"].at(["n", "i"]) == r"\bar{a}^{\text{dense\_1}}_{n,i}"
    assert signs["loss.lse.softmax"].at(["n", "c"]) == r"\hat{y}_{n,c}"
    assert (signs["image"].at(), signs["target"].at(), signs["loss"].at()) == ("x", "y", "L")


def test_a_suffix_becomes_a_word_above() -> None:
    rnn = Program((tensor("rnn.weight_ih", "4,3", "parameter"), tensor("g.alpha", "", "parameter")), ())
    signs = glyphs(rnn)
    assert signs["rnn.weight_ih"].at() == r"W^{\text{rnn, ih}}"
    assert signs["g.alpha"].at() == r"\alpha^{\text{g}}"


def test_no_two_tensors_share_a_symbol() -> None:
    names = ("a.x", "a.x.lse.softmax", "a.x.softmax", "a.x.logsumexp.softmax", "d_d_a.x", "d_a.x", "b", "b_1", "b.1")
    for program in (with_gradients(mlp()), with_gradients(cnn()), Program(tuple(tensor(n, "N") for n in names), ())):
        drawn = list(glyphs(program).values())
        assert len(set(drawn)) == len(drawn)


def test_names_are_escaped() -> None:
    assert Glyph("W", ("a_b#c%",)).at() == r"W^{\text{a\_b\#c\%}}"


# Scalars, subscripts, guards


X = slot(0)
SYMBOLS = {"_0": "x", "_1": "y"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (sympy.Piecewise((X, X > 0), (0, True)), r"\max\left(0, x\right)"),
        (sympy.Piecewise((1, X > 0), (0, True)) * slot(1), r"y \, [x > 0]"),
        (sympy.Piecewise((X - 1, X > 2), (X, True)), "x - [x > 2]"),
        (sympy.exp(X - slot(1)), r"\exp\left(x - y\right)"),
        (sympy.exp(-X), "e^{- x}"),
        (slot(1) - X - 1, "y - x - 1"),
        (X * sympy.Rational(44715, 1000000), r"0.044715 \, x"),
        (X / 4, r"\frac{x}{4}"),
        (X * sympy.Rational(-1, 1000), r"-0.001 \, x"),
    ],
)
def test_scalars_read_as_on_paper(body: sympy.Expr, expected: str) -> None:
    assert scalar(body, SYMBOLS) == expected


def test_decimals_are_exact_or_absent() -> None:
    assert decimal(sympy.Rational(-1, 8)) == "-0.125"
    assert decimal(sympy.Rational(1, 3)) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2*i+u-1", "2i + u - 1"), ("2-u", "2 - u"), ("0", "0"), ("h-u+1", "h - u + 1"), ("-1*i", "-i")],
)
def test_subscripts(text: str, expected: str) -> None:
    assert latex_affine(affine(text)) == expected


LABEL = Read("target", (Affine.of("n"),))


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (Guard(">=", affine("t-r")), r"r \le t"),
        (Guard(">=", affine("t-r-1")), "r < t"),
        (Guard(">=", affine("i-1")), r"i \ge 1"),
        (Guard(">=", affine("7-i")), r"i \le 7"),
        (Guard(">=", affine("i+2")), r"i \ge -2"),
        (Guard(">=", affine("i-j+3")), r"j \le i + 3"),
        (Guard(">=", affine("i-j-3")), r"j + 3 \le i"),
        (Guard("==", affine("c"), ((-1, LABEL),)), "c = y_{n}"),
        (Guard("==", affine("i-3")), "i = 3"),
        (Guard("==", affine("i+j+3")), "i + j = -3"),
        (Guard("==", affine("3-i")), "3 = i"),
        (Guard("!=", affine("i")), r"i \ne 0"),
        (Guard("!=", affine("0"), ((1, Read("mask", (Affine.of("n"),))),)), r"\text{mask}_{n}"),
        (Guard("divides", affine("h+1-u"), (), 2), r"2 \mid h - u + 1"),
    ],
)
def test_guards(item: Guard, expected: str) -> None:
    signs = {"target": Glyph("y"), "mask": Glyph(r"\text{mask}")}
    assert latex_guard(item, signs) == expected


def test_masked_reduction_and_floor() -> None:
    program = Program((tensor("e", "N,T"), tensor("s", "N,T")), ())
    item = Equation(
        "s",
        (Affine.of("n"), Affine.of("t")),
        slot(0),
        (Read("e", (Affine.of("n"), Quotient(Affine.of("r"), 2))),),
        (("n", Affine.of("N")), ("t", Affine.of("T")), ("r", Affine.of("T"))),
        over=("r",),
        reduce="logsumexp",
        guards=(Guard(">=", affine("t-r")),),
    )
    expected = r"s_{n,t} = \operatorname*{logsumexp}_{\substack{r \\ r \le t}} e_{n,\lfloor r/2 \rfloor}"
    assert latex_of(item, program.table, glyphs(program)) == expected


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
    maths = re.findall(r"\$\$(.*?)\$\$", text, re.DOTALL)
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


# Operation counts and receptive fields


def test_flops_of_the_mlp() -> None:
    # dense 2*20+5, sigmoid (exp, +, 1/) 3*5, dense 2*15+3
    assert flops.flops(mlp(), "forward") == N * (45 + 15 + 33)


def test_flops_of_the_cnn() -> None:
    conv, pool, dense = 4 * 64 * (2 * 9 + 1) + 4 * 64, 4 * 16 * 4, 3 * (2 * 64 + 1)
    assert flops.flops(cnn(), "forward") == N * (conv + pool + dense)


def test_flops_keep_symbolic_sizes() -> None:
    item = equation("y", "n,t", slot(0) * slot(1), (read("w", "i"), read("x", "n,t,i")), "n:N t:T i:3", over=("i",))
    assert flops.total([item]) == 6 * N * size_symbol("T")


def test_a_copy_costs_nothing_and_numbers_are_free() -> None:
    copy = next(e for e in cnn().equations if e.target == "flatten_1")
    assert flops.equation_flops(copy) == 0
    assert flops.operations(index_symbol("i") * 2 + 1) == 0


def test_receptive_fields_grow_with_the_windows() -> None:
    fields = receptive.receptive_fields(cnn())
    assert fields["conv2d_1"] == (3, 3)
    assert fields["maxpool2d_1"] == fields["flatten_1"] == (4, 4)
    assert fields["dense_1"] == (None, None)


@pytest.mark.parametrize(("kernel", "stride", "dilation", "layers"), [(3, 1, 1, 4), (5, 2, 1, 3), (3, 1, 4, 2)])
def test_receptive_fields_against_the_recurrence(kernel: int, stride: int, dilation: int, layers: int) -> None:
    equations, expected, jump = [], 1, 1
    for k in range(layers):
        source = f"y{k - 1}" if k else "x"
        reads = (read("w", "u"), read(source, f"n,{stride}*i+{dilation}*u-1"))
        box = f"n:N i:9 u:{kernel}"
        equations.append(equation(f"y{k}", "n,i", slot(0) * slot(1), reads, box, over=("u",), stage="forward"))
        expected, jump = expected + (kernel - 1) * dilation * jump, jump * stride
    tensors = (
        tensor("x", "N,99", "input"),
        tensor("w", str(kernel), "parameter"),
        *(tensor(e.target, "N,9") for e in equations),
    )
    assert receptive.receptive_fields(Program(tensors, tuple(equations)))[f"y{layers - 1}"] == (expected,)


def test_receptive_field_of_a_transposed_convolution() -> None:
    reads = (read("w", "u"), read("x", "n,i"))
    item = equation("y", "n,2*i+u", slot(0) * slot(1), reads, "n:N i:8 u:3", stage="forward")
    program = Program((tensor("x", "N,8", "input"), tensor("w", "3", "parameter"), tensor("y", "N,17")), (item,))
    assert receptive.receptive_fields(program)["y"] == (2,)


def test_a_recurrence_sees_all_of_time() -> None:
    reads = (read("x", "n,t"), read("h", "n,t-1"))
    item = equation("h", "n,t", slot(0) + slot(1), reads, "n:N t:T", stage="forward")
    program = Program((tensor("x", "N,T", "input"), tensor("h", "N,T")), (item,))
    assert receptive.spans(program)["h"] == {("x", 0): receptive.Span(((0, 1),)), ("x", 1): receptive.WHOLE}


# The table


@dataclass(frozen=True)
class Weight:
    name: str
    tensor: Tensor


@dataclass(frozen=True)
class Layer:
    name: str
    kind: str
    inputs: tuple[Tensor, ...]
    output: Tensor
    parameters: tuple[Weight, ...]
    equations: tuple[Equation, ...]


class CrossEntropy:
    """Stands for the loss of that name."""


@dataclass(frozen=True)
class Network:
    name: str
    layers: tuple[Layer, ...]
    output: Tensor
    loss: object
    program: Program


def network(program: Program, kinds: dict[str, str]) -> Network:
    """A chain of layers over `program`, as a model gives it."""
    table, layers, last = program.table, [], program.tensors[0]
    for name, kind in kinds.items():
        mine = tuple(
            Weight(t.name, t) for t in program.tensors if t.kind == "parameter" and t.name.startswith(name + ".")
        )
        equations = tuple(e for e in program.equations if e.origin == name)
        layers.append(Layer(name, kind, (last,), table[name], mine, equations))
        last = table[name]
    return Network("digits", tuple(layers), last, CrossEntropy(), program)


def test_summary_of_a_cnn(golden: Golden) -> None:
    kinds = {"conv2d_1": "Conv2D", "maxpool2d_1": "MaxPool2D", "flatten_1": "Flatten", "dense_1": "Dense"}
    text = summary(network(cnn(), kinds))
    golden("summary_cnn.txt", text + "\n")
    assert "3 x 3 / 1" in text and "2 x 2 / 2" in text and "  8 x   8 x   4" in text
    assert text.endswith("digits: 235 parameters, 5,763 FLOPs per sample (forward)")


def test_summary_of_dense_layers(golden: Golden) -> None:
    golden("summary_mlp.txt", summary(network(mlp(), {"dense_1": "Dense", "dense_2": "Dense"})) + "\n")


# Whole models


def digits() -> sn.Model:
    """A small convolutional network on 8x8 digits."""
    image = sn.Input((1, 8, 8), name="image")
    h = sn.Conv2D(8, 3, padding="same", activation="relu")(image)
    h = sn.Flatten()(sn.MaxPool2D(2)(h))
    logits = sn.Dense(10)(sn.Dense(16, activation="sigmoid")(h))
    return sn.Model(image, logits, loss=sn.CrossEntropy(), name="digits_cnn", l2=1e-4)


def notes() -> sn.Model:
    """The network of the table at the top of summary.py, with its strided and its 1x1 convolution."""
    picture = sn.Input((3, 48, 48), name="picture")
    h = sn.MaxPool2D(2)(sn.Conv2D(4, 3, padding="same", activation="relu")(picture))
    h = sn.MaxPool2D(2)(sn.Conv2D(8, 3, stride=2, padding=1, activation="relu")(h))
    h = sn.Flatten()(sn.Conv2D(16, 1, activation="relu")(h))
    return sn.Model(picture, sn.Dense(10)(h), loss=sn.CrossEntropy(), name="notes")


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
    model = notes()
    forward = lines_of(model.program, "Forward")[r"z^{\text{conv2d\_3}}_{n,p,i,j}"]
    assert r"\sum_{d} W^{\text{conv2d\_3}}_{p,d,0,0} \, a^{\text{maxpool2d\_2}}_{n,d,i,j}" in forward


def test_the_table_of_the_notes(golden: Golden) -> None:
    text = summary(notes())
    golden("summary_notes.txt", text + "\n")
    rows = [line.split() for line in text.splitlines()]
    fields = [row[row.index("->") :] for row in rows[1:6]]
    assert [" ".join(f[-4:-1]) for f in fields] == ["3 x 3", "4 x 4", "8 x 8", "12 x 12", "12 x 12"]


def test_branches_groups_layouts_and_sharing_in_one_table(golden: Golden) -> None:
    image = sn.Input((8, 8, 2), name="image", layout="HWC")
    shared = sn.Conv2D(2, 3, padding="same", groups=2, name="twice")
    h = shared(shared(image))
    h = sn.concat([h, sn.Conv2D(3, 3, padding=2, dilation=2)(image)], axis=3)
    h = sn.Flatten()(sn.AvgPool2D(3, stride=2, padding=1)(h))
    text = summary(sn.Model(image, sn.Dense(1)(h), loss=sn.BinaryCrossEntropy()))
    golden("summary_branches.txt", text + "\n")
    assert "shared" in text and "(dilation 2)" in text and "sigmoid" in text


def test_binary_cross_entropy_reads_as_sigmoid_minus_label() -> None:
    x = sn.Input((4,), name="x")
    model = sn.Model(x, sn.Dense(1)(x), loss=sn.BinaryCrossEntropy())
    gradients = lines_of(gradient(model.program, [p.name for p in model.parameters]), "Gradients")
    z = r"z^{\text{dense\_1}}_{n,o}"
    assert gradients[r"\delta^{\text{dense\_1}}_{n,o}"] == rf"\frac{{\sigma\left({z}\right) - y_{{n,o}}}}{{N}}"
