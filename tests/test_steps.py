"""The steps of a derivation: their order, their reasons, and that their checks notice a wrong step."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import symnet as sn
import symnet.explain.steps as steps_module
from codegen.ir.equation import Equation, Program
from layer_models import LAYERS, model
from symnet.cli.main import main
from symnet.differentiate.reverse import gradient
from symnet.explain.gradients import gradients
from symnet.explain.local import POINTS, local
from symnet.explain.steps import Step, derivations, largest, steps

SMOOTH = 1e-6
"""What central differences may differ by, relatively."""
EXACT = 1e-12


def network() -> sn.Model:
    """A convolution with stride, a maximum, a sigmoid, a penalty."""
    image = sn.Input((2, 9, 9), name="image")
    h = sn.Conv2D(4, 3, stride=2, padding=1, activation="tanh", name="conv")(image)
    h = sn.Flatten(name="flat")(sn.MaxPool2D(2, name="pool")(h))
    logits = sn.Dense(3, name="out")(sn.Dense(6, activation="sigmoid", name="hidden")(h))
    return sn.Model(image, logits, loss=sn.CrossEntropy(), name="net", l2=1e-3)


def reasons(found: tuple[Step, ...]) -> list[str]:
    return [step.reason.partition(":")[0].partition(",")[0] for step in found]


def test_steps_run_from_the_definition_to_the_gradient() -> None:
    found = derivations(gradient(network().program, ["image", "conv.weight"]))
    sigmoid = found["d_hidden.z"]
    assert reasons(sigmoid) == [
        "definition",
        "chain rule (adjoint rule)",
        "the derivative in terms of the output",
        "in matrix notation",
        "where",
    ]
    assert r"a^{\text{hidden}}_{n,o} \, \left(1 - a^{\text{hidden}}_{n,o}\right)" in sigmoid[2].latex
    strided = found["d_image"]
    assert reasons(strided) == [
        "definition",
        "chain rule (adjoint rule)",
        "the left side solved for its subscripts",
        "in matrix notation",
    ]
    assert r"2 \mid h - u + 1" in strided[2].latex
    assert r"\operatorname{rot180}" in strided[3].latex
    assert "contributions merged and simplified" in reasons(found["d_conv.weight"])
    assert r"\frac{\hat{y}_{n,c} - [c = y_{n}]}{N}" in " ".join(s.latex for s in found["d_out"])


def test_every_step_is_checked() -> None:
    found = derivations(gradient(network().program, [p.name for p in network().parameters]))
    for bar, items in found.items():
        for item in items:
            if item.reason == "definition":
                assert item.difference is None
                continue
            assert item.difference is not None, (bar, item.reason)
            assert item.difference < (SMOOTH if item.reason.startswith("chain") else EXACT), (bar, item)
    assert 0 < largest(s for items in found.values() for s in items) < SMOOTH


@pytest.mark.parametrize("kind", LAYERS)
def test_steps_of_every_layer(kind: str) -> None:
    program = model(kind).program
    floats = [t.name for t in program.tensors if t.kind in ("parameter", "input") and t.dtype == "float"]
    found = derivations(gradient(program, floats))
    checked = [s for items in found.values() for s in items if s.difference is not None]
    assert checked
    for item in checked:
        assert item.difference is not None
        assert item.difference < (SMOOTH if item.reason.startswith("chain") else 1e-9), item


def test_steps_by_one_tensor_end_with_its_gradient() -> None:
    found = steps(network().program, "hidden.weight")
    assert r"\frac{\partial L}{\partial W^{\text{hidden}}}" in found[-1].latex
    assert not any("conv" in step.latex and r"\partial" in step.latex for step in found)


@pytest.mark.parametrize("text", ["x[n,k] + argmax[j](x[n,j]*w[j])", "w[k]*argmax[j](x[n,j]*w[j])"])
def test_nothing_flows_back_through_positions(text: str) -> None:
    x = sn.Input((3,), name="x")
    layer = sn.Formula(f"y[n,k] = {text}", params={"w": "k"}, sizes={"k": 3}, name="f")
    net = sn.Model(x, layer(x), loss=sn.MeanSquaredError(), name="m")
    assert "Steps to" in sn.compile(net).latex(steps=True)


def test_a_wrong_adjoint_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = steps_module.contribution

    def wrong(*args: object, **options: object) -> Equation:
        equation = right(*args, **options)  # type: ignore[arg-type]
        return equation.with_(body=equation.body * 2)

    monkeypatch.setattr(steps_module, "contribution", wrong)
    found = derivations(gradient(network().program, ["hidden.weight"]))
    assert largest(s for items in found.values() for s in items) > 0.1


def test_a_wrong_simplification_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = steps_module.simplify

    def wrong(program: Program) -> Program:
        done = right(program)
        return done.with_equations(e.with_(body=e.body + 1) if e.stage == "backward" else e for e in done.equations)

    monkeypatch.setattr(steps_module, "simplify", wrong)
    found = derivations(gradient(network().program, ["conv.weight"]))
    assert largest(s for items in found.values() for s in items) > 0.1


def test_the_copy_is_small_whatever_the_network() -> None:
    image = sn.Input((3, 224, 224), name="image")
    h = sn.Conv2D(64, 7, stride=2, padding=3, name="conv")(image)
    big = sn.Model(image, sn.Dense(1000)(sn.GlobalAvgPool2D()(h)), loss=sn.CrossEntropy())
    copy = local(big.program, "image")
    assert copy is not None
    (box,) = (e.box for e in copy.program.equations if e.reads[0].tensor == "conv.weight")
    size = 1
    for _, extent in box:
        size *= extent.evaluate(copy.sizes)
    assert size <= POINTS


def test_the_page_says_how_well_steps_were_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = gradients(network(), wrt="hidden.weight", steps=True).markdown()
    fitted = re.search(r"The largest difference seen is (\S+)\.\n", text)
    assert fitted is not None and float(fitted[1]) < SMOOTH
    assert "### Steps to" in text and "(definition)" in text
    path = tmp_path / "m.toml"
    layer = '[[layers]]\nkind = "Dense"\nunits = 3\n'
    path.write_text(f'name = "net"\ninput = {{ name = "x", shape = [5] }}\nloss = "cross_entropy"\n{layer}')
    assert main(["latex", str(path), "--steps"]) == 0
    assert "chain rule (adjoint rule)" in capsys.readouterr().out
