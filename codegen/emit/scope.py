"""How generated code reaches its arrays, and the workspace it needs for that.

    p["dense_1.weight"]   parameters          w.dense_1    workspace
    g["dense_1.weight"]   results             N            sizes, w.N

Reshaped, transposed and windowed views of the workspace are made once, when the
workspace is; slices are written where they are used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from codegen.emit.code import Call, Code, Field, Item, Name, Number, Operation, Prefix, Quoted, Row, called, size
from codegen.emit.views import applied
from codegen.ir.affine import Affine
from codegen.ir.equation import Dtype, Program
from codegen.ir.names import KEYWORDS, allocate, identifier
from codegen.ir.plan import Alias, Buffer
from codegen.ir.view import Dim, Op, Reshape, Slice, Take, Transpose, View, Windows, fixed

SCRATCH = {"float": "part", "bool": "mask", "int": "whole"}
DTYPES = {"float": Name("dtype"), "int": Name("np.int64"), "bool": Name("bool")}
WORKSPACE, OWN = Name("w"), Name("self")
"""What holds the arrays: in the functions of a stage, and in the workspace itself."""
SCALAR = Field(WORKSPACE, "scalar")
"""What makes a number one of the arrays' dtype."""
ATTRIBUTES = KEYWORDS | {"dtype", "scalar"}
"""What no tensor is called in a workspace."""


