"""The judges of the soak: wrong numbers of every size are found, in either precision, and rounding is no failure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import sympy

from building import A, equation, i, n, program, read, tensor
from codegen.ir.edit import map_all_reads
from codegen.ir.equation import Program, Read, slot
from codegen.passes import table
from codegen.passes.state import Given, Pass, State
from soak import grid, judging, network_judge
from soak.driver import Report, drawn, one
from soak.formulas import KIND as FORMULAS
from soak.network_case import Case, Place, Source, Spec, spec
from soak.networks import KIND as NETWORKS
from soak.rounding import Rounding
from symnet.differentiate import programs
from symnet.differentiate.reverse import gradient

N = A("N")
X = Source("x", (3,))
Change = Callable[[ModuleType], None]


def case(*places: Place, loss: Spec | None = None, source: Source = X, dtype: str = "float64", **more: Any) -> Case:
    """A chain of layers; the loss is the mean squared error."""
    sizes = (("N", 3), ("T", 4))
    options = (("dtype", dtype), *more.pop("options", ()))
    outputs, losses = (places[-1].name,), (loss or spec("MeanSquaredError"),)
    return Case(3, (source,), places, outputs, losses, sizes=sizes, compiled=options, **more)


def formula(text: str, source: str = "x", name: str = "f", **options: Any) -> Place:
    return Place(name, spec("Formula", formula=text, **options), (source,))


DENSE = Place("d", spec("Dense", units=2), ("x",))
AFTER = Place("d", spec("Dense", units=2), ("f",))
LARGE = formula("y[n,i] = 100000000*x[n,i]")
TOKENS = Source("x", ("T",), "int", below=5)
EMBEDDED = (Place("e", spec("Embedding", vocabulary=5, units=3), ("x",)), Place("d", spec("Dense", units=2), ("e",)))
RECURRENT = Place("r", spec("GRU", units=2), ("x",))
SEQUENCE = Source("x", ("T", 3))
CASES = {
    "dense": case(DENSE),
    "dense, single": case(DENSE, dtype="float32"),
    "large": case(LARGE, AFTER),
    "large, single": case(LARGE, AFTER, dtype="float32"),
    "recurrent, single": case(RECURRENT, source=SEQUENCE, dtype="float32"),
    "labels": case(Place("d", spec("Dense", units=4), ("x",)), loss=spec("CrossEntropy")),
    "tokens": case(*EMBEDDED, source=TOKENS),
    "steps": case(DENSE, checks=frozenset({"step"}), optimizer="rmsprop"),
    "steps, single": case(DENSE, dtype="float32", checks=frozenset({"step"}), optimizer="adam"),
    # All samples are equal, so that of two gradients nothing is left but what rounding leaves, magnified by 1/eps.
    "nothing but rounding": case(
        formula("y[n,i] = x[n,i] - x[n,i] + w[i]", params={"w": "i"}),
        Place("b", spec("BatchNorm1D"), ("f",)),
        checks=frozenset({"step"}),
        optimizer="rmsprop",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_what_is_right_is_accepted(name: str) -> None:
    verdict = NETWORKS.judge(CASES[name], "numpy")
    assert verdict.outcome == "accepted", verdict
    assert not [note for note in verdict.notes if "not compared" in note]


def off(factor: float, which: str) -> Change:
    """The largest number of a result times `factor`."""

    def changed(right: Callable[..., Any]) -> Callable[..., Any]:
        def wrong(*args: Any, **options: Any) -> Any:
            result = right(*args, **options)
            if which == "forward":
                result = np.array(result)
                result.flat[np.abs(result).argmax()] *= factor
            elif which == "gradient":
                loss, grads = result
                name = max(grads, key=lambda each: float(np.abs(grads[each]).max(initial=0.0)))
                grads = {**grads, name: grads[name].copy()}
                grads[name].flat[np.abs(grads[name]).argmax()] *= factor
                result = loss, grads
            else:
                result = result * factor
            return result

        return wrong

    def change(module: ModuleType) -> None:
        name = {"gradient": "loss_and_grads"}.get(which, which)
        setattr(module, name, changed(getattr(module, name)))

    return change


def rate_off(module: ModuleType) -> None:
    right = module.make_step
    module.make_step = lambda *args, learning_rate, **options: right(  # type: ignore[attr-defined]
        *args, learning_rate=learning_rate * 1.01, **options
    )


def put(value: float) -> Change:
    """A number of the output in place of another."""

    def change(module: ModuleType) -> None:
        right = module.forward

        def wrong(*args: Any, **options: Any) -> Any:
            result = np.array(right(*args, **options))
            result.flat[0] = value
            return result

        module.forward = wrong  # type: ignore[attr-defined]

    return change


FAULTS: dict[str, tuple[str, Change, str]] = {
    "a float32 output off by 1e-3": ("dense, single", off(1 + 1e-3, "forward"), "wrong forward"),
    "a float32 loss off by 1e-3": ("dense, single", off(1 - 1e-3, "loss"), "wrong loss"),
    "a float32 gradient off by 1e-3": ("dense, single", off(1 + 1e-3, "gradient"), "wrong gradient"),
    "of a recurrence": ("recurrent, single", off(1 + 1e-3, "gradient"), "wrong gradient"),
    "a float32 output of 1e8 off by 1e-3": ("large, single", off(1 + 1e-3, "forward"), "wrong forward"),
    "an output of 1e8 off by 1e-6": ("large", off(1 + 1e-6, "forward"), "wrong forward"),
    "a loss of 1e16 off by 1e-6": ("large", off(1 + 1e-6, "loss"), "wrong loss"),
    "a gradient of 1e16 off by 1e-6": ("large", off(1 + 1e-6, "gradient"), "wrong gradient"),
    "a gradient of 1e16 with another sign": ("large", off(-1, "gradient"), "wrong gradient"),
    "1e8 where ordinary numbers are": ("dense", put(1e8), "wrong forward"),
    "0 where 1e8 is": ("large", put(0.0), "wrong forward"),
    "NaN where 1e8 is": ("large", put(np.nan), "wrong forward"),
    "infinity in single precision": ("large, single", put(np.inf), "wrong forward"),
    "a rate of 1.01": ("steps", rate_off, "wrong parameter after step 1"),
    "a rate of 1.01, single": ("steps, single", rate_off, "wrong parameter after step 1"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_number_of_a_module_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    which, change, what = FAULTS[name]

    def loaded(net: Any, plain: bool) -> ModuleType:
        module: ModuleType = net.module
        change(module)
        return module

    monkeypatch.setattr(network_judge, "loaded", loaded)
    verdict = NETWORKS.judge(CASES[which], "numpy")
    assert (verdict.outcome, verdict.what) == ("failed", what), verdict


def first_place(state: State, given: Given) -> State:
    """The derived program of a module, in which every integer is read at the first place of its last axis."""
    table = state.program.table

    def moved(one: Read) -> Read:
        known = one.tensor in table and table[one.tensor].dtype == "int" and one.at
        return dataclasses.replace(one, at=(*one.at[:-1], A(0))) if known else one

    made = (map_all_reads(e, moved) if e.stage in STAGES else e for e in state.program.equations)
    return dataclasses.replace(state, program=state.program.with_equations(made))


STAGES: tuple[str, ...] = ()
WRONG_INDEX = Pass("wrong", "derived", first_place, "a pass with a defect", ("", ""))


@pytest.mark.parametrize("stages", [("forward", "loss", "backward"), ("forward", "loss"), ("backward",)], ids=" ".join)
@pytest.mark.parametrize("which", ["labels", "tokens"])
def test_a_wrong_sparse_index_is_found(which: str, stages: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every sample has the label of the first one, every token is that of the first step."""
    monkeypatch.setattr(table, "PASSES", (*table.PASSES, WRONG_INDEX))
    monkeypatch.setitem(globals(), "STAGES", stages)
    verdict = NETWORKS.judge(CASES[which], "numpy")
    assert verdict.outcome == "failed" and verdict.what.startswith("wrong"), verdict


