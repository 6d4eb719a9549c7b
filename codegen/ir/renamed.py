"""Indices and sizes under other names: those that would mean something else in the code.

    y[n,range] = x[n,range]/len        y[n,range_] = x[n,range_]/len_

People see the names of the model: `Renaming.back` gives an equation its own names again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from codegen.ir.affine import Affine
from codegen.ir.edit import renamed
from codegen.ir.equation import Equation, Program
from codegen.ir.names import allocate, identifier


@dataclass(frozen=True)
class Renaming:
    """New names of indices and sizes, by the old ones."""

    names: Mapping[str, str] = field(default_factory=dict)

    def back(self, equation: Equation) -> Equation:
        """An equation of the renamed program with the names that the model has."""
        return renamed(equation, {new: old for old, new in self.names.items()})

    def sizes_back(self) -> dict[str, str]:
        """The old names by the new ones."""
        return {new: old for old, new in self.names.items()}


def without_words(program: Program, words: Collection[str], taken: Collection[str] = ()) -> tuple[Program, Renaming]:
    """`program` with no index or size called like one of `words`, and no size like one of `taken`."""
    indices = {name: None for e in program.equations for name, _ in e.box}
    wanted = [name for name in (*program.sizes, *indices) if name in words]
    wanted += [name for name in program.sizes if name in taken and name not in words]
    if not wanted:
        return program, Renaming()
    known = {*program.sizes, *indices, *taken, *(identifier(t.name) for t in program.tensors)}
    names: dict[str, str] = {}
    for name in dict.fromkeys(wanted):
        names[name] = allocate(f"{name}_", known, words)
        known.add(names[name])
    values = {old: Affine.of(new) for old, new in names.items()}
    tensors = (replace(t, shape=tuple(e.substitute(values) for e in t.shape)) for t in program.tensors)
    equations = (renamed(e, names) for e in program.equations)
    sizes = tuple(names.get(name, name) for name in program.sizes)
    return Program(tuple(tensors), tuple(equations), sizes), Renaming(names)
