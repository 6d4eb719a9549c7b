"""The drawn formula as a tree of our own, and its text in the language.

Nothing of codegen is used here: what a tree means is in `value.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Extent:
    """`const`, or a symbolic size and `const`."""

    const: int
    size: str = ""

    def value(self, sizes: Mapping[str, int]) -> int:
        return self.const + (sizes[self.size] if self.size else 0)

    def __str__(self) -> str:
        return f"{self.size}{self.const:+d}" if self.size and self.const else self.size or str(self.const)


# Subscripts


@dataclass(frozen=True)
class Affine:
    """`sum(coefficient*index) + const + size`."""

    terms: tuple[tuple[str, int], ...]
    const: int = 0
    size: str = ""

    @property
    def plain(self) -> str | None:
        """The index, where it is nothing else."""
        alone = len(self.terms) == 1 and self.terms[0][1] == 1 and not self.const and not self.size
        return self.terms[0][0] if alone else None

    def __str__(self) -> str:
        parts = [self.size] if self.size else []
        parts += [name if c == 1 else f"-{name}" if c == -1 else f"{c}*{name}" for name, c in self.terms if c]
        if self.const or not parts:
            parts.append(str(self.const))
        return "+".join(parts).replace("+-", "-")


@dataclass(frozen=True)
class Quotient:
    """`index // divisor`."""

    index: str
    divisor: int

    def __str__(self) -> str:
        return f"{self.index}//{self.divisor}"


@dataclass(frozen=True)
class Remainder:
    """`index % divisor`."""

    index: str
    divisor: int

    def __str__(self) -> str:
        return f"{self.index}%{self.divisor}"


@dataclass(frozen=True)
class Group:
    """`(c,i,j)`, row-major."""

    members: tuple[str, ...]

    def __str__(self) -> str:
        return f"({','.join(self.members)})"


# Expressions


@dataclass(frozen=True)
class Number:
    text: str


@dataclass(frozen=True)
class Count:
    """Indices and sizes as a number."""

    affine: Affine | Quotient | Remainder


@dataclass(frozen=True)
class Read:
    """`tensor[at]`; a Read as a subscript is a lookup."""

    tensor: str
    at: tuple[Any, ...]

    def __str__(self) -> str:
        return f"{self.tensor}[{','.join(map(str, self.at))}]"


@dataclass(frozen=True)
class Sum:
    """Terms with their signs."""

    terms: tuple[tuple[int, Any], ...]


@dataclass(frozen=True)
class Product:
    """Factors; True where it divides."""

    factors: tuple[tuple[bool, Any], ...]


@dataclass(frozen=True)
class Power:
    base: Any
    exponent: Any


@dataclass(frozen=True)
class Call:
    function: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Modulo:
    """`affine % divisor` in a condition or a body."""

    affine: Affine
    divisor: int


@dataclass(frozen=True)
class Condition:
    """A comparison; without an operator a boolean tensor."""

    left: Any
    op: str = ""
    right: Any = None


@dataclass(frozen=True)
class Bracket:
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Where:
    conditions: tuple[Condition, ...]
    then: Any
    otherwise: Any


@dataclass(frozen=True)
class Reduce:
    op: str
    over: tuple[str, ...]
    body: Any
    guards: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Equation:
    target: str
    at: tuple[Any, ...]
    body: Any
    adds: bool = False

    def __str__(self) -> str:
        return f"{self.target}[{','.join(map(str, self.at))}] {'+=' if self.adds else '='} {show(self.body)}"


@dataclass(frozen=True)
class Declared:
    """An input or a parameter: its extents, its dtype, and how many values integers have.

    letters: a parameter's subscripts in its declaration.
    """

    name: str
    shape: tuple[Extent, ...]
    dtype: str = "float"
    letters: str | None = None
    values: int = 3


@dataclass(frozen=True)
class Formula:
    """A drawn case.

    extents: of every index.  given: the indices whose extents are in `sizes=`.  order: the equations as they are
    printed, where that is not the order in which they are computed.  loss: "MeanSquaredError" and so on.
    sizes: the values of N and T.  seed: of the numbers.
    """

    equations: tuple[Equation, ...]
    declared: tuple[Declared, ...]
    extents: tuple[tuple[str, Extent], ...]
    given: tuple[str, ...]
    loss: str
    sizes: tuple[tuple[str, int], ...]
    seed: int
    options: tuple[str, ...] = ()
    order: tuple[int, ...] = ()
    features: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def printed(self) -> tuple[Equation, ...]:
        return tuple(self.equations[k] for k in self.order) if self.order else self.equations

    @property
    def output(self) -> str:
        return self.printed[-1].target

    @property
    def inputs(self) -> tuple[Declared, ...]:
        return tuple(d for d in self.declared if d.letters is None)

    @property
    def params(self) -> tuple[Declared, ...]:
        return tuple(d for d in self.declared if d.letters is not None)

    @property
    def formula(self) -> str:
        return "\n".join(map(str, self.printed))

    @property
    def given_sizes(self) -> dict[str, int | str]:
        table = dict(self.extents)
        return {name: table[name].size or table[name].const for name in self.given}

    def text(self) -> str:
        """To be pasted: formula lines, parameters, sizes, input shapes."""
        shapes = [f"{d.name} ({', '.join(map(str, d.shape))}) {d.dtype}" for d in self.inputs]
        params = {d.name: d.letters for d in self.params}
        lines = [*map(str, self.printed), f"params={params} sizes={self.given_sizes}"]
        values = ", ".join(f"{name}={value}" for name, value in self.sizes)
        lines.append(f"inputs: {'; '.join(shapes)}; {self.loss}; {values}; numbers of seed {self.seed}")
        return "\n".join([*lines, *([f"compiled with {' '.join(self.options)}"] if self.options else [])])


def show(node: Any, level: int = 0) -> str:
    """The text of an expression; level 0 in a sum, 1 in a product, 2 below a power."""
    text, own = _text(node)
    return f"({text})" if own < level else text


def _text(node: Any) -> tuple[str, int]:
    """The text and how tightly it holds together: 0 a sum, 1 a product, 2 a power, 3 an atom."""
    match node:
        case Number():
            return node.text, 0 if node.text.startswith("-") else 3
        case Count(affine=Affine() as affine):
            return str(affine), 3 if affine.plain or (affine.size and not affine.terms and not affine.const) else 0
        case Count():
            return str(node.affine), 0
        case Read():
            return str(node), 3
        case Sum():
            first, *rest = node.terms
            text = show(first[1], 1) if first[0] > 0 else f"-{show(first[1], 1)}"
            return text + "".join(f" {'+' if sign > 0 else '-'} {show(term, 1)}" for sign, term in rest), 0
        case Product():
            (divides, first), *rest = node.factors
            text = f"1/{show(first, 2)}" if divides else show(first, 2)
            return text + "".join(f"{'/' if divides else '*'}{show(factor, 2)}" for divides, factor in rest), 1
        case Power():
            exponent = Number(str(node.exponent)) if isinstance(node.exponent, int) else node.exponent
            return f"{show(node.base, 3)}**{show(exponent, 3)}", 2
        case Call():
            return f"{node.function}({', '.join(map(show, node.arguments))})", 3
        case Modulo():
            return (
                f"({node.affine}) % {node.divisor}" if not node.affine.plain else f"{node.affine} % {node.divisor}",
                0,
            )
    return _conditional(node), 3


def _conditional(node: Any) -> str:
    match node:
        case Bracket():
            return f"[{', '.join(map(condition, node.conditions))}]"
        case Where():
            tests = " and ".join(map(condition, node.conditions))
            return f"where({tests}, {show(node.then)}, {show(node.otherwise)})"
        case Reduce():
            guards = f" | {', '.join(map(condition, node.guards))}" if node.guards else ""
            return f"{node.op}[{','.join(node.over)}{guards}]({show(node.body)})"
    raise TypeError(node)


def condition(node: Condition) -> str:
    """The text of a condition."""
    left = show(node.left)
    return f"{left} {node.op} {show(node.right)}" if node.op else left


def children(node: Any) -> Iterator[Any]:
    """The nodes inside of a node."""
    if isinstance(node, tuple):
        for item in node:
            if is_dataclass(item):
                yield item
            else:
                yield from children(item)
    elif is_dataclass(node):
        for part in fields(node):
            value = getattr(node, part.name)
            if is_dataclass(value):
                yield value
            elif isinstance(value, tuple):
                yield from children(value)


def walk(node: Any) -> Iterator[Any]:
    """A node and all inside of it."""
    yield node
    for child in children(node):
        yield from walk(child)


def letters(node: Any) -> list[str]:
    """The indices in force at a node's place that it mentions, each once, in order."""
    found: dict[str, None] = {}
    for inner in walk(node):
        match inner:
            case Affine():
                found.update(dict.fromkeys(name for name, _ in inner.terms))
            case Quotient() | Remainder():
                found[inner.index] = None
            case Group():
                found.update(dict.fromkeys(inner.members))
    return list(found)