@dataclass
class Scope:
    """Names of arrays while one module is written.

    results: key in `g` of every result tensor.  arrays: what the workspace holds, but for views.
    holders: the argument that holds the results among the tensors.
    views: by attribute, what makes it a view of another one.  made: the attribute by what makes it.
    ranges: of the arrays 0, 1, ... what makes them.  numbers: of the arrays of one number, that number.
    shared: by what they are for, the attributes of scratch arrays and of ranges.
    scratch_used: the scratch arrays handed out since this was last emptied.
    taken: what `names` has, and all else that no attribute is called.
    """

    program: Program
    results: Mapping[str, str]
    holders: Mapping[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    views: dict[str, Code] = field(default_factory=dict)
    arrays: list[Buffer] = field(default_factory=list)
    ranges: dict[str, Code] = field(default_factory=dict)
    numbers: dict[str, Code] = field(default_factory=dict)
    scratch_used: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    made: dict[Code, str] = field(default_factory=dict)
    shapes: dict[str, tuple[Affine, ...]] = field(default_factory=dict)
    shared: dict[object, str] = field(default_factory=dict)
    uses_windows: bool = False
    step: Affine | None = None
    steps: dict[tuple[str, tuple[Affine | Slice, ...]], Name] = field(default_factory=dict)
    """Within a loop: its index, and by tensor and part of its slice there the name that the loop gives it."""

    def __post_init__(self) -> None:
        self.words = ATTRIBUTES.union(self.program.sizes)
        self.taken |= {t.name for t in self.program.tensors if t.kind in ("parameter", "result")} | {
            *self.program.sizes
        }

    def base(self, name: str, holder: Name = WORKSPACE) -> Code:
        """Tensor or buffer `name` in a stage function; in the workspace, where that is the holder."""
        tensor = self.program.table.get(name)
        if tensor is not None and tensor.kind == "parameter":
            return Item(Name("p"), (Quoted(name),))
        if tensor is not None and tensor.kind == "result":
            return Item(Name(self.holders[name]), (Quoted(self.results.get(name, name)),))
        return Field(holder, self.attribute(name))

    def is_own(self, name: str) -> bool:
        """Whether the workspace holds tensor or buffer `name`."""
        tensor = self.program.table.get(name)
        return tensor is None or tensor.kind not in ("parameter", "result")

    def reserve(self, attribute: str, tensor: str | None = None) -> None:
        """Keep a workspace attribute for this tensor alone, or for none that has a name."""
        self.names[tensor or f" {attribute}"] = attribute
        self.taken.add(attribute)

    def attribute(self, name: str) -> str:
        """A workspace attribute for `name`: the name itself, dots replaced, made unique."""
        if name not in self.names:
            unique = allocate(identifier(name), self.taken, self.words)
            self.names[name] = unique
            self.taken |= {name, unique}
        return self.names[name]

    def _unused(self, name: str) -> str:
        """A workspace attribute that nothing has yet, nor any array or tensor: it is the name of the array, too."""
        unique = allocate(identifier(name), self.taken, ATTRIBUTES)
        self.names[unique] = unique
        self.taken.add(unique)
        return unique

    def declare(self, item: Buffer | Alias) -> None:
        """Take note of a buffer, or of what makes a view of one."""
        attribute = self.attribute(item.name)
        if isinstance(item, Alias):
            self.views[attribute] = self.spelled(item.view, OWN)
            return
        self.shapes[item.name] = item.shape
        self.arrays.append(item)

    def code(self, view: View) -> Code:
        """A view inside a stage function."""
        first, *rest = view.ops or (None,)
        items = first.items[1:] if isinstance(first, Take) and first.items[0] == self.step else ()
        if items and (name := self.steps.get((view.base, fixed(items)))):
            return self._applied(name, rest if fixed(items) else (Take(items), *rest))
        local = all(isinstance(op, Take) for op in view.ops) or not self.is_own(view.base)
        # Slices that follow a view are written in place.
        ops = list(view.ops)
        slices: list[Op] = []
        while ops and isinstance(ops[-1], Take):
            slices.insert(0, ops.pop())
        if local or self._names_loop(View(view.base, tuple(ops))):
            return self.spelled(view)
        return self._applied(Field(WORKSPACE, self._made(View(view.base, tuple(ops)))), slices)

    def _made(self, view: View) -> str:
        """The attribute of a view that is made with the workspace."""
        if len(view.ops) > 1 and not isinstance(view.ops[-1], Windows):
            source = applied(Field(OWN, self._made(View(view.base, view.ops[:-1]))), view.ops[-1])
        else:
            source = self.spelled(view, OWN)
        return self.once(source, f"{self.names.get(view.base, view.base)}.{_suffix(view)}")

    def _names_loop(self, view: View) -> bool:
        known = set(self.program.sizes)
        return any(
            n not in known
            for op in view.ops
            if isinstance(op, Take)
            for item in op.items
            for a in ((item.start, item.length) if isinstance(item, Slice) else (item,) if item is not None else ())
            for n in a.names
        )

    def spelled(self, view: View, holder: Name = WORKSPACE) -> Code:
        """The view as one expression, from its base."""
        return self._applied(self.base(view.base, holder), view.ops)

    def _applied(self, array: Code, ops: Iterable[Op]) -> Code:
        """An array seen through `ops`."""
        for op in ops:
            self.uses_windows |= isinstance(op, Windows)
            array = applied(array, op)
        return array

    def scratch(self, shape: Sequence[Affine], dtype: Dtype, number: int) -> Code:
        """A scratch array of the workspace, shared by all kernels that need this shape."""
        kind = kind_of(dtype, number)
        entry = (kind, tuple(shape))
        if entry not in self.shared:
            name = self.shared[entry] = self._unused("_".join([kind, *map(_plain, shape)]))
            self.shapes[name] = tuple(shape)
            self.arrays.append(Buffer(name, tuple(shape), dtype))
        self.scratch_used.add(self.shared[entry])
        return Field(WORKSPACE, self.shared[entry])

    def once(self, source: Code, name: str) -> str:
        """An attribute of the workspace called `name`, or like it, that is this; the same for the same source."""
        if source not in self.made:
            self.made[source] = self._unused(name)
            self.views[self.made[source]] = source
        return self.made[source]

    def number(self, number: Code, dtype: Dtype) -> Code:
        """An array without axes that holds a number: NumPy need not convert it in every call."""
        source = called("np.array", number, DTYPES[dtype])
        if source not in self.made:
            name = self.made[source] = self._unused("number_" + identifier(_told(number)))
            self.arrays.append(Buffer(name, (), dtype, fill=0.0))  # which number, only `numbers` knows
            self.numbers[name] = source
        return Field(WORKSPACE, self.made[source])

    def index_values(self, extent: Affine, dtype: Dtype) -> Code:
        """An array 0, 1, ... as long as an index's extent."""
        stem = "count" if dtype == "int" else "value"
        entry = (stem, extent)
        if entry not in self.shared:
            name = self.shared[entry] = self._unused(f"{stem}_{_plain(extent)}")
            self.arrays.append(Buffer(name, (extent,), dtype))
            kind = {} if dtype == "int" else {"dtype": DTYPES[dtype]}
            self.ranges[name] = called("np.arange", size(extent), **kind)
        return Field(WORKSPACE, self.shared[entry])


def stem(array: Code) -> str:
    """What names are made of that stand for an array or its numbers; of a gradient, `g["dense_1.bias"]`, `d_...`."""
    match array:
        case Item(Name(holder), (Quoted(key),)):
            return identifier(f"d_{key}" if holder == "g" else key)
        case Field(Name(), name):
            return name
        case Item(of) | Field(of) | Call(of):
            return stem(of)
        case Name(name):
            return name
    raise TypeError(f"{array} is no array")


def kind_of(dtype: Dtype, number: int) -> str:
    """What a scratch array is called, whatever its shape."""
    return SCRATCH[dtype] + (str(number + 1) if number else "")


def _suffix(view: View) -> str:
    last = view.ops[-1]
    if isinstance(last, Windows):
        cut = [i.start for op in view.ops if isinstance(op, Take) for i in op.items if isinstance(i, Slice)]
        starts = [f"from_{_plain(start)}." for start in cut if start != Affine()]
        return "".join([*starts, "windows_", "_".join(_dim_name((size,)) for size in last.shape)])
    shape = next((op for op in reversed(view.ops) if isinstance(op, Reshape)), None)
    name = "as_" + "_".join(_dim_name(d) for d in shape.shape) if shape else ""
    end = "T" if isinstance(last, Transpose) else "cut" if isinstance(last, Take) else ""
    return ".".join(part for part in (name, end) if part)


def _dim_name(dim: Dim) -> str:
    constant, names = 1, []
    for factor in dim:
        if factor.is_constant:
            constant *= factor.const
        else:
            (name, first), *_ = factor.terms
            single = Affine.total(dict(factor.terms) | {name: 1}, factor.const)  # 2*N is N2
            names.append(f"{_plain(single)}{first}" if first > 1 else _plain(factor))
    return "".join([*names, *([str(constant)] if constant > 1 or not names else [])])


def _plain(extent: Affine) -> str:
    return str(extent).translate(PLAIN)


def _told(code: Code) -> str:
    """A number in a name: `1_by_N`, `minus_2`."""
    match code:
        case Number(_, value):
            return str(value).translate(MINUS)
        case Name(word):
            return word
        case Prefix(_, of):
            return f"minus_{_told(of)}"
        case Operation(left, sign, right):
            return f"{_told(left)}{SPOKEN.get(sign, '_')}{_told(right)}"
        case Call(function, args):
            return "_".join(map(_told, (function, *args, Name(""))))
        case Row(items):
            return "_".join(["", *map(_told, items), ""])
    raise TypeError(f"{code} is no number")


PLAIN = str.maketrans("-+*", "mpx", " ")
MINUS = str.maketrans({"-": "minus_"})
SPOKEN = {" / ": "_by_", " - ": "_minus__"}
