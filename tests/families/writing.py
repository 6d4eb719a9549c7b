"""Programs from text, with arrays: how families are written."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from codegen.ir.affine import Affine
from codegen.ir.equation import Program, Tensor
from codegen.notation import elaborate, show
from codegen.passes.state import Given
from codegen.pipeline import rewrite
from symnet.differentiate.reverse import gradient

GIVEN = re.compile(r"([\w.]+)\(([^)]*)\)(?::(\w+))?")
ACTIVATIONS = ("tanh({})", "relu({})", "sigmoid({})", "exp({}/4)", "{}**2/2")
SMOOTH = ("tanh({})", "sigmoid({})", "sin({})", "{}/(1 + {}**2)")


@dataclass(frozen=True)
class Drawn:
    """A program with values for its sizes, inputs and parameters, and how it is to be compiled.

    checked: of integer inputs whose values are known to lie in a range, its end.  recipes: those to prefer.
    """

    program: Program
    arrays: Mapping[str, np.ndarray]
    sizes: Mapping[str, int]
    checked: Mapping[str, int] = field(default_factory=dict)
    recipes: tuple[str, ...] = ()

    @property
    def results(self) -> tuple[str, ...]:
        """The names of the tensors that are judged."""
        return tuple(t.name for t in self.program.tensors if t.kind == "result")

    def __str__(self) -> str:
        return "\n".join([f"sizes {dict(self.sizes)}", *map(show, self.program.equations)])


Family = Callable[[random.Random], Drawn]


def written(
    draw: random.Random,
    given: str,
    text: str,
    *,
    wrt: str = "",
    results: str = "",
    sizes: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int | str]] | None = None,
    ranges: Mapping[str, tuple[int, int]] | None = None,
    checked: Sequence[str] = (),
    recipes: Sequence[str] = (),
) -> Drawn:
    """The program of `text`.

    given: tensors with their shapes, as "x(N,4) W(2,4):parameter tok(N):int keep(N):bool".
    wrt: tensors by which the target "loss" is differentiated.  results: what is judged besides; the last target where
    nothing is named.  ranges: the least and the greatest value of integer tensors, 0 and 2 where nothing is said.
    checked: the integer tensors whose range is told to the compiler.
    """
    made = program_of(given, text, results, sizes, shapes)
    made = gradient(made, wrt.split()) if wrt else made
    return with_values(draw, made, ranges or {}, checked, recipes)


def program_of(
    given: str,
    text: str,
    results: str = "",
    sizes: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int | str]] | None = None,
) -> Program:
    """The program of `text`, without values; see `written`."""
    tensors = [_given(name, shape, kind) for name, shape, kind in GIVEN.findall(given)]
    done = elaborate(text, {t.name: t for t in tensors}, sizes=sizes, shapes=shapes)
    named = {*results.split()} or {done.output.name}
    everything = [*tensors, *(replace(t, kind="result") if t.name in named else t for t in done.tensors)]
    symbols = dict.fromkeys(name for t in everything for extent in t.shape for name in extent.names)
    return Program(tuple(everything), done.equations, tuple(symbols))


def with_values(
    draw: random.Random,
    made: Program,
    ranges: Mapping[str, tuple[int, int]] | None = None,
    checked: Sequence[str] = (),
    recipes: Sequence[str] = (),
) -> Drawn:
    """`made` with drawn sizes and arrays."""
    ranges = ranges or {}
    values = {name: draw.randint(1, 4) for name in made.sizes}
    rng = np.random.default_rng(draw.getrandbits(32))
    arrays: dict[str, np.ndarray] = {}
    for t in made.tensors:
        shape = tuple(extent.evaluate(values) for extent in t.shape)
        low, high = ranges.get(t.name, (0, 2))
        if t.kind not in ("input", "parameter"):
            continue
        if t.dtype == "float":
            arrays[t.name] = rng.normal(size=shape)
        else:
            arrays[t.name] = rng.integers(low, high + 1, shape) if t.dtype == "int" else rng.random(shape) < 0.6
    known = {name: ranges.get(name, (0, 2))[1] + 1 for name in checked}
    return Drawn(made, arrays, values, known, tuple(recipes))


def rewritten(drawn: Drawn) -> Drawn:
    """The program after the passes that come before the storage orders."""
    return replace(drawn, program=rewrite(drawn.program, Given(keep=frozenset(drawn.results))))


def _given(name: str, shape: str, kind: str) -> Tensor:
    extents = tuple(Affine.of(int(e) if e.isdigit() else e) for e in shape.replace(" ", "").split(",") if e)
    if kind in ("int", "bool"):
        return Tensor(name, extents, kind, "input")  # type: ignore[arg-type]
    return Tensor(name, extents, "float", "parameter" if kind == "parameter" else "input")


def activated(draw: random.Random, argument: str, functions: Sequence[str] = ACTIVATIONS) -> str:
    """A drawn function of an argument."""
    return draw.choice(functions).replace("{}", argument)
