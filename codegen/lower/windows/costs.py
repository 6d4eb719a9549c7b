"""What the recipes for window products should take, in nanoseconds a sample, from shapes and a machine's model alone.

A symbolic size, such as that of a batch, is tried at a few values.

A product of (m, k) and (k, n) costs its multiplications, of n rounded up to whole vectors, and something for each
number that it reads, packs and writes.  OpenBLAS packs nothing where m*k*n is small: blocks of columns that keep below
it pay off.  A transposed second factor, such as the gradient of the output in a kernel's gradient, it packs always, and
slowly, unless the result is tiny; a transposed copy of it counts like any other factor.
"""

from __future__ import annotations

from collections.abc import Callable

from codegen.lower.windows.product import Sizes, WindowProduct
from codegen.machine.model import Machine

Cost = Callable[[Sizes, int, bool, Machine], float]
"""(sizes, block, whether what it copies is there already, machine) -> nanoseconds for a batch."""


def mean_cost(cost: Cost, w: WindowProduct, block: int, ready: bool, machine: Machine) -> float | None:
    """The mean over the assumed sizes of a batch, of each a sample; None where nothing is compared."""
    if not w.trials:
        return None
    return sum(cost(s, block, ready, machine) / s.batch for s in w.trials) / len(w.trials)


def product_cost(m: int, k: int, n: int, machine: Machine, across: bool = False) -> float:
    """A product of (m, k) and (k, n); across: the second factor is a transposed one, stored as (n, k)."""
    gemm = machine.gemm
    if across and m * n <= gemm.tiny:
        work = 2 * (m + gemm.across_rows) * k * (n + gemm.across_columns) * gemm.across
        return gemm.call + work + (gemm.stretched * m * k if (m + n) * k > gemm.long else 0)
    vectors = -(-n // machine.registers.lanes)
    work = 2 * k * (m + gemm.thin) * (vectors // 4 * gemm.tails[4] + gemm.tails[vectors % 4]) * gemm.flop
    if not across and m * k * n <= gemm.unpacked:
        return gemm.call + work
    return gemm.packing + work + k * n * (gemm.packed_across if across else gemm.packed) + m * k * gemm.packed_left


def convolution_cost(m: int, k: int, n: int, stride: int, machine: Machine) -> float:
    """A product of m output channels: (m, k) and (k, n); stride: from one row of the image's factor to the next."""
    gemm = machine.gemm
    read = k * n * (gemm.streamed[k * n > machine.caches.first] + _aliased(k, stride, machine))
    return max(product_cost(m, k, n, machine), read) + gemm.written * m * n


def gradient_cost(m: int, k: int, n: int, stride: int, beyond: int, transpose: bool, machine: Machine) -> float:
    """A product of a kernel's gradient: m taps, n output channels, k places; beyond: from channel to channel."""
    gemm = machine.gemm
    read = m * k * _aliased(m, stride, machine)
    read += 0 if transpose else k * n * gemm.repacked * _aliased(n, beyond, machine)
    return product_cost(m, k, n, machine, across=not transpose) + read + gemm.written * m * n


def _aliased(rows: int, stride: int, machine: Machine) -> float:
    caches = machine.caches
    return machine.gemm.aliased if rows > caches.ways and stride % caches.page == 0 else 0.0


def _copied(count: float, machine: Machine) -> float:
    return machine.calls.statement + count * machine.moves.copied[count > machine.caches.second]


def _added(count: float, machine: Machine) -> float:
    return machine.calls.statement + count * machine.moves.added[count > machine.caches.second]


def im2col_cost(s: Sizes, block: int, copied: bool, machine: Machine, transpose: bool = False) -> float:
    """By im2col; transpose: with a transposed copy of the gradient of the output."""
    taps = s.down * s.across * s.inputs
    cost = machine.calls.statement + _products(s, block, taps, s.width * s.batch, transpose, machine)
    cost += _transposing(s, machine) if transpose else 0
    if not copied and s.across > 1:  # a column of the kernel is all of it: there is nothing to copy
        cost += s.across * _copied(s.rows * s.width * s.inputs * s.batch, machine)
    return cost


def shifted_cost(s: Sizes, block: int, in_halo: bool, machine: Machine, transpose: bool = False) -> float:
    """By shifted GEMM; transpose: as above."""
    taps = s.down * s.inputs
    cost = s.across * (machine.calls.statement + _products(s, block, taps, s.whole * s.batch, transpose, machine))
    cost += _transposing(s, machine) if transpose else 0
    if s.forward:
        cost += (s.across - 1) * _added(s.height * s.width * s.outputs * s.batch, machine)
    return cost + (0 if in_halo else _copied(s.image, machine))


def stacked_cost(s: Sizes, rows: int, in_halo: bool, machine: Machine) -> float:
    """By shifted GEMM of so many stacked rows; 0 for all of them."""
    row = s.whole * s.batch
    cost = s.height * convolution_cost(s.across * s.outputs, s.down * s.inputs, row, row, machine)
    adding = s.height / (rows or s.height) * s.across * machine.calls.statement
    cost += (s.across - 1) * s.height * s.width * s.outputs * s.batch * machine.moves.stacked + adding
    return cost + (0 if in_halo else _copied(s.image, machine))


def winograd_cost(s: Sizes, block: int, summed: bool, machine: Machine) -> float:
    """By Winograd's F(2,3)."""
    statement, moves = machine.calls.statement, machine.moves
    result = s.height * s.width * s.batch * s.outputs
    numbers = (block or s.width) * s.batch
    count = 2 * s.height * s.width * s.batch // numbers
    weights = s.across * s.inputs * s.outputs
    cost = 0 if summed else 4 * statement + 2 * s.image * moves.added[s.image > machine.caches.second]
    if s.forward:
        each = convolution_cost(s.outputs, s.inputs, numbers, s.whole * s.batch, machine)
        cost += 3 * weights * moves.transposed + 4 * _added(weights, machine)
        cost += (s.across - 1) * _added(2 * result, machine) + 4 * _added(result // 2, machine)
    else:
        each = gradient_cost(s.inputs, numbers, s.outputs, s.whole * s.batch, s.width * s.batch, True, machine)
        cost += 2 * statement + result * moves.transposed + 2 * _added(result // 2, machine)
        cost += s.across * _added(count * s.inputs * s.outputs, machine) + 4 * _added(weights, machine)
    return machine.limits.winograd * (cost + s.across * (statement + count * each))


def _products(s: Sizes, block: int, taps: int, stride: int, transpose: bool, machine: Machine) -> float:
    """A product for each row and block; those of a kernel's gradient added up."""
    numbers = (block or s.width) * s.batch
    count = s.height * s.width * s.batch // numbers
    if s.forward:
        return count * convolution_cost(s.outputs, taps, numbers, stride, machine)
    each = gradient_cost(taps, numbers, s.outputs, stride, s.width * s.batch, transpose, machine)
    return count * each + _added(count * taps * s.outputs, machine)


def _transposing(s: Sizes, machine: Machine) -> float:
    return machine.calls.statement + machine.moves.transposed * s.height * s.width * s.batch * s.outputs


def stacked_rows(w: WindowProduct, machine: Machine) -> tuple[int, ...]:
    """For each assumed batch the most rows whose products fit into a stack, a divisor of all rows."""
    return tuple(dict.fromkeys(_rows(s, machine) for s in w.trials))


def _rows(s: Sizes, machine: Machine) -> int:
    row = s.across * s.outputs * s.whole * s.batch
    return max(b for b in range(1, s.height + 1) if s.height % b == 0 and (b * row <= machine.caches.second or b == 1))