def without_a_term(found: Program, wrt: tuple[str, ...]) -> Program:
    """The derived program in which no cotangent has its last term, where there are several."""
    made = gradient(found, wrt)
    targets = [e.target for e in made.equations]
    last = {name: len(targets) - 1 - targets[::-1].index(name) for name in targets if targets.count(name) > 1}
    backward = [k for name, k in last.items() if made.equations[k].stage == "backward"]
    return made.with_equations(e for k, e in enumerate(made.equations) if k not in backward)


TWICE = case(
    DENSE,
    Place("e", spec("Dense", units=2), ("x",)),
    Place("m", spec("Multiply"), ("d", "e")),
    Place("s", spec("Add"), ("m", "d")),
)


def test_a_dropped_term_of_a_gradient_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "gradient", without_a_term)
    verdict = NETWORKS.judge(TWICE, "numpy")
    assert (verdict.outcome, verdict.what) == ("failed", "the derivation is wrong"), verdict


def test_a_dropped_term_of_a_formula_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "gradient", without_a_term)
    found = Report("formulas", "numpy", 0, 0)
    for seed in range(40):
        one(FORMULAS, "numpy", seed, found, 0.0, lambda line: None)
        if found.failures:
            break
    assert found.failures and found.failures[0]["what"] == "wrong gradient"


