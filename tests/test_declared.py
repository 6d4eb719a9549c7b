"""`symnet check` against the declared equations: it sees what a module's check of itself cannot."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy

import codegen.emit.scalar as emitted
import codegen.passes.rewritings as rewriting
import symnet as sn
import symnet.differentiate.programs as derivation
import symnet.verify.declared as declared
import symnet.verify.ways as ways
from codegen.emit.code import Code, Name, Operation, Row, number
from codegen.ir.equation import Program
from layer_models import LAYERS, model
from symnet.cli.main import main
from symnet.definition import from_table
from symnet.verify.declared import EXACT, against_declared
from symnet.verify.draw import drawn, small_sizes

LIMIT = 1e-6

DENSE = """
name = "net"
input = { name = "x", shape = [4] }
loss = "mean_squared_error"
[[layers]]
kind = "Dense"
name = "hidden"
units = 3
activation = "tanh"
[[layers]]
kind = "Dense"
name = "out"
units = 2
"""

WINDOW = """
name = "net"
input = { name = "x", shape = [2, "T"] }
loss = "mean_squared_error"
[[layers]]
kind = "Conv1D"
name = "out"
filters = 3
kernel_size = 3
"""


def compiled(network: sn.Model) -> Any:
    return sn.compile(network, dtype="float64", target="numpy").module


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], tuple[int, str]]:
    """The exit status and the output of `symnet check` of a model file with this text."""

    def run(text: str, *more: str) -> tuple[int, str]:
        path = tmp_path / "m.toml"
        path.write_text(text, encoding="utf-8")
        status = main(["check", str(path), *more])
        return status, capsys.readouterr().out

    return run


def another_function(program: Program, *rest: object) -> Program:
    """A rewriting before differentiation that mistakes one function for another."""
    return program.with_equations(e.with_(body=e.body.replace(sympy.tanh, sympy.sin)) for e in program.equations)


def test_a_wrong_rewriting(check: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    assert check(DENSE)[0] == 0
    monkeypatch.setattr(rewriting, "tables_first", another_function)
    status, text = check(DENSE)
    assert status == 1
    assert "2 of 2 values are not what the declared equations give: out, loss" in text
    assert "4 of 4 gradients are not those of the declared equations" in text
    assert "gradients are wrong" not in text  # of the module's own loss they are the gradients


def larger(size: sympy.Symbol) -> Code:
    """A size as one more than it is."""
    return Row((Operation(Name(size.name), " + ", number(1)),))


@pytest.mark.parametrize("text", [DENSE, WINDOW])
def test_a_wrong_number_in_the_code(
    text: str, check: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check(text)[0] == 0
    monkeypatch.setitem(emitted._WRITERS, sympy.Symbol, larger)
    status, shown = check(text)
    assert status == 1
    assert "1 of 2 values is not what the declared equations give: loss" in shown
    assert "gradients are not those of the declared equations" in shown
    own = {row.split()[0]: row.split()[-3] for row in shown.splitlines() if row.startswith(("out.", "hidden."))}
    assert own and all(float(error) < LIMIT for error in own.values())


def test_a_wrong_gradient_alone(check: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    def doubled(program: Program, *rest: object) -> Program:
        made = rewritten(program, *rest)
        wrong = [e.with_(body=2 * e.body) if e.target == "d_out.bias" else e for e in made.equations]
        return made.with_equations(wrong)

    rewritten = derivation.rewrite
    monkeypatch.setattr(derivation, "rewrite", doubled)
    status, text = check(DENSE)
    assert status == 1
    assert "1 of 4 gradients are wrong (error above 1e-06): out.bias" in text
    assert "1 of 4 gradients are not those of the declared equations (error above 1e-06): out.bias" in text
    assert text.count("WRONG") == 1


STATISTICS = (
    DENSE
    + """[[layers]]
