"""Long kernels row block by row block: what one call leaves is still in the cache when the next one reads it.

for rows in blocks(N, 64):
    d1_z, d1 = w.d1_z[rows], w.d1[rows]
    np.multiply(d1_z, 0.5, out=d1)
    np.tanh(d1, out=d1)
    ...
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace

from codegen.emit.code import Assign, Code, Cut, For, Item, Name, Statement, called, number
from codegen.emit.operand import Operand
from codegen.emit.optree import Leaf, Node, Tree
from codegen.emit.scope import kind_of, stem
from codegen.ir.affine import Affine
from codegen.ir.equation import Dtype
from codegen.ir.names import allocate
from codegen.ir.plan import Compute
from codegen.ir.view import View
from codegen.machine.model import Machine

BLOCKS = '''\
def blocks(count, rows):
    """Slices of so many rows, one after another, until there are `count`."""
    return [slice(start, start + rows) for start in range(0, count, rows)]
'''

ARRAYS = 4
"""So many arrays of a block fit into a core's own cache."""

Scratch = Callable[[tuple[str, ...], Dtype, int], Code]


def rows_of(
    step: Compute, tree: Tree, known: Mapping[str, Operand], shared: Collection[View], machine: Machine
) -> int | None:
    """How many rows a block of this kernel has; None where blocks would not pay or not be right.

    known: the operands by leaf.  shared: those that lie in the same storage as the result.
    """
    if not step.axes or not step.axes[0][1].names or step.dtype != "float" or step.out.ops:
        return None
    long = [node for node in _calls(tree) if _indices(node, known) == {name for name, _ in step.axes}]
    if len(long) < machine.limits.blocked_calls or any(view.ops for view in shared):
        return None
    row = math.prod(extent.assumed(machine.sizes.typical) for _, extent in step.axes[1:])
    return max(1, machine.caches.second // ARRAYS // row) if row >= machine.limits.blocked_row else None


def _calls(tree: Tree) -> set[Node]:
    return {tree}.union(*(_calls(a) for a in tree.args)) if isinstance(tree, Node) else set()


def _indices(tree: Tree, known: Mapping[str, Operand]) -> set[str]:
    if isinstance(tree, Leaf):
        return set(known[tree.symbol].axes)
    return set().union(*(_indices(a, known) for a in tree.args)) if isinstance(tree, Node) else set()


@dataclass
class Block:
    """The names within one block of rows: of the arrays that have its leading index, and of scratch arrays.

    index: the leading index.  taken: variables that are there.  words: what means something else.
    """

    index: str
    rows: int
    taken: set[str]
    words: Collection[str]

    def __post_init__(self) -> None:
        self.views: dict[Code, Name] = {}
        self.scratch: dict[Code, Name] = {}

    def operand(self, operand: Operand) -> Operand:
        """The operand within the block."""
        return replace(operand, code=self.view(operand.code)) if self.index in operand.axes else operand

    def view(self, array: Code) -> Name:
        """The name of the rows of an array."""
        if array not in self.views:
            self.views[array] = self._name(stem(array))
        return self.views[array]

    def scratched(self, scratch: Callable[[tuple[str, ...], Dtype, int, Affine | None], Code]) -> Scratch:
        """Scratch arrays no longer than a block."""

        def made(axes: tuple[str, ...], dtype: Dtype, number: int) -> Code:
            if self.index not in axes:
                return scratch(axes, dtype, number, None)
            array = scratch(axes, dtype, number, Affine.of(self.rows))
            if array not in self.scratch:
                self.scratch[array] = self._name(kind_of(dtype, number))
            return self.scratch[array]

        return made

    def loop(self, count: Code, out: Code, body: list[Statement]) -> For:
        """The loop, which begins with the names of the block's arrays."""
        rows = Name("rows")
        short = Cut((None, called("len", out)))
        names: list[Statement] = [Assign(name, Item(array, (rows,))) for array, name in self.views.items()]
        names += [Assign(name, Item(array, (short,))) for array, name in self.scratch.items()]
        return For((rows,), called("blocks", count, number(self.rows)), [*names, *body])

    def _name(self, wanted: str) -> Name:
        name = allocate(wanted, self.taken, self.words)
        self.taken.add(name)
        return Name(name)
