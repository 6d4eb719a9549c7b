"""A tree of operations as NumPy calls that allocate nothing.

Every call writes to `out=`: the destination itself as far as possible, scratch
arrays of the workspace where two intermediate results live at once.  An operand
that shares the destination's storage is read by the last call that needs it
before the destination is written.  A value that is needed twice is kept in scratch until its last use.

Every call works in one dtype: where floats and integers meet, the integers are
converted first, into scratch; NumPy would compute in float64 and buffer.  A mask
may stay one beside an array of floats, where it acts as 0 or 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from codegen.emit.code import Assign, Code, Field, Item, Name, Quoted, Statement, called, calls, number
from codegen.emit.operand import Operand, Ref
from codegen.emit.optree import BOOLEAN, LOGICAL, Leaf, Node, Scalar, Tree
from codegen.ir.equation import Dtype

Axes = tuple[str, ...]

RANK: dict[Dtype, int] = {"bool": 0, "int": 1, "float": 2}
EXACT = frozenset("add subtract multiply negative square maximum minimum abs sign remainder floor_divide where".split())
"""Operations on integers whose result is an integer; all others are functions of real numbers."""


@dataclass
class UfuncWriter:
    """Writes one kernel.

    axes: the indices of the destination, in order.
    out: the destination; `out_dtype` its dtype.
    operands: array, indices and dtype of each leaf.
    aliases: leaves that share the destination's storage (point by point).
    scratch: (indices, dtype, number) -> a scratch array of that shape.
    number: (number, dtype) -> an array that holds this number; None where calls are long enough to convert it.
    run: whether the destination has no gaps.  near: whether its arrays stay in the cache from one call to the next.
    """

    axes: Axes
    out: Code
    operands: Mapping[str, Operand]
    scratch: Callable[[Axes, Dtype, int], Code]
    aliases: frozenset[str] = frozenset()
    out_dtype: Dtype = "float"
    number: Callable[[Code, Dtype], Code] | None = None
    run: bool = False
    near: bool = True
    lines: list[Statement] = field(default_factory=list)
    busy: set[Code] = field(default_factory=set)
    uses: dict[tuple[Node, Dtype], int] = field(default_factory=dict)
    held: dict[tuple[Node, Dtype], Ref] = field(default_factory=dict)
    """By operations and the dtype they are computed in: whole numbers that are to be floats are so from the start."""
    buffered: bool = False
    """Whether NumPy takes numbers through buffers of its own in some call."""
    owed: dict[Code, int] = field(default_factory=dict)
    """How many uses the value in a scratch array still has, where it has several."""

    def write(self, tree: Tree) -> list[Statement]:
        """The calls that compute `tree` into the destination."""
        if isinstance(tree, Scalar):
            self._fill(self.out, tree.code)
            return self.lines
        self._count(tree, self.out_dtype)
        ref = self._value(tree, self.out_dtype, self.out)
        if self.out_dtype == "bool" and ref.dtype != "bool":
            self._do("np.not_equal", ref.code, number(0), out=self.out)
        elif self.out_dtype == "int" and ref.dtype == "float":
            self._do("np.copyto", self.out, ref.code, casting=Quoted("unsafe"))
        elif ref.code != self.out:
            self._do("np.copyto", self.out, ref.code)
        return self.lines

    def _do(self, function: Code | str, *args: Code, **keywords: Code) -> None:
        self.lines.append(called(function, *args, **keywords))

    def _fill(self, array: Code, value: Code) -> None:
        self.lines.append(Assign(Item(array, (Name("..."),)), value))

    def dtype(self, tree: Tree) -> Dtype:
        """The dtype of a tree's value, before any conversion."""
        if isinstance(tree, Scalar):
            return tree.dtype
        if isinstance(tree, Leaf):
            return self.operands[tree.symbol].dtype
        if tree.ufunc in BOOLEAN:
            return "bool"
        if tree.ufunc not in EXACT:
            return "float"
        values = tree.args[1:] if tree.ufunc == "where" else tree.args
        return max((self.dtype(a) for a in values), default="int", key=RANK.__getitem__)

    def _working(self, tree: Node, wanted: Dtype) -> Dtype:
        """The dtype in which an operation is computed where its consumer works in `wanted`."""
        own = max(self.dtype(tree), wanted, key=RANK.__getitem__)
        if tree.ufunc in BOOLEAN:
            own = max((self.dtype(a) for a in tree.args), key=RANK.__getitem__)
            return own if tree.ufunc in LOGICAL else max(own, "int", key=RANK.__getitem__)
        return "int" if own == "bool" else own

    def _value(self, tree: Tree, wanted: Dtype, into: Code | None = None, masks: bool = True) -> Ref:
        """Compute `tree` in `wanted` or a higher dtype; into the destination when `into` is given and fits.

        masks: a boolean value may stay one.
        """
        if isinstance(tree, Scalar):
            return Ref(tree.code, frozenset(), tree.dtype)
        if isinstance(tree, Leaf):
            operand = self.operands[tree.symbol]
            ref = Ref(operand.code, operand.axes, operand.dtype, run=operand.run)
        elif self.uses[key := (tree, self._working(tree, wanted))] > 1 or key in self.held:
            ref = self._shared(*key)
        elif tree.ufunc == "where":
            return self._where(tree, wanted, into)
        else:
            ref = self._call(tree, wanted, into)
        return ref if ref.dtype == "bool" and masks else self._converted(ref, wanted)

    def _count(self, tree: Tree, wanted: Dtype) -> None:
        """How often each operation's value is needed, once it is computed only once."""
        if isinstance(tree, Node):
            working = self._working(tree, wanted)
            self.uses[tree, working] = self.uses.get((tree, working), 0) + 1
            if self.uses[tree, working] == 1:
                for k, argument in enumerate(tree.args):
                    self._count(argument, "bool" if tree.ufunc == "where" and k == 0 else working)

    def _shared(self, tree: Node, working: Dtype) -> Ref:
        """A value that is needed again: in scratch, which its last use may release."""
        if (tree, working) not in self.held:
            compute = self._where if tree.ufunc == "where" else self._call
            ref = self.held[tree, working] = compute(tree, working, None)
            if ref.scratch is not None:
                self.owed[ref.scratch] = self.uses[tree, working]
        return self.held[tree, working]

    def _converted(self, ref: Ref, wanted: Dtype) -> Ref:
        if RANK[ref.dtype] >= RANK[wanted]:
            return ref
        target, scratch = self._scratch(ref.axes, wanted)
        self._do("np.copyto", target, ref.code)
        self._free(ref.scratch)
        return Ref(target, ref.axes, wanted, scratch, run=True)

    def _call(self, tree: Node, wanted: Dtype, into: Code | None) -> Ref:
        axes, working = self._axes(tree), self._working(tree, wanted)
        result: Dtype = "bool" if tree.ufunc in BOOLEAN else working
        fits = into is not None and result == self.out_dtype
        chosen = into if fits and axes == frozenset(self.axes) and working == result else None
        refs = self._arguments(tree, working, chosen)
        self._release(refs)
        # A value of fewer indices broadcasts into the destination.
        target, scratch = (into, None) if fits and into is not None else self._scratch(axes, result)
        run = (self.run and axes == frozenset(self.axes)) if target == self.out else True
        if run and self.near and result == "float":
            refs = self._spread(tree, refs, Ref(target, axes, result, scratch))
        codes = [self._number(a, r, working) for a, r in zip(tree.args, refs, strict=True)]
        arrays = [r for a, r in zip(tree.args, refs, strict=True) if not isinstance(a, Scalar)]
        self.buffered |= not (run and all(r.run and (r.axes, r.dtype) == (axes, working) for r in arrays))
        clips = tree.ufunc in ("maximum", "minimum") and [r.dtype for r in arrays] == ["float"]
        if clips and not calls(arrays[0].code):
            self._do(*self._clip(tree, codes), out=target)
        else:
            self._do(_ufunc(tree.ufunc), *codes, out=target)
        return Ref(target, axes, result, scratch, run)

    def _number(self, tree: Tree, ref: Ref, working: Dtype) -> Code:
        """An argument: for a number in a short call, an array that holds it."""
        numeric = isinstance(tree, Scalar) and tree.dtype != "bool" and working != "bool"
        return self.number(ref.code, working) if self.number and numeric else ref.code

    def _clip(self, tree: Node, codes: list[Code]) -> list[Code]:
        """A maximum or minimum with a number as the other call for it, which is several times as fast."""
        array, bound = codes if isinstance(tree.args[1], Scalar) else reversed(codes)
        infinite = number(math.inf if tree.ufunc == "maximum" else -math.inf)
        other = self.number(infinite, "float") if self.number else infinite
        return [Field(array, "clip"), *([bound, other] if tree.ufunc == "maximum" else [other, bound])]

    def _spread(self, tree: Node, refs: list[Ref], target: Ref) -> list[Ref]:
        """The arguments, one that is narrower than the result, or a mask, laid out beforehand.

        A call whose arrays are of one shape and dtype is one loop over their numbers; any other one is a loop over
        rows, or converts.  An assignment needs neither, and costs less than the difference.
        """
        arrays = [k for k, a in enumerate(tree.args) if not isinstance(a, Scalar)]
        other = [k for k in arrays if refs[k].axes != target.axes or refs[k].dtype != "float"]
        whole = [k for k in arrays if k not in other]
        if len(other) != 1 or not whole or not all(refs[k].run for k in whole):
            return refs
        spoilt = self.aliases & {a.symbol for a in tree.args if isinstance(a, Leaf)}
        in_place = (spoilt and target.code == self.out) or any(refs[k].code == target.code for k in arrays)
        if in_place and self.number is None:
            return refs
        place = self._beside(refs, target) if in_place else target.code
        self._fill(place, refs[other[0]].code)
        return [Ref(place, target.axes, "float", run=True) if k in other else ref for k, ref in enumerate(refs)]

    def _arguments(self, tree: Node, working: Dtype, into: Code | None) -> list[Ref]:
        """The arguments' values; at most one of them computed into the destination, after those it would spoil."""
        compound = [k for k, a in enumerate(tree.args) if isinstance(a, Node)]
        spoiled = [k for k, a in enumerate(tree.args) if self._reads_destination(a)]
        chosen: int | None = None
        if into is not None and not any(isinstance(tree.args[k], Leaf) for k in spoiled):
            fits = [k for k in compound if self._axes(tree.args[k]) == frozenset(self.axes)]
            fits = [k for k in fits if self.dtype(tree.args[k]) != "bool"]
            reading = [k for k in fits if k in spoiled]
            chosen = reading[-1] if reading else fits[0] if fits and not spoiled else None
        arrays = [self.dtype(a) for a in tree.args if not isinstance(a, Scalar)]
        masks = working in arrays or (working != "float" and tree.ufunc in BOOLEAN)
        refs: dict[int, Ref] = {}
        for k in [*(k for k in range(len(tree.args)) if k != chosen), *([chosen] if chosen is not None else [])]:
            refs[k] = self._value(tree.args[k], working, into if k == chosen else None, masks)
        return [refs[k] for k in range(len(tree.args))]

    def _where(self, tree: Node, wanted: Dtype, into: Code | None) -> Ref:
        """`b` computed in place, then overwritten by `a` where the condition holds."""
        axes, working = self._axes(tree), self._working(tree, wanted)
        condition, yes, no = tree.args
        whole = axes == frozenset(self.axes) and working == self.out_dtype
        safe = not isinstance(yes, Leaf) or not self._reads_destination(yes)
        mask = self._value(condition, "bool")
        first = self._value(yes, working)
        direct = into is not None and whole and safe
        if into is not None and direct:
            second = self._value(no, working, into)
            target, scratch = into, None
        else:
            second = self._value(no, working)
            reusable = second.scratch is not None and second.axes == axes and second.dtype == working
            reusable = reusable and second.scratch not in self.owed
            target, scratch = (second.code, second.scratch) if reusable else self._scratch(axes, working)
        if second.code != target:
            self._do("np.copyto", target, second.code)
        self._do("np.copyto", target, first.code, where=mask.code)
        self._release([r for r in (mask, first, second) if r.scratch != scratch])
        return Ref(target, axes, working, scratch)

    def _scratch(self, axes: frozenset[str], dtype: Dtype) -> tuple[Code, Code]:
        ordered = tuple(a for a in self.axes if a in axes)
        number = 0
        while (name := self.scratch(ordered, dtype, number)) in self.busy:
            number += 1
        self.busy.add(name)
        return name, name

    def _beside(self, refs: list[Ref], target: Ref) -> Code:
        """Scratch for the moment, of the target's shape, that holds none of the arguments."""
        arguments = {r.scratch for r in refs if r.scratch} - self.busy
        self.busy |= arguments
        place, scratch = self._scratch(target.axes, target.dtype)
        self.busy -= {scratch, *arguments}
        return place

    def _release(self, refs: list[Ref]) -> None:
        for ref in refs:
            self._free(ref.scratch)

    def _free(self, scratch: Code | None) -> None:
        if scratch is None:
            return
        self.owed[scratch] = self.owed.get(scratch, 1) - 1
        if not self.owed[scratch]:
            del self.owed[scratch]
            self.busy.discard(scratch)

    def _axes(self, tree: Tree) -> frozenset[str]:
        if isinstance(tree, Scalar):
            return frozenset()
        if isinstance(tree, Leaf):
            return self.operands[tree.symbol].axes
        return frozenset().union(*(self._axes(a) for a in tree.args))

    def _reads_destination(self, tree: Tree) -> bool:
        if isinstance(tree, Leaf):
            return tree.symbol in self.aliases
        return isinstance(tree, Node) and any(self._reads_destination(a) for a in tree.args)


def _ufunc(name: str) -> str:
    return "erf" if name == "erf" else f"np.{name}"