def changed(node: Any, old: Any, new: Any) -> Any:
    """`node` with the one node `old` (by identity) replaced."""
    if node is old:
        return new
    if isinstance(node, tuple):
        made = tuple(changed(item, old, new) for item in node)
        return made if any(a is not b for a, b in zip(made, node, strict=True)) else node
    if not is_dataclass(node) or isinstance(node, type):
        return node
    values = {part.name: changed(getattr(node, part.name), old, new) for part in fields(node)}
    same = all(values[part.name] is getattr(node, part.name) for part in fields(node))
    return node if same else replace(node, **values)


def scope_of(at: tuple[Any, ...]) -> set[str]:
    """The indices that a left side binds."""
    return {name for s in at for name in letters(s)}


def bound_inside(node: Any) -> set[str]:
    """The indices that reductions in a node bind."""
    return {name for inner in walk(node) if isinstance(inner, Reduce) for name in inner.over}


def well_bound(node: Any, scope: frozenset[str]) -> bool:
    """Whether every index is bound, none of them twice."""
    if isinstance(node, Reduce):
        if set(node.over) & scope:
            return False
        scope = scope | set(node.over)
    if isinstance(node, Affine) or not list(children(node)):
        return set(letters(node)) <= scope
    return all(well_bound(child, scope) for child in children(node))
