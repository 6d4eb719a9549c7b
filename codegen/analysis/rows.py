"""May a batch be computed in parts?  Read from the equations alone.

The loss of a batch of N rows is a mean over rows where every value either

    belongs to one row     it has an axis of extent N, and row n of it reads only row n of others,
    or to none             it is computed from parameters only, and N is not in it,
    or is a mean over all  sum[n](value of row n / N), and sums of such means and of what belongs to none.

Then the loss of the whole batch is the mean of those of its parts, weighted by their rows, and so is the gradient.
Where a row reads a mean over all, such as that of its batch, the parts are normalised each by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Literal

import sympy

from codegen.analysis.cost import expanded
from codegen.analysis.facts import fact
from codegen.ir.equation import (
    Equation,
    Program,
    Read,
    Subscript,
    all_reads,
    index_symbol,
    indices_of,
    reads_of,
    size_symbol,
    slot,
    slots_of,
)

Rows = Literal["independent", "normalised", "entangled"]
"""independent: the loss is a mean over rows.  normalised: it is one once the statistics of the batch are given.
entangled: neither, or it could not be seen."""

LOSS, BATCH = "loss", "N"
"""What is looked at: the tensor, and the size that is the number of rows."""


class Kind(Enum):
    """What a value is with regard to the rows of a batch."""

    FIXED = "the same for every batch"
    ROW = "one for each row"
    MEAN = "a mean over the rows"
    STATISTIC = "any other function of all rows"


class _Entangled(Exception):
    """A row reads another one."""


@fact
def rows(program: Program) -> Rows:
    """How the loss depends on the rows of a batch.

    The equations of stages other than "forward" and "loss" do not count, but for "state", which is there only where
    statistics of the batch are kept.
    """
    if LOSS not in program.table:
        return "entangled"
    try:
        kinds, statistics = _kinds(program, ("forward", "loss"))
    except _Entangled:
        return "entangled"
    if kinds.get(LOSS) is not Kind.MEAN:
        return "entangled"
    normalised = statistics or any(e.stage == "state" for e in program.equations)
    return "normalised" if normalised else "independent"


@fact
def apart(program: Program) -> bool:
    """Whether each row of what is computed forward depends on its own row alone, as far as can be seen."""
    try:
        return not _kinds(program, ("forward",))[1]
    except _Entangled:
        return False


def _kinds(program: Program, stages: tuple[str, ...]) -> tuple[dict[str, Kind], bool]:
    """What the equations of these stages compute, and whether rows read statistics of the batch."""
    kinds: dict[str, Kind] = {}
    read = False
    used = [e for e in program.equations if e.stage in stages]
    named = {e.target for e in used} | {r.tensor for e in used for r in all_reads(e)}
    for tensor in program.tensors:
        if tensor.name in named and _row_axis(program, tensor.name) is not None:
            kinds[tensor.name] = Kind.ROW
        elif tensor.kind in ("input", "parameter"):
            kinds[tensor.name] = Kind.FIXED
    for equation in used:
        kind, statistics = _kind(equation, program, kinds)
        kinds[equation.target] = _joined(kinds[equation.target], kind) if equation.accumulate else kind
        read |= statistics
    return kinds, read


def _row_axis(program: Program, name: str) -> int | None:
    """The axis of a tensor that counts the rows."""
    shape = program.table[name].shape
    found = [axis for axis, extent in enumerate(shape) if BATCH in extent.names]
    if not found:
        return None
    if len(found) > 1 or shape[found[0]].plain != BATCH:
        raise _Entangled
    return found[0]


def _kind(equation: Equation, program: Program, kinds: dict[str, Kind]) -> tuple[Kind, bool]:
    """What an equation computes, and whether rows read statistics of the batch in it."""
    row = _row_index(equation)
    for read in all_reads(equation):
        _same_row(read.tensor, read.at, row, program)
    read_kinds = {_known(read, kinds) for read in all_reads(equation)}
    statistics = bool({Kind.MEAN, Kind.STATISTIC} & read_kinds)
    symbols = equation.body.free_symbols
    if row and (index_symbol(row) in symbols or any(row in guard.affine.names for guard in equation.guards)):
        raise _Entangled
    if _row_axis(program, equation.target) is not None:
        _same_row(equation.target, equation.at, row, program)
        if row is None or row in equation.over or size_symbol(BATCH) in symbols:
            raise _Entangled
        return Kind.ROW, statistics
    if row is None:
        return _of_no_row(equation, read_kinds, kinds), False
    if row not in equation.over:
        raise _Entangled
    mean = equation.reduce == "sum" and _free_of(equation.body * size_symbol(BATCH))
    return Kind.MEAN if mean else Kind.STATISTIC, statistics


def _row_index(equation: Equation) -> str | None:
    """The index that counts the rows."""
    found = [name for name, extent in equation.box if BATCH in extent.names]
    if len(found) > 1 or any(equation.extents[name].plain != BATCH for name in found):
        raise _Entangled
    return found[0] if found else None


def _same_row(tensor: str, at: tuple[Subscript, ...], row: str | None, program: Program) -> None:
    """Refuse `tensor[at]` unless `row` is its subscript on the axis of rows, and nowhere else in it."""
    axis = _row_axis(program, tensor)
    if axis is not None and (row is None or getattr(at[axis], "plain", None) != row):
        raise _Entangled
    # Inside a data-dependent subscript the row picks the number to go by; that read is looked at by itself.
    plain = [s for k, s in enumerate(at) if k != axis and not isinstance(s, Read)]
    if {row, BATCH} & set(indices_of(plain)):
        raise _Entangled


def _known(read: Read, kinds: dict[str, Kind]) -> Kind:
    if read.tensor not in kinds:
        raise _Entangled
    return kinds[read.tensor]


def _of_no_row(equation: Equation, read_kinds: Iterable[Kind], kinds: dict[str, Kind]) -> Kind:
    """What is computed without rows: fixed from what is fixed; a linear combination of means is a mean."""
    varying = set(read_kinds) - {Kind.FIXED}
    if not _free_of(equation.body):
        return Kind.STATISTIC
    if not varying:
        return Kind.FIXED
    if varying != {Kind.MEAN} or equation.guards or equation.reduce != "sum":
        return Kind.STATISTIC
    means = [slot(k) for k in slots_of(equation.body) if kinds[equation.reads[k].tensor] is Kind.MEAN]
    linear = all(not sympy.diff(equation.body, m).free_symbols & set(means) for m in means)
    subscripted = any(kinds[read.tensor] is Kind.MEAN for r in equation.reads for read in reads_of(r.at))
    return Kind.MEAN if linear and not subscripted else Kind.STATISTIC


def _free_of(body: sympy.Expr) -> bool:
    size = size_symbol(BATCH)
    return size not in body.free_symbols or size not in expanded(body).free_symbols


def _joined(before: Kind, more: Kind) -> Kind:
    """What `+=` makes of two kinds."""
    if before is more and before is not Kind.STATISTIC:
        return before
    return Kind.MEAN if {before, more} == {Kind.MEAN, Kind.FIXED} else Kind.STATISTIC
