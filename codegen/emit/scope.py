"""How generated code reaches its arrays, and the workspace it needs for that.

    p["dense_1.weight"]   parameters          w.dense_1    workspace
    g["dense_1.weight"]   results             N            sizes, w.N

Reshaped, transposed and windowed views of the workspace are made once, when the
workspace is; slices are written where they are used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from codegen.emit.layout import assigned
from codegen.ir.affine import Affine
from codegen.ir.equation import Dtype, Program
from codegen.ir.names import KEYWORDS, allocate, identifier
from codegen.ir.plan import Alias, Buffer
from codegen.ir.view import Dim, Op, Reshape, Slice, Take, Transpose, View, Windows, fixed

DTYPES = {"float": "dtype", "int": "np.int64", "bool": "bool"}
ATTRIBUTES = KEYWORDS | {"dtype", "scalar"}
"""What no tensor is called in a workspace."""


@dataclass
class Scope:
    """Names of arrays while one module is written.

    results: key in `g` of every result tensor.  arrays: what the workspace holds, but for views.
    holders: the argument that holds the results among the tensors.
    views: by attribute, the lines that make it a view of another one.
    ranges: of the arrays 0, 1, ... the arguments that make them.  numbers: of the arrays of one number, that number.
    scratch_used: the scratch arrays handed out since this was last emptied.
    taken: what `names` has, and all else that no attribute is called.
    """

    program: Program
    results: Mapping[str, str]
    holders: Mapping[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    views: dict[str, list[str]] = field(default_factory=dict)
    arrays: list[Buffer] = field(default_factory=list)
    ranges: dict[str, list[str]] = field(default_factory=dict)
    numbers: dict[str, str] = field(default_factory=dict)
    scratch_used: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)
    made: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[Affine, ...]] = field(default_factory=dict)
    shared: dict[str, str] = field(default_factory=dict)
    """By what they are for, the attributes of scratch arrays and of ranges."""
    uses_windows: bool = False
    step: Affine | None = None
    steps: dict[tuple[str, tuple[Affine | Slice, ...]], str] = field(default_factory=dict)
    """Within a loop: its index, and by tensor and part of its slice there the name that the loop gives it."""

    def __post_init__(self) -> None:
        self.words = ATTRIBUTES.union(self.program.sizes)
        self.taken |= {t.name for t in self.program.tensors if t.kind in ("parameter", "result")} | {
            *self.program.sizes
        }

    def base(self, name: str) -> str:
        """The text that reaches tensor or buffer `name` in a stage function."""
        tensor = self.program.table.get(name)
        if tensor is not None and tensor.kind == "parameter":
            return f'p["{name}"]'
        if tensor is not None and tensor.kind == "result":
            return f'{self.holders[name]}["{self.results.get(name, name)}"]'
        return f"w.{self.attribute(name)}"

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
        """Take note of a buffer, or write the workspace line that makes a view of one."""
        attribute = self.attribute(item.name)
        if isinstance(item, Alias):
            source = self.spelled(item.view).replace("w.", "self.", 1)
            self.views[attribute] = [f"        self.{attribute} = {source}"]
            return
        self.shapes[item.name] = item.shape
        self.arrays.append(item)

    def text(self, view: View) -> str:
        """The expression for a view inside a stage function."""
        first, *rest = view.ops or (None,)
        items = first.items[1:] if isinstance(first, Take) and first.items[0] == self.step else ()
        if items and (name := self.steps.get((view.base, fixed(items)))):
            return self._applied(name, rest if fixed(items) else (Take(items), *rest))
        local = all(isinstance(op, Take) for op in view.ops) or not self.base(view.base).startswith("w.")
        # Slices that follow a view are written in place.
        ops = list(view.ops)
        slices: list[Op] = []
        while ops and isinstance(ops[-1], Take):
            slices.insert(0, ops.pop())
        if local or self._names_loop(View(view.base, tuple(ops))):
            return self.spelled(view)
        made = self._made(View(view.base, tuple(ops)))
        return made + "".join(op_text(op) for op in slices)

    def _made(self, view: View) -> str:
        if len(view.ops) > 1 and not isinstance(view.ops[-1], Windows):
            before = self._made(View(view.base, view.ops[:-1])).replace("w.", "self.", 1)
            source = before + op_text(view.ops[-1])
        else:
            source = self.spelled(view).replace("w.", "self.", 1)
        if source not in self.made:
            name = self._unused(f"{self.names.get(view.base, view.base)}.{_suffix(view)}")
            self.views[name] = assigned(f"self.{name} = ", source)
            self.made[source] = f"w.{name}"
        return self.made[source]

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

    def spelled(self, view: View) -> str:
        """The view as one expression, from its base."""
        return self._applied(self.base(view.base), view.ops)

    def _applied(self, text: str, ops: Iterable[Op]) -> str:
        """The array that `text` names, seen through `ops`."""
        for op in ops:
            if isinstance(op, Windows):
                self.uses_windows = True
                text = f"windows({text}, {shape_text(op.shape)}, {_steps_text(op.steps)})"
            else:
                text += op_text(op)
        return text

    def scratch(self, shape: Sequence[Affine], dtype: Dtype, number: int) -> str:
        """A scratch array of the workspace, shared by all kernels that need this shape."""
        kind = {"float": "part", "bool": "mask", "int": "whole"}[dtype] + (str(number + 1) if number else "")
        stem = "_".join([kind, *(_plain(s) for s in shape)])
        entry = f"{stem} {shape_text(shape)}"
        if entry not in self.shared:
            name = self.shared[entry] = self._unused(stem)
            self.shapes[name] = tuple(shape)
            self.arrays.append(Buffer(name, tuple(shape), dtype))
        self.scratch_used.add(self.shared[entry])
        return f"w.{self.shared[entry]}"

    def once(self, entry: str, name: str, lines: Callable[[str], list[str]]) -> str:
        """An attribute of the workspace called `name`, or like it, that `lines` make; the same for the same entry."""
        if entry not in self.made:
            unique = self._unused(name)
            self.views[unique] = lines(unique)
            self.made[entry] = f"w.{unique}"
        return self.made[entry]

    def number(self, text: str, dtype: Dtype) -> str:
        """An array without axes that holds a number: NumPy need not convert it in every call."""
        named = text.replace("np.", "").replace(" / ", "_by_").replace("-", "minus_")
        source = f"np.array({text}, {DTYPES[dtype]})"
        if source not in self.made:
            name = self._unused("number_" + re.sub(r"\W+", "_", named))
            self.arrays.append(Buffer(name, (), dtype, fill=0.0))  # which number, only `numbers` knows
            self.numbers[name] = text
            self.made[source] = f"w.{name}"
        return self.made[source]

    def index_values(self, extent: Affine, dtype: Dtype) -> str:
        """An array 0, 1, ... as long as an index's extent."""
        stem = "count" if dtype == "int" else "value"
        stem = f"{stem}_{_plain(extent)}"
        entry = f"{stem} {extent}"
        if entry not in self.shared:
            name = self.shared[entry] = self._unused(stem)
            self.arrays.append(Buffer(name, (extent,), dtype))
            self.ranges[name] = [size_text(extent)] + ([] if dtype == "int" else ["dtype=dtype"])
        return f"w.{self.shared[entry]}"


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
            names.append(re.sub(r"^(\d+)x(\w+)$", r"\2\1", _plain(factor)))
    return "".join([*names, *([str(constant)] if constant > 1 or not names else [])])


