"""Questions about the form of an equation that several passes ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from codegen.ir.affine import Affine
from codegen.ir.equation import Guard, Program, Quotient, Read

Shapes = Mapping[str, tuple[Affine, ...]]
NOTHING: frozenset[str] = frozenset()

Checked = Mapping[str, int]
"""By the name of an integer tensor whose values the caller has checked: the number that they lie below, from 0."""


def shapes_of(program: Program) -> Shapes:
    """Shape by tensor name."""
    return {tensor.name: tensor.shape for tensor in program.tensors}


def is_valid(token: Read, size: Affine, checked: Checked) -> bool:
    """Whether the values of `token` lie within an axis of this size: less of a tensor may be left than was declared."""
    return token.tensor in checked and (size - checked[token.tensor]).is_nonnegative()


def inside(
    reads: Iterable[Read], extents: Mapping[str, Affine], shapes: Shapes, checked: Checked | None = None
) -> tuple[Guard, ...]:
    """Guards that keep every one of `reads` inside its tensor's box; none where no read can escape.

    extents: of the indices.  checked: what is known of the values of integer tensors.
    """
    guards: list[Guard] = []
    for read in reads:
        for subscript, size in zip(read.at, shapes[read.tensor], strict=True):
            if isinstance(subscript, Read):
                if not is_valid(subscript, size, checked or {}):
                    guards.append(Guard(">=", Affine(), ((1, subscript),)))
                    guards.append(Guard(">=", size - 1, ((-1, subscript),)))
                continue
            value = subscript.numerator if isinstance(subscript, Quotient) else subscript
            end = size * subscript.divisor if isinstance(subscript, Quotient) else size
            low, high = value.bounds(extents)
            if not low.is_nonnegative():
                guards.append(Guard(">=", value))
            if not (end - 1 - high).is_nonnegative():
                guards.append(Guard(">=", end - 1 - value))
    return tuple(dict.fromkeys(guards))
