"""Sums in registers: the text that a generated module defines for its direct window products.

Numba has no type for vectors that stay in registers from one round of a loop to the next, so a few functions are
written in the language of LLVM, on which it stands.  All else of a kernel is Python (`native_direct.py`).
"""

IMPORTS = (
    "from llvmlite import ir",
    "from numba.core import cgutils",
    "from numba.extending import intrinsic, models, register_jitable, register_model",
)

TILES = '''\
class Tile(numba.types.Type):
    """Vectors of 64 bytes that stay in registers, as many as the product of `shape`."""

    def __init__(self, dtype, shape):
        super().__init__(f"Tile({dtype}, {shape})")
        self.dtype, self.shape = dtype, shape


@register_model(Tile)
class TileModel(models.PrimitiveModel):
    def __init__(self, manager, tile):
        vector = Vectors(None, None, tile.dtype).type
        super().__init__(manager, tile, ir.ArrayType(vector, math.prod(tile.shape)))


class Vectors:
    """Writes what is done to vectors of one kind of number; lanes: how many of each count, None for all."""

    def __init__(self, context, builder, dtype, lanes=None):
        single = dtype == numba.float32
        self.context, self.builder, self.lanes = context, builder, 16 if single else 8
        self.number = ir.FloatType() if single else ir.DoubleType()
        self.type = ir.VectorType(self.number, self.lanes)
        self.masked = lanes is not None and lanes.type == INDEX
        if self.masked:
            steps = ir.Constant(
                ir.VectorType(INDEX, self.lanes), list(range(self.lanes))
            )
            self.mask = builder.icmp_signed("<", steps, self.spread(lanes))

    def spread(self, value):
        """A vector of one value."""
        empty = ir.Constant(ir.VectorType(value.type, self.lanes), ir.Undefined)
        first = self.builder.insert_element(empty, value, ir.IntType(32)(0))
        order = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), None)
        return self.builder.shuffle_vector(first, empty, order)

    def place(self, kind, array, *steps):
        """A pointer to an array's number, or from another pointer on; steps: to be added up."""
        if kind is not None:
            array = self.context.make_array(kind)(
                self.context, self.builder, array
            ).data
        for step in steps:
            array = self.builder.gep(array, [step])
        return array

    def load(self, pointer):
        pointer, size = self._whole(pointer)
        if not self.masked:
            value = self.builder.load(pointer)
            value.align = size.constant
            return value
        zeros = ir.Constant(self.type, None)
        return self._call("load", self.type, pointer, size, self.mask, zeros)

    def store(self, value, pointer):
        pointer, size = self._whole(pointer)
        if not self.masked:
            self.builder.store(value, pointer).align = size.constant
        else:
            self._call("store", ir.VoidType(), value, pointer, size, self.mask)

    def add_product(self, tile, k, a, b):
        """The tile with a*b added to its vector k."""
        product = self.builder.fmul(a, b, flags=("contract",))
        before = self.builder.extract_value(tile, k)
        total = self.builder.fadd(product, before, flags=("contract",))
        return self.builder.insert_value(tile, total, k)

    def total(self, vector):
        """The sum of its numbers."""
        kind = ir.FunctionType(self.number, [self.number, self.type])
        name = f"llvm.vector.reduce.fadd.v{self.lanes}f{512 // self.lanes}"
        add = cgutils.get_or_insert_function(self.builder.module, kind, name)
        zero = ir.Constant(self.number, 0.0)
        return self.builder.call(add, [zero, vector], fastmath=("reassoc", "nsz"))

    def _whole(self, pointer):
        whole = self.builder.bitcast(pointer, self.type.as_pointer())
        return whole, ir.IntType(32)(64 // self.lanes)

    def _call(self, what, result, *arguments):
        kind = ir.FunctionType(result, [a.type for a in arguments])
        name = f"llvm.masked.{what}.v{self.lanes}f{512 // self.lanes}.p0"
        function = cgutils.get_or_insert_function(self.builder.module, kind, name)
        return self.builder.call(function, arguments)


INDEX = ir.IntType(64)


@intrinsic(prefer_literal=True)
def zeros(typing, array, a, b, c, d):
    """A tile of (a, b, c, d) vectors of zeros, of the array's kind of number."""
    tile = Tile(array.dtype, tuple(size.literal_value for size in (a, b, c, d)))

    def write(context, builder, signature, arguments):
        return ir.Constant(context.get_value_type(tile), None)

    return tile(array, a, b, c, d), write


@intrinsic(prefer_literal=True)
def add_tap(typing, tile, weight, at, x, place, lanes):
    """tile[r, k] += weight[at + r] * (vector k of x from `place` on)."""
    rows, count, _, _ = tile.shape

    def write(context, builder, signature, arguments):
        result, weight_, at_, x_, place_, lanes_ = arguments
        to = Vectors(context, builder, tile.dtype, lanes_)
        source = to.place(x, x_, place_)
        parts = [
            to.load(to.place(None, source, INDEX(to.lanes * k))) for k in range(count)
        ]
        for r in range(rows):
            number = builder.load(to.place(weight, weight_, at_, INDEX(r)))
            factor = to.spread(number)
            for k, part in enumerate(parts):
                result = to.add_product(result, r * count + k, factor, part)
        return result

    return tile(tile, weight, at, x, place, lanes), write


@intrinsic(prefer_literal=True)
def put(typing, tile, z, place, step, lanes):
    """Row r of the tile goes to z, from `place + r*step` on."""
    rows, count, _, _ = tile.shape

    def write(context, builder, signature, arguments):
        tile_, z_, place_, step_, lanes_ = arguments
        to = Vectors(context, builder, tile.dtype, lanes_)
        for r in range(rows):
            row = to.place(z, z_, place_, builder.mul(step_, INDEX(r)))
            for k in range(count):
                vector = builder.extract_value(tile_, r * count + k)
                to.store(vector, to.place(None, row, INDEX(to.lanes * k)))
        return context.get_dummy_value()

    return numba.void(tile, z, place, step, lanes), write


@intrinsic(prefer_literal=True)
def add_products(typing, tile, x, place, steps, z, at, step, lanes):
    """tile[u, v, d, p] += (x from `place` and a step for each of u, v, d on) * (z from `at + p*step` on)."""
    *_, outputs = tile.shape

    def write(context, builder, signature, arguments):
        result, x_, place_, steps_, z_, at_, step_, lanes_ = arguments
        to = Vectors(context, builder, tile.dtype, lanes_)
        first, source = to.place(z, z_, at_), to.place(x, x_, place_)
        errors = [
            to.load(to.place(None, first, builder.mul(step_, INDEX(p))))
            for p in range(outputs)
        ]
        moves = cgutils.unpack_tuple(builder, steps_, 3)
        for k, spot in enumerate(np.ndindex(*tile.shape[:3])):
            ways = [builder.mul(s, INDEX(c)) for s, c in zip(moves, spot) if c]
            part = to.load(to.place(None, source, *ways))
            for p, error in enumerate(errors):
                result = to.add_product(result, k * outputs + p, part, error)
        return result

    return tile(tile, x, place, steps, z, at, step, lanes), write


@intrinsic(prefer_literal=True)
def add_totals(typing, tile, g, place, steps, step):
    """g[place + a step for each of u, v, d and p] += the sum of the numbers of tile[u, v, d, p]."""
    *_, outputs = tile.shape

    def write(context, builder, signature, arguments):
        tile_, g_, place_, steps_, step_ = arguments
        to = Vectors(context, builder, tile.dtype)
        first = to.place(g, g_, place_)
        moves = cgutils.unpack_tuple(builder, steps_, 3)
        for k, spot in enumerate(np.ndindex(*tile.shape[:3])):
            ways = [builder.mul(s, INDEX(c)) for s, c in zip(moves, spot)]
            for p in range(outputs):
                goal = to.place(None, first, *ways, builder.mul(step_, INDEX(p)))
                total = to.total(builder.extract_value(tile_, k * outputs + p))
                builder.store(builder.fadd(builder.load(goal), total), goal)
        return context.get_dummy_value()

    return numba.void(tile, g, place, steps, step), write
'''
