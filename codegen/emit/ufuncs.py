"""A tree of operations as NumPy calls that allocate nothing.

Every call writes to `out=`: the destination itself as far as possible, scratch
arrays of the workspace where two intermediate results live at once.  An operand
that shares the destination's storage is read by the last call that needs it
before the destination is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from codegen.emit.optree import COMPARISONS, Leaf, Node, Scalar, Tree

Axes = tuple[str, ...]


@dataclass(frozen=True)
class Operand:
    """The text of an array and the indices it really has."""

    text: str
    axes: frozenset[str]


@dataclass(frozen=True)
class Ref:
    """A value ready to be used: text, indices, and the scratch array it occupies, if any."""

    text: str
    axes: frozenset[str]
    scratch: str | None = None


@dataclass
class UfuncWriter:
    """Writes one kernel.

    axes: the indices of the destination, in order.
    out: its text; `out_dtype` "float", "int" or "bool".
    operands: text and indices of each leaf.
    aliases: leaves that share the destination's storage (point by point).
    scratch: (indices, dtype, number) -> text of a scratch array of that shape.
    """

    axes: Axes
    out: str
    operands: Mapping[str, Operand]
    scratch: Callable[[Axes, str, int], str]
    aliases: frozenset[str] = frozenset()
    out_dtype: str = "float"
    lines: list[str] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)

    def write(self, tree: Tree) -> list[str]:
        """The calls that compute `tree` into the destination."""
        if isinstance(tree, Scalar):
            self.lines.append(f"{self.out}[...] = {tree.text}")
        elif isinstance(tree, Leaf):
            if tree.symbol not in self.aliases:
                self.lines.append(f"np.copyto({self.out}, {self.operands[tree.symbol].text})")
        else:
            dtype = self._dtype(tree)
            if dtype == "bool" and self.out_dtype != "bool":
                ref = self._value(tree, None)
                self.lines.append(f"np.copyto({self.out}, {ref.text})")
            else:
                self._value(tree, self.out)
        return self.lines

    def _value(self, tree: Tree, into: str | None) -> Ref:
        """Compute `tree`; into the destination when `into` is given, else into scratch."""
        if isinstance(tree, Scalar):
            return Ref(tree.text, frozenset())
        if isinstance(tree, Leaf):
            operand = self.operands[tree.symbol]
            return Ref(operand.text, operand.axes)
        if tree.ufunc == "where":
            return self._where(tree, into)
        axes = self._axes(tree)
        refs = self._arguments(tree, into if axes == frozenset(self.axes) and self._dtype(tree) != "bool" else None)
        self._release(refs)
        target, scratch = self._target(tree, axes, into)
        self.lines.append(f"{_ufunc(tree.ufunc)}({', '.join(r.text for r in refs)}, out={target})")
        return Ref(target, axes, scratch)

    def _arguments(self, tree: Node, into: str | None) -> list[Ref]:
        """The arguments' values; at most one of them computed into the destination, after those it would spoil."""
        compound = [k for k, a in enumerate(tree.args) if isinstance(a, Node)]
        spoiled = [k for k, a in enumerate(tree.args) if self._reads_destination(a)]
        chosen: int | None = None
        if into is not None and not any(isinstance(tree.args[k], Leaf) for k in spoiled):
            fits = [
                k for k in compound if self._axes(tree.args[k]) == frozenset(self.axes) and self._is_float(tree.args[k])
            ]
            reading = [k for k in fits if k in spoiled]
            chosen = reading[-1] if reading else fits[0] if fits and not spoiled else None
        refs: dict[int, Ref] = {}
        for k in [*(k for k in range(len(tree.args)) if k != chosen), *([chosen] if chosen is not None else [])]:
            refs[k] = self._value(tree.args[k], into if k == chosen else None)
        return [refs[k] for k in range(len(tree.args))]

    def _where(self, tree: Node, into: str | None) -> Ref:
        """`b` computed in place, then overwritten by `a` where the condition holds."""
        axes = self._axes(tree)
        condition, yes, no = tree.args
        whole = axes == frozenset(self.axes)
        safe = not isinstance(yes, Leaf) or not self._reads_destination(yes)
        mask = self._value(condition, None)
        first = self._value(yes, None)
        target, scratch = self._target(tree, axes, into if whole and safe else None)
        if isinstance(no, Node) and self._axes(no) == axes:
            if target == into:
                second = self._value(no, into)
            else:
                second = self._value(no, None)
                if second.scratch is not None and scratch is not None:
                    self._free(scratch)
                    target, scratch = second.text, second.scratch
                    self.busy.add(scratch)
            if second.text != target:
                self.lines.append(f"np.copyto({target}, {second.text})")
        else:
            second = self._value(no, None)
            if second.text != target:
                self.lines.append(f"np.copyto({target}, {second.text})")
        self.lines.append(f"np.copyto({target}, {first.text}, where={mask.text})")
        self._release([r for r in (mask, first, second) if r.scratch != scratch])
        if into is not None and target != into and whole:
            self.lines.append(f"np.copyto({into}, {target})")
            self._free(scratch)
            return Ref(into, axes)
        return Ref(target, axes, scratch)

    def _target(self, tree: Node, axes: frozenset[str], into: str | None) -> tuple[str, str | None]:
        dtype = self._dtype(tree)
        if into is not None and axes == frozenset(self.axes) and (dtype == self.out_dtype or dtype != "bool"):
            return into, None
        if into is not None and dtype != "bool":
            return into, None  # a value of fewer indices broadcasts into the destination
        ordered = tuple(a for a in self.axes if a in axes)
        number = 0
        while (name := self.scratch(ordered, dtype, number)) in self.busy:
            number += 1
        self.busy.add(name)
        return name, name

    def _release(self, refs: list[Ref]) -> None:
        for ref in refs:
            self._free(ref.scratch)

    def _free(self, scratch: str | None) -> None:
        if scratch is not None:
            self.busy.discard(scratch)

    def _axes(self, tree: Tree) -> frozenset[str]:
        if isinstance(tree, Scalar):
            return frozenset()
        if isinstance(tree, Leaf):
            return self.operands[tree.symbol].axes
        return frozenset().union(*(self._axes(a) for a in tree.args))

    def _dtype(self, tree: Tree) -> str:
        if isinstance(tree, Node) and tree.ufunc in COMPARISONS:
            return "bool"
        return "int" if self.out_dtype == "int" else "float"

    def _is_float(self, tree: Tree) -> bool:
        return self._dtype(tree) != "bool"

    def _reads_destination(self, tree: Tree) -> bool:
        if isinstance(tree, Leaf):
            return tree.symbol in self.aliases
        return isinstance(tree, Node) and any(self._reads_destination(a) for a in tree.args)


def _ufunc(name: str) -> str:
    return "erf" if name == "erf" else f"np.{name}"
