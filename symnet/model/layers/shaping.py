"""Layers that only move numbers: flattening and concatenation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from codegen.ir.affine import Affine
from codegen.ir.equation import Tensor
from symnet.model.layers.base import Layer, Node
from symnet.model.layers.spelling import Site, Spelling, described
from symnet.support.errors import DefinitionError, ShapeError
from symnet.support.options import shown, strict

LETTERS = ("n", "c", "i", "j", "k", "l", "m", "o", "p", "q")


@dataclass(frozen=True, eq=False)
class Flatten(Layer):
    """y[n,(c,i,j)] = x[n,c,i,j]: all axes but the batch in one, the first slowest.

    x: (N, C, H, W) -> y: (N, C*H*W).  A picture with channels last is flattened in the
    same order (channel, row, column), so that the parameters after it do not depend on the layout.
    """

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError for an input of one axis or too many, or with an inner symbolic axis."""
        where, x = f"Flatten '{site.name}'", inputs[0]
        rank = len(x.shape)
        if not 2 <= rank <= len(LETTERS):
            raise ShapeError(f"{where}: expected an input of 2 to {len(LETTERS)} axes, got {described(x)}")
        order = list(range(1, rank))
        if site.layout == "HWC":
            order = [rank - 1, *range(1, rank - 1)]
        if any(not x.shape[axis].is_constant for axis in order[1:]):
            raise ShapeError(f"{where}: only the first of the flattened axes may be symbolic, got {described(x)}")
        letters = {axis: LETTERS[k + 1] for k, axis in enumerate(order)}
        read = ",".join(letters[axis] for axis in range(1, rank))
        merged = ",".join(letters[axis] for axis in order)
        return Spelling(f"y[n,{merged if rank == 2 else f'({merged})'}] = x[n,{read}]", ("x",))


@dataclass(frozen=True, eq=False)
class Concat(Layer):
    """y[n,c] = x1[n,c] + x2[n,c-C1] + ...: inputs one after another along `axis` (the batch is axis 0).

    A read outside a tensor is 0, so the sum is the concatenation.
    """

    axis: int = 1

    arity: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.axis, bool) or not isinstance(self.axis, int) or self.axis == 0:
            raise DefinitionError(
                f"{self.where}(axis=): expected an axis other than the batch (0), got {shown(self.axis)}"
            )

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError when the other axes differ."""
        where, first = f"Concat '{site.name}'", inputs[0]
        rank = len(first.shape)
        axis = self.axis + rank if self.axis < 0 else self.axis
        if not 1 <= axis < rank <= len(LETTERS):
            raise ShapeError(
                f"{where}: axis {shown(self.axis)} of {described(first)}; expected one from 1 to {rank - 1}"
            )
        for other in inputs[1:]:
            fits = len(other.shape) == rank and all(
                a == b for k, (a, b) in enumerate(zip(first.shape, other.shape, strict=True)) if k != axis
            )
            if not fits:
                raise ShapeError(
                    f"{where}: {described(first)} and {described(other)} differ outside axis {axis}; "
                    "all other axes must agree"
                )
        letters = list(LETTERS[:rank])
        offset, reads = Affine.of(0), []
        for k, tensor in enumerate(inputs, start=1):
            at = [*letters]
            if offset != Affine.of(0):
                at[axis] = str(Affine.of(at[axis]) - offset)
            reads.append(f"x{k}[{','.join(at)}]")
            offset = offset + tensor.shape[axis]
        return Spelling(
            text=f"y[{','.join(letters)}] = {' + '.join(reads)}",
            inputs=tuple(f"x{k}" for k in range(1, len(inputs) + 1)),
            sizes={letters[axis]: offset},
        )


@strict
def concat(nodes: Iterable[Node], axis: int = 1) -> Node:
    """The nodes one after another along `axis`, counted with the batch as axis 0."""
    if isinstance(nodes, Node):
        raise DefinitionError("concat: expected a list of nodes, got one node; write concat([a, b], axis=1)")
    if not isinstance(nodes, Iterable) or hasattr(nodes, "shape"):
        raise DefinitionError(f"concat: expected a list of nodes, got {shown(nodes)}")
    return Concat(axis)(*nodes)
