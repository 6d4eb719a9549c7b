"""Each pass on its example, and rewritings on programs made for them: the meaning stays, what they are for happens."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import sympy

from building import A, c, equation, i, n, plan_of, program, read, tensor, u
from codegen.analysis.cost import MOST_NODES, nodes
from codegen.ir.affine import Affine
from codegen.ir.edit import substitute
from codegen.ir.equation import Program, Read, all_reads, index_symbol, slot, slots_of
from codegen.ir.plan import Alias
from codegen.machine.model import MACHINE
from codegen.machine.target import TARGETS
from codegen.notation import show
from codegen.notation.elaborate import free_names
from codegen.oracle.interpret import interpret
from codegen.passes.rewritings import DERIVED
from codegen.passes.shown import lines
from codegen.passes.state import Given, Pass, Phase, State, Traced
from codegen.passes.table import PASSES, run
from codegen.passes.watch import watch
from codegen.pipeline import generate
from codegen.plan.reuse import reuse
from families.writing import program_of
from sabotage import IN_HALOS, SHARED, TILED
from symnet.differentiate.reverse import gradient
from symnet.support.errors import FormulaError

Arrays = Mapping[str, np.ndarray]
PASS = {row.name: row.run for row in DERIVED}
N = A("N")
SAMPLES = 3

# The examples of the table.

GIVEN = """x(N,4) s(7,N,4) q(N,7,4) token(N,7):int image(N,2,6,6) rows(6,2,6,N)
    a(4):parameter b(3):parameter V(4,4):parameter W(3,4):parameter E(5,4):parameter K(3,2,2,2):parameter"""
"""What the examples read."""
SHAPES = {"d_x": ("N", 6), "d_E": (5, 4), "z": (7, 2, "N", 4)}
"""Of what they compute, where their left sides do not tell."""
SIZES = {"u": 2, "v": 2, "k": 4, "r": 6}
RESULTS = {"copied-results": "y r", "repeated": "y r"}
"""Where not only the last one is."""
MACHINES = {"halos": IN_HALOS, "tiling": TILED, "arena": SHARED}
"""So that a small example meets what is made for large ones."""
LOWERING: tuple[Phase, ...] = ("legal", "choice", "plan")
"""The phases whose passes need those before them."""


def example(row: Pass) -> tuple[State, State, Given]:
    """The states before and after a row whose first text is the program, and what is given."""
    text = row.example[0]
    read, shapes = free_names(text), {name: shape for name, shape in SHAPES.items() if f"{name}[" in text}
    given = " ".join(entry for entry in GIVEN.split() if entry.partition("(")[0] in read)
    made = program_of(given, text, RESULTS.get(row.name, ""), SIZES, shapes)
    results = frozenset(t.name for t in made.tensors if t.kind == "result")
    target = "numpy" if row.suits(TARGETS["numpy"]) else "numba"
    trace: list[Traced] = []
    way = Given(results, {"token": 5}, target=target, machine=MACHINES.get(row.name, MACHINE), trace=trace)
    if row.phase not in (*LOWERING, "memory"):
        return State(made), row.run(State(made), way), way
    if row.phase == "memory":
        made = made.with_equations(e.with_(stage="all") for e in made.equations)
        generate(made, way, stages={"all": "Everything."})
    else:
        run(State(made), way, *LOWERING)
    return next((each.before, each.after, way) for each in trace if each.name == row.name)


def told(state: State, row: Pass) -> str:
    """A state as examples tell it: without the equations that announce steps."""
    found = lines(state, row.phase)
    if row.phase == "plan":
        found = [line.removeprefix("    ") for line in found if not line.lstrip().startswith("#")]
    return "\n".join(found)


@pytest.mark.parametrize("row", PASSES, ids=lambda row: row.name)
def test_a_pass_makes_of_its_example_what_the_table_says(row: Pass, monkeypatch: pytest.MonkeyPatch) -> None:
    before, after, way = example(row)
    assert "\n".join(map(show, before.program.equations)) == row.example[0]
    assert told(after, row) == row.example[1]
    assert told(before, row) != row.example[1]
    monkeypatch.setenv("SYMNET_DEBUG", "3")
    watch(row, before, after, way)


# Programs made for a pass.


def drawn(made: Program) -> dict[str, np.ndarray]:
    """Arrays for all inputs and parameters; integers are 0, 1 or 2."""
    rng = np.random.default_rng(0)
    arrays = {}
    for t in made.tensors:
        if t.kind in ("input", "parameter"):
            shape = tuple(e.evaluate({"N": SAMPLES}) for e in t.shape)
            arrays[t.name] = rng.integers(0, 3, shape) if t.dtype == "int" else rng.normal(size=shape)
    return arrays


def alone(name: str, made: Program, *keep: str) -> Program:
    """`made` after one pass."""
    return PASS[name](State(made), Given(keep=frozenset(keep))).program


def after(name: str, made: Program, *keep: str) -> Program:
    """`made` after one pass; what is kept means the same as before."""
    rewritten = alone(name, made, *keep)
    arrays = drawn(made)
    before, now = (interpret(p, arrays, {"N": SAMPLES}) for p in (made, rewritten))
    for tensor_name in keep:
        np.testing.assert_allclose(now[tensor_name], before[tensor_name], rtol=1e-13, atol=1e-13, err_msg=tensor_name)
    return rewritten


def chain(*bodies: sympy.Expr) -> Program:
    """h1 = bodies[0](x), h2 = bodies[1](h1), ...; all of shape (N, 4)."""
    names = ["x", *(f"h{k}" for k in range(1, len(bodies) + 1))]
    steps = zip(names, names[1:], bodies, strict=False)
    equations = [equation(b, (n, i), [read(a, n, i)], body, n=N, i=4) for a, b, body in steps]
    return program([tensor(name, N, 4) for name in names], *equations)


def test_gather_solves_a_window_and_rotates_its_kernel() -> None:
    tensors = [tensor("W", 3, kind="parameter"), tensor("e", N, 4), tensor("d_x", N, 6, kind="result")]
    reads = [read("W", u), read("e", n, i, strong=True)]
    made = program(tensors, equation("d_x", (n, i + u), reads, n=N, i=4, u=3))
    (gathered,) = after("gather", made, "d_x").equations
    assert all(isinstance(s, Affine) and s.plain for s in gathered.at)
    assert gathered.over == ("u",)
    assert gathered.reads[0].at == (Affine.of(2) - u,)
    assert not gathered.guards  # the cotangent is 0 outside its box


def test_gather_guards_what_no_cotangent_covers() -> None:
    tensors = [tensor("e", N, 4), tensor("y", N, 6, kind="result")]
    made = program(tensors, equation("y", (n, i + 1), [read("e", n, i)], sympy.exp(slot(0)), n=N, i=4))
    (gathered,) = after("gather", made, "y").equations
    assert len(gathered.guards) == 2


def test_gather_does_not_take_a_fixed_axis_for_the_length_of_a_symbolic_index() -> None:
    tensors = [tensor("e", N), tensor("y", 5, kind="result")]
    made = program(tensors, equation("y", (n,), [read("e", n)], slot(0) + 1, n=N))
    (gathered,) = after("gather", made, "y").equations
    assert dict(gathered.box) == {"n": N}


def test_merge_brings_contributions_together_and_lookups_into_brackets() -> None:
    tensors = [tensor("a", N, 3), tensor("b", N, 3), tensor("label", N, dtype="int"), tensor("y", N, 3, kind="result")]
    made = program(
        [*tensors, tensor("z", N)],
        equation("y", (n, c), [read("a", n, c)], n=N, c=3),
        equation("z", (n,), [read("a", n, 0)], n=N),
        equation("y", (n, i), [read("b", n, i)], accumulate=True, n=N, i=3),
        equation("y", (n, read("label", n)), [read("b", n, 0)], -slot(0), accumulate=True, n=N),
    )
    merged = after("merge", made, "y", "z")
    assert len(merged.defining("y")) == 1
    (whole,) = merged.defining("y")
    assert not whole.accumulate
    assert whole.body.atoms(sympy.Eq)


def test_inline_substitutes_copies_constants_and_sole_readers() -> None:
    made = chain(slot(0), 2 * slot(0) + 1, sympy.tanh(slot(0)))
    last = after("inline", made, "h3").defining("h3")[0]
    assert [r.tensor for r in last.reads] == ["x"]
    assert last.body == sympy.tanh(2 * slot(0) + 1)


def test_inline_makes_no_body_larger_than_a_body_may_be() -> None:
    made = chain(*[sympy.tanh(slot(0)) + 1] * 100)
    inlined = alone("dead", alone("inline", made, "h100"), "h100")
    assert max(nodes(e.body) for e in inlined.equations) <= MOST_NODES
    assert 1 < len(inlined.equations) < 10


def test_merge_makes_no_body_larger_than_a_body_may_be() -> None:
    terms = [equation("y", (n, i), [read("a", n, i)], sympy.sin(k * slot(0)), n=N, i=3) for k in range(1, 101)]
    first, *more = terms
    tensors = [tensor("a", N, 3), tensor("y", N, 3, kind="result")]
    merged = after("merge", program(tensors, first, *(e.with_(accumulate=True) for e in more)), "y")
    assert max(nodes(e.body) for e in merged.equations) <= MOST_NODES
    assert [e.accumulate for e in merged.equations] == [False, *[True] * (len(merged.equations) - 1)]
    assert 1 < len(merged.equations) < 10


def test_inline_leaves_what_two_equations_read() -> None:
    one = chain(2 * slot(0) + 1, sympy.tanh(slot(0)))
    extra = equation("other", (n, i), [read("h1", n, i)], sympy.sin(slot(0)), n=N, i=4)
    made = program([*one.tensors, tensor("other", N, 4)], *one.equations, extra)
    inlined = after("inline", made, "h2", "other")
    assert {r.tensor for name in ("h2", "other") for r in inlined.defining(name)[0].reads} == {"h1"}


def test_dead_code_goes() -> None:
    remaining = after("dead", chain(slot(0) + 1, 2 * slot(0), sympy.tanh(slot(0))), "h2")
    assert [e.target for e in remaining.equations] == ["h1", "h2"]
    assert "h3" not in remaining.table


def test_equal_equations_are_shared_whatever_their_indices_are_called() -> None:
    tensors = [tensor("x", N, 4), tensor("a", N), tensor("b", N), tensor("y", N, kind="result")]
    made = program(
        tensors,
        equation("a", (n,), [read("x", n, i)], over="i", n=N, i=4),
        equation("b", (c,), [read("x", c, u)], over="u", c=N, u=4),
        equation("y", (n,), [read("a", n), read("b", n)], slot(0) - 2 * slot(1), n=N),
    )
    shared = after("share", made, "y")
    assert [e.target for e in shared.equations] == ["a", "y"]


def test_simplify_finds_the_cheaper_body() -> None:
    expanded = slot(0) - slot(0) ** 2
    (simplified,) = after("simplify", chain(expanded), "h1").equations
    assert simplified.body == slot(0) * (1 - slot(0))


def test_stabilise_survives_what_overflows() -> None:
    made = chain(sympy.log(1 + sympy.exp(slot(0))))
    stable = after("stabilise", made, "h1")
    arrays = {"x": np.full((1, 4), 1e4)}
    assert np.all(interpret(stable, arrays, {"N": 1})["h1"] == 1e4)


def test_work_is_done_in_place_where_nobody_reads_the_operand_again() -> None:
    made = chain(sympy.sin(slot(0)), sympy.tanh(slot(0)), sympy.exp(slot(0)))
    setup = reuse(plan_of(made), made, frozenset({"h3"})).setup
    assert {item.name: item.view.base for item in setup if isinstance(item, Alias)} == {"h2": "h1", "h3": "h2"}


@pytest.mark.parametrize("kept", ["h1", "h2"])
def test_what_is_kept_is_not_overwritten(kept: str) -> None:
    made = chain(sympy.sin(slot(0)), sympy.tanh(slot(0)), sympy.exp(slot(0)))
    setup = reuse(plan_of(made), made, frozenset({kept, "h3"})).setup
    names = {item.name: item.view.base for item in setup if isinstance(item, Alias)}
    following = {"h1": "h2", "h2": "h3"}[kept]
    assert following not in names


def test_an_operand_read_elsewhere_is_not_overwritten() -> None:
    one = chain(sympy.sin(slot(0)), sympy.tanh(slot(0)))
    late = equation("y", (n, i), [read("h1", n, i), read("h2", n, i)], n=N, i=4)
    made = program([*one.tensors, tensor("y", N, 4)], *one.equations, late)
    aliases = [item.name for item in reuse(plan_of(made), made, frozenset({"y"})).setup if isinstance(item, Alias)]
    assert "h2" not in aliases


def test_an_operand_read_at_another_place_too_is_not_overwritten() -> None:
    one = chain(sympy.sin(slot(0)))
    turned = equation("y", (n, i), [read("h1", n, i), read("h1", n, A(3) - i)], n=N, i=4)
    made = program([*one.tensors, tensor("y", N, 4)], *one.equations, turned)
    assert not any(isinstance(item, Alias) for item in reuse(plan_of(made), made, frozenset({"y"})).setup)


def test_substitution_reaches_every_place_an_index_stands() -> None:
    made = equation(
        "y",
        (n, i),
        [read("x", n, i + u), Read("t", (read("label", i),))],
        slot(0) * slot(1) * index_symbol("i"),
        over="u",
        n=N,
        i=4,
        u=2,
    )
    moved = substitute(made, {"i": A("j") + 1}, (("n", N), ("j", A(3)), ("u", A(2))))
    assert "i" not in {name for r in all_reads(moved) for s in r.at if isinstance(s, Affine) for name in s.names}
    assert moved.body == slot(0) * slot(1) * (index_symbol("j") + 1)
    assert moved.over == ("u",)
    assert slots_of(moved.body) == (0, 1)


def test_the_derivative_of_a_maximum_needs_its_symbolic_index_first() -> None:
    tensors = [tensor("x", 3, N), tensor("y", kind="value"), tensor("loss", kind="result")]
    biggest = equation("y", (), [read("x", i, n)], over="in", reduce="max", i=3, n=N)
    made = program(tensors, biggest, equation("loss", (), [read("y")]))
    with pytest.raises(FormulaError, match=r"n has the symbolic extent N; write max\[n,i\]"):
        gradient(made, ("x",))


def test_inline_leaves_what_would_divide_a_branch_by_zero() -> None:
    """SymPy would make 1/where(u, x, 0) a complex infinity in the second branch."""
    dropped = equation("h", (n, i), [read("x", n, i)], sympy.Piecewise((slot(0), slot(0) > 1), (0, True)), n=N, i=4)
    inverse = equation("y", (n, i), [read("h", n, i)], 1 / slot(0), n=N, i=4)
    made = program([tensor(name, N, 4) for name in ("x", "h", "y")], dropped, inverse)
    assert [e.target for e in after("inline", made, "h").equations] == ["h", "y"]
    assert not any(e.body.has(sympy.zoo) for e in alone("inline", made, "y").equations)