@pytest.mark.parametrize(
    ("which", "what"), [("forward", "forward"), ("gradient", "gradient"), ("loss_and_grads", "loss")]
)
def test_a_formula_off_by_a_thousandth_in_single_precision_is_found(
    which: str, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a few units of the last place of any formula that is drawn, 1e-3 is not."""
    right = judging.load

    def loss_off(module: ModuleType) -> None:
        both = module.loss_and_grads
        module.loss_and_grads = lambda *args: (both(*args)[0] * 1.001, both(*args)[1])  # type: ignore[attr-defined]

    def load(source: str, as_python: bool = False) -> ModuleType:
        module = right(source, as_python)
        if module.DTYPE is np.float32:
            (loss_off if which == "loss_and_grads" else off(1.001, which))(module)
        return module

    monkeypatch.setattr(judging, "load", load)
    seeds = [
        seed for seed in range(80) if "float32" in drawn(FORMULAS, seed).options and not drawn(FORMULAS, seed).order
    ]
    found = [FORMULAS.judge(drawn(FORMULAS, seed), "numpy") for seed in seeds[:9]]
    found = [verdict for verdict in found if verdict.outcome != "refused"]
    missed = [verdict for verdict in found if verdict.what != f"wrong {what} in float32"]
    assert len(found) >= 8 and len(missed) <= 1, missed  # one gradient is nothing but rounding


def test_what_is_not_finite_is_counted_and_the_rest_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    infinite = formula("y[n,i] = exp(1000000*w[i]**2 + x[n,i])", params={"w": "i"}, name="g")
    alone = case(infinite)
    assert NETWORKS.judge(alone, "numpy").outcome == "uncompared"
    report = Report("networks", "numpy", 0, 0)
    monkeypatch.setattr(NETWORKS, "draw", lambda rng: alone)
    one(NETWORKS, "numpy", 7, report, 0.0, lambda line: None)
    assert (report.accepted, dict(report.uncompared)) == (0, {"no finite number": 1})
    assert report.as_json()["uncompared"] == {"no finite number": 1} and Report.of(report.as_json()) == report
    both = dataclasses.replace(
        case(infinite, DENSE), outputs=("g", "d"), losses=(None, spec("MeanSquaredError")), seed=4
    )
    verdict = NETWORKS.judge(both, "numpy")
    assert verdict.outcome == "accepted" and "not compared, not finite: forward" in verdict.notes

    def loaded(net: Any, plain: bool) -> ModuleType:
        module: ModuleType = net.module
        right = module.forward
        module.forward = lambda *args, **o: {k: v * 1.001 for k, v in right(*args, **o).items()}  # type: ignore[attr-defined]
        return module

    monkeypatch.setattr(network_judge, "loaded", loaded)
    assert NETWORKS.judge(both, "numpy").what == "wrong forward"


# what rounding may do


def rounding(body: sympy.Expr, x: Any, dtype: str, reduce: str = "") -> Rounding:
    """y[n] = sum[i](x[n,i]) and z[n] = body of y."""
    x = np.asarray(x, float).reshape(1, -1)
    width = x.shape[1]
    first = equation("y", (n,), [read("x", n, i)], slot(0), over="i", n=N, i=width)
    second = equation("z", (n,), [read("y", n)], body, n=N)
    made = program([tensor("x", N, width), tensor("y", N), tensor("z", N, kind="result")], first, second)
    return Rounding(made, {"x": x}, {"N": 1}, grid.run(made, {"x": x}, {"N": 1}), dtype)


Y = slot(0)


@pytest.mark.parametrize(
    ("body", "x", "dtype", "error", "said"),
    [
        (Y, [1e8, -1e8, 1], "float32", 1.0, "rounding"),  # 2**-24 * 1e8 is 6
        (Y, [1e8, -1e8, 1], "float64", 1e-3, ""),  # 2**-53 * 1e8 is 1e-8
        (Y, [1, 2, 3], "float32", 1e-3, ""),
        (Y, [1, 2, 3], "float32", 1e-6, "rounding"),
        (Y**2, [1e8, 1], "float64", 10.0, "rounding"),  # of 1e16
        (Y**2, [1e8, 1], "float64", 1e9, ""),
        (sympy.exp(Y), [20, -1], "float64", 1.0, ""),
        (sympy.exp(Y), [-100, -1], "float32", 0.1, "beyond the range of float32"),  # 1e-44 has two digits
        (sympy.Piecewise((1, Y > 0), (0, True)), [0.1, 0.2, -0.3], "float64", 1.0, "rounding"),
        (sympy.Piecewise((1, Y > 0), (0, True)), [1, -1 + 1e-5], "float32", 1.0, "near a kink"),
        (sympy.Piecewise((1, Y > 0), (0, True)), [1, -1 + 1e-2], "float32", 1.0, ""),
        (sympy.sqrt(Y), [0.1, 0.2, -0.3], "float64", np.nan, "near a kink"),  # a little less than 0
    ],
)
def test_what_rounding_excuses(body: sympy.Expr, x: Any, dtype: str, error: float, said: str) -> None:
    assert rounding(body, x, dtype).verdict("z", np.array([error])) == said


def test_errors_are_none_of_integers_and_of_what_reads_no_tensor() -> None:
    blur = grid.Blur(1e-3, 0)
    assert blur(3) == 3 and (blur(np.arange(4)) == np.arange(4)).all() and blur(np.array(1.5)) != 1.5
    at = {"i": np.arange(7), "_0": np.full(7, 2.0)}
    half = sympy.floor(sympy.Symbol("i") / 2)
    np.testing.assert_array_equal(grid.value(half, at, blur), np.arange(7) // 2)
    assert (grid.value(half + slot(0), at, blur) != np.arange(7) // 2 + 2.0).all()
