"""Is a program well-formed?  Run after every pass; the message quotes the equation and its neighbours.

Each rule is a function from an equation and what surrounds it to its complaints;
`RULES` is the list.  Presentation forms pass too: quotients as subscripts and
divisibility guards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import sympy

from codegen.analysis.dependence import cycles
from codegen.ir.affine import Affine
from codegen.ir.equation import (
    Comparison,
    Equation,
    Guard,
    Program,
    Quotient,
    Read,
    Reduction,
    Tensor,
    all_reads,
    index_symbol,
    indices_of,
    infinite_slot,
    size_symbol,
    slot,
)
from codegen.ir.errors import CodegenError, FormulaError, ShapeError
from codegen.notation.quote import in_context
from codegen.oracle.declarations import GIVEN, INDEX_NAME, check_declarations, unknown


@dataclass(frozen=True)
class Surroundings:
    """What the rules need to know besides the equation: the program and the equation's place in it.

    definitions: the positions of the equations of each tensor; cycles: those of its recurrent tensors;
    openings: the position at which each stage begins.
    """

    program: Program
    position: int
    definitions: Mapping[str, tuple[int, ...]]
    cycles: Mapping[str, tuple[str, ...]]
    openings: Mapping[str, int]

    @cached_property
    def sizes(self) -> frozenset[str]:
        """The symbolic sizes."""
        return frozenset(self.program.sizes)


@dataclass(frozen=True)
class Complaint:
    """What is wrong with an equation; `error` is the exception to raise."""

    text: str
    error: type[CodegenError] = FormulaError


Complaints = Iterator[Complaint]
Rule = Callable[[Equation, Surroundings], Complaints]


def check(program: Program) -> None:
    """Return if `program` is well-formed.

    Raises FormulaError, or ShapeError where an extent is negative, for the first thing that is not: a
    name that is unknown, clashing, defined twice or read before its definition; an unbound index; a
    wrong rank or dtype; a box, reduction, guard or slot that breaks the grammar of `equation.py`.
    """
    check_declarations(program)
    definitions: dict[str, tuple[int, ...]] = {}
    openings: dict[str, int] = {}
    for position, equation in enumerate(program.equations):
        definitions[equation.target] = (*definitions.get(equation.target, ()), position)
        openings.setdefault(equation.stage, position)
    recurrent = cycles(program)
    for position, equation in enumerate(program.equations):
        around = Surroundings(program, position, definitions, recurrent, openings)
        for rule in RULES:
            for complaint in rule(equation, around):
                where = f"equation {position} of {equation.target!r}"
                where += f", declared by {equation.origin!r}" if equation.origin else ""
                where += f", stage {equation.stage!r}" if equation.stage else ""
                raise complaint.error(f"{where}: {complaint.text}\n{in_context(program, position)}")


def _box(equation: Equation, around: Surroundings) -> Complaints:
    names = [name for name, _ in equation.box]
    for name, extent in equation.box:
        if not INDEX_NAME.fullmatch(name):
            yield Complaint(f"index {name!r}: expected an identifier that does not begin with '_'; rename it")
        if names.count(name) > 1:
            yield Complaint(f"the index {name} occurs {names.count(name)} times in the box; expected once")
        if name in around.sizes:
            yield Complaint(f"{name} is an index here and a size of the program; rename the index")
        for size in extent.names:
            if size not in around.sizes:
                yield Complaint(f"the extent {extent} of index {name}: {unknown('size', size, around.program.sizes)}")
        if extent.is_constant and extent.const < 0:
            yield Complaint(f"index {name}: expected an extent >= 0, got {extent}", ShapeError)
    tail = tuple(names[len(names) - len(equation.over) :])
    if tail != equation.over:
        yield Complaint(
            f"the reduced indices are ({', '.join(equation.over)}) but the box ends in ({', '.join(tail)}); "
            "expected the box to list the free indices, then the reduced ones in the same order"
        )


def _tensors(equation: Equation, around: Surroundings) -> Complaints:
    table = around.program.table
    for name in (equation.target, *(read.tensor for read in all_reads(equation))):
        if name not in table:
            yield Complaint(unknown("tensor", name, table))
    target = table.get(equation.target)
    if target and target.kind in GIVEN:
        yield Complaint(f"{equation.target} is given by the caller (kind {target.kind!r}) and cannot be defined")


def _ranks(equation: Equation, around: Surroundings) -> Complaints:
    places = [(equation.target, equation.at), *((read.tensor, read.at) for read in all_reads(equation))]
    for name, at in places:
        shape = around.program.table[name].shape
        if len(at) != len(shape):
            declared = ", ".join(map(str, shape))
            yield Complaint(f"{name} has {len(shape)} axes ({declared}), got {len(at)} subscripts")


def _names(equation: Equation, around: Surroundings) -> Complaints:
    known = {*equation.extents, *around.sizes}
    listed = [*equation.extents, *around.program.sizes]
    affine = [guard.affine for guard in equation.guards]
    for name in indices_of([*equation.at, *affine, *all_reads(equation)]):
        if name not in known:
            yield Complaint(unknown("index or size", name, listed))
    at = indices_of(equation.at)
    for name in equation.free:
        if name not in at:
            yield Complaint(f"the index {name} is neither on the left side nor reduced; add it to one of them")


def _body(equation: Equation, around: Surroundings) -> Complaints:
    allowed = {each(k) for k in range(len(equation.reads)) for each in (slot, infinite_slot)}
    allowed |= {index_symbol(name) for name in equation.extents} | {size_symbol(name) for name in around.sizes}
    for symbol in sorted(equation.body.free_symbols - allowed, key=str):
        name = str(symbol)
        if re.fullmatch(r"_\d+", name):
            got = f"the body has the slot {name}, but the equation has {len(equation.reads)} reads"
            yield Complaint(got if int(name[1:]) >= len(equation.reads) else f"{got}; write slots as slot(k)")
        elif name in equation.extents or name in around.sizes:
            yield Complaint(f"the symbol {name} of the body lacks the assumptions of index_symbol or size_symbol")
        else:
            yield Complaint(
                unknown("index or size", name, [*equation.extents, *around.program.sizes]) + " (in the body)"
            )


def _dtypes(equation: Equation, around: Surroundings) -> Complaints:
    table = around.program.table
    subscripts = [equation.at, *(read.at for read in all_reads(equation))]
    for subscript in (s for at in subscripts for s in at):
        if isinstance(subscript, Read) and table[subscript.tensor].dtype != "int":
            got = table[subscript.tensor].dtype
            yield Complaint(f"{subscript.tensor} is used as a subscript: expected an int tensor, got {got}")
        if isinstance(subscript, Quotient) and subscript.divisor < 1:
            yield Complaint(f"a subscript is divided by {subscript.divisor}; expected a divisor of at least 1")
    for read in all_reads(equation):
        if read.strong and table[read.tensor].dtype != "float":
            yield Complaint(f"{read.tensor} is {table[read.tensor].dtype} and read as a cotangent; expected float")
    target = table[equation.target]
    if equation.reduce == "argmax" and target.dtype != "int":
        yield Complaint(f"argmax gives positions: expected the target {target.name} to be int, got {target.dtype}")
    elif equation.reduce == "logsumexp" and target.dtype != "float":
        yield Complaint(f"logsumexp gives a real number: expected a float target, got {target.dtype}")
    elif equation.reduce != "argmax" and target.dtype != "float" and not _is_integral(equation, table):
        yield Complaint(f"the target {target.name} is {target.dtype}, but the body need not be an integer")


def _is_integral(equation: Equation, table: Mapping[str, Tensor]) -> bool:
    """True when the body is provably an integer: built from integers, int and bool reads, and conditions."""
    exact = {slot(k) for k, read in enumerate(equation.reads) if table[read.tensor].dtype != "float"}

    def integral(expr: sympy.Basic) -> bool:
        if isinstance(expr, sympy.Symbol):
            return bool(expr.is_integer) or expr in exact
        if isinstance(expr, sympy.Piecewise):
            return all(integral(value) for value, _ in expr.args)
        if isinstance(expr, sympy.Pow):
            return integral(expr.base) and bool(expr.exp.is_Integer and expr.exp >= 0)
        if isinstance(expr, (sympy.sign, sympy.floor, sympy.ceiling)):
            return True
        return isinstance(expr, sympy.Integer) or (
            isinstance(expr, (sympy.Add, sympy.Mul, sympy.Mod, sympy.Max, sympy.Min, sympy.Abs))
            and all(integral(arg) for arg in expr.args)
        )

    return integral(equation.body)


def _guards(equation: Equation, around: Surroundings) -> Complaints:
    for guard in equation.guards:
        yield from _guard(guard, around.program.table)


def _guard(guard: Guard, table: Mapping[str, Tensor]) -> Complaints:
    if guard.op not in get_args(Comparison):
        yield Complaint(
            f"unknown comparison {guard.op!r} in a guard; expected one of {', '.join(get_args(Comparison))}"
        )
    if guard.modulus < 1:
        yield Complaint(f"a guard has the modulus {guard.modulus}; expected at least 1")
    for _, read in guard.reads:
        if table[read.tensor].dtype == "float":
            yield Complaint(
                f"{read.tensor} is float and stands in a guard: expected an int or bool tensor; "
                "compare numbers inside the body, with where(...)"
            )


def _reduction(equation: Equation, _: Surroundings) -> Complaints:
    if equation.reduce not in get_args(Reduction):
        near = unknown("reduction", str(equation.reduce), get_args(Reduction))
        yield Complaint(near)
    elif equation.reduce != "sum":
        plain = [s.plain if isinstance(s, Affine) else None for s in equation.at]
        if sorted(map(str, plain)) != sorted(equation.free):
            yield Complaint(
                f"under {equation.reduce} the left side must be the free indices ({', '.join(equation.free)}), each "
                "once and alone; only sums may write elsewhere"
            )
    if equation.reduce == "argmax" and equation.accumulate:
        yield Complaint("positions of a maximum cannot be added up; expected '=' with argmax")


def _definitions(equation: Equation, around: Surroundings) -> Complaints:
    first = around.definitions[equation.target][0]
    if equation.accumulate and first == around.position:
        yield Complaint(f"'+=' before any '=' for {equation.target}; the first equation of a tensor is '='")
    if not equation.accumulate and first != around.position:
        yield Complaint(f"{equation.target} is defined twice, first by equation {first}; write '+=' or another name")
    if (stage := around.program.equations[first].stage) != equation.stage:
        yield Complaint(f"{equation.target} belongs to stage {stage!r}, which is over when this equation adds to it")


def _order(equation: Equation, around: Surroundings) -> Complaints:
    before = around.program.equations[around.position - 1].stage if around.position else equation.stage
    if before != equation.stage and around.openings[equation.stage] < around.position:
        yield Complaint(f"stage {equation.stage!r} resumes after {before!r}; expected each stage in one piece")
    cycle: Collection[str] = around.cycles.get(equation.target, ())
    for name in dict.fromkeys(read.tensor for read in all_reads(equation)):
        if around.program.table[name].kind in GIVEN:
            continue
        positions: Sequence[int] = around.definitions.get(name, ())
        if not positions:
            yield Complaint(f"{name} is read, but no equation defines it and it is neither input nor parameter")
        elif name in cycle and around.program.equations[positions[0]].stage == equation.stage:
            continue
        elif positions[0] >= around.position:
            yield Complaint(f"{name} is read before equation {positions[0]} defines it; put the definition first")
        elif positions[-1] >= around.position:
            yield Complaint(f"{name} is read before equation {positions[-1]} completes it; put every '+=' first")


RULES: tuple[Rule, ...] = (
    _tensors,
    _box,
    _ranks,
    _names,
    _body,
    _reduction,
    _guards,
    _dtypes,
    _definitions,
    _order,
)
"""Every rule, in the order tried: the later ones may take for granted what the earlier ones hold."""
