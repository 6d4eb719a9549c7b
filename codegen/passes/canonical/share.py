"""Common subexpressions: equations with the same right side are computed once."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from codegen.ir.affine import Affine
from codegen.ir.edit import redirected, renamed
from codegen.ir.equation import Equation, Program, Read, Tensor, slot
from codegen.ir.names import by_number


def share_equal(program: Program, keep: Iterable[str] = ()) -> Program:
    """Drop an equation that repeats an earlier one; its readers read the earlier target.

    A tensor of `keep` stays defined: it is a copy of the earlier one.
    """
    kept_names = frozenset(keep)
    first: dict[object, str] = {}
    alias: dict[str, str] = {}
    kept: list[Equation] = []
    for equation in program.equations:
        equation = redirected(equation, alias)
        if equation.accumulate or len(program.defining(equation.target)) > 1:
            kept.append(equation)
            continue
        key = _canonical(equation)
        tensor = program.table[equation.target]
        if key in first and tensor.kind == "value" and program.table[first[key]].shape == tensor.shape:
            alias[equation.target] = first[key]
            if equation.target in kept_names:
                kept.append(_copy(equation, first[key], tensor, program.sizes))
            continue
        first.setdefault(key, equation.target)
        kept.append(equation)
    return program.with_equations(kept)


def _copy(equation: Equation, source: str, tensor: Tensor, sizes: Collection[str]) -> Equation:
    """The equation that copies `source`, of the shape of the target `tensor`."""
    names = by_number(len(tensor.shape), sizes)
    box, at = tuple(zip(names, tensor.shape, strict=True)), tuple(map(Affine.of, names))
    return equation.with_(at=at, body=slot(0), reads=(Read(source, at),), box=box, over=(), guards=(), reduce="sum")


def same_right_side(first: Equation, second: Equation) -> bool:
    """True when two defining equations compute the same values at the same places of their targets."""
    if first.accumulate or second.accumulate or len(first.box) != len(second.box):
        return False
    return _canonical(first) == _canonical(second)


def _canonical(equation: Equation) -> object:
    """The equation's right side with its indices named by position."""
    e = renamed(equation, {name: f"#{k}" for k, (name, _) in enumerate(equation.box)})
    return (e.at, e.body, e.reads, e.box, e.over, e.reduce, e.guards)


def copied_results(program: Program) -> Program:
    """`program` with a result that repeats an earlier one copied from it: gradients of two biases that are added."""
    first: dict[object, str] = {}
    equations: list[Equation] = []
    for equation in program.equations:
        tensor = program.table[equation.target]
        alone = tensor.kind == "result" and len(tensor.shape) == 1 and len(program.defining(equation.target)) == 1
        if alone and equation.over and equation.reduce == "sum":
            source = first.setdefault((_canonical(equation), tensor.shape), equation.target)
            if source != equation.target:
                name = equation.over[0]
                at, box = (Affine.of(name),), ((name, tensor.shape[0]),)
                reads = (Read(source, at),)
                equation = equation.with_(at=at, body=slot(0), reads=reads, box=box, over=(), guards=())
        equations.append(equation)
    return program.with_equations(equations)
