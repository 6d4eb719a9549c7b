"""What the workspaces of a module hold: the arrays that its stage functions name, and when they need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from codegen.emit.code import Assign, Code, Field, Statement, called, number
from codegen.emit.comments import Lines
from codegen.emit.scope import OWN, Scope
from codegen.emit.workspace import workspace
from codegen.ir.plan import Buffer, Step, accesses
from codegen.plan.memory import Access, Demand, Memory, Moment
from codegen.plan.memory.moments import first_seen


@dataclass(frozen=True)
class Function:
    """A stage function: its text, the lines of each equation in it, its steps with the scratch arrays of each.

    fields: of the workspace, those that it names.
    """

    source: str
    fields: frozenset[str]
    blocks: tuple[Lines, ...]
    steps: tuple[tuple[Step, frozenset[str]], ...]


@dataclass(frozen=True)
class Workspaces:
    """Workspaces for some or all of the stage functions.

    storage: for each tensor that is a view, the array in which it lies.  attributes: names under which tensors are
    read from outside.  orders: for tensors stored with their axes in another order, the original axis at each place.
    """

    scope: Scope
    storage: Mapping[str, str]
    functions: Mapping[str, Function]
    attributes: Mapping[str, str]
    orders: Mapping[str, tuple[int, ...]]

    @property
    def kept(self) -> frozenset[str]:
        """The arrays that hold the tensors with attributes of their own."""
        return frozenset(self.storage.get(tensor, tensor) for tensor in self.attributes.values())

    def moments(self, stages: Sequence[str]) -> tuple[Moment, ...]:
        """Everything that happens in these stages, in order."""
        return tuple(moment for moment in self._all_moments if moment.stage in stages)

    @cached_property
    def _all_moments(self) -> tuple[Moment, ...]:
        elsewhere = {t.name for t in self.scope.program.tensors if t.kind in ("parameter", "result")}
        found: list[Moment] = []
        for stage, function in self.functions.items():
            for step, scratch in function.steps:
                used = [(self.storage.get(view.base, view.base), wrote) for view, wrote in accesses(step)]
                own = (Access(name, wrote) for name, wrote in used if name not in elsewhere)
                found.append(Moment(stage, tuple(own), scratch))
        return tuple(found)

    @cached_property
    def _inputs(self) -> frozenset[str]:
        return frozenset(t.name for t in self.scope.program.tensors if t.kind == "input")

    def demand(self, stages: Sequence[str]) -> Demand:
        """What a workspace for these stages is to hold."""
        moments = self.moments(stages)
        return Demand(self._arrays(stages), moments, self.kept, self._inputs | self.scope.ranges.keys())

    def _arrays(self, stages: Sequence[str]) -> tuple[Buffer, ...]:
        if self._is_whole(stages):
            return tuple(self.scope.arrays)
        seen, used = self._seen(stages), self._used(stages)
        return tuple(b for b in self.scope.arrays if b.name in seen or self.scope.attribute(b.name) in used)

    def _is_whole(self, stages: Sequence[str]) -> bool:
        return len(stages) == len(self.functions)

    def _seen(self, stages: Sequence[str]) -> frozenset[str]:
        return self._inputs.union(first_seen(self.moments(stages)))

    def _present(self, stages: Sequence[str]) -> dict[str, str]:
        """The attributes whose tensors are there."""
        seen = self._seen(stages)
        return {a: t for a, t in self.attributes.items() if self.storage.get(t, t) in seen}

    def _own(self, stages: Sequence[str]) -> list[Statement]:
        """Attributes under other names than that of the tensor."""
        return [
            Assign(Field(OWN, attribute), _restored(Field(OWN, self.scope.attribute(tensor)), self.orders.get(tensor)))
            for attribute, tensor in self._present(stages).items()
            if attribute != self.scope.attribute(tensor)
        ]

    def _fields(self, stages: Sequence[str]) -> set[str]:
        return {name for stage in stages for name in self.functions[stage].fields}

    def _used(self, stages: Sequence[str]) -> set[str]:
        """The attributes that the stages name, and those under which tensors are read from outside."""
        present = self._present(stages)
        return {*self._fields(stages), *present, *map(self.scope.attribute, present.values())}

    def source(self, name: str, stages: Sequence[str], memory: Memory) -> str:
        """The class of a workspace for these stages."""
        scalars = "scalar" in self._fields(stages)
        used = None if self._is_whole(stages) else self._used(stages)
        return workspace(name, self.scope, memory, self.moments(stages), self._own(stages), scalars, used)


def _restored(array: Code, order: tuple[int, ...] | None) -> Code:
    """The array with its storage order undone."""
    if not order:
        return array
    return called(Field(array, "transpose"), *(number(order.index(k)) for k in range(len(order))))