kind = "BatchNorm1D"
name = "norm"
"""
)


@pytest.mark.parametrize("name", ["norm.running_mean", "norm.running_var"])
def test_wrong_statistics_alone(
    name: str, check: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def doubled(program: Program, *rest: object) -> Program:
        made = rewritten(program, *rest)
        return made.with_equations(e.with_(body=2 * e.body) if name in e.target else e for e in made.equations)

    rewritten = derivation.rewrite
    monkeypatch.setattr(derivation, "rewrite", doubled)
    status, text = check(STATISTICS)
    assert status == 1
    assert f"1 of 6 values is not what the declared equations give: {name} after a step" in text
    assert text.count("WRONG") == 1
    monkeypatch.undo()
    status, text = check(STATISTICS)
    assert status == 0 and text.count(" after a step ") == 2


def test_a_wrong_forward_mode(check: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    def incomplete(program: Program, names: tuple[str, ...]) -> Program:
        whole = jvp(program, names)
        return whole.with_equations(e for e in whole.equations if e.target != "t_hidden")

    jvp = ways.jvp
    monkeypatch.setattr(ways, "jvp", incomplete)
    status, text = check(DENSE)
    assert status == 1 and "WRONG" not in text
    assert text.splitlines()[-1] == "1 of 5 ways is off: forward mode"


def test_a_wrong_reverse_mode(check: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """What all others are compared with; so all others are off."""

    def doubled(program: Program, names: tuple[str, ...]) -> Program:
        whole = gradient(program, names)
        return whole.with_equations(e.with_(body=2 * e.body) if e.target == "d_out" else e for e in whole.equations)

    gradient = ways.gradient
    monkeypatch.setattr(ways, "gradient", doubled)
    status, text = check(DENSE)
    assert status == 1
    expected = "one-sided difference, central difference, complex step, forward mode"
    assert text.splitlines()[-1] == f"4 of 5 ways are off: {expected}"


@pytest.mark.parametrize("kind", LAYERS)
def test_every_layer(kind: str) -> None:
    found = against_declared(compiled(model(kind)), model(kind))
    assert found.skipped == "" and max(found.values.values()) < EXACT
    assert set(found.gradients) == {p.name for p in model(kind).parameters}
    assert max(found.together or 0, *found.gradients.values()) < LIMIT


LOSSES = [sn.CrossEntropy, sn.BinaryCrossEntropy, sn.MeanSquaredError, sn.SquaredError, sn.Huber, sn.KLDivergence]


@pytest.mark.parametrize("loss", [*LOSSES, sn.LogCosh, sn.Hinge, sn.PerceptronLoss])
def test_every_loss(loss: type[sn.losses.Loss]) -> None:
    x = sn.Input(("T", 2), name="x")
    network = sn.Model(x, sn.Dense(3)(x), loss=loss(), l2=0.1)
    found = against_declared(compiled(network), network)
    assert max(found.values.values()) < EXACT and max(found.gradients.values()) < LIMIT


def test_several_losses_noise_statistics_and_a_frozen_layer() -> None:
    x = sn.Input((3,), name="x")
    h = sn.BatchNorm1D()(sn.Dropout(0.3)(sn.Dense(6, trainable=False)(x)))
    outputs = [sn.Dense(2, name="a")(h), sn.Dropout(0.5, name="b")(sn.Dense(1)(h))]
    network = sn.Model(x, outputs, loss=[sn.CrossEntropy(), sn.SquaredError()], loss_weights=[1, 0.3])
    found = against_declared(compiled(network), network, seed=4)
    steps = [f"batchnorm1d_1.running_{name} after a step" for name in ("mean", "var")]
    assert list(found.values) == ["a", "b", "loss", *steps, "a in use", "b in use", "loss in use"]
    assert max(found.values.values()) < EXACT and max(found.gradients.values()) < LIMIT
    assert "dense_1.weight" not in found.gradients and len(found.gradients) == 6


@pytest.mark.parametrize("delta", [0.5, 5.0, 50.0])
def test_what_is_far_out_is_seen(delta: float) -> None:
    """The outer branch of Huber's loss, and the inner one."""
    x = sn.Input((3,), name="x")
    network = sn.Model(x, sn.Dense(2)(x), loss=sn.Huber(delta=delta))
    found = against_declared(compiled(network), network)
    assert max(found.values.values()) < EXACT and max(found.together or 0, *found.gradients.values()) < LIMIT
    other = sn.Model(x, sn.Dense(2)(x), loss=sn.Huber(delta=1.01 * delta))
    found = against_declared(compiled(other), network)
    assert found.values["loss"] > EXACT


ENDS = {
    "log(1+exp(9*w[i]*x[n,i]))": sn.SquaredError,  # overflows where the module's softplus does not
    "log(cosh(20*w[i]*x[n,i]))": sn.SquaredError,
    "sin((w[i]*x[n,i])**3)": sn.SquaredError,  # rounding is all that is left of the differences
    "sin(exp(w[i]*x[n,i]))": sn.SquaredError,
    "sinh(w[i]*x[n,i]) + cosh(x[n,0])": sn.CrossEntropy,
    "abs(x[n,i])**(w[i]*x[n,i])": sn.CrossEntropy,
    "w[i]*erf(x[n,i])*exp(x[n,i]**2)": sn.CrossEntropy,
}