def _plain(size: Affine) -> str:
    return re.sub(r"\W+", "", str(size).replace("-", "m").replace("+", "p").replace("*", "x"))


def size_text(size: Affine) -> str:
    """An extent in Python."""
    return str(size).replace("*", " * ")


def number_text(value: float) -> str:
    """A number in Python."""
    if value in (float("inf"), float("-inf")):
        return "np.inf" if value > 0 else "-np.inf"
    return str(int(value)) if value == int(value) else repr(value)


def shape_text(shape: Sequence[Affine]) -> str:
    """A shape as a tuple."""
    inner = ", ".join(size_text(s) for s in shape)
    return f"({inner},)" if len(shape) == 1 else f"({inner})"


def dim_text(dim: Dim) -> str:
    """A merged axis as a product, its numbers multiplied out."""
    constant, names = 1, []
    for factor in dim:
        if factor.is_constant:
            constant *= factor.const
        else:
            names.append(size_text(factor) if factor.plain else f"({size_text(factor)})")
    return " * ".join([*names, *([str(constant)] if constant != 1 or not names else [])])


def _steps_text(steps: tuple[tuple[tuple[int, int], ...], ...]) -> str:
    inner = ", ".join("{" + ", ".join(f"{axis}: {step}" for axis, step in pairs) + "}" for pairs in steps)
    return f"({inner},)" if len(steps) == 1 else f"({inner})"


def op_text(op: Op) -> str:
    """What stands behind the text of an array to apply `op` to it."""
    if isinstance(op, Reshape):
        return f".reshape({', '.join(map(dim_text, op.shape)) or '()'})"
    if isinstance(op, Transpose):
        if op.order == (1, 0):
            return ".T"
        return f".transpose({', '.join(map(str, op.order))})"
    assert isinstance(op, Take)
    items = [_item_text(i) for i in op.items]
    if all(isinstance(item, Affine) for item in op.items):
        items.append("...")  # an array without axes, not a number
    while len(items) > 1 and items[-1] == ":":
        items.pop()
    return "" if items == [":"] else f"[{', '.join(items)}]"


def _item_text(item: Affine | Slice | None) -> str:
    if item is None:
        return "None"
    if isinstance(item, Affine):
        return size_text(item)
    if item.full:
        return ":" if item.step == 1 else "::-1"
    if item.step > 0:
        stop = size_text(item.start + (item.length - 1) * item.step + 1)
    else:
        last = item.start + (item.length - 1) * item.step - 1
        stop = "" if last == Affine.of(-1) else size_text(last)
    start = "" if item.start == Affine() and item.step > 0 else size_text(item.start)
    return slice_text(start, stop, "" if item.step == 1 else str(item.step))


def slice_text(start: str, stop: str, step: str) -> str:
    """A slice as formatters write it: spaces around the colons where a bound is an expression."""
    parts = [start, stop, *([step] if step else [])]
    if all(re.fullmatch(r"-?\w*", part) for part in parts):
        return ":".join(parts)
    return " : ".join(parts).strip()
