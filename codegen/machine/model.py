"""One frozen model of a machine: every assumed size, rate and limit by which the compiler chooses.

The defaults are those of one core of a recent x86 server with OpenBLAS, fitted to measurements over a grid of shapes
(`benchmarks/regret.py` prints how far off the choices are).  They are fixed, so that the same network gives the same
code everywhere; what is chosen depends on their ratios, and these change less from machine to machine than they do.

Times are nanoseconds, of float32.  A number is one element of an array.  A pair of times is (near, far): with all
that it touches in a core's own cache, and beyond.  A model is passed to what decides, never looked up.  What a module
decides where it runs, such as how many processes train together, is no part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

Pair = tuple[float, float]
"""(near, far)."""


@dataclass(frozen=True)
class Sizes:
    """What a size is assumed to be that is a symbol, such as that of a batch.

    ranked: positions; recipes for windows, and tiles of direct products, are compared by their mean cost for each.
    typical: positions; wherever one size is enough.
    looped: positions; of what a compiled target joins in loops, and of products that are cut into parts: with 64 of
    them, steps of small compiled networks take some 3 % longer.
    """

    ranked: tuple[int, ...] = (6, 8, 12, 16, 24, 32, 48, 64, 128)
    typical: int = 64
    looped: int = 32


@dataclass(frozen=True)
class Caches:
    """How much is near.

    first: numbers that a product reads at full rate.
    second: numbers in a core's own cache.
    kept: numbers of a kernel whose arrays stay near from one call to the next.
    far: numbers beyond which a kernel runs at the rate of memory.
    page: numbers; rows that lie whole pages apart evict each other ...
    ways: ... where they are more than this.
    """

    first: int = 12_000
    second: int = 1 << 17
    kept: int = 1 << 16
    far: int = 2_000_000
    page: int = 1024
    ways: int = 12


@dataclass(frozen=True)
class Gemm:
    """A product of (m, k) and (k, n), by BLAS.  The second factor is transposed where it is stored as (n, k).

    flop: ns; a multiplication, or an addition, of a product whose rows are whole vectors.
    product: ns; both, in a product of any shape.
    tails: numbers that 0 to 4 vectors of a row take: four at once are the fastest.
    thin: rows with which a product loses half of its rate.
    call: ns; a product.
    packing: ns; one that packs its factors before.
    packed, packed_across, packed_left: ns; a number packed of the second factor, of a transposed one, of the first.
    unpacked: multiplications m*k*n up to which BLAS reads factors where they lie.
    across: ns; a multiplication, or an addition, where the second factor is transposed.
    tiny: numbers of a result up to which such a product is computed without packing.
    across_rows, across_columns: rows, and columns, with which it then loses half of its rate.
    written: ns; a number of the result.
    streamed: ns, near and far; a number of an image that is read, which may take longer than its work.
    aliased: ns; the same besides, where more than `ways` rows of a factor lie whole pages apart ...
    repacked: ... and how many times as much where the factor is transposed.
    stretched: ns; a number of the first factor, where the second is transposed and both are long.
    long: numbers of the factors beyond which they are long.
    banded: rows that a product with a banded matrix might have besides in the same time.
    """

    flop: float = 1 / 255
    product: float = 0.02
    tails: tuple[int, ...] = (0, 23, 34, 55, 64)
    thin: float = 1.5
    call: float = 40.0
    packing: float = 500.0
    packed: float = 0.17
    packed_across: float = 0.35
    packed_left: float = 0.05
    unpacked: int = 1_000_000
    across: float = 1 / 210
    tiny: int = 1200
    across_rows: float = 2.0
    across_columns: float = 4.0
    written: float = 0.03
    streamed: Pair = (0.015, 0.05)
    aliased: float = 0.05
    repacked: float = 2.0
    stretched: float = 0.04
    long: int = 1 << 14
    banded: float = 6.0


@dataclass(frozen=True)
class Moves:
    """Numbers that are moved.

    copied: ns, near and far; a number copied.
    added: ns, near and far; a number added to another.
    stacked: ns; a number of a stack added to another.
    transposed: ns; a number copied to another order of axes.
    """

    copied: Pair = (0.1, 0.2)
    added: Pair = (0.07, 0.12)
    stacked: float = 0.16
    transposed: float = 0.4


@dataclass(frozen=True)
class Calls:
    """What a call takes, however little it does.

    statement: ns; a statement of NumPy with views of arrays.
    ufunc: ns; a call of a NumPy function.
    numexpr: ns; an expression of numexpr.
    compiled: ns; a step in a compiled loop over rows.
    """

    statement: float = 700.0
    ufunc: float = 500.0
    numexpr: float = 6000.0
    compiled: float = 1500.0


@dataclass(frozen=True)
class Elements:
    """One operation on one number of an array.

    plain: ns; an addition, multiplication or comparison of NumPy.
    function: ns; a function of NumPy, such as exp.
    memory: ns; what either takes besides, with its arrays beyond `far`.
    numexpr_plain, numexpr_function: ns; the same of numexpr, which goes through a chain block by block, but without the
    vectorised functions of NumPy; selections take it as long as functions.
    scattered: ns; a number added at a token.
    """

    plain: float = 0.10
    function: float = 0.20
    memory: float = 0.17
    numexpr_plain: float = 0.36
    numexpr_function: float = 12.0
    scattered: float = 10.0


@dataclass(frozen=True)
class Registers:
    """What compiled loops over windows keep in registers.  A core adds two products a cycle and reads two vectors.

    lanes: numbers in a vector.
    sums: vectors; the registers for sums and what is added to them.
    vectors: for 1, 2, ... channels, as many vectors of a row as there are registers for.
    busy: sums; the fewest that hide how long an addition takes.
    half_cycle: ns.
    turn, read: half cycles that a turn of a loop, and a number or vector that it reads, take besides.
    added_up: half cycles to add up the numbers of a vector ...
    rows: ... at the end of so many rows.
    moved: ns; a number of an image that is read or written.
    packed: ns; a number of the kernel.
    """

    lanes: int = 16
    sums: int = 30
    vectors: tuple[int, ...] = (8, 8, 7, 6, 4, 4, 3, 3)
    busy: int = 8
    half_cycle: float = 0.112
    turn: float = 3.0
    read: float = 0.25
    added_up: int = 10
    rows: int = 2
    moved: float = 0.05
    packed: float = 1.0


@dataclass(frozen=True)
class Limits:
    """Policy: bounds that keep code short, memory small and compilers quick.  They are never measured.

    array: numbers; arrays of fewer have storage of their own.
    band: rows of a banded Toeplitz matrix, at most.
    blocked_calls: calls on whole arrays from which a kernel may run block by block ...
    blocked_row: ... and the numbers of a row from which it does.
    channel: numbers that a row of an image must have for each channel to be a product of its own.
    converted: numbers of a kernel whose calls take about as long as converting a Python number for them.
    halo: one part in this many of an array may be halo that is filled anew at each step ...
    halo_slices: ... in at most so many slices.
    parts: parts of a product that need not be packed, at most.
    parts_added: parts that are added up in one statement, at most, in a loop.
    copy_of_value, copy_of_parameter: the cost of a factor copied at each step, and of one copied once, in no unit.
    pool: points of a window that is reduced slice by slice, at most.
    winograd: times by which Winograd's F(2,3), which takes memory and rounds more, has to be faster than other recipes.
    region_products: multiplications of a product within a region, at most: a loop does 30 in a nanosecond, a call of
    BLAS 60, and costs a microsecond itself.
    region_numbers: numbers that a copy, a fill, a reduction or a gather within a region moves, at most.
    region_axes: axes of what small steps work on, one more in a loop: deeper nests gain little.
    row: numbers of a row for which a call of its own is worth it.
    stage: times that a stage of a maximum must shorten the number of rows ...
    stage_row: ... and the numbers of a row up to which it does: a longer one takes longer than to begin with it.
    table: rows of a table whose gradient is a product, at most.
    taps: points of a window that is reduced tap by tap, at most.
    tile: input and output channels of a gradient's tile that is preferred ...
    tile_worth: ... and how much more it may cost: fewer kinds of tiles are compiled sooner.
    """

    array: int = 1024
    band: int = 8
    blocked_calls: int = 4
    blocked_row: int = 64
    channel: int = 4
    converted: int = 4096
    halo: int = 4
    halo_slices: int = 6
    parts: int = 8
    parts_added: int = 4
    copy_of_value: int = 10
    copy_of_parameter: int = 1
    pool: int = 8
    winograd: float = 1.05
    region_products: int = 40_000
    region_numbers: int = 16_384
    region_axes: int = 2
    row: int = 32
    stage: int = 4
    stage_row: int = 1024
    table: int = 256
    taps: int = 64
    tile: tuple[int, ...] = (2, 4)
    tile_worth: float = 1.05


@dataclass(frozen=True)
class Machine:
    """What decisions by cost rest on; `name` stands in the headers of modules that are compiled for it."""

    name: str = "fixed"
    sizes: Sizes = field(default_factory=Sizes)
    caches: Caches = field(default_factory=Caches)
    gemm: Gemm = field(default_factory=Gemm)
    moves: Moves = field(default_factory=Moves)
    calls: Calls = field(default_factory=Calls)
    elements: Elements = field(default_factory=Elements)
    registers: Registers = field(default_factory=Registers)
    limits: Limits = field(default_factory=Limits)

    def changed(self, **parts: Mapping[str, object]) -> Machine:
        """With other values in some parts: `changed(limits={"taps": 9})`."""
        return replace(self, **{name: replace(getattr(self, name), **values) for name, values in parts.items()})


MACHINE = Machine()
"""The default."""