@pytest.mark.parametrize("body", ENDS)
def test_what_overflows_far_out_is_no_error(body: str) -> None:
    x = sn.Input((4,), name="x")
    network = sn.Model(x, sn.Formula(f"y[n,i] = {body}", params={"w": "i"})(x), loss=ENDS[body]())
    module = compiled(network)
    for seed in range(5):
        found = against_declared(module, network, seed)
        assert max(found.values.values()) < EXACT and max(found.together or 0, *found.gradients.values()) < LIMIT


@pytest.mark.parametrize("seed", range(4))
def test_the_greatest_of_no_numbers_is_drawn_again(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its value is -inf, and no gradient can be judged there."""
    path = tmp_path / "masked.py"
    path.write_text(
        "import symnet as sn\n"
        "x, m = sn.Input((3, 2), name='x'), sn.Input((2,), name='m', dtype='bool')\n"
        "h = sn.Formula('y[n,i] = max[j | m[n,j]](x[n,i,j]*w[i])', params={'w': 'i'}, name='f')(x=x, m=m)\n"
        "model = sn.Model([x, m], sn.Dense(2)(h), loss=sn.SquaredError())\n",
        encoding="utf-8",
    )
    assert main(["check", str(path), "--seed", str(seed)]) == 0
    assert "all 3 gradients agree" in capsys.readouterr().out


def test_a_loss_that_is_finite_nowhere_is_called_that(check: Callable[..., tuple[int, str]]) -> None:
    layer = 'kind = "Formula"\nformula = "y[n,i] = sqrt(x[n,i]*w[i])"\nparams = { w = "i" }\n'
    head = 'name = "m"\ninput = { name = "x", shape = [4] }\nloss = "squared_error"\n[[layers]]\n'
    status, text = check(head + layer)
    assert status == 1 and "finite at none of 21 random draws" in text and "WRONG" not in text


def test_nothing_to_train() -> None:
    x = sn.Input((3,), name="x")
    network = sn.Model(x, sn.Formula("y[n] = sum[i](x[n,i])")(x), loss=sn.SquaredError())
    found = against_declared(compiled(network), network)
    assert max(found.values.values()) < EXACT and found.gradients == {} and found.together is None


def test_larger_networks_are_read_by_whole_arrays_and_sampled(
    check: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(declared, "BUDGET", 1_000)
    status, text = check(DENSE)
    assert status == 0 and "computed over whole arrays" in text and "to bound" not in text
    network = from_table(tomllib.loads(DENSE))
    monkeypatch.setattr(declared, "BUDGET", 8 * declared.work(network.program, small_sizes(network, 3)))
    monkeypatch.setattr(declared, "WHOLE", 1)
    status, text = check(DENSE)
    assert status == 0
    assert "the declared loss was moved along 1 of 4 parameters one by one, and along all of them together" in text
    assert text.count("-  ok") == 3
    monkeypatch.setattr(rewriting, "tables_first", another_function)
    assert check(DENSE)[0] == 1


def test_the_largest_are_not_compared_and_it_is_said(
    check: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(declared, "BUDGET", 10)
    monkeypatch.setattr(declared, "WHOLE", 1)
    status, text = check(DENSE)
    assert status == 0
    assert "the declared equations were not compared: its equations have" in text
    assert "of the module's own loss" in text


def test_sizes_leave_no_tensor_empty() -> None:
    x = sn.Input((1, "T"), name="x")
    wide = sn.Model(x, sn.Conv1D(2, 9)(x), loss=sn.MeanSquaredError())
    assert small_sizes(wide)["T"] == 9 and drawn(wide)["x"].shape == (4, 1, 9)
    found = against_declared(compiled(wide), wide)
    assert max(found.values.values()) < EXACT and max(found.gradients.values()) < LIMIT
    tokens = sn.Input(("T",), name="x", dtype="int")
    short = sn.Model(tokens, sn.PositionalEmbedding(3)(sn.Embedding(7, 4)(tokens)), loss=sn.CrossEntropy())
    assert small_sizes(short)["T"] == 3 and drawn(short)["x"].max() < 7


def test_what_is_drawn_fits_the_losses() -> None:
    x = sn.Input((3,), name="x")
    h = sn.BatchNorm1D()(sn.Dropout(0.5)(x))
    outputs = [sn.Dense(2, name="a")(h), sn.Dense(2, name="b")(h), sn.Dense(2, name="c")(h)]
    network = sn.Model(x, outputs, loss=[sn.Hinge(), sn.BinaryCrossEntropy(), sn.CrossEntropy()])
    found = drawn(network, samples=50)
    assert set(found["target.a"].ravel()) == {-1, 1} and set(found["target.b"].ravel()) == {0, 1}
    assert set(found["target.c"]) == {0, 1}
    assert min(found["batchnorm1d_1.running_var"]) > 0
    assert np.all((found["dropout_1.noise"] >= 0) & (found["dropout_1.noise"] < 1))
